"""A listing of encoded images -> ImageSet: one array for all, filled image by image, nothing held twice.

Where all images are of one size this takes one pass; else a pass over the headers settles height, width and channels
first. Sizes that differ are fitted by one stated rule; what cannot be read is left out and listed.
"""

from collections import Counter
from collections.abc import Callable, Iterable

import numpy as np

from ..devices import check_memory
from ..errors import DataError, MachineError
from ..images import FIT_RULE, MIN_SIDE, BadImage, Header, decoded, opened, pixels_of, quiet_decoders, read_header
from .folders import Listing
from .imageset import ImageSet, Notes
from .labels import UNLABELLED

LARGEST_SIDE = 64  # of images that have to be fitted anyway, unless a size is asked for
SLICE = 32 << 20  # bytes looked at together
Progress = Callable[[int, int], None]


class Mixed(Exception):
    """Not all images are of one size and number of channels."""


def decode(
    listing: Listing,
    *,
    size: tuple[int, int] | None = None,
    channels: int | None = None,
    progress: Progress | None = None,
) -> ImageSet:
    """All readable images; `size` (height, width) and `channels` are settled from the images where not given.

    Raises DataError when too many files are bad or when a class has none left.
    """
    reader = Reader(listing, progress)
    with quiet_decoders():
        try:
            images = reader.one_pass(size, channels)
        except Mixed:
            images = reader.two_passes(size, channels)
    reader.refuse_if_too_many_are_bad()
    return finished(listing, reader, images, channels)


class Reader:
    """Reads a listing's images into one array and remembers what it saw."""

    def __init__(self, listing: Listing, progress: Progress | None):
        self.listing, self.progress = listing, progress
        self.bad: dict[int, str] = {}
        self.headers: dict[int, Header] = {}
        self.rule = ""

    def one_pass(self, size: tuple[int, int] | None, channels: int | None) -> np.ndarray:
        """Decodes at once, trusting that all images are like the first; raises Mixed where one is not."""
        images, done = None, 0
        for i in self.counted(range(len(self.listing))):
            try:
                with opened(self.listing.read(i)) as image:
                    header = self.headers[i] = checked(read_header(image))
                    height, width = size or header.size
                    shape = (height, width, channels or header.channels)
                    if images is None:
                        images = self.guess(shape)
                    if images.shape[1:] != shape:
                        break
                    picture = decoded(image, shape[2], size)
            except BadImage as error:
                self.leave_out(i, error)
                continue
            images[done] = pixels_of(picture, (height, width))
            done += 1
        else:
            self.rule = self.settle(size)[1] if done else ""
            return np.empty((0, MIN_SIDE, MIN_SIDE, 1), np.uint8) if images is None else images[:done]
        raise Mixed

    def guess(self, shape: tuple[int, int, int]) -> np.ndarray:
        try:
            return room(len(self.listing), shape)
        except MachineError:  # if all were like the first; perhaps the others are smaller: no array fits this one
            return np.empty((0, 0, 0, 0), np.uint8)

    def two_passes(self, size: tuple[int, int] | None, channels: int | None) -> np.ndarray:
        """Headers first, then pixels."""
        total = 2 * len(self.listing)
        for i in self.counted(range(len(self.listing)), total):
            if i in self.headers or i in self.bad:
                continue
            try:
                with opened(self.listing.read(i)) as image:
                    self.headers[i] = checked(read_header(image))
            except BadImage as error:
                self.leave_out(i, error)
        self.refuse_if_too_many_are_bad()
        target, self.rule = self.settle(size)
        channels = channels or max(header.channels for header in self.headers.values())
        images, done = room(len(self.headers), (*target, channels)), 0
        for i in self.counted(range(len(self.listing)), total, len(self.listing)):
            if i in self.bad:
                continue
            try:
                with opened(self.listing.read(i)) as image:
                    picture = decoded(image, channels, target)
            except BadImage as error:
                self.leave_out(i, error)
                continue
            images[done] = pixels_of(picture, target)
            done += 1
        return images[:done]

    def counted(self, items: Iterable[int], total: int | None = None, start: int = 0) -> Iterable[int]:
        """The items, with progress told after each hundred and at the end."""
        total = total or len(self.listing)
        for done, item in enumerate(items, start):
            if self.progress and done % 100 == 0:
                self.progress(done, total)
            yield item
        if self.progress and start + len(self.listing) == total:
            self.progress(total, total)

    def leave_out(self, i: int, error: BadImage) -> None:
        self.bad[i] = error.reason
        self.headers.pop(i, None)

    def settle(self, size: tuple[int, int] | None) -> tuple[tuple[int, int], str]:
        """((height, width), the rule as a sentence) for the headers seen."""
        sizes = Counter(header.size for header in self.headers.values())
        (common, _), *rest = sizes.most_common()
        seen = f"{len(sizes)} sizes from {written(min(sizes))} to {written(max(sizes))}" if rest else written(common)
        if size and (rest or common != size):
            return size, f"{seen} fitted to {written(size)} as asked: {FIT_RULE}"
        if not rest:
            return common, f"all {written(common)}, left as they are"
        target = median_size([header.size for header in self.headers.values()])
        rule = f"the median height and width, at most {LARGEST_SIDE}, rounded to eights"
        return target, f"{seen} fitted to {written(target)} ({rule}): {FIT_RULE}"

    def refuse_if_too_many_are_bad(self) -> None:
        """More than half, or more than 20 and more than a tenth: then it is not the odd broken file."""
        bad = [(self.listing.origins[i], reason) for i, reason in sorted(self.bad.items())]
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


