"""Curves of a training: one small panel for each quantity, with what happened marked on the time line."""

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes

from .loss_names import Panel
from .scales import spread, steps, thinned
from .svg import COLOUR, drawn, panel, style
from .words import known, shown

LINE = 15.0  # pixels between two lines of labels
Mark = tuple[float, str]  # images, the number that the list of events gives it


def curve(panel_: Panel, colour: str, *, of: str, marks: Sequence[Mark] = ()) -> Markup:
    """The first run of each line strong, the others thin; a second line is dashed; marks are dotted upright lines."""
    named = [(name, [run for run in map(_known_points, runs) if run]) for name, runs in panel_.lines]
    points = [p for _, runs in named for run in runs for p in run] or [(0.0, 0.0)]
    last = max(x for x, _ in points) or 1
    low, high = (0.0, 1.0) if panel_.share else (min(y for _, y in points), max(y for _, y in points))
    pad = 0.06 * (high - low) or 0.05 * abs(high) or 0.1
    several = len(named) > 1
    ticks = next((t for n in (3, 4, 5, 8) if len(t := steps(low, high, n)) > 1), [low, high])
    ticked = [f"{100 * t:.0f} %" for t in ticks] if panel_.share else distinct(ticks)
    left, right = max(48, 12 + 8 * max(map(len, ticked))), 78 if several else 14
    width = 300 - left - right
    with style():
        figure, axes = panel(300, 172, left=left, right=right, top=30, bottom=34)
        for at, _ in marks:
            axes.axvline(at, color=COLOUR["m-svm"], linewidth=1, linestyle=(0, (1, 2)))
        for k, (_, runs) in enumerate(named):
            for i, run in reversed(list(enumerate(runs))):
                thick, alpha = (1.8, 1.0) if i == 0 else (0.9, 0.35)
                dashes = (0, (3, 2)) if k else "solid"
                x, y = zip(*thinned(run), strict=True)
                axes.plot(x, y, color=colour, linewidth=thick, alpha=alpha, linestyle=dashes, clip_on=False)
        axes.set_xlim(0, last)
        axes.set_ylim(low - pad, high + pad)
        _numbers(axes, marks, last, width)
        if several:
            _line_names(axes, [(name, runs[0][-1][1]) for name, runs in named if runs], colour, 108)
        axes.set_yticks(ticks, ticked)
        axes.set_xticks([0, last], ["0", f"{thousands(last)} images"])
        axes.get_xticklabels()[-1].set_horizontalalignment("right")
        axes.get_xticklabels()[0].set_horizontalalignment("left")
        axes.set_title(
            shown(panel_.title, 42), loc="left", x=(4 - left) / width, fontsize=12.5, fontweight="bold", pad=9
        )
    ends = "; ".join(
        f"{shown(name)} {plain(run[0][1])} to {plain(run[-1][1])}".strip() for name, runs in named for run in runs[:6]
    )
    alt = f"{of}, {shown(panel_.title)} during training, first and last value of each line: {ends}."
    return drawn(figure, alt=alt)


def _known_points(run: Sequence[Any]) -> list[tuple[float, float]]:
    return [(p[0], p[1]) for p in run if len(p) == 2 and known(p[0]) and known(p[1])]


def _numbers(axes: Axes, marks: Sequence[Mark], last: float, width: float) -> None:
    """Numbers of the marks beside them, at the top, those that would cover another left out."""
    taken = -20.0
    for at, name in marks:
        if at / last * width - taken >= 8 + 6 * len(name):
            taken = at / last * width
            place = axes.get_xaxis_transform()
            side = {"ha": "right", "x": at - 0.01 * last} if at > 0.9 * last else {"ha": "left", "x": at + 0.01 * last}
            axes.text(y=1.0, s=name, transform=place, va="top", fontsize=11, color=COLOUR["m-svm"], **side)


def _line_names(axes: Axes, ends: list[tuple[str, float]], colour: str, height: float) -> None:
    """Names at the right ends of lines, moved apart where they would cover each other."""
    low, high = axes.get_ylim()
    order = sorted(ends, key=lambda e: e[1])
    places = spread([(v - low) / (high - low) * height for _, v in order], LINE, 0, height)
    for (name, _), place in zip(order, places, strict=True):
        axes.text(1.03, place / height, shown(name, 10), transform=axes.transAxes, va="center_baseline", color=colour)


def plain(value: float, digits: int = 3) -> str:
    return f"{value:.{digits}g}".replace("-", "\u2212")


def distinct(ticks: Sequence[float]) -> list[str]:
    """With as many digits as it takes to tell them apart, up to six."""
    named = ([plain(t, digits) for t in ticks] for digits in (3, 4, 5))
    return next((names for names in named if len(set(names)) == len(names)), [plain(t, 6) for t in ticks])


def thousands(value: float) -> str:
    return f"{value / 1e6:.3g}M" if value >= 1e6 else f"{value / 1e3:.3g}k" if value >= 1e4 else f"{value:,.0f}"
