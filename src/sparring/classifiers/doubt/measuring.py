"""Measures what a classifier that is kept needs to know of its doubts, from the images that it was fitted to."""

from contextlib import suppress
from dataclasses import replace

import numpy as np
from sklearn.base import clone

from ...data import ImageSet
from ...data.properties import greys
from ...errors import SparringError
from ...features import imagenet
from ...features.encoders import encoders_of
from ...files import content_hash
from ..base import Classifier
from ..described import handmade_description
from ..methods import method_of
from ..probe import of_length
from ..selection import fit_temperature, groups_at, stratified_folds, subset
from .record import Doubt, Familiar, HeldOutAnswers
from .unlikeness import MOST_COMPARED, is_other, learn_unlikeness

BUILT_IN, HANDMADE = "efficientnet-lite0", "handmade"
HANDMADE_VERSION = 1  # to be raised with any change of these features
FOLDS = 10  # of the images that are compared; from MANY on half as many
MANY = 500  # images
PARTS = 5  # of the labelled images, which are held out in turn; of fewer than FEW twice as many
FEW = 50
SLOW = ("network", "gan")  # families of which a single part is held out, and the temperature is fitted to that
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

    The method is fitted again without each fifth of the labelled images, and asked about those. What is slow, a network
    or an ensemble of many labels, is fitted once more, without one fifth; and `held_out`, what fits of the same method
    said of other images, takes the place of all that. Together with the fit that was made no more than the `minutes`
    are taken. What a fit measured to choose its own settings is not used: sets held the true class in 85 % then, not in
    90 % (LOG.md). groups int64 [N]: equal for images that are not independent, near duplicates among them. pretrained:
    "none" compares images by features made by hand.
    """
    found = _with_parts_hidden(model, images, groups, minutes, seed) if held_out is None else _at_temperature(held_out)
    return replace(found, familiar=familiar_images(images, model.class_names_, groups, pretrained, device, seed))


def _with_parts_hidden(
    model: Classifier, images: ImageSet, groups: np.ndarray | None, minutes: float | None, seed: int
) -> Doubt:
    known = np.flatnonzero(images.labelled)
    place = {name: k for k, name in enumerate(model.class_names_)}  # a classifier has an order of its own
    labels = np.array([place[str(images.classes[k])] for k in images.labels[known].tolist()])
    apart = np.arange(len(images)) if groups is None else groups
    family, once = method_of(model).family, is_slow(model, len(known))
    folds = stratified_folds(labels, seed, PARTS if once or len(known) >= FEW else 2 * PARTS, apart[known])
    if not folds:
        return Doubt(why=ALONE)
    if once:
        folds = folds[:1]
    seconds = (model.record_.seconds or {}).get("fit", 0.0)
    if minutes is not None and seconds * (1 + len(folds)) > 60 * minutes:
        if seconds > 60 * minutes / 2:
            return Doubt(why=NO_TIME)
        folds = folds[:1]
    held = np.concatenate([out for _, out in folds])
    proba = np.concatenate([_said_without(model, images, groups, known[out]) for _, out in folds])
    found = HeldOutAnswers(proba, labels[held], groups_at(groups, known[held]), "fifth" if folds[1:] == [] else "folds")
    return _at_temperature(found) if family in SLOW else Doubt(found)


def is_slow(model: Classifier, labels: int) -> bool:
    """Return whether a fit to so many labels takes so long that it is repeated once, not for each fifth of them."""
    family = method_of(model).family
    return family in SLOW or (family == "ensemble" and labels >= MANY)


def _said_without(model: Classifier, images: ImageSet, groups: np.ndarray | None, held: np.ndarray) -> np.ndarray:
    """Return what a classifier like this one says of images that it did not see, not even without their labels."""
    rest = np.setdiff1d(np.arange(len(images)), held)
    if "pretrained" in model.get_params() and model.get_params()["pretrained"] != "none":
        for encoder in encoders_of(model.get_params()["pretrained"], device=model.get_params()["device"]):
            encoder.know_part(images.images, rest)
            encoder.know_part(images.images, held)
    again: Classifier = clone(model)  # pyright: ignore[reportAssignmentType] it is of the same class
    again.fit(images.take(rest), groups=groups_at(groups, rest))
    return again.predict_proba(images.images[held])


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
    unlikeness = learn_unlikeness(x, labels, folds, groups_at(groups, known))
    return Familiar(name, content, unlikeness, properties_of(images.images[known], images.sizes, known))


def properties_of(images: np.ndarray, sizes: np.ndarray | None, index: np.ndarray) -> dict[str, np.ndarray]:
    """Return properties float64 [M] by name of images [M,H,W,C]; `index`: which they are of `sizes` [N,2] of files."""
    grey = greys(images)
    found = {
        "brightness": grey.mean,
        "contrast": grey.deviation,
        "sharpness": grey.edges / np.maximum(grey.deviation, 1.0),
        "colour": grey.colour,
    }
    if sizes is not None:
        found["pixels of the file"] = np.sqrt(sizes[index].astype(np.float64).prod(1))
    return found


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
