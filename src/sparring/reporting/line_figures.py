"""Figures made of lines: losses of a training, spectra, and what fakes teach."""

from collections.abc import Sequence

from markupsafe import Markup
from matplotlib.axes import Axes

from ..words import count, percent, short_count, significant
from .axes import LineEnd, name_line_ends, percent_ticks, round_ticks, thinned
from .loss_names import Panel
from .svg import COLOUR, OTHER_ROLES, figure_style, inline_svg, new_figure
from .typography import shown, typeset

EventMark = tuple[float, str]  # images seen, and the number that the list of events gives it
_WIDE = {"width": 560, "height": 300, "left": 56, "right": 140, "top": 14, "bottom": 52}
_DASHED = (0, (4, 2))


# --- losses of a training --------------------------------------------------------------------------------------------


def loss_figure(panel: Panel, colour: str, *, of: str, marks: Sequence[EventMark] = ()) -> Markup:
    """Return one panel of loss curves.

    The first run of each line is strong, the others are thin; a second line is dashed; marks are dotted upright lines.
    """
    named = [(name, [run for run in map(_finite_points, runs) if run]) for name, runs in panel.lines]
    points = [p for _, runs in named for run in runs for p in run] or [(0.0, 0.0)]
    last = max(x for x, _ in points) or 1
    low, high = (0.0, 1.0) if panel.share else (min(y for _, y in points), max(y for _, y in points))
    pad = 0.06 * (high - low) or 0.05 * abs(high) or 0.1
    ticks = next((t for n in (3, 4, 5, 8) if len(t := round_ticks(low, high, n)) > 1), [low, high])
    ticked = [typeset(percent(t, 0)) for t in ticks] if panel.share else distinct_ticks(ticks)
    left, right = max(48, 12 + 8 * max(map(len, ticked))), 78 if len(named) > 1 else 14
    width = 300 - left - right
    with figure_style():
        figure, axes = new_figure(300, 172, left=left, right=right, top=30, bottom=34)
        for at, _ in marks:
            axes.axvline(at, color=COLOUR["m-svm"], linewidth=1, linestyle=(0, (1, 2)))
        for k, (_, runs) in enumerate(named):
            for i, run in reversed(list(enumerate(runs))):
                thick, alpha = (1.8, 1.0) if i == 0 else (0.9, 0.35)
                x, y = zip(*thinned(run), strict=True)
                dashes = (0, (3, 2)) if k else "solid"
                axes.plot(x, y, color=colour, linewidth=thick, alpha=alpha, linestyle=dashes, clip_on=False)
        axes.set_xlim(0, last)
        axes.set_ylim(low - pad, high + pad)
        _number_marks(axes, marks, last, width)
        if len(named) > 1:
            name_line_ends(axes, [LineEnd(shown(name, 10), colour, runs[0][-1][1]) for name, runs in named if runs])
        axes.set_yticks(ticks, ticked)
        axes.set_xticks([0, last], ["0", f"{short_count(last)} images"])
        axes.get_xticklabels()[-1].set_horizontalalignment("right")
        axes.get_xticklabels()[0].set_horizontalalignment("left")
        axes.set_title(
            shown(panel.title, 42), loc="left", x=(4 - left) / width, fontsize=12.5, fontweight="bold", pad=9
        )
    ends = "; ".join(
        f"{shown(name)} {significant(run[0][1])} to {significant(run[-1][1])}".strip()
        for name, runs in named
        for run in runs[:6]
    )
    alt = f"{of}, {shown(panel.title)} during training, first and last value of each line: {ends}."
    return inline_svg(figure, alt=alt)


def _finite_points(run: Sequence[Sequence[float | None]]) -> list[tuple[float, float]]:
    """Return a curve without the points whose value was not finite, which the log holds as null."""
    return [(x, y) for x, y in run if x is not None and y is not None]


def _number_marks(axes: Axes, marks: Sequence[EventMark], last: float, width: float) -> None:
    """Write the numbers of marks beside them, at the top, without those that would cover another."""
    taken = -20.0
    for at, name in marks:
        if at / last * width - taken >= 8 + 6 * len(name):
            taken = at / last * width
            place = axes.get_xaxis_transform()
            side = {"ha": "right", "x": at - 0.01 * last} if at > 0.9 * last else {"ha": "left", "x": at + 0.01 * last}
            axes.text(y=1.0, s=name, transform=place, va="top", fontsize=11, color=COLOUR["m-svm"], **side)


