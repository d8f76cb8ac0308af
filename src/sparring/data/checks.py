"""What there is to know about a data set before anything is trained on it."""

from collections import Counter

import numpy as np

from ..errors import DataError
from .imageset import ImageSet

EXAMPLES = 20  # of each kind are listed
CHUNK = 1 << 24  # pixels looked at together
LOPSIDED = 20  # times as many images in the largest class as in the smallest
PART_NAMES = ("train", "val", "test", "")


def describe(imageset: ImageSet) -> dict:
    """JSON-able: counts per class and part, sizes, modes, bad files, duplicates within and across parts, warnings."""
    height, width, channels = imageset.shape
    notes = imageset.notes.to_json()
    labelled = int(imageset.labelled.sum())
    return {
        "name": imageset.name,
        "source": notes["source"],
        "layout": notes["layout"],
        "images": len(imageset),
        "labelled": labelled,
        "unlabelled": len(imageset) - labelled,
        "classes": list(imageset.classes),
        "shape": [height, width, channels],
        "size_rule": notes["size_rule"],
        "counts": counts(imageset),
        "sizes": notes["sizes"],
        "distinct_sizes": notes["distinct_sizes"],
        "modes": notes["modes"],
        "converted": notes["converted"],
        "ignored": notes["ignored"],
        "bad_files": notes["bad_files"],
        "duplicates": duplicates(imageset),
        "warnings": notes["warnings"] + doubts(imageset),
        "fingerprint": imageset.fingerprint,
    }


def counts(imageset: ImageSet) -> dict[str, dict]:
    """part -> {"classes": {class: images}, "unlabelled": images}; the part is "all" where the source has none."""
    table = {}
    for part in PART_NAMES:
        here = imageset.parts == part
        if not here.any():
            continue
        numbers = np.bincount(imageset.labels[here] + 1, minlength=len(imageset.classes) + 1).tolist()
        row = dict(zip(imageset.classes, numbers[1:], strict=True))
        table[part or ("all" if here.all() else "no part")] = {"classes": row, "unlabelled": numbers[0]}
    return table


def duplicates(imageset: ImageSet) -> dict:
    """exact: copies of an earlier image. near: images that show what an earlier one shows, copies not counted.

    across: images of the test or validation part with a twin in another part. two_classes: groups of equal images with
    different labels.
    """
    found = imageset.duplicates
    exact = sum(len(group) - 1 for group in found.exact)
    clashes = [group for group in found.exact if len(classes_of(imageset, group)) > 1]
    across = [group for group in found.near if len(set(imageset.parts[list(group)].tolist())) > 1]
    names = imageset.origins
    near_only = [group for group in found.near if len({imageset.hashes[i] for i in group}) > 1]
    return {
        "exact": exact,
        "near": sum(len({imageset.hashes[i] for i in group}) - 1 for group in near_only),
        "across": sum(imageset.parts[i] in ("test", "val") for group in across for i in group),
        "two_classes": len(clashes),
        "examples": {
            "exact": [[names[i] for i in group[:5]] for group in found.exact[:EXAMPLES]],
            "near": [[names[i] for i in group[:5]] for group in near_only[:EXAMPLES]],
            "across": [[names[i] for i in group[:5]] for group in across[:EXAMPLES]],
            "two_classes": [
                [f"{names[i]} ({imageset.classes[imageset.labels[i]]})" for i in group[:5] if imageset.labels[i] >= 0]
                for group in clashes[:EXAMPLES]
            ],
        },
    }


def classes_of(imageset: ImageSet, group: tuple[int, ...]) -> set[int]:
    return set(imageset.labels[list(group)].tolist()) - {-1}


def doubts(imageset: ImageSet) -> list[str]:
    """Sentences about what may go wrong with this set."""
    said = []
    numbers = np.bincount(imageset.labels[imageset.labelled], minlength=len(imageset.classes))
    if len(numbers) and numbers.max() >= LOPSIDED * max(1, numbers.min()):
        large, small = int(numbers.argmax()), int(numbers.argmin())
        said.append(
            f"class {imageset.classes[large]!r} has {numbers[large]} images, {imageset.classes[small]!r} has "
            f"{numbers[small]}: look at the recall of each class, not only at accuracy"
        )
    if len(numbers) == 1:
        said.append("there is one class: enough for a generator, not for a classifier")
    if clashes := [group for group in imageset.duplicates.exact if len(classes_of(imageset, group)) > 1]:
        said.append(f"{len(clashes)} images have two different labels")
    flat = even(imageset.images)
    if flat:
        said.append(f"{flat} images are of one even colour")
    return said


def even(images: np.ndarray) -> int:
    """How many images have one value everywhere."""
    step = max(1, CHUNK // images[0].size) if len(images) else 1
    pieces = (images[start : start + step].reshape(-1, images[0].size) for start in range(0, len(images), step))
    return sum(int((piece == piece[:, :1]).all(axis=1).sum()) for piece in pieces)


def require_classes(imageset: ImageSet) -> None:
    """Raises DataError unless at least two classes have labelled images."""
    there = Counter(imageset.labels[imageset.labelled].tolist())
    if len(there) < 2:
        found = f"only the class {imageset.classes[next(iter(there))]!r}" if there else "no labelled image"
        raise DataError(
            "class-one",
            f"{imageset.name} holds {found}; a classifier needs at least two classes",
            fix="lay the images out as class folders (cat/1.png dog/2.png), or add labels.csv (file,label)",
        )
