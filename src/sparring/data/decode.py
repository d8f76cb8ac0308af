"""A listing of encoded images -> ImageSet: one array for all, filled image by image, nothing held twice.

A pass over the headers settles height, width and channels first. Of small images that pass takes half as long as
decoding them; so they are decoded at once, as long as they are all alike, and no image is decoded twice. Sizes that
differ are fitted by one stated rule. What cannot be read is left out and listed.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from threading import Lock

import numpy as np

from ..devices import cores
from ..errors import DataError, MachineError
from ..images import (
    DRAFTED,
    MIN_SIDE,
    BadImage,
    Header,
    Source,
    chunk_slices,
    colour_channels,
    decoded,
    fit_pixels,
    opened_image,
    pixels_of,
    quiet_decoders,
    read_header,
)
from ..images.kinds import OTHER_IMAGES, advice_for, suffix
from ..images.limits import Unpacking
from ..records import OnProgress, Progress, no_progress
from .imageset import ImageSet
from .labels import UNLABELLED
from .listing import Listing
from .notes import OWN_SIZE, SMALL, Notes, SizeLimit, SizeRule, size_words
from .storage import COPIED, room_for
from .trees import FOLLOW_LINKS

AT_ONCE = SMALL.pixels  # sides up to which images are decoded before all headers are known
DARK, DARK_SHARE = (
    32,
    0.05,
)  # an image below this value everywhere is dark; so many of those with 16 bits are worth a word
THREADS = 4  # decode images, at most
AT_A_TIME = 64 << 20  # bytes of pixels from which on one image is decoded at a time: memory is for one
ENLARGED = 0.9  # pixels of a side that become one: below this an image counts as enlarged


class SeveralShapes(Exception):
    """Not all images are small and of one size and number of channels, or there is no memory for as many as the first.

    `begun`: those that were decoded until then.
    """

    def __init__(self, begun: np.ndarray | None):
        super().__init__()
        self.begun = begun


def decode(
    listing: Listing,
    *,
    size: tuple[int, int] | None = None,
    channels: int | None = None,
    limit: SizeLimit = OWN_SIZE,
    progress: OnProgress = no_progress,
) -> ImageSet:
    """Return all readable images; `size` (height, width) and `channels` are settled from the images where not given.

    `limit`: how large they are then. Raises DataError when too many files are bad or when a class has none left.
    """
    reader = _Reader(listing, limit, progress)
    with quiet_decoders():
        images = reader.read(size, channels)
    reader.refuse_if_too_many_are_bad()
    return _finished(listing, reader, images, channels)


class _Reader:
    """Reads a listing's images into one array and remembers what it saw."""

    def __init__(self, listing: Listing, limit: SizeLimit, progress: OnProgress):
        self.listing, self.limit, self.progress = listing, limit, progress
        self.bad: dict[int, str] = {}
        self.headers: dict[int, Header] = {}
        self.rule: SizeRule | None = None
        self.unpacking = Unpacking()

    def read(self, size: tuple[int, int] | None, channels: int | None) -> np.ndarray:
        """Return uint8 [N, H, W, C] of the images that can be read."""
        count = len(self.listing)
        try:
            images = self.small_ones(size, channels)
            self.rule = self.settle(size) if self.headers else None
            return images
        except SeveralShapes as several:
            begun = several.begun
        for i in self.counted(2 * count):
            if i not in self.headers and i not in self.bad:
                self.header(i)
        self.refuse_if_too_many_are_bad()
        self.rule = self.settle(size)
        channels = channels or max(header.channels for header in self.headers.values())
        images = room_for(len(self.headers), (*self.rule.target, channels))
        done = 0
        if begun is not None and min(begun.shape[1:3]) <= DRAFTED * max(self.rule.target):
            done = _fit_all(begun, images)
        seen = sorted(self.headers)[:done]
        return self.others(images, done, set(seen))

    def small_ones(self, size: tuple[int, int] | None, channels: int | None) -> np.ndarray:
        """Decode every image into an array for images that are all like the first. Raises SeveralShapes if not."""
        images, done = None, 0
        for i in self.counted(len(self.listing)):
            try:
                with opened_image(source := self.listing.read(i)) as image:
                    header = self.headers[i] = self.counted_in(read_header(image), source)
                    shape = (*(size or header.size), channels or header.channels)
                    alike = images.shape[1:] == shape if images is not None else max(header.size) <= AT_ONCE
                    picture = decoded(image, shape[2], size) if alike else None
            except BadImage as error:
                self.leave_out(i, error)
                continue
            if picture is None:
                raise SeveralShapes(None if images is None else images[:done])
            if images is None:
                try:
                    images = room_for(len(self.listing), shape)
                except MachineError:  # perhaps the others are smaller than the first
                    raise SeveralShapes(None) from None
            images[done] = pixels_of(picture, shape[:2])
            done += 1
        return np.empty((0, MIN_SIDE, MIN_SIDE, 1), np.uint8) if images is None else images[:done]

    def others(self, images: np.ndarray, done: int, seen: set[int]) -> np.ndarray:
        """Decode the images that are not `seen` into `images` from place `done` on; return those that are filled."""
        count, shape, reading, large = len(self.listing), images.shape[1:], Lock(), Lock()

        def pixels(i: int) -> np.ndarray:
            with reading:
                source = self.listing.read(i)
            with large if self.headers[i].values > AT_A_TIME else nullcontext(), opened_image(source) as image:
                return pixels_of(decoded(image, shape[2], shape[:2]), shape[:2])

        left = (i for i in self.counted(2 * count, count) if i not in self.bad and i not in seen)
        for i, made in _ahead(pixels, left):
            try:
                images[done] = made.result()
                done += 1
            except BadImage as error:
                self.leave_out(i, error)
        return images[:done]

    def header(self, i: int) -> None:
        try:
            with opened_image(source := self.listing.read(i)) as image:
                self.headers[i] = self.counted_in(read_header(image), source)
        except BadImage as error:
            self.leave_out(i, error)

    def counted_in(self, header: Header, source: Source) -> Header:
        """Return the header of an image that is large enough. Raises DataError when all together are too much."""
        if min(header.size) < MIN_SIDE:
            raise BadImage(f"{size_words(header.size)} pixels; sides from {MIN_SIDE} up are needed")
        self.unpacking.add(header.values, source, self.listing.source)
        return header

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
        return SizeRule.of([header.size for header in self.headers.values()], size, self.limit)

    def refuse_if_too_many_are_bad(self) -> None:
        """More than half, or more than 20 and more than a tenth: then it is not the odd broken file."""
        bad = [(self.listing.items[i].origin, reason) for i, reason in sorted(self.bad.items())]
        bad += self.listing.bad_files
        count, total = len(bad), len(self.listing) + len(self.listing.bad_files)
        if self.headers and count <= total / 2 and (count <= 20 or count <= total / 10):
            return
        raise DataError(
            "bad-images",
            f"{count} of {total} images in {self.listing.source} cannot be read: {_listed_files(bad)}",
            fix="replace or remove these files; up to 20 bad files, or one in ten, are left out and listed",
        )


