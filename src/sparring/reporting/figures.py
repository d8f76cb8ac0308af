"""The report's larger figures: numbers in, one inline SVG out, each with a sentence that says what it shows."""

import math
from collections.abc import Sequence

from markupsafe import Markup
from matplotlib.axes import Axes

from . import loss_curves
from .dotplots import LETTER, Strip, dots, extent, look, strip_of
from .loss_names import Panel
from .scales import percent_ticks, spread, time_steps
from .summary import Row, Summary, mean_of
from .svg import COLOUR, drawn, panel, role_of, style
from .words import known, number, percent, seconds, shown

LINE = 15.0  # pixels between two lines of labels
WIDE, NARROW = 780, 360


def learning(summary: Summary, width: int) -> Markup:
    """Accuracy against the number of labels: one line per method, every repeat a dot."""
    lines = {m: [summary.score(m, b.get("budget")) for b in summary.budgets] for m in summary.methods}
    lines = {m: rows for m, rows in lines.items() if any(known(mean_of(s, "accuracy", math.nan)) for s in rows)}
    strips = [strip_of(summary, m, s) for m, rows in lines.items() for s in rows if s]
    low, high, outside = extent(strips, cap=1.0)
    at = _label_counts(summary)
    narrow = width < 600
    right = 118 if narrow else 150
    with style():
        figure, axes = panel(width, 430, left=50, right=right, top=14, bottom=58)
        axes.set_xscale("log")
        margin = (max(at) / min(at)) ** (0.11 if narrow else 0.09)
        axes.set_xlim(min(at) / margin, max(at) * margin)
        axes.set_ylim(low, high)
        percent_ticks(axes, low, high, vertical=True)
        names = [str(b.get("budget")) for b in summary.budgets]
        under = ["all labels" if n == "all" else f"{n} per class" if n.isdigit() else n for n in names]
        axes.set_xticks(at, [f"{v:,.0f}\n{shown(u, 14)}" for v, u in zip(at, under, strict=True)], minor=False)
        axes.set_xticks([], minor=True)
        pixels = (width - 50 - right) / math.log(max(at) * margin / (min(at) / margin))
        drawn_lines = sorted((m for m in lines if shown(m, 16) not in outside), key=lambda m: _last_mean(lines[m]))
        ends = []
        for i, m in enumerate(drawn_lines):
            shift = math.exp((i - (len(drawn_lines) - 1) / 2) * (4 if narrow else 9) / pixels)
            ends.append(_line(axes, summary, m, lines[m], [v * shift for v in at]))
        _end_labels(axes, summary, ends, 430 - 72)
        if outside:
            words = ", ".join(f"{shown(m, 16)} {_span(lines[m])}" for m in lines if shown(m, 16) in outside)
            axes.text(0.008, 0.015, f" below the picture: {words}", transform=axes.transAxes, color=COLOUR["muted"])
        axes.set_xlabel("labelled images (log scale)")
    kind = "narrow" if narrow else "wide"
    return drawn(figure, alt=_learning_alt(summary, lines), kind=kind)


def _last_mean(rows: Sequence[Row]) -> float:
    means = [mean_of(s, "accuracy", math.nan) for s in rows]
    return next(m for m in reversed(means) if known(m))


def _line(axes: Axes, summary: Summary, method: str, rows: Sequence[Row], x: list[float]) -> tuple[str, float, float]:
    colour, shape = look(summary, method)
    here = [(at, strip_of(summary, method, row)) for at, row in zip(x, rows, strict=True)]
    here = [(at, s) for at, s in here if s.mean is not None]
    means = [s.mean for _, s in here if s.mean is not None]
    axes.plot([at for at, _ in here], means, color=colour, linewidth=1.4, alpha=0.75)
    for at, s in here:
        dots(axes, [at] * len(s.each), s.each, colour, size=3.6, alpha=0.45)
        if s.low is not None and s.high is not None:
            axes.plot([at, at], [s.low, s.high], color=colour, linewidth=2.2, solid_capstyle="butt")
    dots(axes, [at for at, _ in here], means, colour, size=7.5, shape=shape)
    return method, here[-1][0], means[-1]


