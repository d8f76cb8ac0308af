"""What there is to know about a data set before anything is trained on it."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import DataError
from ..images import SizeLike
from .doubts import contradictions, data_notes
from .imageset import ImageSet, PartCounts
from .leaks import leaks
from .notes import DataNotes, size_words
from .sources import load

EXAMPLES = 20  # of each kind are listed
ONE_CLASS = "there is one class: enough for a generator, not for a classifier"  # commands that mind refuse it
SIZES = 20  # the most frequent ones are listed


@dataclass(frozen=True)
class DuplicateExamples:
    """Origins of duplicates, by group; at most 20 groups of each kind and 5 images of a group."""

    exact: tuple[tuple[str, ...], ...]
    near: tuple[tuple[str, ...], ...]
    across: tuple[tuple[str, ...], ...]
    two_classes: tuple[tuple[str, ...], ...]


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
    "height x width" -> count. `size_rule` is a sentence. `notes`: what was left out, of which classes, converted and
    doubted, as every command says it.
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
    notes: DataNotes
    fingerprint: str


def describe(
    data: object,
    *,
    size: SizeLike = None,
    unlabelled: str | Path | None = None,
    table: str | Path | None = None,
    label: str | None = None,
    group: object = None,
    follow_links: bool = False,
) -> Description:
    """Return counts of classes and parts, sizes, modes, bad files, duplicates within and across parts, and warnings.

    data: an ImageSet, or what `load` takes, which is then read with the other options. Raises what `load` raises.
    """
    imageset = data
    if not isinstance(imageset, ImageSet):
        reading = {"size": size, "unlabelled": unlabelled, "table": table, "label": label, "follow_links": follow_links}
        imageset = load(data, **reading, group=group)
    notes = imageset.notes
    labelled, said = int(imageset.labelled.sum()), data_notes(imageset)
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
        warnings=(*said.doubts, *leaks(imageset), *[ONE_CLASS] * (len(imageset.classes) == 1)),
        notes=said,
        fingerprint=imageset.fingerprint,
    )


def _count_duplicates(imageset: ImageSet) -> DuplicateSummary:
    found, names, hashes = imageset.duplicates, imageset.origins, imageset.hashes
    clashes = contradictions(imageset)
    across = [group for group in found.near if len(set(imageset.parts[list(group)].tolist())) > 1]
    near = [group for group in found.near if len({hashes[i] for i in group}) > 1]

    def examples(groups: Iterable[tuple[int, ...]]) -> tuple[tuple[str, ...], ...]:
        return tuple(tuple(names[i] for i in group[:5]) for group, _ in zip(groups, range(EXAMPLES), strict=False))

    return DuplicateSummary(
        exact=sum(len(group) - 1 for group in found.exact),
        near=sum(len({hashes[i] for i in group}) - 1 for group in near),
        across=sum(imageset.parts[i] in ("test", "val") for group in across for i in group),
        two_classes=len(clashes),
        examples=DuplicateExamples(
            exact=examples(found.exact),
            near=examples(near),
            across=examples(across),
            two_classes=tuple(with_classes(imageset, group[:5]) for group in clashes[:EXAMPLES]),
        ),
    )


def with_classes(imageset: ImageSet, index: Iterable[int]) -> tuple[str, ...]:
    """Return the origins of labelled images, with their classes."""
    return tuple(f"{imageset.origins[i]} ({imageset.classes[imageset.labels[i]]})" for i in index)


def require_classes(imageset: ImageSet) -> None:
    """Raise DataError unless at least two classes have labelled images."""
    there = Counter(imageset.labels[imageset.labelled].tolist())
    if len(there) < 2:
        found = f"only the class {imageset.classes[next(iter(there))]!r}" if there else "no labelled image"
        fix = "lay the images out as class folders (cat/1.png dog/2.png), or add labels.csv (file,label)"
        if imageset.notes.unread:
            found += "".join(f"; {table} was not used: {why}" for table, why in imageset.notes.unread[:3])
            fix = "give that table the columns file,label, or name another with --table and its column with --label"
        raise DataError("class-one", f"{imageset.name} holds {found}; a classifier needs at least two classes", fix=fix)