def _listed_files(bad: Sequence[tuple[str, str]]) -> str:
    """Return the first five files, each reason once."""
    said: set[str] = set()
    words = []
    for origin, reason in bad[:5]:
        words.append(f"{origin} (the same)" if reason in said else f"{origin} ({reason})")
        said.add(reason)
    return "; ".join(words) + (f" and {len(bad) - 5} more" if len(bad) > 5 else "")


def _ahead(work: Callable[[int], np.ndarray], items: Iterable[int]) -> Iterator[tuple[int, Future[np.ndarray]]]:
    """Yield (i, what `work` makes of it), in order; a few threads are a few ahead."""
    waiting: deque[tuple[int, Future[np.ndarray]]] = deque()
    count = min(cores(), THREADS)
    with ThreadPoolExecutor(count) as threads:
        for i in items:
            waiting.append((i, threads.submit(work, i)))
            if len(waiting) > 2 * count:
                yield waiting.popleft()
        while waiting:
            yield waiting.popleft()


def _fit_all(images: np.ndarray, out: np.ndarray) -> int:
    """Fit decoded images to the size and channels of `out`, as they would have been decoded; return how many."""
    for place, image in enumerate(images):
        out[place] = colour_channels(fit_pixels(image, out.shape[1:3]), out.shape[3])
    return len(images)


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
        colour, images = images, room_for(len(images), (*images.shape[1:3], 1))
        for chunk in chunk_slices(colour, most=COPIED):
            images[chunk] = colour[chunk][..., :1]
        converted.append("all images are grey though stored as colour: kept with one channel")
    unread = [listing.items[i] for i in reader.bad]
    bad_files = listing.bad_files + [(listing.items[i].origin, reason) for i, reason in reader.bad.items()]
    missed = [path for path in listing.others if suffix(path) in OTHER_IMAGES] + listing.links
    missed += [origin for origin, _ in listing.bad_files]
    lost = listing.classes_of(missed) + Counter(item.label for item in unread if item.label is not None)
    return ImageSet(
        images=images,
        labels=labels,
        classes=tuple(listing.classes),
        origins=tuple(item.origin for item, _ in kept),
        parts=np.array([item.part for item, _ in kept], "<U6"),
        name=listing.name,
        sizes=np.array([header.size for header in headers], np.int64).reshape(-1, 2),
        groups=np.array([item.group for item, _ in kept], np.str_) if listing.grouped else None,
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
            others=tuple(listing.others),
            links=tuple(listing.links),
            lost=dict(lost),
            ways=(*[FOLLOW_LINKS] * bool(listing.links), *advice_for(listing.others)),
            unread=tuple(listing.unread),
        ),
    )


