"""Dot plots: one row per method, class or repeat, with its mean, interval and single values."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes

from .scales import percent_ticks
from .summary import Row, Summary
from .svg import COLOUR, drawn, panel, role_of, shape_of, style
from .words import known, number, ordinal, percent, share, shown, signed, within

LETTER = 8.3  # pixels, about the width of a bold letter in the widest of the page's fonts


@dataclass(frozen=True)
class Strip:
    """One row of a dot plot: a mean with its interval, and the single values around it."""

    label: str
    role: str
    shape: str
    mean: float | None
    low: float | None = None
    high: float | None = None
    each: tuple[float, ...] = ()
    floor: bool = False  # may lie outside the picture, and is then named at its edge


def strips(summary: Summary, budget: object) -> Markup:
    """One budget: every method a row, most accurate first, every repeat a dot."""
    rows = [strip_of(summary, str(s["method"]), s) for s in summary.ranked(budget)]
    words = "; ".join(f"{r.label} {_words(r, percent)}" for r in rows)
    return _dotplot(
        rows,
        alt=f"Accuracy with {summary.budget_name(budget)}: {words}.",
        text=lambda v: number(100 * v, summary.digits),
        axis="accuracy, %",
        cap=1.0,
    )


def forest(summary: Summary, budget: object, pairs: Sequence[Row]) -> Markup:
    """Differences of the most accurate method to each other one, with the band that counts as no difference."""
    rows = []
    for p in pairs:
        d, m = p.get("difference") or {}, str(p["b"])
        floor = (summary.methods.get(m) or {}).get("family") == "floor"
        rows.append(row_of(summary, m, d, floor=floor))
    best = shown(pairs[0]["a"])
    words = "; ".join(f"{r.label} {_words(r, lambda v: signed(v) + ' points')}" for r in rows)
    return _dotplot(
        rows,
        alt=f"How much more accurate {best} is, with {summary.budget_name(budget)}, than {words}.",
        text=signed,
        axis=f"points by which {shown(best, 16)} is more accurate",
        zero=True,
    )


def recall(summary: Summary, rows: Sequence[Row]) -> Markup:
    """Share of each class that was recognised, with Wilson intervals."""
    role = role_of(str(summary.chosen), summary.methods)
    items = [
        Strip(shown(r.get("class"), 18), role, "o", r.get("recall"), within(r.get("low")), within(r.get("high")))
        for r in rows
    ]
    words = "; ".join(f"{r.label} {_words(r, percent)}" for r in items)
    return _dotplot(
        items, alt=f"Recognised images of each class: {words}.", text=share, axis="recognised, %", cap=1.0, plain=True
    )


def gates(summary: Summary, method: str, budget: object, rows: Sequence[Row]) -> Markup:
    """What the generated images changed on the check inside the labelled images, repeat by repeat."""
    role = role_of(method, summary.methods)
    items = [
        Strip(
            f"repeat {ordinal(r.get('repeat'))}" + (" (used)" if r.get("passed") else ""),
            role,
            "D",
            r.get("difference"),
            r.get("low"),
            r.get("high"),
        )
        for r in rows
    ]
    words = "; ".join(f"{r.label} {_words(r, lambda v: signed(v) + ' points')}" for r in items)
    return _dotplot(
        items,
        alt=f"Change by generated images with {summary.budget_name(budget)}: {words}.",
        text=signed,
        axis="change in points",
        zero=True,
    )


def _dotplot(
    rows: Sequence[Strip],
    *,
    alt: str,
    text: Callable[[float], str],
    axis: str,
    cap: float | None = None,
    zero: bool = False,
    plain: bool = False,
) -> Markup:
    """Rows of dots with names on the left and means on the right; what is far off is named at the edge."""
    left = round(min(158, 14 + (7.6 if plain else LETTER) * max((len(r.label) for r in rows), default=4)))
    step = 30 if len(rows) <= 14 else 24
    width, height = 400, 62 + step * len(rows)
    low, high, outside = extent(rows, cap=cap, zero=zero)
    with style():
        figure, axes = panel(width, height, left=left, right=58, top=6, bottom=56)
        axes.set_xlim(low, high)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        if zero:
            axes.axvspan(-0.005, 0.005, color=COLOUR["band"], linewidth=0)
            axes.axvline(0, color=COLOUR["ink"], linewidth=1)
        percent_ticks(axes, low, high, vertical=False, plus=zero)
        axes.set_xlabel(axis)
        for y, r in enumerate(rows):
            _strip_row(axes, y, r, text, off=r.label in outside, plain=plain)
    return drawn(figure, alt=alt)


def _strip_row(axes: Axes, y: int, r: Strip, text: Callable[[float], str], *, off: bool, plain: bool) -> None:
    colour = COLOUR[r.role]
    name: dict[str, Any] = {"color": COLOUR["ink"]} if plain else {"color": colour, "fontweight": "bold"}
    to_axes = axes.get_yaxis_transform()
    axes.text(-0.03, y, r.label, transform=to_axes, ha="right", va="center_baseline", **name)
    if r.mean is None:
        axes.text(0.5, y, "no result", transform=to_axes, ha="center", va="center_baseline", color=COLOUR["muted"])
        return
    axes.text(1.03, y, text(r.mean), transform=to_axes, va="center_baseline", fontweight="bold")
    if off:
        left = r.mean < axes.get_xlim()[0]
        words = "\u25c2 far left of the picture" if left else "far right of the picture \u25b8"
        where, side = (0.0, "left") if left else (1.0, "right")
        axes.text(where, y, words, transform=to_axes, ha=side, va="center_baseline", color=COLOUR["muted"])
        return
    if r.each:
        dots(axes, r.each, [y + 0.25] * len(r.each), colour, size=3.7, alpha=0.5)
    if r.low is not None and r.high is not None:
        axes.plot([r.low, r.high], [y, y], color=colour, linewidth=2.4, solid_capstyle="butt")
    dots(axes, [r.mean], [y], colour, size=7.5, shape=r.shape)


def dots(
    axes: Axes,
    x: Sequence[float],
    y: Sequence[float],
    colour: str,
    *,
    size: float,
    shape: str | None = None,
    alpha: float = 1.0,
) -> None:
    """Marks without a line; those with a shape stand out from what is behind them by an edge of the page's colour."""
    edge = {"marker": shape, "mew": 1, "mec": COLOUR["surface"], "zorder": 5} if shape else {"marker": "o", "mew": 0}
    axes.plot(x, y, linestyle="none", markersize=size, color=colour, alpha=alpha, clip_on=False, **edge)


