"""What goes on axes: round ticks, marks, thinned curves, and names at the right ends of lines."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes

from ..words import percentage, points
from .svg import COLOUR
from .typography import typeset

LINE_HEIGHT = 15.0  # pixels between two lines of labels


class LineEnd(NamedTuple):
    """The right end of a line at (x, y) of the axes, and its name."""

    name: str
    colour: str
    y: float
    x: float | None = None


def name_line_ends(axes: Axes, ends: Sequence[LineEnd], *, tied: bool = False) -> None:
    """Write names at the right edge, moved apart where they would cover each other.

    `tied` draws a thin line from each end to its name, which is then bold; every end needs its x.
    """
    low, high = axes.get_ylim()
    edge = axes.get_xlim()[1]
    height = axes.bbox.height  # in pixels: see new_figure
    order = sorted(ends, key=lambda end: end.y)
    places = kept_apart([(end.y - low) / (high - low) * height for end in order], LINE_HEIGHT + tied, 0, height)
    for end, place in zip(order, places, strict=True):
        y = low + place / height * (high - low)
        if tied and end.x is not None:
            axes.plot([end.x, edge], [end.y, y], color=end.colour, linewidth=0.8, alpha=0.5, clip_on=False)
        axes.annotate(
            end.name, (edge, y), xytext=(5, 0), textcoords="offset points", va="center_baseline", color=end.colour,
            fontweight="bold" if tied else "normal", annotation_clip=False,
        )  # fmt: skip


def kept_apart(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Return ascending places as near as possible to the wanted ones, at least `gap` apart, between low and high."""
    gap = min(gap, (high - low) / max(1, len(wanted) - 1))
    # Neighbours that are too close form a block, which stands at the mean of its wishes (pool adjacent violators).
    blocks: list[list[float]] = []  # [sum of wished starts, members]
    for i, w in enumerate(wanted):
        blocks.append([w - i * gap, 1])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            total, members = blocks.pop()
            blocks[-1][0] += total
            blocks[-1][1] += members
    starts = [total / members for total, members in blocks for _ in range(int(members))]
    top = high - gap * max(0, len(wanted) - 1)
    return [min(max(s, low), top) + i * gap for i, s in enumerate(starts)]


def round_ticks(low: float, high: float, about: int) -> list[float]:
    """Return about so many round numbers between low and high."""
    span = high - low
    if span <= 0 or not math.isfinite(span):
        return [low]
    raw = span / about
    unit = 10 ** math.floor(math.log10(raw))
    step = next(unit * k for k in (1, 2, 5, 10) if unit * k >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)] or [low]


def time_ticks(low: float, high: float) -> list[float]:
    """Return at most seven times between low and high, in seconds, that people count in."""
    fine = [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 120, 600, 1800, 7200, 36_000]  # a factor of 3 or more apart
    inside = [t for t in fine if low <= t <= high] or [(low * high) ** 0.5]
    return inside if len(inside) <= 7 else inside[::2]


def percent_ticks(axes: Axes, low: float, high: float, *, vertical: bool, signed: bool = False) -> None:
    """Give an axis of shares ticks in percent; a signed one counts in points."""
    ticks = [t / 100 for t in round_ticks(100 * low, 100 * high, 6 if vertical else 5)]
    digits = 0 if all(abs(100 * t - round(100 * t)) < 1e-6 for t in ticks) else 1
    names = [typeset(points(t, digits, signed=True) if signed else percentage(t, digits)) for t in ticks]
    if vertical:
        axes.set_yticks(ticks, names)
        axes.set_ylabel("accuracy, %", labelpad=2)
        axes.grid(axis="y", color=COLOUR["grid"], linewidth=1)
    else:
        axes.set_xticks(ticks, names)
        axes.grid(axis="x", color=COLOUR["grid"], linewidth=1)


def thinned(curve: Sequence[tuple[float, float]], most: int = 120) -> list[tuple[float, float]]:
    """Return a curve as at most about `most` means of equal stretches, so that no spike decides what is seen."""
    size = math.ceil(len(curve) / most)
    stretches = [curve[i : i + size] for i in range(0, len(curve), size)]
    return [(sum(x for x, _ in s) / len(s), sum(y for _, y in s) / len(s)) for s in stretches]


def draw_dots(
    axes: Axes, x: Sequence[float], y: Sequence[float], colour: str, *, size: float, shape: str = "", alpha: float = 1.0
) -> None:
    """Draw marks without a line; those with a shape get an edge in the page's colour, to stand out."""
    edge = {"marker": shape, "mew": 1, "mec": COLOUR["surface"], "zorder": 5} if shape else {"marker": "o", "mew": 0}
    axes.plot(x, y, linestyle="none", markersize=size, color=colour, alpha=alpha, clip_on=False, **edge)
