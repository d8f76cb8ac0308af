"""The images of a data set by their numbers: what is known of each without decoding it, and pictures of it on demand.

Listing 100,000 files takes seconds, decoding them minutes. So the page shows names as soon as they are listed, at a
second start those of the last time until the folder was listed again, and decodes what is looked at.
"""

import json
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .. import files
from ..data import ImageSet, load
from ..data.listing import Listing
from ..data.notes import SizeLimit
from ..data.sources import find_images, read_source
from ..errors import FileFormatError, MachineError
from ..images import (
    BadImage,
    Source,
    as_pillow,
    as_size,
    decoded,
    opened_image,
    read_header,
)
from ..records import OnProgress, no_progress, read_record, to_json

LISTING = "listing.npz"
SEEN_SIZE = SizeLimit(128, "shorter", alike=True)  # pixels of the images that suggestions are made from
THUMBNAIL, LARGE = 160, 1024  # pixels of the longer side
PIXEL_ART = 96  # up to this longer side a picture keeps every pixel
Reading = Mapping[str, Any]  # the options of `sparring.load` that say how a source is read


@dataclass(frozen=True, eq=False)
class EncodedPicture:
    """An encoded picture, and what it is: image/png or image/jpeg."""

    content: bytes
    kind: str


@dataclass(frozen=True)
class RememberedListing:
    """What is kept of a listing beside its arrays: how it was read, and the names that numbers stand for."""

    reads: str
    name: str
    classes: tuple[str, ...]
    part_names: tuple[str, ...]


@dataclass(eq=False)
class Gallery:
    """Images by number. labels: int64 [N], -1 = unlabelled; parts, groups: str [N] as in an ImageSet.

    `read(i)` gives an encoded image, or its pixels. found: what decodes all of them, None where names are remembered.
    """

    name: str
    origins: tuple[str, ...]
    labels: np.ndarray
    classes: tuple[str, ...]
    parts: np.ndarray
    groups: np.ndarray | None
    read: Callable[[int], Source | np.ndarray]
    found: Listing | ImageSet | None = None
    size: tuple[int, int] | None = None
    decoding: threading.Lock = field(default_factory=threading.Lock)

    def __len__(self) -> int:
        return len(self.origins)

    @cached_property
    def place(self) -> dict[str, int]:
        """The number of each image, by where it comes from."""
        return {origin: i for i, origin in enumerate(self.origins)}

    @cached_property
    def part_names(self) -> tuple[str, ...]:
        """The parts that any image is of."""
        return tuple(name for name in np.unique(self.parts).tolist() if name)

    @cached_property
    def group_names(self) -> tuple[str, ...]:
        """The groups that any image is of."""
        return () if self.groups is None else tuple(name for name in np.unique(self.groups).tolist() if name)

    def state(self, i: int) -> str:
        """Return what changes when the image does: of a file its time and size; else nothing does while we run."""
        if self.found is not None and not isinstance(self.found, Listing):
            return "pixels"
        given = self._read(i)
        if not isinstance(given, str | Path):
            return "pixels"
        try:
            status = os.stat(given)  # noqa: PTH116
        except OSError as error:
            raise BadImage(str(error.strerror).lower()) from None
        return f"{status.st_mtime_ns:x}-{status.st_size:x}"

    def picture(self, i: int, longest: int) -> EncodedPicture:
        """Return the picture, shrunk to this longer side. Raises BadImage."""
        given = self._read(i)
        with self.decoding:  # one at a time: memory is for one, however large
            return encoded_picture(given, longest)

    def pixels(self, i: int, longest: int) -> np.ndarray:
        """Return uint8 [H,W,C] of an image, shrunk to this longer side. Raises BadImage."""
        given = self._read(i)
        with self.decoding:
            return np.atleast_3d(np.asarray(within(given, longest)))

    def _read(self, i: int) -> Source | np.ndarray:
        try:
            return self.read(i)
        except OSError as error:
            raise BadImage(str(error.strerror).lower()) from None

    def some(self, index: np.ndarray, progress: OnProgress = no_progress) -> ImageSet:
        """Return the images at `index` as pixels, those that can be read."""
        if isinstance(self.found, Listing):
            found, items = self.found, [self.found.items[i] for i in index.tolist()]
            part = replace(found, items=items, read=lambda i: found.read(int(index[i])), bad_files=[], others=[])
            return read_source(part, self.size, limit=SEEN_SIZE, progress=progress)
        assert self.found is not None
        return read_source(self.found.take(index), self.size, limit=SEEN_SIZE)

    def remember(self, folder: Path, reads: str) -> None:
        """Keep the names for the next start, where the images are files in folders."""
        part_names, parts = np.unique(self.parts, return_inverse=True)
        about = RememberedListing(reads, self.name, self.classes, tuple(part_names.tolist()))
        words = json.dumps(to_json(about, kinds=False)).encode()
        names = "\0".join(self.origins).encode()  # no file is called so; a list in JSON takes ten times as long
        files.write_arrays(
            folder / LISTING, about=np.frombuffer(words, np.uint8), origins=np.frombuffer(names, np.uint8),
            labels=self.labels.astype(np.int32), parts=parts.astype(np.int32),
        )  # fmt: skip


