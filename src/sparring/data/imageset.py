"""ImageSet: images, labels, class names, and where each image came from."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .duplicates import Duplicates


@dataclass(frozen=True)
class Notes:
    """What loading saw and did, so that nothing happens silently.

    Sizes and modes are those of the files, before anything was converted; `sizes` has (height, width) as its keys.
    """

    source: str = ""
    layout: str = ""
    bad_files: tuple[tuple[str, str], ...] = ()
    modes: Mapping[str, int] = field(default_factory=dict)
    sizes: Mapping[tuple[int, int], int] = field(default_factory=dict)
    size_rule: str = ""
    ignored: Mapping[str, int] = field(default_factory=dict)
    converted: tuple[str, ...] = ()
    generated: tuple[str, ...] = ()  # origins of images that say that a network made them
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict:
        """JSON-able; of the sizes, as "height x width", the 20 most frequent."""
        sizes = sorted(self.sizes.items(), key=lambda item: (-item[1], item[0]))
        return {
            "source": self.source,
            "layout": self.layout,
            "bad_files": [list(pair) for pair in self.bad_files],
            "modes": dict(self.modes),
            "sizes": {f"{height}x{width}": count for (height, width), count in sizes[:20]},
            "distinct_sizes": len(sizes),
            "size_rule": self.size_rule,
            "ignored": dict(self.ignored),
            "converted": list(self.converted),
            "generated": list(self.generated),
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images with what is known about them. Treat the arrays as read-only.

    images   uint8 [N, H, W, C], C = 1 (grey) or 3 (RGB)
    labels   int64 [N], -1 = unlabelled
    classes  names, index = label
    origins  where each image came from: "cat/001.png", "x_train[17]"
    parts    str [N]: "train", "test", "val" as the source says, "" where it says nothing
    """

    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    origins: tuple[str, ...]
    parts: np.ndarray
    name: str
    notes: Notes = field(default_factory=Notes)

    def __post_init__(self):
        count = len(self.images)
        good = self.images.dtype == np.uint8 and self.images.ndim == 4 and self.images.shape[3] in (1, 3)
        good &= self.labels.dtype == np.int64 and self.labels.shape == self.parts.shape == (count,)
        good &= len(self.origins) == count
        good = good and (count == 0 or -1 <= self.labels.min() <= self.labels.max() < len(self.classes))
        if not good:  # sources check what users give; this catches our own mistakes
            raise TypeError(
                f"not an ImageSet: images {self.images.dtype} {self.images.shape}, labels {self.labels.shape}"
            )

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        _, height, width, channels = self.images.shape
        labelled = int((self.labels >= 0).sum())
        return (
            f"<ImageSet {self.name}: {len(self)} images {height}x{width}x{channels}, {labelled} labelled, "
            f"{len(self.classes)} classes>"
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of every image."""
        _, height, width, channels = self.images.shape
        return height, width, channels

    @property
    def labelled(self) -> np.ndarray:
        """bool [N]."""
        return self.labels >= 0

    def take(self, index) -> "ImageSet":
        """The images at `index` (whole numbers, a mask or a slice), in that order; classes and notes stay."""
        index = np.arange(len(self))[index]
        return replace(
            self,
            images=self.images[index],
            labels=self.labels[index],
            origins=tuple(self.origins[i] for i in index.tolist()),
            parts=self.parts[index],
        )

    @cached_property
    def hashes(self) -> tuple[str, ...]:
        """One content hash per image: 32 hexadecimal digits of BLAKE2b over height, width, channels and pixels."""
        shape = np.array(self.shape, "<i8").tobytes()
        return tuple(
            hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16, key=shape).hexdigest()
            for image in self.images
        )

    @cached_property
    def duplicates(self) -> "Duplicates":
        """Equal and nearly equal images, found when first asked for."""
        from .duplicates import find_duplicates

        return find_duplicates(self)

    @cached_property
    def fingerprint(self) -> str:
        """64 hexadecimal digits that change with any pixel, label, part, class name, or the order of the images."""
        total = hashlib.sha256(repr((len(self), self.shape, self.classes)).encode())
        total.update(self.labels.astype("<i8").tobytes())
        total.update("\n".join(self.parts.tolist()).encode())
        total.update("".join(self.hashes).encode())
        return total.hexdigest()