def extent(rows: Sequence[Strip], *, cap: float | None, zero: bool = False) -> tuple[float, float, list[str]]:
    """Range of values to show, and the labels of floor rows that would squeeze everything else."""

    def values(some: Sequence[Strip]) -> list[float]:
        ends = [v for r in some for v in (r.mean, r.low, r.high, *r.each) if known(v)]
        return ends + ([-0.01, 0.01] if zero and ends else [])

    others, floors = values([r for r in rows if not r.floor]), values([r for r in rows if r.floor])
    outside: list[str] = []
    if others and floors:
        span = max(others) - min(others)
        away = max(min(others) - min(floors), max(floors) - max(others))
        if away > 0.6 * span + 0.02:
            outside, floors = list(dict.fromkeys(r.label for r in rows if r.floor)), []
    seen = others + floors or [0.0, 1.0]
    low, high = min(seen), max(seen)
    pad = max(0.05 * (high - low), 0.004)
    top = high + pad if cap is None else min(high + pad, cap + 0.1 * pad + 0.002)
    return (low - pad if cap is None else max(low - pad, -0.01)), top, outside


def look(summary: Summary, method: str) -> tuple[str, str]:
    family = (summary.methods.get(method) or {}).get("family")
    return COLOUR[role_of(method, summary.methods)], shape_of(family)


def strip_of(summary: Summary, method: str, score: Row) -> Strip:
    family = (summary.methods.get(method) or {}).get("family")
    return row_of(summary, method, score.get("accuracy") or {}, floor=family == "floor", share_of=True)


def row_of(summary: Summary, method: str, d: Row, *, floor: bool, share_of: bool = False) -> Strip:
    family = (summary.methods.get(method) or {}).get("family")
    each = tuple(v for v in d.get("each") or [] if known(v))
    mean = d.get("mean") if known(d.get("mean")) else None
    low, high = (v if known(v) else None for v in (d.get("low"), d.get("high")))
    if share_of:
        low, high = within(low), within(high)
    return Strip(
        shown(method, 16), role_of(method, summary.methods), shape_of(family), mean, low, high, each, floor=floor
    )


def _words(r: Strip, text: Callable[[float | None], str]) -> str:
    if r.mean is None:
        return "no result"
    return text(r.mean) + (f" ({text(r.low)} to {text(r.high)})" if r.low is not None and r.high is not None else "")
