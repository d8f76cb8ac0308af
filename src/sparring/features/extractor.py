"""Extractors, by which images are judged: each has a name, a hash, a stated resize rule, and a cache on the disk."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch

from ..errors import DataError, pick
from ..files import content_hash
from ..records import OnProgress, Progress, no_progress
from .cache import Arrays, user_cache
from .handcrafted import EXTRACTORS
from .shrinking import RESIZE

Value = TypeVar("Value")
Compute = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]]

HASH_DIGITS = 12
HANDMADE_VERSION = 2  # of the features in handcrafted.py: to be raised with any change of a value
PIXELS_AT_ONCE = 1 << 19
LARGEST_POOL = 16  # threads


@dataclass(frozen=True, eq=False, kw_only=True)
class Extractor:
    """Images -> features; two scores are comparable only where `hash` is the same.

    `hash` (12 hexadecimal digits) stands for weights, definition and resize rule; `resize` says in one sentence how an
    image is resized first; `width` is F, None where it depends on the size of the images; `last`: how many of these are
    the last layer's, which come first, None for all. `shape`: the (H, W, C) that it takes, None where it takes any.
    `classes`: names, in the order of `logits`. `accuracy`: the share of images that are classified right, and
    `accuracy_of` which images these are. `weights`: the sha256 of the file that they come from, if any; `learned_from`:
    in words, which other images they learned from. `compute`: uint8 [n,H,W,C] -> features float32 [n,F] and logits
    float32 [n,K] or None, `batch` images at a time. `alone`: whether one call of `compute` uses all of the machine.
    `rounding`: what the last digits of the features depend on besides, such as "bf16": they are cached apart, and still
    comparable.
    """

    name: str
    hash: str
    resize: str
    compute: Compute
    width: int | None = None
    last: int | None = None
    shape: tuple[int, int, int] | None = None
    classes: tuple[str, ...] = ()
    accuracy: float | None = None
    accuracy_of: str = ""
    weights: str = ""
    learned_from: str = ""
    batch: int | None = None
    alone: bool = False
    rounding: str = ""

    def features(
        self, images: np.ndarray, progress: OnProgress = no_progress, *, origins: Sequence[str] = ()
    ) -> np.ndarray:
        """Return features float32 [N,F] of uint8 images [N,H,W,C], read-only: they are cached on the disk by content.

        Memory holds the features and a few chunks of images. Raises DataError for another shape than `shape`, and where
        features are not finite, naming the first such image by `origins` or its number.
        """
        return self._outputs(images, progress, origins)["features"]

    def some_features(self, images: np.ndarray, index: np.ndarray) -> np.ndarray:
        """Return the features [M,F] of images[index]; those of all images are used where they are in the cache."""
        self._check(images)
        found = user_cache().peek(self._key(images))
        return self.features(images[index]) if found is None else found["features"][index]

    def know(self, images: np.ndarray, parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
        """Keep the features of images [N,H,W,C] that consist of others, where those of all of them are in the cache.

        parts: images [M,H,W,C], and which of the N they are, int64 [M]. What no part covers is computed.
        """
        known = [(user_cache().peek(self._key(part)), index) for part, index in parts]
        rest = np.setdiff1d(np.arange(len(images)), np.concatenate([index for _, index in known]))
        if any(found is None for found, _ in known):
            return

        def joined() -> Arrays:
            last = [(self._computed(images[rest], no_progress, ()), rest)] if len(rest) else []
            arrays: Arrays = {}
            for found, index in (*known, *last):
                for name, values in (found or {}).items():
                    arrays.setdefault(name, np.empty((len(images), values.shape[1]), np.float32))[index] = values
            return arrays

        user_cache().get(self._key(images), joined)

    def know_part(self, images: np.ndarray, index: np.ndarray) -> None:
        """Keep the features of images[index] for a fit to these alone, where those of all are in the cache."""
        found = user_cache().peek(self._key(images))
        if found is not None and len(index):
            user_cache().get(self._key(images[index]), lambda: {name: values[index] for name, values in found.items()})

    def logits(
        self, images: np.ndarray, progress: OnProgress = no_progress, *, origins: Sequence[str] = ()
    ) -> np.ndarray | None:
        """Return class logits float32 [N,K], None for an extractor without classes; see `features`."""
        return self._outputs(images, progress, origins).get("logits") if self.classes else None

    def named(
        self, images: np.ndarray, progress: OnProgress = no_progress, *, origins: Sequence[str] = ()
    ) -> np.ndarray | None:
        """Return the most probable class, int64 [N] as index of `classes`; None for an extractor without classes."""
        logits = self.logits(images, progress, origins=origins)
        return None if logits is None else logits.argmax(1)

    def _outputs(self, images: np.ndarray, progress: OnProgress, origins: Sequence[str]) -> Arrays:
        """Return features and logits, from the cache where these images were seen before."""
        self._check(images)
        return user_cache().get(self._key(images), lambda: self._computed(images, progress, origins))

    def _key(self, images: np.ndarray) -> tuple:
        return ("seen", self.name, self.hash, content_hash(images), *([self.rounding] if self.rounding else []))

    def _check(self, images: np.ndarray) -> None:
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

    def _computed(self, images: np.ndarray, progress: OnProgress, origins: Sequence[str]) -> Arrays:
        """Compute chunk by chunk, into arrays that are made once."""
        # Each chunk goes whole to one of torch's threads: on two cores 1.5 times as fast as one thread. Torch's own
        # division of every operation was slower than one thread wherever something else was running.
        step = self.batch or max(16, PIXELS_AT_ONCE // (images.shape[1] * images.shape[2]))
        starts = range(0, len(images), step)
        workers = 1 if self.alone else min(torch.get_num_threads(), LARGEST_POOL, len(starts))
        found = in_threads(lambda start: self.compute(writeable(images[start : start + step])), starts, workers)
        arrays: Arrays = {}
        for start, both in zip(starts, found, strict=True):
            for name, values in zip(("features", "logits"), both, strict=True):
                if values is None:
                    continue
                self._check_finite(values, start, origins)
                if name not in arrays:
                    arrays[name] = np.empty((len(images), values.shape[1]), np.float32)
                arrays[name][start : start + step] = values
            progress(Progress("images", min(start + step, len(images)), len(images), f"features {self.name}"))
        return arrays

    def _check_finite(self, values: np.ndarray, start: int, origins: Sequence[str]) -> None:
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
    """Return the images, copied only where torch would warn about read-only memory."""
    return np.require(images, requirements=["C", "W"])


def in_threads(do: Callable[[int], Value], items: Iterable[int], workers: int) -> Iterator[Value]:
    """Yield what `do` gives for each item, in order; several at once, each in one thread."""
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
    """Return one of EXTRACTORS, such as `pixels` or `hog`, as an Extractor. Raises UsageError for an unknown name."""
    features_of = pick(EXTRACTORS, name, "extractor")
    return Extractor(
        name=name,
        hash=content_hash("handmade", name, HANDMADE_VERSION)[:HASH_DIGITS],
        resize=RESIZE,
        compute=lambda images: (features_of(images), None),
    )