def _refuse_unreadable_class(listing: Listing, bad: dict[int, str], left: set[str | None]) -> None:
    for i, reason in bad.items():
        origin, label, *_ = listing.items[i]
        if label is not None and label not in left:
            raise DataError(
                "class-unreadable",
                f"no image of class {label!r} can be read: {origin} ({reason})",
                fix="replace these files, or remove the class",
            )


TAKEN = "the first band taken", "the first three taken"  # of two bands, of more
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
    if deep := sum(header.deep for header in headers):
        words.append(f"{deep} images 16 bit: the high byte kept")
    bands = Counter(header.bands for header in headers if header.bands)
    words += [f"{count} images of {number} bands: {TAKEN[number > 2]}" for number, count in sorted(bands.items())]
    rules = Counter(header.rule for header in headers if header.rule)
    words += [f"{count} images {rule}" for rule, count in rules.items()]
    if images.shape[3] == 3 and (grey := sum(header.grey for header in headers)):
        words.append(f"{grey} grey images among colour ones: three equal channels")
    if several := sum(header.frames for header in headers):
        words.append(f"{several} images of several frames: the first taken (sparring data DATA --frames all has all)")
    return words


def _size_warnings(headers: list[Header], images: np.ndarray) -> list[str]:
    """Return what a careful person would want to know of sizes and values before going on."""
    words = []
    heights, widths = np.array([header.size for header in headers]).T
    aspects = widths / heights
    if aspects.max() > 2 * aspects.min():
        wide, tall = f"{aspects.max():.2g}", f"{aspects.min():.2g}"
        words.append(
            f"width : height goes from {tall} to {wide}, more than a factor of 2: some images are squeezed or stretched"
        )
    height, width = images.shape[1:3]
    if small := int((np.sqrt(heights * widths / (height * width)) < ENLARGED).sum()):
        words.append(f"{small} images are smaller than {height}x{width} and were enlarged; a smaller size may do")
    deep = [i for i, header in enumerate(headers) if header.deep]
    dark = sum(int(images[i].max()) < DARK for i in deep)
    if dark > DARK_SHARE * len(deep):
        words.append(
            f"{dark} of {len(deep)} 16-bit images use less than an eighth of the range and look nearly black: scale "
            "them first (numbers of 12 bits by 16)"
        )
    return words
