"""The report's figures: numbers in, one inline SVG out. Every figure has a sentence that says what it shows."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes

from .summary import Row, Summary, mean_of
from .svg import COLOUR, drawn, panel, role_of, shape_of, style
from .words import known, number, ordinal, percent, plural, seconds, share, shown, signed, within

LETTER = 8.3  # pixels, about the width of a bold letter in the widest of the page's fonts
LINE = 15.0  # pixels between two lines of labels
WIDE, NARROW = 780, 360


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


def learning(summary: Summary, width: int) -> Markup:
    """Accuracy against the number of labels: one line per method, every repeat a dot."""
    lines = {m: [summary.score(m, b.get("budget")) for b in summary.budgets] for m in summary.methods}
    lines = {m: rows for m, rows in lines.items() if any(known(mean_of(s, "accuracy", math.nan)) for s in rows)}
    strips = [_strip(summary, m, s) for m, rows in lines.items() for s in rows if s]
    low, high, outside = _extent(strips, cap=1.0)
    at = _label_counts(summary)
    narrow = width < 600
    right = 118 if narrow else 150
    with style():
        figure, axes = panel(width, 430, left=50, right=right, top=14, bottom=58)
        axes.set_xscale("log")
        margin = (max(at) / min(at)) ** (0.11 if narrow else 0.09)
        axes.set_xlim(min(at) / margin, max(at) * margin)
        axes.set_ylim(low, high)
        _percent_ticks(axes, low, high, vertical=True)
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
            axes.text(0.0, 0.015, f" below the picture: {words}", transform=axes.transAxes, color=COLOUR["muted"])
        axes.set_xlabel("labelled images (log scale)")
    kind = "narrow" if narrow else "wide"
    return drawn(figure, alt=_learning_alt(summary, lines), kind=kind)


def _dots(
    axes: Axes,
    x: Sequence[float],
    y: Sequence[float | None],
    colour: str,
    *,
    size: float,
    shape: str | None = None,
    alpha: float = 1.0,
) -> None:
    """Marks without a line; those with a shape stand out from what is behind them by an edge of the page's colour."""
    edge = {"marker": shape, "mew": 1, "mec": COLOUR["surface"], "zorder": 5} if shape else {"marker": "o", "mew": 0}
    axes.plot(x, y, linestyle="none", markersize=size, color=colour, alpha=alpha, clip_on=False, **edge)


def _last_mean(rows: Sequence[Row]) -> float:
    means = [mean_of(s, "accuracy", math.nan) for s in rows]
    return next(m for m in reversed(means) if known(m))


def _line(axes: Axes, summary: Summary, method: str, rows: Sequence[Row], x: list[float]) -> tuple[str, float, float]:
    colour, shape = _look(summary, method)
    here = [(at, _strip(summary, method, row)) for at, row in zip(x, rows, strict=True)]
    here = [(at, s) for at, s in here if s.mean is not None]
    axes.plot([at for at, _ in here], [s.mean for _, s in here], color=colour, linewidth=1.4, alpha=0.75)
    for at, s in here:
        _dots(axes, [at] * len(s.each), s.each, colour, size=3.6, alpha=0.45)
        if s.low is not None and s.high is not None:
            axes.plot([at, at], [s.low, s.high], color=colour, linewidth=2.2, solid_capstyle="butt")
    _dots(axes, [at for at, _ in here], [s.mean for _, s in here], colour, size=7.5, shape=shape)
    return method, here[-1][0], here[-1][1].mean or 0.0


def _end_labels(axes: Axes, summary: Summary, ends: list[tuple[str, float, float]], height: float) -> None:
    """Names at the right edge, moved apart where they would cover each other, each tied to its line."""
    low, high = axes.get_ylim()
    edge = axes.get_xlim()[1]
    order = sorted(ends, key=lambda e: e[2])
    places = spread([(e[2] - low) / (high - low) * height for e in order], LINE + 1, 0, height)
    for (method, x, y), place in zip(order, places, strict=True):
        colour, _ = _look(summary, method)
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


def strips(summary: Summary, budget: object) -> Markup:
    """One budget: every method a row, most accurate first, every repeat a dot."""
    rows = [_strip(summary, str(s["method"]), s) for s in summary.ranked(budget)]
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
        rows.append(_row(summary, m, d, floor=floor))
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
    low, high, outside = _extent(rows, cap=cap, zero=zero)
    with style():
        figure, axes = panel(width, height, left=left, right=58, top=6, bottom=56)
        axes.set_xlim(low, high)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        if zero:
            axes.axvspan(-0.005, 0.005, color=COLOUR["band"], linewidth=0)
            axes.axvline(0, color=COLOUR["ink"], linewidth=1)
        _percent_ticks(axes, low, high, vertical=False, plus=zero)
        axes.set_xlabel(axis)
        for y, r in enumerate(rows):
            _strip_row(axes, y, r, text, off=r.label in outside, plain=plain)
    return drawn(figure, alt=alt)