def _end_labels(axes: Axes, summary: Summary, ends: list[tuple[str, float, float]], height: float) -> None:
    """Names at the right edge, moved apart where they would cover each other, each tied to its line."""
    low, high = axes.get_ylim()
    edge = axes.get_xlim()[1]
    order = sorted(ends, key=lambda e: e[2])
    places = spread([(e[2] - low) / (high - low) * height for e in order], LINE + 1, 0, height)
    for (method, x, y), place in zip(order, places, strict=True):
        colour, _ = look(summary, method)
        to = low + place / height * (high - low)
        axes.plot([x, edge], [y, to], color=colour, linewidth=0.8, alpha=0.5, clip_on=False)
        axes.annotate(
            shown(method, 16),
            (edge, to),
            xytext=(5, 0),
            textcoords="offset points",
            va="center_baseline",
            color=colour,
            fontweight="bold",
            annotation_clip=False,
        )


def reliability(summary: Summary, row: Row) -> Markup:
    """Stated confidence against the share that was right, with the number of answers behind every point."""
    bins = [b for b in row.get("bins") or [] if known(b.get("confidence")) and known(b.get("accuracy"))]
    bins = sorted((b for b in bins if b.get("count")), key=lambda b: b["confidence"])
    method = str(row.get("method"))
    colour, shape = look(summary, method)
    most = max(b["count"] for b in bins)
    with style():
        figure, axes = panel(NARROW, 412, left=50, right=14, top=10, bottom=124)
        axes.set_xlim(0, 1.02)
        axes.set_ylim(0, 1.02)
        axes.plot([0, 1], [0, 1], color=COLOUR["muted"], linewidth=1, linestyle=(0, (4, 3)))
        axes.text(0.07, 0.11, "perfectly honest", rotation=45, rotation_mode="anchor", color=COLOUR["muted"])
        x, y = [b["confidence"] for b in bins], [b["accuracy"] for b in bins]
        axes.plot(x, y, color=colour, linewidth=1.2, alpha=0.7)
        for b in bins:
            size = 3.5 + 4.5 * math.sqrt(b["count"] / most)
            dots(axes, [b["confidence"]], [b["accuracy"]], colour, size=size, shape=shape)
        ticks = [0, 0.25, 0.5, 0.75, 1]
        axes.set_xticks(ticks, [f"{100 * t:.0f}" for t in ticks])
        axes.set_yticks(ticks, [f"{100 * t:.0f}" for t in ticks])
        axes.set_ylabel("of these, right, %", labelpad=2)
        below = figure.add_axes((50 / NARROW, 56 / 412, (NARROW - 64) / NARROW, 40 / 412))
        below.set_xlim(0, 1.02)
        below.set_ylim(0, most * 1.1)
        below.vlines(x, 0, [b["count"] for b in bins], color=colour, linewidth=3)
        below.set_xticks([])
        below.set_yticks([most], [number(most, 0)])
        below.set_xlabel("how sure it said it was, %\nbars: answers per repeat")
    pairs = "; ".join(f"said {percent(b['confidence'], 0)}, right {percent(b['accuracy'], 0)}" for b in bins)
    return drawn(figure, alt=f"Confidence of {shown(method)} against what was right: {pairs}.")


def curve(summary: Summary, method: str, panel_: Panel) -> Markup:
    """One panel of a game: the first repeat strong, the others thin."""
    return loss_curves.curve(panel_, COLOUR[role_of(method, summary.methods)], of=shown(method))


def cost(summary: Summary, budget: object) -> Markup:
    """Seconds of one fit against accuracy: the upper left corner is where one wants to be."""
    points = []
    for s in summary.ranked(budget):
        t = (s.get("seconds") or {}).get("median")
        strip = strip_of(summary, str(s["method"]), s)
        if strip.mean is not None and known(t) and t > 0:
            points.append((strip, t))
    if not points:
        return Markup("")
    low, high, outside = extent([p for p, _ in points], cap=1.0)
    inside = [(p, t) for p, t in points if p.label not in outside]
    width, height = 420, 390
    with style():
        figure, axes = panel(width, height, left=50, right=56, top=12, bottom=56)
        axes.set_xscale("log")
        axes.set_xlim(*_with_room([t for _, t in inside] or [t for _, t in points], (width - 106) / 90))
        axes.set_ylim(low, high)
        percent_ticks(axes, low, high, vertical=True)
        ticks = time_steps(*axes.get_xlim())
        axes.set_xticks(ticks, [seconds(t) for t in ticks])
        axes.set_xticks([], minor=True)
        axes.set_xlabel("time of one fit (log scale)")
        for p, t in inside:
            colour = COLOUR[p.role]
            dots(axes, [t] * len(p.each), p.each, colour, size=3.5, alpha=0.4)
            if p.low is not None and p.high is not None:
                axes.plot([t, t], [p.low, p.high], color=colour, linewidth=2.2, solid_capstyle="butt")
            dots(axes, [t], [p.mean], colour, size=8, shape=p.shape)
        _beside(axes, inside, width - 106, height - 68)
        if outside:
            words = ", ".join(f"{p.label} {percent(p.mean)}" for p, _ in points if p.label in outside)
            axes.text(0.008, 0.015, f" below the picture: {words}", transform=axes.transAxes, color=COLOUR["muted"])
    words = "; ".join(f"{p.label} {seconds(t)} and {percent(p.mean)}" for p, t in points)
    return drawn(figure, alt=f"Time of one fit and accuracy with {summary.budget_name(budget)}: {words}.")


