"""Notes: what loading saw and did, and by which rule images of several sizes were fitted to one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from ..images import FIT_RULE, MIN_SIDE
from ..records import News, record
from ..words import listed, plural

ROUNDED_TO = 8  # pixels
DOUBTS_SAID, CLASSES_SAID = 2, 3  # in the short form


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
    `others`: files of other kinds, which `ignored` counts by kind. `links`: those that lead out of the folder, not
    followed. `lost`: class -> files left out that may be images of it. `ways`: what would have more of them read.
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
    others: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    lost: Mapping[str, int] = field(default_factory=dict)
    ways: tuple[str, ...] = ()
    unread: tuple[tuple[str, str], ...] = ()  # (table that was not used, why)


@record
class LeftOut:
    """Files that were left out for one reason: how many, of which kind, and one of them with why, if that is known.

    `expected`: hidden and system files, which nobody misses.
    """

    count: int
    what: str
    example: str = ""
    expected: bool = False

    @property
    def words(self) -> str:
        return f"{self.count:,} {self.what}{self.example and f' ({self.example})'}"


@record
class ClassLoss:
    """A class of which files were left out that may be images of it."""

    name: str
    left_out: int
    kept: int

    @property
    def words(self) -> str:
        return f"{self.name} has {self.kept:,} of {self.kept + self.left_out:,} images"


@record
class DataNotes:
    """What loading left out, of which classes (most first), what it doubts and what it converted.

    Every command that reads data says this, reports show it, and their JSON holds it. `ways`: what would have more of
    the files read. `doubts`, `converted` and `ways` are sentences without a full stop.
    """

    left_out: tuple[LeftOut, ...] = ()
    classes: tuple[ClassLoss, ...] = ()
    ways: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    converted: tuple[str, ...] = ()

    @property
    def short(self) -> tuple[str, ...]:
        """At most three lines: left out, doubtful, converted."""
        more = f"and {len(self.doubts) - DOUBTS_SAID} more (--verbose)"
        doubts = [*self.doubts[:DOUBTS_SAID], *[more] * (len(self.doubts) > DOUBTS_SAID)]
        lost = self.losses(CLASSES_SAID)
        lines = [f"left out: {lost}"] * bool(lost)
        lines += [f"mind: {'; '.join(doubts)}"] * bool(doubts)
        lines += [f"converted: {'; '.join(self.converted)}"] * bool(self.converted)
        return tuple(lines)

    @property
    def full(self) -> tuple[str, ...]:
        """A line for everything."""
        lost = self.losses(len(self.classes))
        lines = [f"left out: {lost}"] * bool(lost)
        lines += [f"ignored: {one.words}" for one in self.left_out if one.expected]
        lines += [f"mind: {doubt}" for doubt in self.doubts] + [f"converted: {words}" for words in self.converted]
        return tuple(lines)

    def losses(self, classes: int) -> str:
        """Return what was left out and of which classes, the first so many of them, and what to do about it."""
        kinds = [one for one in self.left_out if not one.expected]
        if not kinds:
            return ""
        words = listed([one.words for one in kinds])
        if shown := [one.words for one in self.classes[:classes]]:
            more = len(self.classes) - len(shown)
            words += f"; {', '.join(shown)}" + (f" and {plural(more, 'more class', 'more classes')}" if more else "")
        return "; ".join([words, *self.ways])

    def news(self, files: Sequence[str] = ()) -> News:
        """Return it for a terminal; `files`: lines about single files, for who wants to know all."""
        return News(self.short, (*self.full, *files))
