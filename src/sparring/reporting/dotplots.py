"""Dot plots: one row per method, class or repeat, with its mean, interval and single values."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.axes import Axes

from ..stats import RepeatedInterval
from ..study.records import ClassRecall, Comparison, GateRow
from ..words import percent, percentage, points
from .axes import draw_dots, percent_ticks
from .study_view import StudyView
from .svg import COLOUR, figure_style, inline_svg, new_figure
from .typography import shown, typeset

LETTER_WIDTH = 8.3  # pixels, about the width of a bold letter in the widest of the page's fonts
_EDGE_WORDS = {"left": "\u25c2 far left of the picture", "right": "far right of the picture \u25b8"}


@dataclass(frozen=True)
class DotRow:
    """One row: a mean with its interval, and the single values around it."""

    label: str
    colour: str
    shape: str
    mean: float
    low: float
    high: float
    each: tuple[float, ...] = ()
    floor: bool = False  # may lie outside the picture, and is then named at its edge

    def in_words(self, text: Callable[[float], str]) -> str:
        """Return `svm 97.3 % (96.8 % to 97.8 %)`."""
        return f"{self.label} {text(self.mean)} ({text(self.low)} to {text(self.high)})"


def method_row(study: StudyView, method: str, found: RepeatedInterval) -> DotRow:
    """Return the row of a method, in its colour and shape."""
    look = (study.colour(method), study.shape(method))
    return DotRow(shown(method, 16), *look, *found.triple, each=found.each, floor=study.is_floor(method))


def accuracy_plot(study: StudyView, budget: str) -> Markup:
    """Return one budget: every method a row, most accurate first, every repeat a dot."""
    rows = [method_row(study, s.method, s.accuracy) for s in study.summary.ranked(budget)]
    what = f"Accuracy with {study.budget_name(budget)}"
    digits = study.digits
    return _dot_plot(rows, percent, lambda v: percentage(v, digits), what=what, axis="accuracy, %", cap=1.0)


def difference_plot(study: StudyView, budget: str, pairs: Sequence[Comparison]) -> Markup:
    """Return the lead of the most accurate method over each other one; a band shows what counts as no difference."""
    rows = [method_row(study, p.b, p.difference) for p in pairs]
    what = f"Points by which {shown(pairs[0].a)} is more accurate, with {study.budget_name(budget)}, than"
    axis = f"points by which {shown(pairs[0].a, 16)} is more accurate"
    return _dot_plot(rows, _in_points, _signed_points, what=what, axis=axis, zero=True)


def recall_plot(study: StudyView, rows: Sequence[ClassRecall]) -> Markup:
    """Return the share of each class that was recognised, with its interval."""
    found = [DotRow(shown(r.class_, 18), study.colour(r.method), "o", r.recall, r.low, r.high) for r in rows]
    what, axis = "Recognised images of each class", "recognised, %"
    return _dot_plot(found, percent, percentage, what=what, axis=axis, cap=1.0, methods=False)


def gate_plot(study: StudyView, rows: Sequence[GateRow]) -> Markup:
    """Return what generated images changed on the check inside the labelled images, repeat by repeat.

    Empty where no repeat could try them.
    """
    found = []
    for r in rows:
        if r.difference is not None and r.low is not None and r.high is not None:
            label = f"repeat {r.repeat + 1}{' (used)' if r.passed else ''}"
            found.append(DotRow(label, study.colour(r.method), "D", r.difference, r.low, r.high))
    if not found:
        return Markup("")
    what = f"Change by generated images with {study.budget_name(rows[0].budget)}"
    return _dot_plot(found, _in_points, _signed_points, what=what, axis="change in points", zero=True)


def _signed_points(value: float) -> str:
    return points(value, 1, signed=True)


def _in_points(value: float) -> str:
    return f"{_signed_points(value)} points"


def _dot_plot(
    rows: Sequence[DotRow], said: Callable[[float], str], text: Callable[[float], str], *, what: str, axis: str,
    cap: float | None = None, zero: bool = False, methods: bool = True,
) -> Markup:  # fmt: skip
    """Return rows of dots with names on the left and means on the right; what is far off is named at the edge.

    `said` words a value in the description `what: ...`, `text` on the right; `cap` and `zero` are those of shown_range.
    """
    left = round(min(158, 14 + (LETTER_WIDTH if methods else 7.6) * max(len(r.label) for r in rows)))
    height = 62 + (30 if len(rows) <= 14 else 24) * len(rows)
    low, high, outside = shown_range(rows, cap=cap, zero=zero)
    with figure_style():
        figure, axes = new_figure(400, height, left=left, right=58, top=6, bottom=56)
        axes.set_xlim(low, high)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        if zero:
            axes.axvspan(-0.005, 0.005, color=COLOUR["band"], linewidth=0)
            axes.axvline(0, color=COLOUR["ink"], linewidth=1)
        percent_ticks(axes, low, high, vertical=False, signed=zero)
        axes.set_xlabel(axis)
        for y, row in enumerate(rows):
            _draw_row(axes, y, row, typeset(text(row.mean)), outside=row.label in outside, bold=methods)
    return inline_svg(figure, alt=f"{what}: {'; '.join(row.in_words(said) for row in rows)}.")


def _draw_row(axes: Axes, y: int, row: DotRow, mean: str, *, outside: bool, bold: bool) -> None:
    to_axes = axes.get_yaxis_transform()
    colour, weight = (row.colour, "bold") if bold else (COLOUR["ink"], "normal")
    name = axes.text(-0.03, y, row.label, transform=to_axes, ha="right", va="center_baseline", color=colour)
    name.set_fontweight(weight)
    axes.text(1.03, y, mean, transform=to_axes, va="center_baseline", fontweight="bold")
    if outside:
        side = "left" if row.mean < axes.get_xlim()[0] else "right"
        x, muted = float(side == "right"), COLOUR["muted"]
        axes.text(x, y, _EDGE_WORDS[side], transform=to_axes, ha=side, va="center_baseline", color=muted)
        return
    draw_dots(axes, row.each, [y + 0.25] * len(row.each), row.colour, size=3.7, alpha=0.5)
    axes.plot([row.low, row.high], [y, y], color=row.colour, linewidth=2.4, solid_capstyle="butt")
    draw_dots(axes, [row.mean], [y], row.colour, size=7.5, shape=row.shape)


def shown_range(
    rows: Sequence[DotRow], *, cap: float | None, zero: bool = False
) -> tuple[float, float, frozenset[str]]:
    """Return the range of values to show, and the labels of floor rows that would squeeze everything else.

    `cap` is the largest value there can be (None: values may be negative too); `zero` shows a little around 0.
    """
    others, floors = ([v for r in rows if r.floor == floor for v in (r.mean, r.low, r.high, *r.each)]
                      for floor in (False, True))  # fmt: skip
    others += [-0.01, 0.01] if zero and others else []
    outside: frozenset[str] = frozenset()
    if others and floors:
        away = max(min(others) - min(floors), max(floors) - max(others))
        if away > 0.6 * (max(others) - min(others)) + 0.02:
            outside, floors = frozenset(r.label for r in rows if r.floor), []
    low, high = min(others + floors), max(others + floors)
    pad = max(0.05 * (high - low), 0.004)
    if cap is None:
        return low - pad, high + pad, outside
    return max(low - pad, -0.01), min(high + pad, cap + 0.1 * pad + 0.002), outside
