"""From an ImageSet to training images, test images and sealed test labels; data that would mislead is refused."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .. import data, files
from ..data import EarlierParts, ImageSet, Split, label_draw
from ..errors import DataError
from ..words import from_home
from .records import DuplicateCounts, GroupCounts, StudyData
from .sealed import Sealed

BAD_FILES_LISTED = 200  # bad files that a summary lists
WRITE_BYTES = 64 << 20  # bytes written at a time
FEW_GROUPS = 10  # in the test part, below which intervals are so wide that it is said


@dataclass(frozen=True, eq=False)
class Prepared:
    """Training and test part, each in a random order of the seed, so that places say nothing about classes."""

    images: np.ndarray  # uint8 [*,H,W,C] of the whole set, not copied
    train: np.ndarray  # int64 [N]: where the training images are
    test: np.ndarray  # int64 [T]
    labels: np.ndarray  # int64 [N] of the training images, -1 = unlabelled
    sealed: Sealed
    classes: tuple[str, ...]
    test_origins: tuple[str, ...]
    test_hashes: tuple[str, ...]
    label_hashes: tuple[str, ...]  # of the labelled training images
    fingerprint: str
    split: Split
    about: StudyData
    groups: np.ndarray | None = None  # int64 [N]: equal for training images of one group or near duplicates
    test_groups: tuple[int, ...] = ()  # T numbers; () where images have no groups

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write both parts' images as .npy files, uint8 [N,H,W,C], that processes map into memory; return them."""
        files.make_folder(folder, mode=files.PRIVATE_FOLDER)
        paths = folder / "train.npy", folder / "test.npy"
        for path, index in zip(paths, (self.train, self.test), strict=True):
            write_images(path, self.images, index)
        return paths


def write_images(path: Path, images: np.ndarray, index: np.ndarray) -> None:
    """Write images[index] as a .npy file, piece by piece."""
    header = {"descr": "|u1", "fortran_order": False, "shape": (len(index), *images.shape[1:])}
    step = max(1, WRITE_BYTES // max(1, images[0].nbytes))
    with files.atomic_file(path, mode=files.PRIVATE) as temporary, temporary.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, len(index), step):
            file.write(images[index[start : start + step]].tobytes())


def split_and_seal(imageset: ImageSet, *, seed: int, test: float, earlier: EarlierParts | None = None) -> Prepared:
    """Split the images, shuffle both parts and seal the test labels. Raises DataError where a verdict would mislead.

    `earlier`: the parts of the study that this one is compared with.
    """
    refuse_generated(imageset)
    split = data.split(imageset, seed=seed, test=test, earlier=earlier)
    refuse_shared(imageset, split)
    random = np.random.default_rng([seed, len(imageset)])
    train, held = random.permutation(split.train), random.permutation(split.test)
    fingerprint, grouped = imageset.fingerprint, imageset.groups is not None
    return Prepared(
        images=imageset.images,
        train=train,
        test=held,
        labels=imageset.labels[train],
        sealed=Sealed.of(imageset.labels[held], fingerprint),
        classes=imageset.classes,
        test_origins=tuple(imageset.origins[i] for i in held.tolist()),
        test_hashes=tuple(imageset.hashes[i] for i in held.tolist()),
        label_hashes=tuple(imageset.hashes[i] for i in train.tolist() if imageset.labels[i] >= 0),
        fingerprint=fingerprint,
        split=split,
        about=study_data(imageset, split),
        groups=imageset.clusters[train] if grouped else None,
        test_groups=tuple(np.unique(imageset.clusters[held], return_inverse=True)[1].tolist()) if grouped else (),
    )


def refuse_generated(imageset: ImageSet) -> None:
    """Rule 7: raise DataError where a network made some images; it may have seen the test part."""
    generated = imageset.notes.generated
    if generated:
        some = ", ".join(generated[:3]) + (" ..." if len(generated) > 3 else "")
        raise DataError(
            "data-generated",
            f"{len(generated)} images of {imageset.name} were made by a network ({some}), which may have seen the test "
            "part",
            fix="leave them out; gan-augment makes its own from the training part of this study",
        )


def refuse_shared(imageset: ImageSet, split: Split) -> None:
    """Rule 2, checked again after the split: raise DataError where both parts hold (nearly) the same picture, or
    images of one group."""
    cluster = imageset.clusters
    trained = dict(zip(cluster[split.train].tolist(), split.train.tolist(), strict=True))
    for i in split.test.tolist():
        if (twin := trained.get(int(cluster[i]))) is not None:
            also = "" if imageset.groups is None else ", or is of its group"
            raise DataError(
                "parts-share",
                f"{imageset.origins[i]} in the test part shows what {imageset.origins[twin]} in training shows{also}",
                fix="remove one of them",
            )


def label_draws(prepared: Prepared, budgets: Sequence[str], *, seed: int, repeat: int = 0) -> dict[str, np.ndarray]:
    """Return labels int64 [N] for each budget, the others -1. Raises UsageError where a class has too few."""
    return {
        budget: label_draw(
            prepared.labels, budget, seed=seed, repeat=repeat, classes=prepared.classes, groups=prepared.groups
        )
        for budget in budgets
    }


def few_groups(imageset: ImageSet, split: Split) -> list[str]:
    """Return a warning where so few groups are in the test part that intervals must be wide."""
    groups = len(np.unique(imageset.clusters[split.test])) if imageset.groups is not None else FEW_GROUPS
    if groups >= FEW_GROUPS:
        return []
    more = "" if split.part else ", or a larger share for the test (--test 0.4)"
    return [f"the test part holds {groups} groups: intervals about new ones are wide; give more of them{more}"]


def study_data(imageset: ImageSet, split: Split) -> StudyData:
    """Return what a summary says about the images."""
    found = data.describe(imageset)
    counts = {
        name: {c: int((imageset.labels[index] == k).sum()) for k, c in enumerate(imageset.classes)}
        for name, index in (("train", split.train), ("test", split.test))
    }
    return StudyData(
        name=found.name,
        source=from_home(found.source),
        layout=found.layout,
        images=found.images,
        unlabelled=found.unlabelled,
        size_rule=found.size_rule,
        classes=imageset.classes,
        shape=imageset.shape,
        warnings=(*map(from_home, found.warnings), *few_groups(imageset, split)),
        groups=GroupCounts(*(len(np.unique(imageset.clusters[i])) for i in (split.train, split.test)))
        if imageset.groups is not None
        else None,
        counts=counts,
        bad_files=tuple((name, reason) for name, reason in found.bad_files[:BAD_FILES_LISTED]),
        bad_files_count=len(found.bad_files),
        duplicates=DuplicateCounts(
            found.duplicates.exact, found.duplicates.near, found.duplicates.across, moved=len(split.moved)
        ),
        split=split.how,
        notes=found.notes,
    )
