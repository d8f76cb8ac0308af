"""ImageSet: images, labels, class names, and where each image came from."""

import hashlib
import html
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from .. import keyed_random
from ..errors import printable
from .duplicates import Duplicates, find_duplicates
from .names import PARTS
from .notes import Notes
from .sheet import sheet_tag


@dataclass(frozen=True)
class PartCounts:
    """How many images one part has of each class, and without a label."""

    classes: Mapping[str, int]
    unlabelled: int


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
        height, width, channels = self.shape
        return (
            f"<ImageSet {self.name}: {len(self)} images {height}x{width}x{channels}, {int(self.labelled.sum())} "
            f"labelled, {len(self.classes)} classes>"
        )

    def _repr_html_(self) -> str:
        """Return a table of counts and a small contact sheet, for notebooks."""
        counts = self.counts
        shown = self.classes[:20]
        rows: list[tuple[object, ...]] = [(name, *(part.classes[name] for part in counts.values())) for name in shown]
        if len(shown) < len(self.classes):
            rows.append((f"... {len(self.classes) - len(shown)} more classes", *("" for _ in counts)))
        if not self.labelled.all():
            rows.append(("unlabelled", *(part.unlabelled for part in counts.values())))
        cells = "".join(
            f"<tr><th>{html.escape(printable(str(name)))}</th>{''.join(f'<td>{n}</td>' for n in numbers)}</tr>"
            for name, *numbers in rows
        )
        return (
            f"<p>{html.escape(printable(repr(self)))}</p><table><tr><th>class</th>"
            f"{''.join(f'<th>{part}</th>' for part in counts)}</tr>{cells}</table>"
            f"{sheet_tag(self) if len(self) else ''}"
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

    @property
    def counts(self) -> dict[str, PartCounts]:
        """Images of every part; the part is "all" where the source names none, "no part" beside named ones."""
        table = {}
        for part in (*PARTS, ""):
            here = self.parts == part
            if here.any():
                numbers = np.bincount(self.labels[here] + 1, minlength=len(self.classes) + 1).tolist()
                name = part or ("all" if here.all() else "no part")
                table[name] = PartCounts(dict(zip(self.classes, numbers[1:], strict=True)), numbers[0])
        return table

    def take(self, index) -> "ImageSet":
        """Return the images at `index` (whole numbers, a mask or a slice), in that order; classes and notes stay."""
        index = np.arange(len(self))[index]
        return replace(
            self,
            images=self.images[index],
            labels=self.labels[index],
            origins=tuple(self.origins[i] for i in index.tolist()),
            parts=self.parts[index],
        )

    def by_content(self, index: np.ndarray, *, distinct: bool = True) -> np.ndarray:
        """Return these indices in a random order that is keyed by content, so always the same.

        `distinct`: the second and further of near duplicates come last; finding them may take long.
        """
        ranked = sorted(index.tolist(), key=lambda i: keyed_random.key("sheet", self.hashes[i]) % 2**64)
        if distinct:
            first: dict[int, int] = {}
            for i in ranked:
                first.setdefault(int(self.duplicates.cluster[i]), i)
            fresh = set(first.values())
            ranked.sort(key=lambda i: i not in fresh)
        return np.array(ranked, np.int64)

    @cached_property
    def hashes(self) -> tuple[str, ...]:
        """One content hash per image: 32 hexadecimal digits of BLAKE2b over height, width, channels and pixels."""
        shape = np.array(self.shape, "<i8").tobytes()
        return tuple(
            hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16, key=shape).hexdigest()
            for image in self.images
        )

    @cached_property
    def duplicates(self) -> Duplicates:
        """Equal and nearly equal images, found when first asked for."""
        return find_duplicates(self.images, self.hashes)

    @cached_property
    def fingerprint(self) -> str:
        """64 hexadecimal digits that change with any pixel, label, part, class name, or the order of the images."""
        total = hashlib.sha256(repr((len(self), self.shape, self.classes)).encode())
        total.update(self.labels.astype("<i8").tobytes())
        total.update("\n".join(self.parts.tolist()).encode())
        total.update("".join(self.hashes).encode())
        return total.hexdigest()
