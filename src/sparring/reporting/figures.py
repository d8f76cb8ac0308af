"""The larger figures of a study: learning curves, calibration, and cost against accuracy."""

import math
from collections.abc import Mapping, Sequence

from markupsafe import Markup
from matplotlib.axes import Axes

from ..study.probabilities import Bin
from ..study.records import ArmScore
from ..words import count, duration, percent
from .axes import LineEnd, draw_dots, name_line_ends, percent_ticks, time_ticks
from .dotplots import LETTER_WIDTH, DotRow, method_row, shown_range
from .study_view import StudyView
from .svg import COLOUR, figure_style, inline_svg, new_figure
from .typography import shown, typeset

# --- learning curves -------------------------------------------------------------------------------------------------


def learning_figure(study: StudyView, width: int) -> Markup:
    """Return accuracy against the number of labels: one line per method, every repeat a dot."""
    summary = study.summary
    at = {b.budget: b.labels for b in summary.budgets}
    lines = {m: [s for b in at if (s := summary.score(m, b))] for m in study.methods}
    lines = {m: scores for m, scores in lines.items() if scores}
    low, high, outside = shown_range([method_row(study, s.method, s.accuracy) for s in summary.scores], cap=1.0)
    names = [m for m in reversed(lines) if shown(m, 16) not in outside]
    drawn = sorted(names, key=lambda m: lines[m][-1].accuracy.mean)
    narrow = width < 600
    right = 118 if narrow else 150
    few, many = min(at.values()), max(at.values())
    # Points of one budget stand side by side: so many pixels apart, as a factor of the log axis. The margins hold them.
    step, inside = (4 if narrow else 9), width - 50 - right
    share = max(0.09 if narrow else 0.076, (step * (len(drawn) - 1) / 2 + 8) / inside)
    margin = (many / few) ** (share / (1 - 2 * share))
    apart = step / inside * math.log(many / few * margin**2)
    with figure_style():
        figure, axes = new_figure(width, 430, left=50, right=right, top=14, bottom=58)
        axes.set_xscale("log")
        axes.set_xlim(few / margin, many * margin)
        axes.set_ylim(low, high)
        percent_ticks(axes, low, high, vertical=True)
        names = ["all labels" if b == "all" else f"{b} a class" for b in at]
        axes.set_xticks(list(at.values()), [f"{count(n)}\n{name}" for n, name in zip(at.values(), names, strict=True)])
        axes.set_xticks([], minor=True)
        ends = []
        for i, m in enumerate(drawn):
            shift = math.exp((i - (len(drawn) - 1) / 2) * apart)
            ends.append(_draw_line(axes, study, lines[m], [at[s.budget] * shift for s in lines[m]]))
        name_line_ends(axes, ends, tied=True)
        _name_below(axes, [f"{shown(m, 16)} {_accuracy_span(lines[m])}" for m in lines if shown(m, 16) in outside])
        axes.set_xlabel("labelled images (log scale)")
    return inline_svg(figure, alt=_learning_alt(study, lines), kind="narrow" if narrow else "wide")


def _draw_line(axes: Axes, study: StudyView, scores: Sequence[ArmScore], x: Sequence[float]) -> LineEnd:
    method = scores[0].method
    colour, means = study.colour(method), [s.accuracy.mean for s in scores]
    axes.plot(x, means, color=colour, linewidth=1.4, alpha=0.75)
    for at, s in zip(x, scores, strict=True):
        draw_dots(axes, [at] * len(s.accuracy.each), s.accuracy.each, colour, size=3.6, alpha=0.45)
        axes.plot([at, at], [s.accuracy.low, s.accuracy.high], color=colour, linewidth=2.2, solid_capstyle="butt")
    draw_dots(axes, x, means, colour, size=7.5, shape=study.shape(method))
    return LineEnd(shown(method, 16), colour, means[-1], x[-1])


def _name_below(axes: Axes, names: Sequence[str]) -> None:
    if names:
        words = f" below the picture: {', '.join(names)}"
        axes.text(0.008, 0.015, typeset(words), transform=axes.transAxes, color=COLOUR["muted"])


def _accuracy_span(scores: Sequence[ArmScore]) -> str:
    low, high = (percent(end(s.accuracy.mean for s in scores), 0) for end in (min, max))
    return low if low == high else f"{low} to {high}"


def _learning_alt(study: StudyView, lines: Mapping[str, Sequence[ArmScore]]) -> str:
    said = "; ".join(
        f"{shown(m)}: " + ", ".join(f"{percent(s.accuracy.mean)} with {study.budget_name(s.budget)}" for s in scores)
        for m, scores in lines.items()
    )
    return f"Accuracy against the number of labelled images. {said}."


# --- calibration -----------------------------------------------------------------------------------------------------


