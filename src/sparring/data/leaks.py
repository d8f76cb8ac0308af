"""Warnings of what should not tell classes, or training from test, apart and does: size, file type, brightness, blur.

Where such a property alone tells a class, a classifier may learn how pictures were taken instead of what they show.
Where it tells the test part from the rest, results on the one say little about the other. Labels of the test part are
not used.
"""

from collections.abc import Iterator

import numpy as np

from .imageset import ImageSet
from .properties import OF_FILES, Property, greys, image_properties
from .shortcuts import TOLD, Shortcut, class_shortcuts, part_shortcuts, shortcut_sentences

MOST = 2000  # images that are looked at
TAKEN = "a classifier may learn how pictures were taken or stored, not what they show"
OTHERS = "results on it may say little about images like the rest"
STRIKING = 0.95  # share of images that a property of the pixels must tell of a single class: what is shown differs, too


def leaks(imageset: ImageSet) -> list[str]:
    """Return a warning for each property that tells classes apart, and one where the parts differ."""
    return [*_of_classes(imageset), *_of_parts(imageset)] if len(imageset) else []


def _of_classes(imageset: ImageSet) -> Iterator[str]:
    """Yield a warning for each property by which classes of held-out labelled images are told far above chance."""
    known = _chosen(imageset, np.flatnonzero(imageset.labelled & (imageset.parts != "test")))
    told: dict[str, list[Shortcut]] = {}
    for one in class_shortcuts(
        _properties(imageset, known), imageset.labels[known], imageset.classes, imageset.clusters[known]
    ):
        told.setdefault(one.measure, []).append(one)
    for measure, each in told.items():
        sure = [one for one in each if one.surely]
        by_most = np.mean([one.right for one in each]) >= TOLD
        if sure and (measure in OF_FILES or by_most or sure[0].right >= STRIKING):
            yield from (f"{sentence}: {TAKEN}" for sentence in shortcut_sentences(sure, len(imageset.classes)))


def _of_parts(imageset: ImageSet) -> Iterator[str]:
    """Yield a warning where properties of the images tell the source's own test part from the rest."""
    part = next((part for part in ("test", "val") if part in imageset.parts), "")
    if not part:
        return
    index = np.concatenate([_chosen(imageset, np.flatnonzero((imageset.parts == part) == side)) for side in (0, 1)])
    here = imageset.parts[index] == part
    found = part_shortcuts(_properties(imageset, index), here, part, imageset.clusters[index])
    yield from (f"{sentence}: {OTHERS}" for sentence in shortcut_sentences(found, len(imageset.classes)))


def _chosen(imageset: ImageSet, index: np.ndarray) -> np.ndarray:
    """Return at most MOST of these images, chosen by content."""
    return index if len(index) <= MOST else np.sort(imageset.by_content(index, distinct=False)[:MOST])


def _properties(imageset: ImageSet, index: np.ndarray) -> list[Property]:
    images = imageset.take(index)
    return image_properties(images, greys(images.images))
