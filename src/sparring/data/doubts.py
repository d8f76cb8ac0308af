"""What may go wrong with a set of images, and the notes of it that every command says."""

from collections.abc import Iterable

import numpy as np

from ..images import chunk_slices
from ..records import News
from .imageset import ImageSet
from .labels import UNLABELLED
from .notes import ClassLoss, DataNotes, LeftOut, Notes
from .trees import HIDDEN, LINK_OUT

LOPSIDED = 20  # times as many images in the largest class as in the smallest
FILES_LISTED = 200  # single files that are told of


def data_notes(imageset: ImageSet) -> DataNotes:
    """Return what loading left out of these images, converted and doubts, and what else is doubtful about them."""
    notes = imageset.notes
    labels = imageset.labels[imageset.labelled]
    kept = dict(zip(imageset.classes, np.bincount(labels, minlength=len(imageset.classes)).tolist(), strict=True))
    losses = [ClassLoss(name, count, kept.get(name, 0)) for name, count in notes.lost.items()]
    fitted = [f"{notes.size_rule.short}, antialiased"] if notes.size_rule and notes.size_rule.short else []
    return DataNotes(
        left_out=tuple(_kinds_left_out(notes)),
        classes=tuple(sorted(losses, key=lambda one: one.kept / (one.kept + one.left_out))),
        ways=notes.ways,
        doubts=(*notes.warnings, *set_warnings(imageset)),
        converted=(*notes.converted, *fitted),
    )


def data_news(imageset: ImageSet) -> News:
    """Return the same for a terminal; in full with the files that were left out, the first 200 of each kind."""
    notes = imageset.notes
    files = [f"left out {origin}: {reason}" for origin, reason in notes.bad_files[:FILES_LISTED]]
    files += [f"left out {path}: {LINK_OUT}" for path in notes.links[:FILES_LISTED]]
    files += [f"left out {path}: a file of another kind" for path in notes.others[:FILES_LISTED]]
    return data_notes(imageset).news(files)


def _kinds_left_out(notes: Notes) -> Iterable[LeftOut]:
    """Yield the kinds of files that were left out, the most first, hidden ones last."""
    found = [LeftOut(count, _of_one(what, count), expected=what == HIDDEN) for what, count in notes.ignored.items()]
    if bad := notes.bad_files:
        origin, reason = bad[0]
        what = "file that cannot be read" if len(bad) == 1 else "files that cannot be read"
        found.append(LeftOut(len(bad), what, f"{origin}: {reason}" if len(bad) == 1 else f"such as {origin}: {reason}"))
    if links := notes.links:
        what = "link that leads" if len(links) == 1 else "links that lead"
        found.append(LeftOut(len(links), f"{what} out of the folder", links[0] if len(links) == 1 else ""))
    yield from sorted(found, key=lambda one: (one.expected, -one.count))


def _of_one(what: str, count: int) -> str:
    return what.removesuffix("s") if count == 1 else what


def contradictions(imageset: ImageSet) -> list[list[int]]:
    """Return the groups of labelled images with equal pixels and different labels."""
    groups: dict[str, list[int]] = {}
    for i in np.flatnonzero(imageset.labels != UNLABELLED).tolist():
        groups.setdefault(imageset.hashes[i], []).append(i)
    return [group for group in groups.values() if len(set(imageset.labels[group].tolist())) > 1]


def set_warnings(imageset: ImageSet) -> list[str]:
    """Return sentences about what may go wrong with this set."""
    words = []
    numbers = np.bincount(imageset.labels[imageset.labelled], minlength=len(imageset.classes))
    if len(numbers) and numbers.max() >= LOPSIDED * max(1, numbers.min()):
        large, small = int(numbers.argmax()), int(numbers.argmin())
        words.append(
            f"class {imageset.classes[large]!r} has {numbers[large]} images, {imageset.classes[small]!r} has "
            f"{numbers[small]}: look at the recall of each class, not only at accuracy"
        )
    if clashes := len(contradictions(imageset)):
        words.append(f"{clashes} images have two different labels")
    images = imageset.images
    pieces = (images[chunk].reshape(-1, images[0].size) for chunk in chunk_slices(images, most=1 << 24))
    if even := sum(int((piece == piece[:, :1]).all(axis=1).sum()) for piece in pieces):
        words.append(f"{even} images are of one even colour")
    return words
