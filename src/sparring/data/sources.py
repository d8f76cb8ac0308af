"""What the user named -> ImageSet. The kinds of source are told apart here, by content and not by name."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import numpy as np

from ..devices import check_memory
from ..errors import DataError, MachineError, MissingData, UsageError, suggestion
from ..images import FIT_RULE, BadImage, as_size, colour_channels, fit, opened, quiet_decoders
from .arrays import digits, from_arrays, from_dict, from_npz
from .decode import Progress, decode
from .folders import Listing, list_tree, list_unlabelled, merged
from .imageset import ImageSet
from .labels import UNLABELLED
from .parquet import list_parquet
from .trees import folder_tree, zip_tree

EMBEDDED = {"digits": digits}
KINDS = "digits, a folder, a .zip, .npz or .parquet file, or file.zip/folder"


def load(
    source: Any,
    *,
    size=None,
    unlabelled: str | Path | None = None,
    labels: Any = None,
    progress: Progress | None = None,
    follow_links: bool = False,
    alike: bool = False,
) -> ImageSet:
    """Images of any source as one ImageSet; `notes` says what was done, left out and doubtful.

    source      "digits" | folder | zip, npz or parquet file | "file.zip/folder" | (images, labels) | images |
                {"x_train": ..., "y_train": ...} | list of image files | ImageSet
    size        None: as the images are if all are equal, else settled from them (`notes.size_rule`); 64; (48, 64)
    unlabelled  a further source whose images are added without labels
    labels      a table of labels that does not lie in the folder, or the labels of an array of images
    progress    called with (done, total)
    alike       take images that are all the same, too, from which nothing can be learned

    Raises MissingData, DataError, UsageError, MachineError. Never changes what it reads.
    """
    wanted = as_size(size)
    found = find(source, labels, follow_links)
    extra = find(unlabelled, None, follow_links, plain=True) if unlabelled is not None else None
    if isinstance(found, Listing) and isinstance(extra, Listing):
        found, extra = merged(found, extra), None
    imageset = opened_up(found, wanted, progress=progress)
    if extra is not None:
        more = opened_up(extra, imageset.shape[:2], channels=imageset.shape[2], progress=progress)
        imageset = joined(imageset, more)
    if not alike:
        refuse_no_variation(imageset)
    return imageset


def opened_up(found: Listing | ImageSet, size, *, channels=None, progress=None) -> ImageSet:
    if isinstance(found, Listing):
        return decode(found, size=size, channels=channels, progress=progress)
    return resized(found, size or found.shape[:2], channels or found.shape[2])


def find(source: Any, labels: Any, follow_links: bool, *, plain: bool = False) -> Listing | ImageSet:
    """A listing where files have yet to be decoded, an ImageSet where there are arrays. `plain`: without labels."""
    if isinstance(source, str | Path):
        return find_path(source, labels, follow_links, plain)
    if labels is not None and (isinstance(source, ImageSet | dict) or is_pair(source)):
        raise UsageError("labels-twice", "labels were given, and the source has its own", fix="leave one of them out")
    if isinstance(source, ImageSet):
        return source
    if isinstance(source, dict):
        return from_dict(source)
    if is_pair(source):
        return from_arrays(*source)
    if isinstance(source, list) and source and all(isinstance(item, str | Path) for item in source):
        return list_files(source)
    return from_arrays(source, labels)


def is_pair(source: Any) -> bool:
    return isinstance(source, tuple) and len(source) == 2


def find_path(source: str | Path, labels: Any, follow_links: bool, plain: bool) -> Listing | ImageSet:
    if str(source) in EMBEDDED and not plain:
        return EMBEDDED[str(source)]()
    path, inside = existing(source)
    if inside and not is_zipfile(path):
        raise MissingData("no-data", f"{source} does not exist: {path} is a file, not a folder", fix=f"name {KINDS}")
    kind = "zip" if inside else kind_of(path)
    if kind in ("folder", "zip"):
        tree = folder_tree(path, follow_links=follow_links) if kind == "folder" else zip_tree(path, inside)
        if not tree.images and any(other.endswith(".parquet") for other in tree.others) and kind == "folder":
            return list_parquet([path / other for other in tree.others if other.endswith(".parquet")], path)
        return list_unlabelled(tree) if plain else list_tree(tree, Path(labels) if labels is not None else None)
    if labels is not None:
        raise UsageError("labels-twice", f"{source} has its own labels", fix="leave the table of labels out")
    return from_npz(path) if kind == "npz" else list_parquet([path], path)


def existing(source: str | Path) -> tuple[Path, str]:
    """(what is on disk, folder inside it) of a path; the nearest names where there is nothing."""
    if "\0" in str(source) or not str(source).strip():
        raise MissingData("no-data", f"{str(source)!r} is not a path", fix=f"name {KINDS}")
    path = Path(source).expanduser()
    inside: list[str] = []
    while not path.exists():
        if path.parent == path or not path.name:
            break
        inside.insert(0, path.name)
        path = path.parent
    if not inside or path.is_file():
        return path, "/".join(inside)
    near = suggestion(inside[0], [*(entry.name for entry in neighbours(path)), *EMBEDDED])
    raise MissingData("no-data", f"{source} does not exist{near}", fix=f"name {KINDS}")


def neighbours(path: Path) -> list[Path]:
    try:
        return [entry for entry, _ in zip(path.iterdir(), range(2000), strict=False)]
    except OSError:
        return []


def kind_of(path: Path) -> str:
    """folder, zip, npz or parquet, by what is in it."""
    if path.is_dir():
        return "folder"
    if not path.is_file():
        raise DataError("data-kind", f"{path} is neither a file nor a folder", fix=f"name {KINDS}")
    try:
        with path.open("rb") as file:
            start = file.read(32)
    except OSError as error:
        raise MachineError("no-permission", f"cannot read {path}: {error.strerror}", fix="make it readable") from None
    if start.startswith(b"PAR1"):
        return "parquet"
    if start.startswith(b"PK\x03\x04") or start.startswith(b"PK\x05\x06"):
        return "npz" if path.suffix.lower() == ".npz" else "zip"
    raise other_kind(path, start)


def other_kind(path: Path, start: bytes) -> DataError:
    """The error for a file that is no source, with what it is."""
    if path.suffix.lower() in (".zip", ".npz", ".parquet"):
        return DataError(
            "data-kind", f"{path} is damaged: it does not start like a {path.suffix} file", fix="get it anew"
        )
    if start.startswith(b"\x93NUMPY"):
        fix = "save images and labels together with numpy.savez, or load the array in Python"
        return DataError("data-kind", f"{path} is a single NumPy array", fix=fix)
    try:
        with quiet_decoders(), opened(path):
            return DataError("data-kind", f"{path} is a single image", fix=f"pass its folder, {path.parent}")
    except BadImage:
        what = f"a {path.suffix} file" if path.suffix else "a file"
        return DataError(
            "data-kind", f"{path} is {what}, which holds no images that are understood", fix=f"name {KINDS}"
        )


def list_files(paths: Iterable[str | Path]) -> Listing:
    """Image files and folders of them, named one by one, without labels."""
    files: list[tuple[str, Path]] = []
    for path in map(Path, paths):
        if path.is_dir():
            tree = folder_tree(path)
            files += [(f"{path}/{image}", path / image) for image in tree.images]
        else:
            files.append((str(path), path))
    return Listing(
        name="files",
        source=f"{len(files)} files",
        layout="files named one by one",
        origins=[origin for origin, _ in files],
        labels=[None] * len(files),
        parts=[""] * len(files),
        read=lambda i: files[i][1],
    )


def resized(imageset: ImageSet, size: tuple[int, int], channels: int) -> ImageSet:
    """Fitted by the rule for files; grey becomes three equal channels, colour becomes grey, where asked for."""
    height, width, now = imageset.shape
    if ((height, width), now) == (tuple(size), channels):
        return imageset
    images, notes = imageset.images, imageset.notes
    if (height, width) != tuple(size):
        check_memory(len(images) * size[0] * size[1] * now, f"{len(images)} images of {size[0]}x{size[1]}")
        fitted = np.empty((len(images), *size, now), np.uint8)
        for i, image in enumerate(images):
            fitted[i] = fit(image, size)
        images = fitted
        rule = f"{height}x{width} fitted to {size[0]}x{size[1]}: {FIT_RULE}"
        notes = replace(notes, size_rule=rule)
    images = colour_channels(images, channels)
    if now != channels:
        said = "made grey" if now > channels else "grey shown as three equal channels"
        notes = replace(notes, converted=(*notes.converted, said))
    return replace(imageset, images=images, notes=notes)


def joined(first: ImageSet, second: ImageSet) -> ImageSet:
    """The second's images added without labels."""
    notes = first.notes
    return replace(
        first,
        images=np.concatenate([first.images, second.images]),
        labels=np.concatenate([first.labels, np.full(len(second), UNLABELLED, np.int64)]),
        origins=first.origins + tuple(f"{second.notes.source}/{origin}" for origin in second.origins),
        parts=np.concatenate([first.parts, np.full(len(second), "", "<U5")]),
        notes=replace(
            notes,
            layout=f"{notes.layout}, and {second.notes.layout}",
            bad_files=notes.bad_files + second.notes.bad_files,
            generated=notes.generated + second.notes.generated,
            warnings=notes.warnings + second.notes.warnings,
        ),
    )


def refuse_no_variation(imageset: ImageSet) -> None:
    """All images equal: nothing can be learned from them."""
    images, step = imageset.images, max(1, (32 << 20) // imageset.images[0].size)
    if len(images) > 1 and all((images[i : i + step] == images[0]).all() for i in range(0, len(images), step)):
        what = "black" if not images[0].any() else "the same"
        raise DataError(
            "no-variation", f"all {len(images)} images of {imageset.name} are {what}", fix="check how they were written"
        )
