"""Why a classifier says what it says of images: `sparring explain`."""

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..classifiers import Classifier, load_model
from ..classifiers.fitting import NamedImage, named_images, read_pictures
from ..classifiers.models import method_of
from ..errors import DataError, UsageError, pick
from ..features.cache import passing_cache
from ..records import OnProgress, Progress, no_progress
from ..runs.folder import RECIPE, Run, open_generator
from . import sentences
from .labelled import LabelledImages
from .methods import ExplanationMethod, chosen_maps
from .parts import parts_of_answer
from .records import FORMAT, Explained, ExplainedList, PartShare, Walked
from .results import Explanation, Explanations, HeatMap
from .saving import explanations_folder, save_explanations
from .scores import forgetful, probability
from .verdicts import FORGETFUL, checked, heat_map
from .walks import Walk, walk_to_another_class

AT_ONCE = 64  # images that are read together


def explain_images(
    model: Classifier | str | Path,
    images: object = (),
    *,
    by: Sequence[str] = (),
    about: str | None = None,
    data: object = None,
    run: Run | str | Path | None = None,
    most: int = 5,
    checks: bool = True,
    out: str | Path | None = None,
    seed: int = 0,
    pretrained: str | None = None,
    device: str = "auto",
    follow_links: bool = False,
    progress: OnProgress = no_progress,
) -> Explanations:
    """Return why a model says what it says of each image, with heat maps, parts, labelled images, and checks of these.

    Of a training run: where its discriminator looks, in images that are drawn and in real ones of `data`; it takes no
    images, and `most` is how many of each.

    model, images, pretrained, device, follow_links: as `classify` takes them. by: names of heat maps from EXPLANATIONS;
    the usual one is integrated-gradients of networks, else occlusion. about: the class that is explained, by default
    the one that the model says. data: the data set that it learned from, whose labelled images are then named and
    looked among; without it only `spreading`, which holds its images, shows any. run: of a generator of such images,
    through which a walk leads from each image to another class. most: so many of them. checks: whether
    each map is compared with maps that show nothing, which takes several times as long as the map. out: a new folder
    for explanations.json and pictures; `sparring.explain` writes the page explanations.html of it, too.

    Raises UsageError for a map that does not fit the model or an unknown class, and what `classify` and `load` raise.
    """
    if not isinstance(model, Classifier) and (Path(model) / RECIPE).is_file():
        options = {"by": by, "data": data, "count": most, "checks": checks, "out": out, "seed": seed}
        return _explained_run(model, images, about, progress=progress, **options)
    folder = None if out is None else explanations_folder(out, data)
    classifier = model if isinstance(model, Classifier) else load_model(model, pretrained=pretrained, device=device)
    named = named_images(images if isinstance(images, list | tuple) else [images], follow_links)
    explainer = Explainer(classifier, tuple(by), about, data=data, run=run, most=most, checks=checks, seed=seed)
    found: list[Explanation] = []
    for start in range(0, len(named), AT_ONCE):
        read = read_pictures(classifier, named[start : start + AT_ONCE])
        for place, one in enumerate(read.named):
            progress(Progress("images", len(found), len(named), f"explaining {one.name}"))
            found.append(explainer.explain(one, read.pictures.get(place)))
    if all(one.said.problem for one in found):
        what = f"none of {len(found)} images can be read, such as {found[0].said.image}: {found[0].said.problem}"
        raise DataError("bad-image", what, fix="name image files that are whole")
    row = method_of(classifier)
    listed = ExplainedList(
        format=FORMAT,
        model="" if isinstance(model, Classifier) else str(model),
        method=row.name,
        title=row.title,
        created=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        classes=tuple(classifier.class_names_),
        images=tuple(one.said for one in found),
    )
    made = Explanations(listed, tuple(found))
    return made if folder is None else save_explanations(made, folder)


def _explained_run(run: str | Path, images: object, about: str | None, **options: Any) -> Explanations:
    """Return `explain_run`. Raises UsageError for what only a classifier takes."""
    from .discriminators import explain_run

    if about is not None or not (isinstance(images, list | tuple) and not images):
        what = f"{run} is a training run: its discriminator is shown images that it drew, and those of data"
        raise UsageError("run-images", what, fix="leave out images and the class, and name real images as data")
    return explain_run(run, **options)


class Explainer:
    """Explains images by one model: what all of them share is computed once."""

    def __init__(
        self,
        model: Classifier,
        by: tuple[str, ...] = (),
        about: str | None = None,
        *,
        data: object = None,
        run: Run | str | Path | None = None,
        most: int = 5,
        checks: bool = True,
        seed: int = 0,
    ):
        self.model, self.most, self.checks, self.seed = model, most, checks, seed
        self.names = tuple(model.class_names_)
        self.about = None if about is None else pick({n: k for k, n in enumerate(self.names)}, about, "class")
        self.rows = chosen_maps(model, by)
        self.forgetful = [forgetful(model, seed + number) for number in range(FORGETFUL if checks else 0)]
        self.labelled = LabelledImages.of(model, data)
        self.sampler = None if run is None else open_generator(run)

    def explain(self, one: NamedImage, picture: np.ndarray | None) -> Explanation:
        """Return why the model says what it says of an image, uint8 [H,W,C] as large as those of `fit`."""
        if picture is None:
            return Explanation(Explained(image=one.name, problem=one.problem))
        with passing_cache():
            proba = self.model.predict_proba(picture[None])[0]
            best = int(proba.argmax())
            k = best if self.about is None else self.about
            maps = tuple(self.heat_map(row, k, picture) for row in self.rows)
            parts = tuple(parts_of_answer(self.model, k, picture))
            near = self.labelled.nearest(picture, self.names[k], self.most)
            walk = self.walk(picture, best)
        said = Explained(
            image=one.name,
            label=self.names[best],
            confidence=float(proba[best]),
            about=self.names[k],
            share=float(proba[k]),
            maps=tuple(found.verdict for found in maps),
            parts=tuple(PartShare(part.name, part.adds) for part in parts),
            labelled=near.images,
        )
        words = [sentences.answer_sentence(self.names[best], float(proba[best]), self.names[k], float(proba[k]))]
        words += map(sentences.place_sentence, said.maps)
        words += [sentences.parts_sentence(said.parts)] * bool(parts) + [near.says] * bool(near.says)
        if walk is not None:
            says = sentences.walk_sentence(self.names[best], walk, self.names[walk.other])
            walked = Walked(self.names[walk.other], walk.share, walk.off, walk.changed, says)
            said, words = replace(said, walk=walked), [*words, says]
        elif self.sampler is not None:
            words.append(
                f"The generator draws no {sentences.named(self.names[best])}, or nothing else: no walk was found."
            )
        if not self.rows:
            words.append("This model says the same of every image: there is nothing to see.")
        return Explanation(replace(said, sentences=tuple(words)), picture, maps, parts, near.pictures, walk)

    def walk(self, picture: np.ndarray, k: int) -> Walk | None:
        """Return the walk from an image of class number k to another class, where there is a generator."""
        return walk_to_another_class(self.sampler, self.model, picture, k, seed=self.seed) if self.sampler else None

    def heat_map(self, row: ExplanationMethod, k: int, picture: np.ndarray) -> HeatMap:
        """Return one heat map of class number k, checked if that was asked for."""
        found = heat_map(row, row.heat(self.model, k, picture))
        if not self.checks:
            return found
        forgot = [row.heat(model, k, picture) for model in self.forgetful]
        return checked(found, forgot, partial(probability, self.model, k), picture, self.seed)