def distinct_ticks(ticks: Sequence[float]) -> list[str]:
    """Return ticks with as many digits as it takes to tell them apart, up to six."""
    named = ([typeset(significant(t, digits)) for t in ticks] for digits in (3, 4, 5, 6))
    return next((names for names in named if len(set(names)) == len(names)), [significant(t, 6) for t in ticks])


# --- a judgement -----------------------------------------------------------------------------------------------------


def spectrum_figure(real: Sequence[float], fakes: Sequence[tuple[str, Sequence[float]]]) -> Markup:
    """Return mean spectra in dB from coarse detail to fine, real images dashed; `fakes` are (name, spectrum)."""
    names = ["real images", *(shown(name, 17) for name, _ in fakes)]
    spectra = [real, *(values for _, values in fakes)]
    colours = [COLOUR["ink"], *(COLOUR[OTHER_ROLES[i % len(OTHER_ROLES)]] for i in range(len(fakes)))]
    low, high = min(map(min, spectra)), max(map(max, spectra))
    pad, frequencies = 0.05 * (high - low) or 1.0, [(ring + 1) / (2 * len(real)) for ring in range(len(real))]
    with figure_style():
        figure, axes = new_figure(**_WIDE)
        for i, (values, colour) in enumerate(zip(spectra, colours, strict=True)):
            axes.plot(frequencies, values, color=colour, linewidth=1.8, linestyle="solid" if i else _DASHED)
        axes.set_xlim(0, 0.5)
        axes.set_ylim(low - pad, high + pad)
        ends = zip(names, colours, spectra, strict=True)
        name_line_ends(axes, [LineEnd(name, colour, values[-1]) for name, colour, values in ends])
        ticks = round_ticks(low, high, 4)
        axes.set_yticks(ticks, [typeset(f"{tick:g}") for tick in ticks])
        axes.set_ylabel("power, dB", labelpad=2)
        axes.set_xticks([0, 0.25, 0.5], ["0", "0.25", "0.5"])
        axes.set_xlabel("coarse to fine: cycles per pixel")
        axes.grid(axis="y", color=COLOUR["grid"], linewidth=1)
    most = (max(abs(a - b) for a, b in zip(values, real, strict=True)) for values in spectra[1:])
    said = "; ".join(f"{name} at most {dB:.1f} dB apart" for name, dB in zip(names[1:], most, strict=True))
    return inline_svg(figure, alt=f"Mean spectrum of fakes beside that of real images: {said}.", kind="spectra")


def teaching_figure(curve: Sequence[Sequence[float]], fakes: float, name: str) -> Markup:
    """Return accuracy against the real images learned from, pairs (count, accuracy), and what as many fakes taught."""
    at, accuracy = zip(*curve, strict=True)
    low, high = max(0.0, min(*accuracy, fakes) - 0.03), min(1.0, max(*accuracy, fakes) + 0.03)
    name, colour = shown(name, 17), COLOUR[OTHER_ROLES[0]]
    with figure_style():
        figure, axes = new_figure(**_WIDE)
        axes.set_xscale("log")
        axes.plot(at, accuracy, color=COLOUR["ink"], linewidth=1.8, marker="o", markersize=5, clip_on=False)
        axes.axhline(fakes, color=colour, linewidth=1.2, linestyle=_DASHED)
        axes.plot([at[-1]], [fakes], color=colour, marker="D", markersize=7, linestyle="none", clip_on=False)
        axes.set_xlim(at[0] / 1.15, at[-1] * 1.15)
        axes.set_ylim(low, high)
        percent_ticks(axes, low, high, vertical=True)
        axes.set_xticks(at, [count(n) for n in at], minor=False)
        axes.set_xticks([], minor=True)
        axes.set_xlabel("images learned from (log scale)")
        name_line_ends(axes, [LineEnd("real images", COLOUR["ink"], accuracy[-1]), LineEnd(name, colour, fakes)])
    pairs = "; ".join(f"{count(n)} real images {percent(a)}" for n, a in curve)
    alt = f"Accuracy on real images, learned from: {pairs}; {count(at[-1])} of {name} {percent(fakes)}."
    return inline_svg(figure, alt=alt, kind="worth")