def reliability_figure(study: StudyView, method: str, bins: Sequence[Bin]) -> Markup:
    """Return stated confidence against the share that was right, with the number of answers behind every point."""
    bins = sorted(bins, key=lambda b: b.confidence)
    colour, shape = study.colour(method), study.shape(method)
    most = max(b.count for b in bins)
    width, height = 360, 412
    with figure_style():
        figure, axes = new_figure(width, height, left=50, right=14, top=10, bottom=124)
        axes.set_xlim(0, 1.02)
        axes.set_ylim(0, 1.02)
        axes.plot([0, 1], [0, 1], color=COLOUR["muted"], linewidth=1, linestyle=(0, (4, 3)))
        axes.text(0.07, 0.11, "perfectly honest", rotation=45, rotation_mode="anchor", color=COLOUR["muted"])
        x, y = [b.confidence for b in bins], [b.accuracy for b in bins]
        axes.plot(x, y, color=colour, linewidth=1.2, alpha=0.7)
        for b in bins:
            size = 3.5 + 4.5 * math.sqrt(b.count / most)
            draw_dots(axes, [b.confidence], [b.accuracy], colour, size=size, shape=shape)
        ticks = [0, 0.25, 0.5, 0.75, 1]
        axes.set_xticks(ticks, [f"{100 * t:.0f}" for t in ticks])
        axes.set_yticks(ticks, [f"{100 * t:.0f}" for t in ticks])
        axes.set_ylabel("of these, right, %", labelpad=2)
        below = figure.add_axes((50 / width, 56 / height, (width - 64) / width, 40 / height))
        below.set_xlim(0, 1.02)
        below.set_ylim(0, most * 1.1)
        below.vlines(x, 0, [b.count for b in bins], color=colour, linewidth=3)
        below.set_xticks([])
        below.set_yticks([most], [count(most)])
        below.set_xlabel("how sure it said it was, %\nbars: answers per repeat")
    pairs = "; ".join(f"said {percent(b.confidence, 0)}, right {percent(b.accuracy, 0)}" for b in bins)
    return inline_svg(figure, alt=f"Confidence of {shown(method)} against what was right: {pairs}.")


# --- cost ------------------------------------------------------------------------------------------------------------


def cost_figure(study: StudyView, budget: str) -> Markup:
    """Return seconds of one fit against accuracy, best in the upper left; empty where no fit took measurable time."""
    timed = [(method_row(study, s.method, s.accuracy), s.seconds.median) for s in study.summary.ranked(budget)]
    timed = [(row, seconds) for row, seconds in timed if seconds > 0]
    if not timed:
        return Markup("")
    low, high, outside = shown_range([row for row, _ in timed], cap=1.0)
    inside = [(row, t) for row, t in timed if row.label not in outside]
    width, height = 420, 390
    with figure_style():
        figure, axes = new_figure(width, height, left=50, right=56, top=12, bottom=56)
        axes.set_xscale("log")
        axes.set_xlim(*_time_range([t for _, t in inside] or [t for _, t in timed], (width - 106) / 90))
        axes.set_ylim(low, high)
        percent_ticks(axes, low, high, vertical=True)
        ticks = time_ticks(*axes.get_xlim())
        axes.set_xticks(ticks, [typeset(duration(t)) for t in ticks])
        axes.set_xticks([], minor=True)
        axes.set_xlabel("time of one fit (log scale)")
        for row, t in inside:
            draw_dots(axes, [t] * len(row.each), row.each, row.colour, size=3.5, alpha=0.4)
            axes.plot([t, t], [row.low, row.high], color=row.colour, linewidth=2.2, solid_capstyle="butt")
            draw_dots(axes, [t], [row.mean], row.colour, size=8, shape=row.shape)
        _name_points(axes, inside, width - 106, height - 68)
        _name_below(axes, [f"{row.label} {percent(row.mean)}" for row, _ in timed if row.label in outside])
    said = "; ".join(f"{row.label} {duration(t)} and {percent(row.mean)}" for row, t in timed)
    return inline_svg(figure, alt=f"Time of one fit and accuracy with {study.budget_name(budget)}: {said}.")


def _time_range(times: Sequence[float], widths: float) -> tuple[float, float]:
    """Return limits of a log axis `widths` names wide: room for one name on the left and half of one on the right."""
    low, high = math.log(min(times)), math.log(max(times))
    span = max(high - low, math.log(4)) / (widths - 1.5)
    middle, half = (low + high) / 2, max(high - low, math.log(4)) / 2
    return math.exp(middle - half - span), math.exp(middle + half + span / 2)


def _name_points(axes: Axes, timed: Sequence[tuple[DotRow, float]], width: float, height: float) -> None:
    """Write names beside their points, on the first side where they cover nothing."""
    (x0, x1), (y0, y1) = axes.get_xlim(), axes.get_ylim()
    scale = height / (y1 - y0)
    places = [(math.log(t / x0) / math.log(x1 / x0) * width, (row.mean - y0) * scale) for row, t in timed]
    taken = [(x - 6, y - 6, x + 6, y + 6) for x, y in places]
    for (row, _), (x, _y) in zip(timed, places, strict=True):
        ends = (row.low, row.high, *row.each)
        taken.append((x - 3, (min(ends) - y0) * scale, x + 3, (max(ends) - y0) * scale))
    for (row, t), (x, y) in zip(timed, places, strict=True):
        long = LETTER_WIDTH * len(row.label) + 4
        spots = [(9 + s, dy) for dy in (0, 12, -12, 24, -24, 40, -40, 60, -60, 80, -80) for s in (0, -18 - long)]
        best = min(spots, key=lambda s: (_overlaps(x + s[0], y + s[1], long, taken, width, height), spots.index(s)))
        taken.append((x + best[0], y + best[1] - 7, x + best[0] + long, y + best[1] + 7))
        tie = {"arrowstyle": "-", "color": row.colour, "alpha": 0.5, "lw": 0.8, "shrinkA": 0, "shrinkB": 3}
        axes.annotate(
            row.label, (t, row.mean), xytext=best, textcoords="offset points", va="center_baseline", color=row.colour,
            fontweight="bold", arrowprops=tie if abs(best[1]) > 20 else None,
        )  # fmt: skip


def _overlaps(x: float, y: float, long: float, taken: Sequence[tuple], width: float, height: float) -> int:
    """Return how many boxes a name at (x, y) would cover; beyond the picture counts as five."""
    box = (x, y - 7, x + long, y + 7)
    hits = sum(box[0] < b[2] and b[0] < box[2] and box[1] < b[3] and b[1] < box[3] for b in taken)
    return hits + 5 * (box[0] < 2 or box[2] > width + 54 or box[1] < 2 or box[3] > height + 8)