def open_gallery(source: object, reading: Reading) -> Gallery:
    """Return the gallery of a source, read as `sparring.load` reads it; files are listed, not decoded."""
    found, more = find_images(source, **{name: value for name, value in reading.items() if name != "size"})
    size = as_size(reading.get("size"))
    if isinstance(found, ImageSet) or more is not None:
        return gallery_of(load(source, **reading, alike=True), size)
    number = {name: i for i, name in enumerate(found.classes)} | {None: -1}
    reading_one = threading.Lock()  # a zip has one place where it is read

    def read(i: int) -> Source:
        with reading_one:
            return found.read(i)

    return Gallery(
        name=found.name,
        origins=tuple(item.origin for item in found.items),
        labels=np.array([number[item.label] for item in found.items], np.int64),
        classes=tuple(found.classes),
        parts=np.array([item.part for item in found.items], "<U6"),
        groups=np.array([item.group for item in found.items], np.str_) if found.grouped else None,
        read=read,
        found=found,
        size=size,
    )


def gallery_of(images: ImageSet, size: tuple[int, int] | None = None) -> Gallery:
    """Return the gallery of images that are in memory."""
    return Gallery(
        name=images.name,
        origins=images.origins,
        labels=images.labels,
        classes=images.classes,
        parts=images.parts,
        groups=images.groups,
        read=lambda i: images.images[i],
        found=images,
        size=size,
    )


def remembered_gallery(folder: Path, top: Path, reads: str) -> Gallery | None:
    """Return the gallery that `remember` kept in a folder, None where there is none of this source.

    A remembered name is only read where it lies in the data's folder now.
    """
    try:
        kept = files.read_arrays(folder / LISTING)
        about = read_record(RememberedListing, files.parse_json(kept["about"].tobytes()))
        origins = tuple(kept["origins"].tobytes().decode().split("\0"))
        labels, parts = kept["labels"].astype(np.int64), kept["parts"].astype(np.int64)
        if about.reads != reads or not (len(origins),) == labels.shape == parts.shape:
            return None
        if not -1 <= labels.min() <= labels.max() < len(about.classes) or parts.min() < 0:
            return None
        part_of_each = np.array(about.part_names, "<U6")[parts]
    except (FileFormatError, MachineError, OSError, ValueError, KeyError, IndexError):
        return None
    real = top.resolve()

    def read(i: int) -> Source:
        path = (real / origins[i]).resolve()
        if not path.is_relative_to(real) or not path.is_file():
            raise BadImage("not there any more")
        return path

    return Gallery(about.name, origins, labels, about.classes, part_of_each, None, read)


def within(given: Source | np.ndarray, longest: int) -> Image.Image:
    """Return an image, at most so many pixels long. Raises BadImage."""
    if isinstance(given, np.ndarray):
        image = as_pillow(given)
    else:
        with opened_image(given) as opened:
            header = read_header(opened)
            scale = min(1.0, longest / max(header.size))
            near = (max(1, round(header.height * scale)), max(1, round(header.width * scale)))
            image = decoded(opened, header.channels, near)
    if max(image.size) > longest:
        image.thumbnail((longest, longest), Image.Resampling.BOX if longest <= THUMBNAIL else Image.Resampling.LANCZOS)
    return image


def encoded_picture(given: Source | np.ndarray, longest: int) -> EncodedPicture:
    """Return an image as PNG where it is small, else as JPEG; never the bytes of a file. Raises BadImage."""
    image = within(given, longest)
    buffer = BytesIO()
    if max(image.size) <= PIXEL_ART:
        image.save(buffer, "PNG")
        return EncodedPicture(buffer.getvalue(), "image/png")
    image.save(buffer, "JPEG", quality=88)
    return EncodedPicture(buffer.getvalue(), "image/jpeg")
