"""What the GANs of a study did: their images beside real ones, the gate, and their losses."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from markupsafe import Markup

from ...classifiers.fit_record import GateTrial
from ...study.records import GameCurves, GateRow
from ..dotplots import gate_plot
from ..line_figures import loss_figure
from ..loss_names import MOST, panels
from ..pictures import Picture
from ..study_view import StudyView
from ..typography import shown


@dataclass(frozen=True)
class GameImages:
    """A sheet of images and what is on it."""

    picture: Picture
    words: str


@dataclass(frozen=True)
class Tried:
    """One way of training that the gate tried: means over `repeats` of balanced accuracy and of the change by it."""

    words: str
    accuracy: float
    difference: float | None
    repeats: int


EXTRA = {
    "nothing": "real images alone",
    "duplicates": "copies of real images beside them",
    "generated": "generated images, weight {share:g}",
}


def tried(rows: Sequence[GateRow]) -> tuple[Tried, ...]:
    """Return the ways that gates tried, in their order."""
    found: dict[tuple[str, float], list[GateTrial]] = {}
    for row in rows:
        for trial in row.trials:
            found.setdefault((trial.extra, trial.share), []).append(trial)
    return tuple(
        Tried(
            EXTRA[extra].format(share=share),
            fmean(t.accuracy for t in trials),
            None if extra == "nothing" else fmean(t.difference for t in trials),
            len(trials),
        )
        for (extra, share), trials in found.items()
    )


@dataclass(frozen=True)
class GateRows:
    """The gate of one method at one budget, repeat by repeat."""

    budget: str
    rows: tuple[GateRow, ...]
    plot: Markup
    tried: tuple["Tried", ...]

    @property
    def passed(self) -> int:
        """Return how many repeats used generated images."""
        return sum(row.passed for row in self.rows)


@dataclass(frozen=True)
class GanMethod:
    """A method that trains a GAN; curves are those of the main budget, or else of the last that has any."""

    method: str
    images: tuple[GameImages, ...]
    games: tuple[GameCurves, ...]
    gates: tuple[GateRows, ...]
    curve_budget: str
    curves: tuple[Markup, ...]
    more_curves: int
    fractions: bool  # whether the first panel shows fractions called real


def gans_section(study: StudyView) -> tuple[GanMethod, ...] | None:
    """Return the methods that trained a GAN; None where none did."""
    names = {row.method for row in (*study.summary.games, *study.summary.gates)}
    return tuple(_gan_method(study, m) for m in study.methods if m in names) or None


def _gan_method(study: StudyView, method: str) -> GanMethod:
    order = [b.budget for b in study.summary.budgets]
    games = sorted((g for g in study.summary.games if g.method == method), key=lambda g: order.index(g.budget))
    gates = (tuple(g for g in study.summary.gates if (g.method, g.budget) == (method, b)) for b in order)
    with_curves = [g for g in games if g.curves]
    main = [g for g in with_curves if g.budget == study.main_budget] or with_curves[-1:]
    drawn = panels([{"curves": g.curves} for g in main])
    sheets = [(study.picture(g.real), "real images") for g in games][:1]
    sheets += [(study.picture(g.generated), f"generated images, {study.budget_name(g.budget)}") for g in games]
    return GanMethod(
        method,
        images=tuple(GameImages(picture, words) for picture, words in sheets if picture),
        games=tuple(games),
        gates=tuple(GateRows(rows[0].budget, rows, gate_plot(study, rows), tried(rows)) for rows in gates if rows),
        curve_budget=main[0].budget if main else "",
        curves=tuple(loss_figure(p, study.colour(method), of=shown(method)) for p in drawn[:MOST]),
        more_curves=max(0, len(drawn) - MOST),
        fractions=any(p.share for p in drawn),
    )