def _with_room(times: list[float], widths: float) -> tuple[float, float]:
    """Limits of a log axis, so many names wide, with room for a name on the left and half of one on the right."""
    low, high = math.log(min(times)), math.log(max(times))
    span = max(high - low, math.log(4)) / (widths - 1.5)
    middle = (low + high) / 2
    half = max(high - low, math.log(4)) / 2
    return math.exp(middle - half - span), math.exp(middle + half + span / 2)


def _beside(axes: Axes, points: Sequence[tuple[Strip, float]], width: float, height: float) -> None:
    """Names beside their points, on the first side where they cover nothing."""
    (x0, x1), (y0, y1) = axes.get_xlim(), axes.get_ylim()
    place = [
        (math.log(t / x0) / math.log(x1 / x0) * width, ((p.mean or 0) - y0) / (y1 - y0) * height) for p, t in points
    ]
    scale = height / (y1 - y0)
    taken = [(x - 6, y - 6, x + 6, y + 6) for x, y in place]
    for (p, _), (x, _y) in zip(points, place, strict=True):
        ends = [v for v in (p.low, p.high, *p.each) if v is not None]
        if ends:
            taken.append((x - 3, (min(ends) - y0) * scale, x + 3, (max(ends) - y0) * scale))
    for (p, t), (x, y) in zip(points, place, strict=True):
        long = LETTER * len(p.label) + 4
        spots = [(9 + s, dy) for dy in (0, 12, -12, 24, -24, 40, -40, 60, -60, 80, -80) for s in (0, -18 - long)]
        best = min(spots, key=lambda s: (_covers(x + s[0], y + s[1], long, taken, width, height), spots.index(s)))
        taken.append((x + best[0], y + best[1] - 7, x + best[0] + long, y + best[1] + 7))
        axes.annotate(
            p.label,
            (t, p.mean or 0.0),
            xytext=best,
            textcoords="offset points",
            va="center_baseline",
            color=COLOUR[p.role],
            fontweight="bold",
            arrowprops={"arrowstyle": "-", "color": COLOUR[p.role], "alpha": 0.5, "lw": 0.8, "shrinkA": 0, "shrinkB": 3}
            if abs(best[1]) > 20
            else None,
        )


def _covers(x: float, y: float, long: float, taken: Sequence[tuple], width: float, height: float) -> int:
    box = (x, y - 7, x + long, y + 7)
    hits = sum(box[0] < b[2] and b[0] < box[2] and box[1] < b[3] and b[1] < box[3] for b in taken)
    return hits + 5 * (box[0] < 2 or box[2] > width + 54 or box[1] < 2 or box[3] > height + 8)


def _label_counts(summary: Summary) -> list[float]:
    """Where the budgets stand on the axis: by their labels, or one after the other where counts are missing."""
    counts = [summary.labels(b.get("budget")) for b in summary.budgets]
    if all(c is not None and c > 0 for c in counts) and len(set(counts)) == len(counts):
        return [float(c) for c in counts if c is not None]
    return [10.0 ** (i + 1) for i in range(len(counts))]


def _span(rows: Sequence[Row]) -> str:
    means = [mean_of(s, "accuracy", math.nan) for s in rows]
    means = [m for m in means if known(m)]
    low, high = percent(min(means), 0), percent(max(means), 0)
    return low if low == high else f"{low} to {high}"


def _learning_alt(summary: Summary, lines: dict[str, list[Row]]) -> str:
    out = []
    for m, rows in lines.items():
        parts = [
            f"{percent((s.get('accuracy') or {}).get('mean'))} with {summary.budget_name(s.get('budget'))}"
            for s in rows
            if s
        ]
        out.append(f"{shown(m)}: {', '.join(parts)}")
    return "Accuracy against the number of labelled images. " + "; ".join(out) + "."
