"""A listing of encoded images -> ImageSet: one array for all, filled image by image, nothing held twice.

Where all images are of one size this takes one pass. Else a pass over the headers settles height, width and channels
first. Sizes that differ are fitted by one stated rule. What cannot be read is left out and listed.
"""

from collections import Counter
from collections.abc import Iterable

import numpy as np

from ..devices import check_memory
from ..errors import DataError, MachineError
from ..images import (
    MIN_SIDE,
    BadImage,
    Header,
    chunk_slices,
    decoded,
    opened_image,
    pixels_of,
    quiet_decoders,
    read_header,
)
from ..records import OnProgress, Progress, no_progress
from .imageset import ImageSet
from .labels import UNLABELLED
from .listing import Listing
from .notes import Notes, SizeRule, size_words

LARGEST_FITTED = 64  # of images that have to be fitted anyway, unless a size is asked for


class SeveralShapes(Exception):
    """Not all images are of one size and number of channels, or there is no memory for as many as the first."""


def decode(
    listing: Listing,
    *,
    size: tuple[int, int] | None = None,
    channels: int | None = None,
    progress: OnProgress = no_progress,
) -> ImageSet:
    """Return all readable images; `size` (height, width) and `channels` are settled from the images where not given.

    Raises DataError when too many files are bad or when a class has none left.
    """
    reader = _Reader(listing, progress)
    with quiet_decoders():
        images = reader.read(size, channels)
    reader.refuse_if_too_many_are_bad()
    return _finished(listing, reader, images, channels)


class _Reader:
    """Reads a listing's images into one array and remembers what it saw."""

    def __init__(self, listing: Listing, progress: OnProgress):
        self.listing, self.progress = listing, progress
        self.bad: dict[int, str] = {}
        self.headers: dict[int, Header] = {}
        self.rule: SizeRule | None = None

    def read(self, size: tuple[int, int] | None, channels: int | None) -> np.ndarray:
        """Return uint8 [N, H, W, C] of the images that can be read."""
        count = len(self.listing)
        try:
            images = self.pixels(size, channels, self.counted(count))
            self.rule = self.settle(size) if self.headers else None
            return images
        except SeveralShapes:
            for i in self.counted(2 * count):
                if i not in self.headers and i not in self.bad:
                    self.header(i)
        self.refuse_if_too_many_are_bad()
        self.rule = self.settle(size)
        channels = channels or max(header.channels for header in self.headers.values())
        images = _empty_images(len(self.headers), (*self.rule.target, channels))
        return self.pixels(self.rule.target, channels, self.counted(2 * count, count), images)

    def pixels(
        self, size: tuple[int, int] | None, channels: int | None, items: Iterable[int], images: np.ndarray | None = None
    ) -> np.ndarray:
        """Decode every image into `images`, or into an array for images that are all like the first.

        Raises SeveralShapes where they are not.
        """
        done = 0
        for i in items:
            if i in self.bad:
                continue
            try:
                with opened_image(self.listing.read(i)) as image:
                    header = self.headers[i] = self.headers.get(i) or _large_enough(read_header(image))
                    shape = (*(size or header.size), channels or header.channels)
                    alike = images is None or images.shape[1:] == shape
                    picture = decoded(image, shape[2], size) if alike else None
            except BadImage as error:
                self.leave_out(i, error)
                continue
            if picture is None:
                raise SeveralShapes
            if images is None:
                try:
                    images = _empty_images(len(self.listing), shape)
                except MachineError:  # perhaps the others are smaller than the first
                    raise SeveralShapes from None
            images[done] = pixels_of(picture, shape[:2])
            done += 1
        return np.empty((0, MIN_SIDE, MIN_SIDE, 1), np.uint8) if images is None else images[:done]

    def header(self, i: int) -> None:
        try:
            with opened_image(self.listing.read(i)) as image:
                self.headers[i] = _large_enough(read_header(image))
        except BadImage as error:
            self.leave_out(i, error)

    def counted(self, total: int, start: int = 0) -> Iterable[int]:
        """Yield the number of every image, with progress reported at each hundred and at the end."""
        for i in range(len(self.listing)):
            if (start + i) % 100 == 0:
                self.progress(Progress("images", start + i, total))
            yield i
        if start + len(self.listing) == total:
            self.progress(Progress("images", total, total))

    def leave_out(self, i: int, error: BadImage) -> None:
        self.bad[i] = error.reason
        self.headers.pop(i, None)

    def settle(self, size: tuple[int, int] | None) -> SizeRule:
        """Return the size of all images, from the headers seen."""
        sizes = [header.size for header in self.headers.values()]
        distinct, smallest, largest = len(set(sizes)), min(sizes), max(sizes)
        if size and (distinct > 1 or smallest != size):
            return SizeRule(distinct, smallest, largest, size, "asked")
        if distinct == 1:
            return SizeRule(1, smallest, largest, smallest, "kept")
        return SizeRule(distinct, smallest, largest, median_size(sizes), "median")

    def refuse_if_too_many_are_bad(self) -> None:
        """More than half, or more than 20 and more than a tenth: then it is not the odd broken file."""
        bad = [(self.listing.items[i].origin, reason) for i, reason in sorted(self.bad.items())]
        bad += self.listing.bad_files
        count, total = len(bad), len(self.listing) + len(self.listing.bad_files)
        if self.headers and count <= total / 2 and (count <= 20 or count <= total / 10):
            return
        first = "; ".join(f"{origin} ({reason})" for origin, reason in bad[:5])
        more = f" and {count - 5} more" if count > 5 else ""
        raise DataError(
            "bad-images",
            f"{count} of {total} images in {self.listing.source} cannot be read: {first}{more}",
            fix="replace or remove these files; up to 20 bad files, or one in ten, are left out and listed",
        )


