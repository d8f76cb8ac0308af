"""The figures of a judgement: spectra of real images and fakes, and what fakes teach beside real images."""

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup
from matplotlib.axes import Axes

from .loss_curves import LINE
from .scales import percent_ticks, spread, steps
from .svg import COLOUR, OTHERS, drawn, panel, style
from .words import count, percent, shown

WIDTH, HEIGHT = 560, 300
MARGINS = {"left": 56, "right": 140, "top": 14, "bottom": 52}
DASHED = (0, (4, 2))


class Line(NamedTuple):
    name: str
    values: Sequence[float]
    colour: str


def named(real: Sequence[float], fakes: Sequence[tuple[str, Sequence[float]]]) -> list[Line]:
    """Real images first, in ink; the others in turn."""
    others = [Line(shown(name, 17), v, COLOUR[OTHERS[i % len(OTHERS)]]) for i, (name, v) in enumerate(fakes)]
    return [Line("real images", real, COLOUR["ink"]), *others]


def spectra(real: Sequence[float], fakes: Sequence[tuple[str, Sequence[float]]]) -> Markup:
    """Mean power in dB from coarse detail to fine: real images dashed, names at the right ends."""
    lines = named(real, fakes)
    low, high = (end(end(line.values) for line in lines) for end in (min, max))
    pad, frequencies = 0.05 * (high - low) or 1.0, [(ring + 1) / (2 * len(real)) for ring in range(len(real))]
    with style():
        figure, axes = panel(WIDTH, HEIGHT, **MARGINS)
        for line, dashes in zip(lines, [DASHED, *["solid"] * len(fakes)], strict=True):
            axes.plot(frequencies, line.values, color=line.colour, linewidth=1.8, linestyle=dashes)
        axes.set_xlim(0, 0.5)
        axes.set_ylim(low - pad, high + pad)
        at_the_ends(axes, lines)
        ticks = steps(low, high, 4)
        axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.set_ylabel("power, dB", labelpad=2)
        axes.set_xticks([0, 0.25, 0.5], ["0", "0.25", "0.5"])
        axes.set_xlabel("coarse to fine: cycles per pixel")
        axes.grid(axis="y", color=COLOUR["grid"], linewidth=1)
    apart = (max(abs(a - b) for a, b in zip(line.values, real, strict=True)) for line in lines[1:])
    said = "; ".join(f"{line.name} at most {most:.1f} dB apart" for line, most in zip(lines[1:], apart, strict=True))
    return drawn(figure, alt=f"Mean spectrum of fakes beside that of real images: {said}.", kind="spectra")


def worth(curve: Sequence[Sequence[float]], fakes: float, name: str) -> Markup:
    """Accuracy against the number of real images that were learned from, and what as many fakes as the most taught."""
    at, accuracy = zip(*curve, strict=True)
    low, high = max(0.0, min(*accuracy, fakes) - 0.03), min(1.0, max(*accuracy, fakes) + 0.03)
    lines = of_real, of_fakes = named(accuracy, [(name, [fakes])])
    with style():
        figure, axes = panel(WIDTH, HEIGHT, **MARGINS)
        axes.set_xscale("log")
        axes.plot(at, accuracy, color=of_real.colour, linewidth=1.8, marker="o", markersize=5, clip_on=False)
        axes.axhline(fakes, color=of_fakes.colour, linewidth=1.2, linestyle=DASHED)
        axes.plot([at[-1]], [fakes], color=of_fakes.colour, marker="D", markersize=7, linestyle="none", clip_on=False)
        axes.set_xlim(at[0] / 1.15, at[-1] * 1.15)
        axes.set_ylim(low, high)
        percent_ticks(axes, low, high, vertical=True)
        axes.set_xticks(at, [f"{n:,.0f}" for n in at], minor=False)
        axes.set_xticks([], minor=True)
        axes.set_xlabel("images learned from (log scale)")
        at_the_ends(axes, lines)
    points = "; ".join(f"{count(n)} real images {percent(a)}" for n, a in curve)
    alt = f"Accuracy on real images, learned from: {points}; {count(at[-1])} of {of_fakes.name} {percent(fakes)}."
    return drawn(figure, alt=alt, kind="worth")


def at_the_ends(axes: Axes, lines: Sequence[Line]) -> None:
    """Names at the right ends, moved apart where they would cover each other."""
    (low, high), inside = axes.get_ylim(), HEIGHT - MARGINS["top"] - MARGINS["bottom"]
    order = sorted(lines, key=lambda line: line.values[-1])
    places = spread([(line.values[-1] - low) / (high - low) * inside for line in order], LINE, 0, inside)
    for line, place in zip(order, places, strict=True):
        at = {"transform": axes.transAxes, "va": "center_baseline"}
        axes.text(1.02, place / inside, line.name, color=line.colour, **at)
