"""Which images may be used for fitting, which are kept for the test, and which labels a method gets to see.

Random numbers are keyed by (seed, content of the image): nothing depends on the order of the files, and one image more
does not shuffle all others.
"""

import hashlib
from dataclasses import dataclass

import numpy as np

from ..errors import UsageError
from .imageset import UNLABELLED, ImageSet


@dataclass(frozen=True, eq=False)
class Split:
    """train: int64 index of images that may be used for fitting, labelled and unlabelled; test: labelled images only.

    moved: what was not left to chance because of duplicates. how: the rule, as a sentence.
    """

    train: np.ndarray
    test: np.ndarray
    moved: tuple[dict, ...]
    how: str


def split(imageset: ImageSet, *, seed: int = 0, test: float = 0.2) -> Split:
    """The source's own test part, or a stratified, seeded one of `test` x the labelled images of each class."""
    place = imageset.parts == "test"
    if place.any():
        return Split(np.flatnonzero(~place), np.flatnonzero(place & imageset.labelled), (), "the source's test part")
    chosen = np.zeros(len(imageset), bool)
    for number in range(len(imageset.classes)):
        members = np.flatnonzero(imageset.labels == number)
        ranked = sorted(members.tolist(), key=lambda i: keyed(seed, imageset.hashes[i]))
        chosen[ranked[: max(1, round(test * len(members)))]] = True
    return Split(np.flatnonzero(~chosen), np.flatnonzero(chosen), (), f"{test:g} of each class, seed {seed}")


def keyed(*names) -> int:
    """64 random bits that depend on the names only."""
    return int.from_bytes(hashlib.blake2b(repr(names).encode(), digest_size=8).digest(), "little")


def label_draw(labels, budget: int | str, *, seed: int, repeat: int, classes: tuple[str, ...] = ()) -> np.ndarray:
    """int64 [N]: `labels` with all but `budget` per class hidden as -1.

    Stratified, the same for every method, and nested: of one repeat, the smaller draw is part of the larger. "all"
    hides nothing. Raises UsageError naming the class where there are too few.
    """
    labels = np.array(labels, np.int64)
    if budget == "all":
        return labels
    count = as_budget(budget)
    drawn = np.full_like(labels, UNLABELLED)
    for number in np.unique(labels[labels >= 0]).tolist():
        members = np.flatnonzero(labels == number)
        if len(members) < count:
            name = classes[number] if number < len(classes) else str(number)
            raise UsageError(
                "too-few-labels",
                f"class {name!r} has {len(members)} labelled training images, {count} requested",
                fix=f"ask for at most {len(members)} labels a class, or all",
            )
        order = np.argsort(stream(keyed("labels", seed, repeat, number), len(members)), kind="stable")
        drawn[members[order[:count]]] = number
    return drawn


def as_budget(budget) -> int:
    text = str(budget).strip()
    if isinstance(budget, bool) or not text.isdecimal() or int(text) < 1:
        raise UsageError("label-budget", f"{budget!r} labels a class", fix="give a whole number from 1 up, or all")
    return int(text)


def stream(key: int, count: int) -> np.ndarray:
    """uint64 [count]: SplitMix64 (Steele, Lea & Flood 2014) started at `key`."""
    step = np.uint64(0x9E3779B97F4A7C15)
    with np.errstate(over="ignore"):
        z = np.arange(1, count + 1, dtype=np.uint64) * step + np.uint64(key)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))