def _large_enough(header: Header) -> Header:
    if min(header.size) < MIN_SIDE:
        raise BadImage(f"{size_words(header.size)} pixels; sides from {MIN_SIDE} up are needed")
    return header


def median_size(sizes: list[tuple[int, int]]) -> tuple[int, int]:
    """Return the median height and width, shrunk together until the longer is at most 64, rounded to multiples of 8."""
    middle = np.median(np.array(sizes, float), axis=0)
    middle *= min(1.0, LARGEST_FITTED / middle.max())
    height, width = np.maximum(MIN_SIDE, 8 * np.round(middle / 8)).astype(int).tolist()
    return height, width


def _empty_images(count: int, shape: tuple[int, int, int]) -> np.ndarray:
    check_memory(count * int(np.prod(shape)), f"{count} images of {size_words(shape)}")
    return np.empty((count, *shape), np.uint8)


def _finished(listing: Listing, reader: _Reader, images: np.ndarray, channels: int | None) -> ImageSet:
    """Return the ImageSet of what was read, with everything that was seen on the way."""
    kept = [(listing.items[i], header) for i, header in sorted(reader.headers.items())]
    headers = [header for _, header in kept]
    number = {name: i for i, name in enumerate(listing.classes)} | {None: UNLABELLED}
    labels = np.array([number[item.label] for item, _ in kept], np.int64)
    _refuse_unreadable_class(listing, reader.bad, {item.label for item, _ in kept})
    converted = _conversions(headers, images)
    pieces = (images[chunk] for chunk in chunk_slices(images, most=32 << 20))
    if not channels and images.shape[3] == 3 and all((piece == piece[..., :1]).all() for piece in pieces):
        images = np.ascontiguousarray(images[..., 0])[..., None]
        converted.append("all images are grey though stored as colour: kept with one channel")
    bad_files = listing.bad_files + [(listing.items[i].origin, reason) for i, reason in reader.bad.items()]
    return ImageSet(
        images=images,
        labels=labels,
        classes=tuple(listing.classes),
        origins=tuple(item.origin for item, _ in kept),
        parts=np.array([item.part for item, _ in kept], "<U5"),
        name=listing.name,
        notes=Notes(
            source=listing.source,
            layout=listing.layout,
            bad_files=tuple(sorted(bad_files)),
            modes=dict(Counter(header.mode for header in headers).most_common()),
            sizes=dict(Counter(header.size for header in headers).most_common()),
            size_rule=reader.rule,
            ignored=dict(listing.ignored),
            converted=tuple(converted),
            generated=tuple(item.origin for item, header in kept if header.generated),
            warnings=tuple(listing.warnings + _size_warnings(headers, images)),
        ),
    )


def _refuse_unreadable_class(listing: Listing, bad: dict[int, str], left: set[str | None]) -> None:
    for i, reason in bad.items():
        origin, label, _ = listing.items[i]
        if label is not None and label not in left:
            raise DataError(
                "class-unreadable",
                f"no image of class {label!r} can be read: {origin} ({reason})",
                fix="replace these files, or remove the class",
            )


MODE_RULES = {  # Pillow's modes
    "1": "1 bit: 0 and 255",
    "P": "palettes: colours, or grey where all are grey",
    "LA": "grey with transparency: put on white",
    "RGBA": "transparency: put on white",
    "PA": "transparency: put on white",
    "CMYK": "CMYK: RGB",
    "YCbCr": "YCbCr: RGB",
    "LAB": "Lab: RGB",
}


def _conversions(headers: list[Header], images: np.ndarray) -> list[str]:
    modes = Counter(header.mode for header in headers)
    words = [f"{count} images {MODE_RULES[mode]}" for mode, count in modes.items() if mode in MODE_RULES]
    if deep := sum(count for mode, count in modes.items() if mode.startswith("I;16")):
        words.append(f"{deep} images 16 bit: the high byte kept")
    if images.shape[3] == 3 and (grey := sum(header.grey for header in headers)):
        words.append(f"{grey} grey images among colour ones: three equal channels")
    if several := sum(header.frames for header in headers):
        words.append(f"{several} images of several frames: the first taken")
    return words


def _size_warnings(headers: list[Header], images: np.ndarray) -> list[str]:
    """Return what a careful person would want to know of sizes and values before going on."""
    words = []
    heights, widths = np.array([header.size for header in headers]).T
    aspects = widths / heights
    if aspects.max() > 2 * aspects.min():
        wide, tall = f"{aspects.max():.2g}", f"{aspects.min():.2g}"
        words.append(
            f"width : height goes from {tall} to {wide}, more than a factor of 2: much of the fitted images is filling"
        )
    height, width = images.shape[1:3]
    if small := int(((heights < height) | (widths < width)).sum()):
        words.append(f"{small} images are smaller than {height}x{width} and were enlarged; a smaller size may do")
    if any(header.mode.startswith("I;16") for header in headers) and images.max() < 32:
        words.append("16-bit images use less than an eighth of the range and look nearly black: scale them first")
    return words
