"""What there is to know about a data set before anything is trained on it."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import DataError
from ..images import SizeLike, chunk_slices
from .imageset import ImageSet, PartCounts
from .labels import UNLABELLED
from .leaks import leaks
from .notes import size_words
from .sources import load

EXAMPLES = 20  # of each kind are listed
SIZES = 20  # the most frequent ones are listed
LOPSIDED = 20  # times as many images in the largest class as in the smallest


@dataclass(frozen=True)
class DuplicateExamples:
    """Origins of duplicates, by group; at most 20 groups of each kind and 5 images of a group."""

    exact: list[list[str]]
    near: list[list[str]]
    across: list[list[str]]
    two_classes: list[list[str]]


@dataclass(frozen=True)
class DuplicateSummary:
    """exact        copies of an earlier image
    near         images that show what an earlier one shows, copies not counted
    across       images of the test or validation part with a twin in another part
    two_classes  groups of equal images with different labels
    """

    exact: int
    near: int
    across: int
    two_classes: int
    examples: DuplicateExamples


@dataclass(frozen=True)
class Description:
    """What a set of images holds, what was done to it, and what may go wrong with it.

    `shape` is (height, width, channels), `counts` is by part, `sizes` are the 20 most frequent ones of the files:
    "height x width" -> count. `size_rule` is a sentence.
    """

    name: str
    source: str
    layout: str
    images: int
    labelled: int
    unlabelled: int
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    size_rule: str
    counts: Mapping[str, PartCounts]
    sizes: Mapping[str, int]
    distinct_sizes: int
    modes: Mapping[str, int]
    converted: tuple[str, ...]
    ignored: Mapping[str, int]
    bad_files: tuple[tuple[str, str], ...]
    duplicates: DuplicateSummary
    warnings: tuple[str, ...]
    fingerprint: str


def describe(
    data: object, *, size: SizeLike = None, unlabelled: str | Path | None = None, table: str | Path | None = None
) -> Description:
    """Return counts of classes and parts, sizes, modes, bad files, duplicates within and across parts, and warnings.

    data: an ImageSet, or what `load` takes, which is then read with the other options. Raises what `load` raises.
    """
    imageset = data if isinstance(data, ImageSet) else load(data, size=size, unlabelled=unlabelled, table=table)
    notes = imageset.notes
    labelled = int(imageset.labelled.sum())
    sizes = sorted(notes.sizes.items(), key=lambda item: (-item[1], item[0]))
    return Description(
        name=imageset.name,
        source=notes.source,
        layout=notes.layout,
        images=len(imageset),
        labelled=labelled,
        unlabelled=len(imageset) - labelled,
        classes=imageset.classes,
        shape=imageset.shape,
        size_rule=notes.size_rule.words if notes.size_rule else "",
        counts=imageset.counts,
        sizes={size_words(size): count for size, count in sizes[:SIZES]},
        distinct_sizes=len(sizes),
        modes=notes.modes,
        converted=notes.converted,
        ignored=notes.ignored,
        bad_files=notes.bad_files,
        duplicates=_count_duplicates(imageset),
        warnings=(*notes.warnings, *_set_warnings(imageset), *leaks(imageset)),
        fingerprint=imageset.fingerprint,
    )


def _count_duplicates(imageset: ImageSet) -> DuplicateSummary:
    found, names, hashes = imageset.duplicates, imageset.origins, imageset.hashes
    clashes = contradictions(imageset)
    across = [group for group in found.near if len(set(imageset.parts[list(group)].tolist())) > 1]
    near = [group for group in found.near if len({hashes[i] for i in group}) > 1]

    def examples(groups: Iterable[tuple[int, ...]]) -> list[list[str]]:
        return [[names[i] for i in group[:5]] for group, _ in zip(groups, range(EXAMPLES), strict=False)]

    return DuplicateSummary(
        exact=sum(len(group) - 1 for group in found.exact),
        near=sum(len({hashes[i] for i in group}) - 1 for group in near),
        across=sum(imageset.parts[i] in ("test", "val") for group in across for i in group),
        two_classes=len(clashes),
        examples=DuplicateExamples(
            exact=examples(found.exact),
            near=examples(near),
            across=examples(across),
            two_classes=[with_classes(imageset, group[:5]) for group in clashes[:EXAMPLES]],
        ),
    )


def contradictions(imageset: ImageSet) -> list[list[int]]:
    """Return the groups of labelled images with equal pixels and different labels."""
    groups = ([i for i in group if imageset.labels[i] != UNLABELLED] for group in imageset.duplicates.exact)
    return [group for group in groups if len(set(imageset.labels[group].tolist())) > 1]


def with_classes(imageset: ImageSet, index: Iterable[int]) -> list[str]:
    """Return the origins of labelled images, with their classes."""
    return [f"{imageset.origins[i]} ({imageset.classes[imageset.labels[i]]})" for i in index]


def _set_warnings(imageset: ImageSet) -> list[str]:
    """Return sentences about what may go wrong with this set."""
    words = []
    numbers = np.bincount(imageset.labels[imageset.labelled], minlength=len(imageset.classes))
    if len(numbers) and numbers.max() >= LOPSIDED * max(1, numbers.min()):
        large, small = int(numbers.argmax()), int(numbers.argmin())
        words.append(
            f"class {imageset.classes[large]!r} has {numbers[large]} images, {imageset.classes[small]!r} has "
            f"{numbers[small]}: look at the recall of each class, not only at accuracy"
        )
    if len(numbers) == 1:
        words.append("there is one class: enough for a generator, not for a classifier")
    if clashes := len(contradictions(imageset)):
        words.append(f"{clashes} images have two different labels")
    images = imageset.images
    pieces = (images[chunk].reshape(-1, images[0].size) for chunk in chunk_slices(images, most=1 << 24))
    if even := sum(int((piece == piece[:, :1]).all(axis=1).sum()) for piece in pieces):
        words.append(f"{even} images are of one even colour")
    return words


def require_classes(imageset: ImageSet) -> None:
    """Raise DataError unless at least two classes have labelled images."""
    there = Counter(imageset.labels[imageset.labelled].tolist())
    if len(there) < 2:
        found = f"only the class {imageset.classes[next(iter(there))]!r}" if there else "no labelled image"
        fix = "lay the images out as class folders (cat/1.png dog/2.png), or add labels.csv (file,label)"
        raise DataError("class-one", f"{imageset.name} holds {found}; a classifier needs at least two classes", fix=fix)
