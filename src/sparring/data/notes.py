"""Notes: what loading saw and did, and by which rule images of several sizes were fitted to one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ..images import FIT_RULE

MEDIAN_RULE = "the median height and width, at most 64, rounded to eights"


@dataclass(frozen=True)
class SizeRule:
    """Which sizes (height, width) the images had, and which they were given.

    count   how many different sizes there were, from `smallest` to `largest`
    target  the size of all images now
    how     "kept": it was the only one; "asked": by the user; "median": settled from the sizes; "matched": that of
            another set of images
    """

    count: int
    smallest: tuple[int, int]
    largest: tuple[int, int]
    target: tuple[int, int]
    how: Literal["kept", "asked", "median", "matched"]

    @property
    def short(self) -> str:
        """What was done, such as "12x10 fitted to 16x24"; "" where nothing was."""
        small, large, target = (size_words(size) for size in (self.smallest, self.largest, self.target))
        sizes = f"{self.count} sizes from {small} to {large}" if self.count > 1 else small
        rule = f" ({MEDIAN_RULE})" if self.how == "median" else ""
        return "" if self.how == "kept" else f"{sizes} fitted to {target}{rule}"

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
