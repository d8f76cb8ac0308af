"""Measures what a classifier that is kept needs to know of its doubts, from the images that it was fitted to."""

from contextlib import suppress
from dataclasses import replace

import numpy as np
from sklearn.base import clone

from ...data import ImageSet
from ...errors import SparringError
from ...features import imagenet
from ...files import content_hash
from ..base import Classifier
from ..described import handmade_description
from ..probe import of_length
from ..selection import fit_temperature, groups_at, stratified_folds, subset
from .record import Doubt, Familiar, HeldOutAnswers
from .unlikeness import MOST_COMPARED, is_other, learn_unlikeness

BUILT_IN, HANDMADE = "efficientnet-lite0", "handmade"
HANDMADE_VERSION = 1  # to be raised with any change of these features
FOLDS, MANY = 10, 500  # folds of the images that are compared; from so many images on half as many are enough
PARTS = 5  # of the labels, of which one is held out from one more fit
ALONE = "a class has a single labelled image, or images of a single group, so none can be held out"
NO_TIME = "the minutes that were given had no room for one more fit without a fifth of the labels"


def measure_doubt(
    model: Classifier,
    images: ImageSet,
    *,
    groups: np.ndarray | None = None,
    held_out: HeldOutAnswers | None = None,
    pretrained: str = BUILT_IN,
    device: str = "auto",
    minutes: float | None = None,
    seed: int = 0,
) -> Doubt:
    """Return what to keep in `doubt_` of a classifier that was fitted to these images.

    Where the fit held out labelled images to choose its settings, what it said of them is taken. Other methods, the
    networks, are fitted once more without a fifth of the labels, unless `held_out` says what fits of the same method
    said of other images, or half of the `minutes` are spent already. groups int64 [N]: equal for images that are not
    independent, near duplicates among them. pretrained: "none" compares images by features made by hand.
    """
    found = model.doubt_
    if found.held_out is None and held_out is not None:
        found = _at_temperature(held_out)
    elif found.held_out is None:
        found = _with_a_fifth_hidden(model, images, groups, minutes, seed)
    return replace(found, familiar=familiar_images(images, model.class_names_, groups, pretrained, device, seed))


def _with_a_fifth_hidden(
    model: Classifier, images: ImageSet, groups: np.ndarray | None, minutes: float | None, seed: int
) -> Doubt:
    known = np.flatnonzero(images.labelled)
    labels = np.unique(images.labels[known], return_inverse=True)[1]
    folds = stratified_folds(labels, seed, PARTS, groups_at(groups, known))
    if not folds:
        return Doubt(why=ALONE)
    seconds = (model.record_.seconds or {}).get("fit", 0.0)
    if minutes is not None and seconds > 60 * minutes / 2:
        return Doubt(why=NO_TIME)
    held = folds[0][1]
    shown = images.labels.copy()
    shown[known[held]] = -1
    again: Classifier = clone(model)  # pyright: ignore[reportAssignmentType] it is of the same class
    again.fit(replace(images, labels=shown), groups=groups)
    proba = again.predict_proba(images.images[known[held]])
    return _at_temperature(HeldOutAnswers(proba, labels[held], groups_at(groups, known[held]), "fifth"))


def _at_temperature(found: HeldOutAnswers) -> Doubt:
    """Return these answers at the temperature that fits them best, with it."""
    scores = np.log(np.maximum(found.proba, 1e-12))
    there, labels = np.unique(found.labels, return_inverse=True)
    temperature = fit_temperature(scores, found.labels)[0] if len(there) == scores.shape[1] else 1.0
    bare = Doubt(temperature=temperature)
    return replace(bare, held_out=found._replace(proba=bare.answers(found.proba)))


def familiar_images(
    images: ImageSet,
    class_names: list[str],
    groups: np.ndarray | None = None,
    pretrained: str = BUILT_IN,
    device: str = "auto",
    seed: int = 0,
) -> Familiar | None:
    """Return what the labelled images of the classes look like; of more than MOST_COMPARED some, drawn at random.

    Images of a class called "other", "none" or the like are no examples of what is known, where two classes are left.
    None where a class has a single labelled image, so that none can be held out.
    """
    others = [k for k, name in enumerate(images.classes) if is_other(name)]
    known = np.flatnonzero(images.labelled & ~np.isin(images.labels, others))
    if len(np.unique(images.labels[known])) < 2:
        known = np.flatnonzero(images.labelled)
    labels = np.unique(images.labels[known], return_inverse=True)[1]
    few = subset(labels, MOST_COMPARED, seed)
    known, labels = known[few], labels[few]
    apart = np.arange(len(images)) if groups is None else groups
    folds = stratified_folds(labels, seed, FOLDS if len(known) < MANY else FOLDS // 2, apart[known])
    if not folds:
        return None
    name, content, x = learned_features(images.images, known, pretrained, device)
    return Familiar(name, content, learn_unlikeness(x, labels, folds, groups_at(groups, known)))


def learned_features(
    images: np.ndarray, index: np.ndarray, pretrained: str, device: str
) -> tuple[str, str, np.ndarray]:
    """Return the name and the hash of features, and those of images[index], float32 [M,F].

    Those of the built-in network, or made by hand where `pretrained` is "none" or the network is not on this machine.
    """
    if pretrained != "none":
        with suppress(SparringError):
            encoder = imagenet(device=device)
            return BUILT_IN, encoder.hash, of_length(encoder.some_features(images, index)[:, : encoder.last], 1.0)
    return HANDMADE, content_hash(HANDMADE, HANDMADE_VERSION)[:12], handmade_description(images[index])[1]
