"""What the judge looks through: an extractor with a name, a hash, a stated resize rule, and a cache on the disk."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..errors import DataError, pick
from .cache import Arrays, fingerprint, user_cache
from .handcrafted import EXTRACTORS

Progress = Callable[[int, int, str], None]  # done, of how many, what
See = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]]

DIGITS = 12  # of a hash, hexadecimal
HANDMADE_VERSION = 1  # of the definitions in handmade.py: a change that moves a feature needs a new one
CHUNK = 1 << 19  # pixels that go through an extractor at a time
MOST_AT_ONCE = 16  # chunks


@dataclass(frozen=True, eq=False, kw_only=True)
class Extractor:
    """Images -> features; two scores are comparable only where `hash` is the same.

    `hash` (12 hexadecimal digits) stands for weights, definition and resize rule; `resize` says in one sentence what
    happens to an image before it is looked at; `width` is F, None where it depends on the size of the images. `shape`:
    the (H, W, C) that it takes, None where it takes any. `classes`: names, in the order of `logits`. `accuracy`: the
    share of images that are given their right class, and `accuracy_of` which images these are. `weights`: the sha256
    of the file that they come from, if any. `see`: uint8 [n,H,W,C] -> features float32 [n,F] and logits float32 [n,K],
    or None; `batch` images at a time. `alone`: what it looks through takes all of the machine for one chunk.
    """

    name: str
    hash: str
    resize: str
    see: See
    width: int | None = None
    shape: tuple[int, int, int] | None = None
    classes: tuple[str, ...] = ()
    accuracy: float | None = None
    accuracy_of: str = ""
    weights: str = ""
    batch: int | None = None
    alone: bool = False

    def features(
        self, images: np.ndarray, progress: Progress | None = None, *, origins: Sequence[str] = ()
    ) -> np.ndarray:
        """float32 [N,F] of uint8 images [N,H,W,C], read-only because cached: a second call costs a read of the disk.

        Chunks go to as many threads as torch has, each of them whole to one: on two cores about 1.5 times as fast as
        one thread, as two processes are; torch's own division of every operation was slower than one thread wherever
        something else was running. Memory holds the features and a few chunks. Raises DataError for another shape than
        `shape`, and where features are not finite, naming the first such image by `origins` or its number.
        """
        return self.seen(images, progress, origins)["features"]

    def logits(
        self, images: np.ndarray, progress: Progress | None = None, *, origins: Sequence[str] = ()
    ) -> np.ndarray | None:
        """Class logits float32 [N,K], None for an extractor that names no classes; see `features`."""
        return self.seen(images, progress, origins).get("logits") if self.classes else None

    def named(
        self, images: np.ndarray, progress: Progress | None = None, *, origins: Sequence[str] = ()
    ) -> np.ndarray | None:
        """The class that each image is taken for, int64 [N] as index of `classes`; None where it names none."""
        logits = self.logits(images, progress, origins=origins)
        return None if logits is None else logits.argmax(1)

    def seen(self, images: np.ndarray, progress: Progress | None, origins: Sequence[str]) -> Arrays:
        """Features and logits, from the cache where these images were seen before."""
        self.check(images)
        key = ("seen", self.name, self.hash, fingerprint(images))
        return user_cache().get(key, lambda: self.computed(images, progress, origins))

    def check(self, images: np.ndarray) -> None:
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3) or not images.size:
            raise DataError(
                "image-shape",
                f"an extractor got {images.dtype} of shape {images.shape}, not uint8 [N,H,W,C] with 1 or 3 channels",
                fix="load the images with sparring.data.load",
            )
        if self.shape is not None and images.shape[1:] != self.shape:
            raise DataError(
                "image-shape",
                f"images are {' x '.join(map(str, images.shape[1:]))}, the extractor {self.name} learned from "
                f"{' x '.join(map(str, self.shape))} (height, width, channels)",
                fix="load both sides at one size, or train an extractor on images of this one",
            )

    def computed(self, images: np.ndarray, progress: Progress | None, origins: Sequence[str]) -> Arrays:
        """Chunk by chunk into arrays that are made once."""
        step = self.batch or max(16, CHUNK // (images.shape[1] * images.shape[2]))
        starts = range(0, len(images), step)
        workers = 1 if self.alone else min(torch.get_num_threads(), MOST_AT_ONCE, len(starts))
        found = at_once(lambda start: self.see(writeable(images[start : start + step])), starts, workers)
        arrays: Arrays = {}
        for start, both in zip(starts, found, strict=True):
            for name, values in zip(("features", "logits"), both, strict=True):
                if values is None:
                    continue
                self.check_finite(values, start, origins)
                if name not in arrays:
                    arrays[name] = np.empty((len(images), values.shape[1]), np.float32)
                arrays[name][start : start + step] = values
            if progress:
                progress(min(start + step, len(images)), len(images), f"features {self.name}")
        return arrays

    def check_finite(self, values: np.ndarray, start: int, origins: Sequence[str]) -> None:
        bad = np.flatnonzero(~np.isfinite(values).all(1))
        if len(bad):
            first = start + int(bad[0])
            who = origins[first] if origins else f"image {first}"
            raise DataError(
                "features-nan",
                f"the features of {who} by the extractor {self.name} are not finite",
                fix="leave this image out, or use another extractor",
            )


def writeable(images: np.ndarray) -> np.ndarray:
    """The images, copied only where torch would warn about read-only memory."""
    return np.require(images, requirements=["C", "W"])


def at_once(do: Callable[[int], Any], items: Iterable[int], workers: int) -> Iterator[Any]:
    """What `do` gives for each item, in order; several at once, each in one thread."""
    if workers <= 1:
        yield from map(do, items)
        return
    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield from pool.map(do, items)
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(before)  # the workers set what all new threads start from


def handmade(name: str) -> Extractor:
    """One of EXTRACTORS, such as `pixels` or `hog`, for the judge. Raises UsageError for an unknown name.

    Its hash stands for its name and the version of these definitions.
    """
    compute = pick(EXTRACTORS, name, "extractor")
    return Extractor(
        name=name,
        hash=hash_of("handmade", name, HANDMADE_VERSION),
        resize="images are looked at in their own size",
        see=lambda images: (compute(images), None),
    )


def hash_of(*what: object) -> str:
    """DIGITS hexadecimal digits that stand for names, numbers and arrays."""
    arrays = [item if isinstance(item, np.ndarray) else np.frombuffer(repr(item).encode(), np.uint8) for item in what]
    return fingerprint(*arrays)[:DIGITS]