def written(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def checked(header: Header) -> Header:
    if min(header.height, header.width) < MIN_SIDE:
        raise BadImage(f"{header.height}x{header.width} pixels; sides from {MIN_SIDE} up are needed")
    return header


def median_size(sizes: list[tuple[int, int]]) -> tuple[int, int]:
    """The median height and width, shrunk together until the longer is at most 64, each rounded to a multiple of 8."""
    middle = np.median(np.array(sizes, float), axis=0)
    middle *= min(1.0, LARGEST_SIDE / middle.max())
    height, width = np.maximum(MIN_SIDE, 8 * np.round(middle / 8)).astype(int).tolist()
    return height, width


def room(count: int, shape: tuple[int, int, int]) -> np.ndarray:
    check_memory(count * int(np.prod(shape)), f"{count} images of {written(shape[:2])}")
    return np.empty((count, *shape), np.uint8)


def finished(listing: Listing, reader: Reader, images: np.ndarray, channels: int | None) -> ImageSet:
    """The ImageSet of what was read, with everything that was seen on the way."""
    kept = sorted(reader.headers)
    headers = [reader.headers[i] for i in kept]
    labels, classes = numbered(listing, kept, reader.bad)
    converted = conversions(headers, images)
    if not channels and images.shape[3] == 3 and is_grey(images):
        images = np.ascontiguousarray(images[..., 0])[..., None]
        converted.append("all images are grey though stored as colour: kept with one channel")
    return ImageSet(
        images=images,
        labels=labels,
        classes=classes,
        origins=tuple(listing.origins[i] for i in kept),
        parts=np.array([listing.parts[i] for i in kept], "<U5"),
        name=listing.name,
        notes=Notes(
            source=listing.source,
            layout=listing.layout,
            bad_files=tuple(
                sorted(listing.bad_files + [(listing.origins[i], reason) for i, reason in reader.bad.items()])
            ),
            modes=dict(Counter(header.mode for header in headers).most_common()),
            sizes=dict(Counter(header.size for header in headers).most_common()),
            size_rule=reader.rule,
            ignored=dict(listing.ignored),
            converted=tuple(converted),
            generated=tuple(listing.origins[i] for i in kept if reader.headers[i].generated),
            warnings=tuple(listing.warnings + doubts(headers, images)),
        ),
    )


def numbered(listing: Listing, kept: list[int], bad: dict[int, str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels as numbers. Raises DataError for a class whose files are all bad."""
    lookup = {name: number for number, name in enumerate(listing.classes)}
    labels = np.array([UNLABELLED if (name := listing.labels[i]) is None else lookup[name] for i in kept], np.int64)
    left = set(labels.tolist())
    for i, reason in bad.items():
        name = listing.labels[i]
        if name is not None and lookup[name] not in left:
            raise DataError(
                "class-unreadable",
                f"no image of class {name!r} can be read: {listing.origins[i]} ({reason})",
                fix="replace these files, or remove the class",
            )
    return labels, tuple(listing.classes)


def is_grey(images: np.ndarray) -> bool:
    step = max(1, SLICE // images[0].size) if len(images) else 1
    for start in range(0, len(images), step):
        piece = images[start : start + step]
        if (piece[..., 0] != piece[..., 1]).any() or (piece[..., 0] != piece[..., 2]).any():
            return False
    return len(images) > 0


RULES = {
    "1": "1 bit: 0 and 255",
    "P": "palettes: colours, or grey where all are grey",
    "LA": "grey with transparency: put on white",
    "RGBA": "transparency: put on white",
    "PA": "transparency: put on white",
    "CMYK": "CMYK: RGB",
    "YCbCr": "YCbCr: RGB",
    "LAB": "Lab: RGB",
}


def conversions(headers: list[Header], images: np.ndarray) -> list[str]:
    modes = Counter(header.mode for header in headers)
    said = [f"{count} images {RULES[mode]}" for mode, count in modes.items() if mode in RULES]
    if deep := sum(count for mode, count in modes.items() if mode.startswith("I;16")):
        said.append(f"{deep} images 16 bit: the high byte kept")
    if images.shape[3] == 3 and (grey := sum(header.grey for header in headers)):
        said.append(f"{grey} grey images among colour ones: three equal channels")
    if several := sum(header.frames for header in headers):
        said.append(f"{several} images of several frames: the first taken")
    return said


def doubts(headers: list[Header], images: np.ndarray) -> list[str]:
    """What a careful person would want to know before going on."""
    said = []
    if not headers:
        return said
    heights, widths = np.array([header.size for header in headers]).T
    aspects = widths / heights
    if aspects.max() > 2 * aspects.min():
        wide, tall = f"{aspects.max():.2g}", f"{aspects.min():.2g}"
        said.append(
            f"width : height goes from {tall} to {wide}, more than a factor of 2: much of the fitted images is filling"
        )
    height, width = images.shape[1:3]
    if small := int(((heights < height) | (widths < width)).sum()):
        said.append(f"{small} images are smaller than {height}x{width} and were enlarged; a smaller size may do")
    if any(header.mode.startswith("I;16") for header in headers) and images.max() < 32:
        said.append("16-bit images use less than an eighth of the range and look nearly black: scale them first")
    return said