def _strip_row(axes: Axes, y: int, r: Strip, text: Callable[[float], str], *, off: bool, plain: bool) -> None:
    colour = COLOUR[r.role]
    name = {"color": COLOUR["ink"]} if plain else {"color": colour, "fontweight": "bold"}
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
        _dots(axes, r.each, [y + 0.25] * len(r.each), colour, size=3.7, alpha=0.5)
    if r.low is not None and r.high is not None:
        axes.plot([r.low, r.high], [y, y], color=colour, linewidth=2.4, solid_capstyle="butt")
    _dots(axes, [r.mean], [y], colour, size=7.5, shape=r.shape)


def reliability(summary: Summary, row: Row) -> Markup:
    """Stated confidence against the share that was right, with the number of answers behind every point."""
    bins = [b for b in row.get("bins") or [] if known(b.get("confidence")) and known(b.get("accuracy"))]
    bins = sorted((b for b in bins if b.get("count")), key=lambda b: b["confidence"])
    method = str(row.get("method"))
    colour, shape = _look(summary, method)
    most = max(b["count"] for b in bins)
    with style():
        figure, axes = panel(NARROW, 400, left=50, right=14, top=10, bottom=112)
        axes.set_xlim(0, 1.02)
        axes.set_ylim(0, 1.02)
        axes.plot([0, 1], [0, 1], color=COLOUR["muted"], linewidth=1, linestyle=(0, (4, 3)))
        axes.text(0.44, 0.5, "perfectly honest", rotation=45, rotation_mode="anchor", color=COLOUR["muted"])
        x, y = [b["confidence"] for b in bins], [b["accuracy"] for b in bins]
        axes.plot(x, y, color=colour, linewidth=1.2, alpha=0.7)
        for b in bins:
            size = 3.5 + 4.5 * math.sqrt(b["count"] / most)
            _dots(axes, [b["confidence"]], [b["accuracy"]], colour, size=size, shape=shape)
        ticks = [0, 0.25, 0.5, 0.75, 1]
        axes.set_xticks(ticks, [f"{100 * t:.0f}" for t in ticks])
        axes.set_yticks(ticks, [f"{100 * t:.0f}" for t in ticks])
        axes.set_ylabel("of these, right, %", labelpad=2)
        below = figure.add_axes((50 / NARROW, 44 / 400, (NARROW - 64) / NARROW, 40 / 400))
        below.set_xlim(0, 1.02)
        below.set_ylim(0, most * 1.1)
        below.vlines(x, 0, [b["count"] for b in bins], color=colour, linewidth=3)
        below.set_xticks([])
        below.set_yticks([most], [number(most, 0)])
        below.set_xlabel("how sure it said it was, %  (bars: number of answers)")
    pairs = "; ".join(f"said {percent(b['confidence'], 0)}, right {percent(b['accuracy'], 0)}" for b in bins)
    return drawn(figure, alt=f"Confidence of {shown(method)} against what was right: {pairs}.")


def curve(summary: Summary, method: str, name: str, runs: Sequence[Sequence[Any]]) -> Markup:
    """One quantity during training; the first repeat strong, the others thin."""
    colour = COLOUR[role_of(method, summary.methods)]
    runs = [[(p[0], p[1]) for p in run if len(p) == 2 and known(p[0]) and known(p[1])] for run in runs]
    runs = [run for run in runs if run]
    values = [v for run in runs for _, v in run] or [0.0]
    last = max((x for run in runs for x, _ in run), default=1) or 1
    low, high = min(values), max(values)
    pad = 0.06 * (high - low) or 0.05 * abs(high) or 0.1
    with style():
        figure, axes = panel(300, 172, left=48, right=14, top=30, bottom=34)
        for i, run in reversed(list(enumerate(runs))):
            thick, alpha = (1.8, 1.0) if i == 0 else (0.9, 0.35)
            axes.plot(*zip(*thinned(run), strict=True), color=colour, linewidth=thick, alpha=alpha)
        axes.set_xlim(0, last)
        axes.set_ylim(low - pad, high + pad)
        ticks = next((t for n in (3, 4, 5, 8) if len(t := steps(low, high, n)) > 1), [low, high])
        axes.set_yticks(ticks, [_plain(t) for t in ticks])
        axes.set_xticks([0, last], ["0", f"{_thousands(last)} images"])
        axes.get_xticklabels()[-1].set_ha("right")
        axes.get_xticklabels()[0].set_ha("left")
        axes.set_title(shown(name, 34), loc="left", x=-0.14, fontsize=12.5, fontweight="bold", pad=9)
    ends = "; ".join(f"from {_plain(run[0][1])} to {_plain(run[-1][1])}" for run in runs[:6])
    return drawn(figure, alt=f"{shown(method)}, {shown(name)} during training, {plural(len(runs), 'repeat')}: {ends}.")


