"""From an ImageSet to what a study works on: training images, test images, sealed test labels; what is refused."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .. import data, files
from ..data import ImageSet, Split, label_draw
from ..errors import DataError
from .sealed import Sealed

SHOWN = 200  # bad files that a summary lists
CHUNK = 64 << 20  # bytes written at a time


@dataclass(frozen=True, eq=False)
class Prepared:
    """Both parts in a keyed random order: nothing about a class can be read off an image's place."""

    images: np.ndarray  # uint8 [*,H,W,C]: of the whole set, not copied
    train: np.ndarray  # int64 [N]: where the training images are
    test: np.ndarray  # int64 [T]
    labels: np.ndarray  # int64 [N] of the training images, -1 = unlabelled
    sealed: Sealed
    classes: tuple[str, ...]
    test_origins: tuple[str, ...]
    test_hashes: tuple[str, ...]
    fingerprint: str
    split: Split
    about: dict  # the data section of a summary

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Both parts' images as .npy files, uint8 [N,H,W,C], that processes map into memory."""
        files.make_folder(folder)
        paths = folder / "train.npy", folder / "test.npy"
        for path, index in zip(paths, (self.train, self.test), strict=True):
            write_images(path, self.images, index)
        return paths


def write_images(path: Path, images: np.ndarray, index: np.ndarray) -> None:
    """images[index] as a .npy file, piece by piece."""
    header = {"descr": "|u1", "fortran_order": False, "shape": (len(index), *images.shape[1:])}
    step = max(1, CHUNK // max(1, images[0].nbytes))
    with files.aside(path) as temporary, temporary.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, len(index), step):
            file.write(images[index[start : start + step]].tobytes())


def prepare(imageset: ImageSet, *, seed: int, test: float) -> Prepared:
    """Splits, refuses what would make the verdict dishonest, shuffles and seals."""
    refuse_generated(imageset)
    split = data.split(imageset, seed=seed, test=test)
    refuse_shared(imageset, split)
    random = np.random.default_rng([seed, len(imageset)])
    train, held = random.permutation(split.train), random.permutation(split.test)
    fingerprint = imageset.fingerprint
    return Prepared(
        images=imageset.images,
        train=train,
        test=held,
        labels=imageset.labels[train],
        sealed=Sealed.of(imageset.labels[held], fingerprint),
        classes=imageset.classes,
        test_origins=tuple(imageset.origins[i] for i in held.tolist()),
        test_hashes=tuple(imageset.hashes[i] for i in held.tolist()),
        fingerprint=fingerprint,
        split=split,
        about=described(imageset, split),
    )


def refuse_generated(imageset: ImageSet) -> None:
    """Rule 7: a generator may have seen what becomes the test part, and its images may not be tested on."""
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
    """Rule 2, once more after the split: no picture is in both parts, nor nearly the same one."""
    cluster = imageset.duplicates.cluster
    trained = dict(zip(cluster[split.train].tolist(), split.train.tolist(), strict=True))
    for i in split.test.tolist():
        if (twin := trained.get(int(cluster[i]))) is not None:
            raise DataError(
                "parts-share",
                f"{imageset.origins[i]} in the test part shows what {imageset.origins[twin]} in training shows",
                fix="remove one of them",
            )


def drawn(prepared: Prepared, budgets: Sequence[str], *, seed: int, repeat: int = 0) -> dict[str, np.ndarray]:
    """Labels int64 [N] for each budget, the others -1. Raises UsageError where a class has too few."""
    return {
        budget: label_draw(prepared.labels, budget, seed=seed, repeat=repeat, classes=prepared.classes)
        for budget in budgets
    }


def described(imageset: ImageSet, split: Split) -> dict:
    """The data section of a summary, JSON-able."""
    found = data.describe(imageset)
    about = json.loads(json.dumps(found.to_json()))
    kept = ("name", "source", "layout", "images", "classes", "shape", "unlabelled", "size_rule", "warnings")
    counts = {
        name: {c: int((imageset.labels[index] == k).sum()) for k, c in enumerate(imageset.classes)}
        for name, index in (("train", split.train), ("test", split.test))
    }
    return {
        **{key: about[key] for key in kept},
        "counts": counts,
        "bad_files": found.bad_files[:SHOWN],
        "bad_files_count": len(found.bad_files),
        "duplicates": {key: about["duplicates"][key] for key in ("exact", "near", "across")}
        | {"moved": len(split.moved)},
        "split": split.how,
    }
