"""Where things go on an axis: ticks, labels that do not cover each other, curves with few points."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes

from .svg import COLOUR
from .words import share, signed


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Ascending places as near as possible to the wanted ones, at least `gap` apart, between low and high."""
    gap = min(gap, (high - low) / max(1, len(wanted) - 1))
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


def steps(low: float, high: float, about: int) -> list[float]:
    """Round numbers between low and high, about so many."""
    span = high - low
    if span <= 0 or not math.isfinite(span):
        return [low]
    raw = span / about
    unit = 10 ** math.floor(math.log10(raw))
    step = next(unit * k for k in (1, 2, 5, 10) if unit * k >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)] or [low]


def time_steps(low: float, high: float) -> list[float]:
    """Seconds that people count in, between low and high: at most seven."""
    fine = [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 120, 600, 1800, 7200, 36_000]  # a factor of 3 or more apart
    inside = [t for t in fine if low <= t <= high] or [(low * high) ** 0.5]
    return inside if len(inside) <= 7 else inside[::2]


def thinned(run: Sequence[tuple[float, float]], most: int = 120) -> list[tuple[float, float]]:
    """At most about `most` points of a curve: means of equal stretches, so that no spike decides what is seen."""
    size = math.ceil(len(run) / most)
    parts = [run[i : i + size] for i in range(0, len(run), size)]
    return [(sum(x for x, _ in p) / len(p), sum(y for _, y in p) / len(p)) for p in parts]


def percent_ticks(axes: Axes, low: float, high: float, *, vertical: bool, plus: bool = False) -> None:
    ticks = [t / 100 for t in steps(100 * low, 100 * high, 6 if vertical else 5)]
    whole = all(abs(100 * t - round(100 * t)) < 1e-6 for t in ticks)
    names = [(signed if plus else share)(t, 0 if whole else 1) for t in ticks]
    if vertical:
        axes.set_yticks(ticks, names)
        axes.set_ylabel("accuracy, %", labelpad=2)
        axes.grid(axis="y", color=COLOUR["grid"], linewidth=1)
    else:
        axes.set_xticks(ticks, names)
        axes.grid(axis="x", color=COLOUR["grid"], linewidth=1)