def cost(summary: Summary, budget: object) -> Markup:
    """Seconds of one fit against accuracy: the upper left corner is where one wants to be."""
    points = []
    for s in summary.ranked(budget):
        t = (s.get("seconds") or {}).get("median")
        strip = _strip(summary, str(s["method"]), s)
        if strip.mean is not None and known(t) and t > 0:
            points.append((strip, t))
    if not points:
        return Markup("")
    low, high, outside = _extent([p for p, _ in points], cap=1.0)
    inside = [(p, t) for p, t in points if p.label not in outside]
    width, height = 460, 400
    with style():
        figure, axes = panel(width, height, left=50, right=56, top=12, bottom=56)
        axes.set_xscale("log")
        times = [t for _, t in inside] or [t for _, t in points]
        axes.set_xlim(min(times) / 2.2, max(times) * 2.2)
        axes.set_ylim(low, high)
        _percent_ticks(axes, low, high, vertical=True)
        ticks = _log_steps(*axes.get_xlim())
        axes.set_xticks(ticks, [seconds(t) for t in ticks])
        axes.set_xticks([], minor=True)
        axes.set_xlabel("time of one fit (log scale)")
        for p, t in inside:
            colour = COLOUR[p.role]
            _dots(axes, [t] * len(p.each), p.each, colour, size=3.5, alpha=0.4)
            if p.low is not None and p.high is not None:
                axes.plot([t, t], [p.low, p.high], color=colour, linewidth=2.2, solid_capstyle="butt")
            _dots(axes, [t], [p.mean], colour, size=8, shape=p.shape)
        _beside(axes, inside, width - 106, height - 68)
        if outside:
            words = ", ".join(f"{p.label} {percent(p.mean)}" for p, _ in points if p.label in outside)
            axes.text(0.0, 0.015, f" below the picture: {words}", transform=axes.transAxes, color=COLOUR["muted"])
    words = "; ".join(f"{p.label} {seconds(t)} and {percent(p.mean)}" for p, t in points)
    return drawn(figure, alt=f"Time of one fit and accuracy with {summary.budget_name(budget)}: {words}.")


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


def thinned(run: Sequence[tuple[float, float]], most: int = 120) -> list[tuple[float, float]]:
    """At most about `most` points of a curve: means of equal stretches, so that no spike decides what is seen."""
    size = math.ceil(len(run) / most)
    parts = [run[i : i + size] for i in range(0, len(run), size)]
    return [(sum(x for x, _ in p) / len(p), sum(y for _, y in p) / len(p)) for p in parts]


def _extent(rows: Sequence[Strip], *, cap: float | None, zero: bool = False) -> tuple[float, float, list[str]]:
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


def _percent_ticks(axes: Axes, low: float, high: float, *, vertical: bool, plus: bool = False) -> None:
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


def _log_steps(low: float, high: float) -> list[float]:
    for factors in ((1,), (1, 3), (1, 2, 5)):
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        ticks = [f * 10**e for e in powers for f in factors if low <= f * 10**e <= high]
        if len(ticks) >= 3:
            break
    return ticks


def _label_counts(summary: Summary) -> list[float]:
    """Where the budgets stand on the axis: by their labels, or one after the other where counts are missing."""
    counts = [summary.labels(b.get("budget")) for b in summary.budgets]
    if all(c is not None and c > 0 for c in counts) and len(set(counts)) == len(counts):
        return [float(c) for c in counts if c is not None]
    return [10.0 ** (i + 1) for i in range(len(counts))]


def _look(summary: Summary, method: str) -> tuple[str, str]:
    family = (summary.methods.get(method) or {}).get("family")
    return COLOUR[role_of(method, summary.methods)], shape_of(family)


def _strip(summary: Summary, method: str, score: Row) -> Strip:
    family = (summary.methods.get(method) or {}).get("family")
    return _row(summary, method, score.get("accuracy") or {}, floor=family == "floor", share_of=True)


def _row(summary: Summary, method: str, d: Row, *, floor: bool, share_of: bool = False) -> Strip:
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


def _plain(value: float) -> str:
    return f"{value:.3g}".replace("-", "\u2212")


def _thousands(value: float) -> str:
    return f"{value / 1e6:.3g}M" if value >= 1e6 else f"{value / 1e3:.3g}k" if value >= 1e4 else f"{value:,.0f}"
