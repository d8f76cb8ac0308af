"""One classifier on a whole data set, and what it says of new images: `sparring fit` and `sparring classify`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..data import ImageSet, load
from ..data.arrays import Scale, as_picture
from ..data.doubts import data_notes
from ..data.notes import DataNotes
from ..data.trees import image_files
from ..devices import choose_device
from ..errors import DataError
from ..features.encoders import download as fetch
from ..features.encoders import names_of
from ..features.pretrained import BUILT_IN
from ..files import new_folder
from ..images import BadImage, SizeLike
from ..records import OnProgress, Progress, no_progress
from ..stats import share_interval, wilson
from .base import Classifier
from .methods import METHODS, refuse_none
from .models import load_model, save_model

PICTURES_AT_ONCE = 256  # so that memory stays small


@dataclass(frozen=True)
class TestScore:
    """The share of labelled test `images` that were classified right, and its 95 % interval (Wilson's)."""

    images: int
    accuracy: float
    low: float
    high: float

    def __str__(self) -> str:
        interval = f"(95 % interval {self.low:.1%} to {self.high:.1%})"
        return f"On {self.images:,} test images: {self.accuracy:.1%} right {interval}"


@dataclass(frozen=True, eq=False)
class FittedModel:
    """A fitted classifier; `folder`: where it was saved, `test`: None where the data have no test part.

    `notes`: what was left out of the data, converted and doubted.
    """

    model: Classifier
    method: str
    folder: Path | None
    test: TestScore | None
    notes: DataNotes = DataNotes()


@dataclass(frozen=True)
class Prediction:
    """What a model says of one image: the most probable class, its probability, and that of each class.

    `problem`: why the image cannot be read; then there is no class.
    """

    image: str
    label: str | None = None
    confidence: float | None = None
    probabilities: dict[str, float] | None = None
    problem: str = ""


def fit(
    data: object,
    *,
    method: str,
    out: str | Path | None = None,
    minutes: float | None = None,
    seed: int = 0,
    size: SizeLike = None,
    unlabelled: str | Path | None = None,
    table: str | Path | None = None,
    label: str | None = None,
    group: object = None,
    pretrained: str = BUILT_IN,
    download: bool = False,
    device: str = "auto",
    follow_links: bool = False,
    progress: OnProgress = no_progress,
) -> FittedModel:
    """Fit one classifier on all images but the test part, score it there, and save it as a model folder.

    data, size, unlabelled, table, label, group, follow_links: as `sparring.load` takes them. method: a name of METHODS.
    out: a new folder, None saves nothing. minutes: the most that training may take. pretrained: "efficientnet-lite0",
    which is built in, "none", or the folder or hub's name of an image model of transformers; of several, with commas
    between them, held-out labels choose. download: fetch what of these is not on this machine; else no network is used.
    device: "auto", "cpu" or "cuda". Raises UsageError, DataError, FileFormatError and MachineError.
    """
    row = METHODS[method]
    refuse_none(row, ",".join(names_of(pretrained)) or "none")
    device = choose_device(device)
    if download:
        fetch(pretrained, progress)
    folder = None if out is None else new_folder(out, data=data)
    reading = {"size": size, "unlabelled": unlabelled, "table": table, "label": label, "follow_links": follow_links}
    images = load(data, **reading, group=group, progress=progress)
    outside = images.parts != "test"
    test = ~outside & images.labelled
    if images.groups is not None:  # images of a group that training sees say nothing about new groups
        test &= ~np.isin(images.clusters, images.clusters[outside])
    progress(Progress("fits", 0, 1, f"fitting {method}"))
    settings = {"random_state": seed, "minutes": minutes, "pretrained": pretrained, "device": device}
    model = row.make(**settings).fit(images.take(outside))
    score = _test_score(model, images.take(test)) if test.any() else None
    if folder is not None:
        record = model.record_
        save_model(
            model,
            folder,
            data=images.name,
            fingerprint=images.fingerprint,
            trained_on=f"{record.labels:,} labelled and {record.unlabelled:,} unlabelled images",
            measured=score,
            notes="; ".join(data_notes(images).short),
        )
    return FittedModel(model, method, folder, score, data_notes(images))


def _test_score(model: Classifier, images: ImageSet) -> TestScore:
    names = np.array(model.class_names_)[model.predict_proba(images).argmax(1)]
    right = names == np.array(images.classes)[images.labels]
    found = wilson(int(right.sum()), len(images))
    if images.groups is not None:
        found = share_interval(right[None], images.clusters)
    return TestScore(len(images), found.mean, found.low, found.high)


def classify(
    model: Classifier | str | Path,
    images: object,
    *,
    pretrained: str | None = None,
    device: str = "auto",
    follow_links: bool = False,
) -> list[Prediction]:
    """Return what a model says of each image, in their order; of a folder's other files, why they were left out.

    model: a fitted classifier, or a model folder. images: a path, bytes, an open file, a PIL image or an array, or a
    list of these; of a folder, all images in it, with `follow_links` also those that links name which lead out of it.
    Images of any size are fitted to the model. pretrained, device: for a folder, as `load_model` takes them; a fitted
    classifier has its own. Raises FileFormatError for the model,
    MissingData for a path that is not there, DataError where no image can be read, MachineError for a device that is
    not there.
    """
    classifier = model if isinstance(model, Classifier) else load_model(model, pretrained=pretrained, device=device)
    named = named_images(images if isinstance(images, list | tuple) else [images], follow_links)
    found: list[Prediction] = []
    for start in range(0, len(named), PICTURES_AT_ONCE):
        found += _predictions(classifier, named[start : start + PICTURES_AT_ONCE])
    if all(prediction.problem for prediction in found):
        what = f"none of {len(found)} images can be read, such as {found[0].image}: {found[0].problem}"
        raise DataError("bad-image", what, fix="name image files that are whole")
    return found


@dataclass(frozen=True)
class NamedImage:
    """An image and what it is called, or why a file is none."""

    name: str
    image: object = None
    problem: str = ""


def named_images(images: Sequence[object], follow_links: bool) -> list[NamedImage]:
    """Return all images, those in folders one by one, and after them the other files of the folder."""
    if not images:
        raise DataError("data-empty", "there are no images to classify", fix="name image files or folders")
    named: list[NamedImage] = []
    for number, image in enumerate(images):
        if isinstance(image, str | Path):
            files = image_files([image], follow_links=follow_links)
            named += [NamedImage(str(path), path) for path in files.images]
            named += [NamedImage(str(path), problem=reason) for path, reason in files.left_out]
        else:
            named.append(NamedImage(f"image {number}", image))
    return named


def _predictions(model: Classifier, named: Sequence[NamedImage]) -> list[Prediction]:
    read = read_pictures(model, named)
    found = [Prediction(one.name, problem=one.problem) for one in read.named]
    if read.pictures:
        proba = model.predict_proba(np.stack(list(read.pictures.values())))
        for place, row in zip(read.pictures, proba.tolist(), strict=True):
            said = dict(zip(model.class_names_, row, strict=True))
            best = max(said, key=said.__getitem__)
            found[place] = Prediction(named[place].name, best, said[best], said)
    return found


class ReadPictures(NamedTuple):
    """Images by name, with the reason where one cannot be read; and the others' pixels by their place."""

    named: list[NamedImage]
    pictures: dict[int, np.ndarray]


def read_pictures(model: Classifier, named: Sequence[NamedImage]) -> ReadPictures:
    """Read images as a fitted model takes them, uint8 [H,W,C]."""
    height, width, channels = model.image_shape_
    read = ReadPictures(list(named), {})
    for place, one in enumerate(named):
        if one.problem:
            continue
        try:
            read.pictures[place] = as_picture(
                one.image, size=(height, width), channels=channels, scale=Scale(model.pixel_scale_)
            )
        except BadImage as error:
            read.named[place] = NamedImage(one.name, problem=error.reason)
    return read
