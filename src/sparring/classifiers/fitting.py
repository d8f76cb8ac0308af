"""One classifier on a whole data set, and what it says of new images: `sparring fit` and `sparring classify`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from ..data import ImageSet, load
from ..data.arrays import Scale, as_picture
from ..data.doubts import data_notes
from ..data.notes import DataNotes
from ..data.trees import image_files
from ..devices import choose_device
from ..errors import DataError, UsageError
from ..features.encoders import download as fetch
from ..features.encoders import names_of
from ..features.pretrained import BUILT_IN
from ..files import new_folder
from ..images import BadImage, SizeLike
from ..records import OnProgress, Progress, no_progress
from ..stats import share_interval, wilson
from .base import Classifier
from .doubt.conformal import COVERAGE
from .doubt.measuring import measure_doubt
from .doubt.promises import DoubtedAnswers, Promise, promise_of, seen_features
from .doubt.selective import PRECISION
from .doubt.unlikeness import is_other
from .methods import METHODS, refuse_none
from .models import load_model, save_model

PICTURES_AT_ONCE = 256  # so that memory stays small
Answer = Literal["sure", "unsure", "unlike"]


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

    `unsure`: whether the confidence is too low for the stated precision. `unlike`: whether the image looks unlike all
    that was learned from; `typical`: the share of images of the classes that look at least as unlike, from 0 to 1.
    `labels_in_set`: classes of which one is the true one, with the stated probability. These are None where the model
    promises nothing. `problem`: why the image cannot be read; then there is no class.
    """

    image: str
    label: str | None = None
    confidence: float | None = None
    probabilities: dict[str, float] | None = None
    problem: str = ""
    unsure: bool | None = None
    unlike: bool | None = None
    typical: float | None = None
    labels_in_set: tuple[str, ...] | None = None

    @property
    def answer(self) -> Answer | None:
        """Return "sure", "unsure" or "unlike"; None where the model promises nothing, or the image cannot be read."""
        if self.unlike:
            return "unlike"
        return None if self.unsure is None else "unsure" if self.unsure else "sure"


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
    train = images.take(outside)
    clusters = same_group_or_picture(train)
    model = row.make(**settings).fit(train, groups=clusters)
    progress(Progress("fits", 0, 1, "measuring how far it is to be trusted"))
    model.doubt_ = measure_doubt(
        model, train, groups=clusters, pretrained=pretrained, device=device, minutes=minutes, seed=seed
    )
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


def same_group_or_picture(images: ImageSet) -> np.ndarray | None:
    """Return int64 [N], equal for images of a group and for near duplicates; None where there are neither."""
    return images.clusters if images.groups is not None or len(np.unique(images.clusters)) < len(images) else None


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
    unsure: float = PRECISION,
    coverage: float = COVERAGE,
    per_class: bool = False,
) -> list[Prediction]:
    """Return what a model says of each image, in their order; of a folder's other files, why they were left out.

    Each answer says whether it is sure, `unsure`, or the image `unlike` all that was learned from
    (`Prediction.answer`), and which classes the image may be of. `doubt.promises.promise_of(model)` says what that is
    worth, in sentences.

    model: a fitted classifier, or a model folder. images: a path, bytes, an open file, a PIL image or an array, or a
    list of these; of a folder, all images in it, with `follow_links` also those that links name which lead out of it.
    Images of any size are fitted to the model. pretrained, device: for a folder, as `load_model` takes them; a fitted
    classifier has its own. unsure: the precision, from 0 to 1, of the answers that are called sure. coverage: the share
    of images whose set of classes holds the true one; per_class: of the images of each class, whatever their shares.
    Raises UsageError for a share that is none, FileFormatError for the model,
    MissingData for a path that is not there, DataError where no image can be read, MachineError for a device that is
    not there.
    """
    for name, share in (("unsure", unsure), ("coverage", coverage)):
        if not 0 < share < 1:
            raise UsageError("bad-number", f"{name} {share:g} is no share", fix=f"give {name} a share, such as 0.9")
    classifier = model if isinstance(model, Classifier) else load_model(model, pretrained=pretrained, device=device)
    promise = promise_of(classifier, unsure, coverage, per_class=per_class)
    named = named_images(images if isinstance(images, list | tuple) else [images], follow_links)
    found: list[Prediction] = []
    for start in range(0, len(named), PICTURES_AT_ONCE):
        found += _predictions(classifier, promise, named[start : start + PICTURES_AT_ONCE], device)
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


def _predictions(model: Classifier, promise: Promise, named: Sequence[NamedImage], device: str) -> list[Prediction]:
    read = read_pictures(model, named)
    found = [Prediction(one.name, problem=one.problem) for one in read.named]
    if read.pictures:
        shown = np.stack(list(read.pictures.values()))
        features = seen_features(promise.doubt, shown, device) if promise.judges_unlike else None
        answers = promise.answers(model.predict_proba(shown), features)
        for row, place in enumerate(read.pictures):
            found[place] = _prediction(named[place].name, model.class_names_, answers, row)
    return found


def _prediction(name: str, classes: Sequence[str], answers: DoubtedAnswers, row: int) -> Prediction:
    said = dict(zip(classes, answers.proba[row].tolist(), strict=True))
    best = max(said, key=said.__getitem__)
    return Prediction(
        name,
        best,
        said[best],
        said,
        unsure=None if answers.unsure is None else bool(answers.unsure[row]),
        unlike=None if answers.unlike is None else bool(answers.unlike[row]) and not is_other(best),
        typical=None if answers.typical is None else float(answers.typical[row]),
        labels_in_set=None if answers.sets is None else tuple(np.array(classes, object)[answers.sets[row]].tolist()),
    )


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
