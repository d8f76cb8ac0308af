"""Notes: what loading saw and did, and by which rule images of several sizes were fitted to one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from ..images import FIT_RULE, MIN_SIDE

ROUNDED_TO = 8  # pixels


@dataclass(frozen=True)
class SizeLimit:
    """How large images are kept where no size is asked for: at most `pixels` of their shorter or longer side.

    Images of several sizes are all given the median height and width, shrunk together to the limit and rounded to
    multiples of 8. `alike`: whether images that are all of one size are shrunk to it too, else they keep their size.
    """

    pixels: int
    side: Literal["shorter", "longer"]
    alike: bool

    def target(self, sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
        """Return the (height, width) of all images, of the sizes (height, width) that they had."""
        middle = np.median(np.array(sizes, float), axis=0)
        scale = self.pixels / (middle.min() if self.side == "shorter" else middle.max())
        if len(set(sizes)) == 1 and (scale >= 1 or not self.alike):
            return sizes[0]
        eights = ROUNDED_TO * np.round(middle * min(1.0, scale) / ROUNDED_TO)
        height, width = np.maximum(MIN_SIDE, eights).astype(int).tolist()
        return height, width

    @property
    def words(self) -> str:
        return f"the {self.side} side at most {self.pixels}, rounded to eights"


OWN_SIZE = SizeLimit(224, "shorter", alike=True)  # for classifiers, of which many see details
SMALL = SizeLimit(64, "longer", alike=False)  # for what makes images, and for judging them


@dataclass(frozen=True)
class SizeRule:
    """Which sizes (height, width) the images had, and which they were given.

    count   how many different sizes there were, from `smallest` to `largest`
    target  the size of all images now
    how     "kept": it was the only one; "asked": by the user; "median": settled from the sizes; "shrunk": the only
            one, to the limit; "matched": that of another set of images
    limit   by which the target was settled
    """

    count: int
    smallest: tuple[int, int]
    largest: tuple[int, int]
    target: tuple[int, int]
    how: Literal["kept", "asked", "median", "shrunk", "matched"]
    limit: SizeLimit = OWN_SIZE

    @classmethod
    def of(cls, sizes: Sequence[tuple[int, int]], asked: tuple[int, int] | None, limit: SizeLimit) -> "SizeRule":
        """Return the rule for images of these sizes, where this one was asked for or none."""
        several, smallest, largest = len(set(sizes)), min(sizes), max(sizes)
        if asked and (several > 1 or smallest != asked):
            return cls(several, smallest, largest, asked, "asked")
        target = asked or limit.target(sizes)
        how = "median" if several > 1 else "kept" if target == smallest else "shrunk"
        return cls(several, smallest, largest, target, how, limit)

    @property
    def short(self) -> str:
        """What was done, such as "12x10 fitted to 16x24"; "" where nothing was."""
        small, large, target = (size_words(size) for size in (self.smallest, self.largest, self.target))
        sizes = f"{self.count} sizes from {small} to {large}" if self.count > 1 else small
        rule = {"median": f" (the median height and width, {self.limit.words})", "shrunk": f" ({self.limit.words})"}
        return "" if self.how == "kept" else f"{sizes} fitted to {target}{rule.get(self.how, '')}"

    @property
    def words(self) -> str:
        """The rule as a sentence."""
        if self.how == "kept":
            return f"all {size_words(self.target)}, left as they are"
        return f"{self.short}{' as asked' if self.how == 'asked' else ''}: {FIT_RULE}"


def size_words(size: tuple[int, ...]) -> str:
    """Return "height x width" without blanks."""
    return f"{size[0]}x{size[1]}"


@dataclass(frozen=True)
class Notes:
    """What loading saw and did, so that nothing happens silently.

    Sizes and modes are those of the files, before anything was converted; `sizes` has (height, width) as its keys.
    """

    source: str = ""
    layout: str = ""
    bad_files: tuple[tuple[str, str], ...] = ()  # (origin, reason)
    modes: Mapping[str, int] = field(default_factory=dict)
    sizes: Mapping[tuple[int, int], int] = field(default_factory=dict)
    size_rule: SizeRule | None = None
    ignored: Mapping[str, int] = field(default_factory=dict)
    converted: tuple[str, ...] = ()
    generated: tuple[str, ...] = ()  # origins of images that say that a network made them
    warnings: tuple[str, ...] = ()
    unread: tuple[tuple[str, str], ...] = ()  # (table that was not used, why)
