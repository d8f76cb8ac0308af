"""A judgement as one HTML page: what it comes to, the scores, the pictures, and what each score means and misses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
from markupsafe import Markup

from ..files import write_text
from ..images import encode_png, grid
from ..judging.catalogue import METRICS, Metric
from ..judging.results import (
    FakesResult,
    GeneratorComparison,
    GeneratorResult,
    JudgementResult,
    ScoreResult,
    by_metric,
)
from ..words import MISSING, from_home
from .html import template
from .line_figures import spectrum_figure, teaching_figure
from .pictures import Picture, packed
from .typography import typeset

GRID_COLUMNS = 8  # of a grid of images


class ShownScore(NamedTuple):
    """A value, and what stands below it in small letters."""

    value: str
    below: str = ""


@dataclass(frozen=True)
class MetricRow:
    """A metric in the table of scores; `cells`: one for each column."""

    metric: Metric
    headline: bool
    cells: list[ShownScore]
    real: ShownScore


@dataclass(frozen=True)
class PairOfGenerators:
    """The verdicts on two generators, and for each its metric and the difference in words."""

    a: str
    b: str
    rows: list[tuple[GeneratorComparison, Metric, str]]


@dataclass(frozen=True)
class ClassTable:
    """Scores within classes: a row for each class, a column for each metric in `heads`."""

    name: str
    heads: list[str]
    rows: list[tuple[str, list[ShownScore]]]
    left_out: str


@dataclass(frozen=True)
class ShownFakes:
    """The figures of one set of fakes; None where there is nothing to show."""

    result: FakesResult
    picture: Picture | None
    nearest: Picture | None
    teaching: Markup | None
    taught: str


def write_judgement_page(path: Path | str, judgement: JudgementResult, pictures: Mapping[str, np.ndarray]) -> Path:
    """Write the page of Judgement.result and Judgement.pictures().

    An older page stays as it was until the new one is complete. Raises MachineError.
    """
    write_text(path, from_home(judgement_page(judgement, pictures)))
    return Path(path)


def judgement_page(judgement: JudgementResult, pictures: Mapping[str, np.ndarray]) -> str:
    """Return the whole page as text."""
    fakes, generators = judgement.fakes, judgement.generators
    tables = [_class_table(fake) for fake in fakes]
    return template("judgement.html").render(
        date=datetime.now(UTC).isoformat(timespec="minutes"),
        j=judgement,
        names=[fake.name for fake in fakes],
        rows=_table_rows(judgement, generators),
        trainings=_table_rows(judgement, fakes) if len(generators) < len(fakes) else [],
        classes=[table for table in tables if table.rows or table.left_out],
        pairs=_by_pair(judgement.verdicts),
        real=_picture(pictures, "real", GRID_COLUMNS),
        shown_fakes=[_shown_fakes(number, fake, pictures) for number, fake in enumerate(fakes)],
        spectra=_spectra(fakes),
    )


def _by_pair(verdicts: Sequence[GeneratorComparison]) -> list[PairOfGenerators]:
    """Return the verdicts on every two generators together."""
    found = []
    for (a, b), rows in groupby(verdicts, key=lambda v: (v.a, v.b)):
        each = [(v, METRICS[v.metric]) for v in rows]
        shown = [(v, m, typeset(m.shown_difference(v.mean, v.half)).replace("+-", "\u00b1")) for v, m in each]
        found.append(PairOfGenerators(a, b, shown))
    return found


def _table_rows(
    judgement: JudgementResult, columns: Sequence[FakesResult] | Sequence[GeneratorResult]
) -> list[MetricRow]:
    """Return the table of scores, a column for each generator, or for each of their trainings."""
    protocol, real = judgement.protocol, by_metric(judgement.real)
    scores, rows = [by_metric(column.scores) for column in columns], []
    for name in scores[0]:
        each = [column[name] for column in scores]
        if any(score.value is not None for score in each):
            headline = METRICS[name].is_headline(min(protocol.fakes, protocol.real.compared))
            reference = _shown_score(real[name]) if name in real else _NOTHING
            rows.append(MetricRow(METRICS[name], headline, list(map(_shown_score, each)), reference))
    return rows


def _class_table(fake: FakesResult) -> ClassTable:
    each = {name: by_metric(scores) for name, scores in fake.classes.items()}
    metrics = list(dict.fromkeys(metric for scores in each.values() for metric in scores))
    rows = [
        (name, [_shown_score(scores[m], noted=m == "train-on-generated") if m in scores else _NOTHING for m in metrics])
        for name, scores in each.items()
    ]
    return ClassTable(fake.name, [METRICS[m].title for m in metrics], rows, fake.classes_left_out)


_NOTHING = ShownScore(MISSING)


def _shown_score(score: ScoreResult | None, *, noted: bool = False) -> ShownScore:
    """Return a value, and below it its interval and, if it is to be `noted`, what is to be said of it."""
    if score is None or score.value is None:
        return _NOTHING
    metric = METRICS[score.metric]
    below = filter(None, (metric.shown_interval(score), score.note * noted))
    return ShownScore(typeset(metric.shown(score.value)), typeset("; ".join(below)))


def _picture(pictures: Mapping[str, np.ndarray], name: str, columns: int) -> Picture | None:
    if name not in pictures or not len(pictures[name]):
        return None
    return packed(encode_png(grid(pictures[name], columns=columns)))


def _shown_fakes(number: int, fake: FakesResult, pictures: Mapping[str, np.ndarray]) -> ShownFakes:
    scores, nearest, name = by_metric(fake.scores), None, f"nearest {number}"
    if name in pictures and len(pictures[name]):
        # fakes in the first row, and below each the real image that it is nearest to
        both = np.concatenate([pictures[name][0::2], pictures[name][1::2]])
        nearest = packed(encode_png(grid(both, columns=len(both) // 2)))
    teaching, taught = None, ""
    if "train-on-generated" in scores and (score := scores["train-on-generated"]).value is not None:
        teaching = teaching_figure(np.array(score.shows["curve"]).tolist(), score.value, fake.name)
        taught = score.note
    return ShownFakes(fake, _picture(pictures, f"fakes {number}", GRID_COLUMNS), nearest, teaching, taught)


def _spectra(fakes: Sequence[FakesResult]) -> Markup | None:
    """Return the spectra of real images and of each generator that has one, a mean over its trainings."""
    found: dict[str, list[ScoreResult]] = {}
    for fake in fakes:
        for score in fake.scores:
            if score.metric == "spectrum" and score.shows:
                found.setdefault(fake.generator, []).append(score)
    if not found:
        return None
    means = [(name, np.mean([np.array(s.shows["fake"]) for s in scores], 0).tolist()) for name, scores in found.items()]
    first = next(iter(found.values()))[0]
    return spectrum_figure(np.array(first.shows["real"]).tolist(), means)
