"""Where the recommended method goes wrong: recall per class, confusions, calibration, confident mistakes."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from ...study.probabilities import Bin
from ...study.records import ClassRecall, Mistake
from ...words import number, percent
from ..dotplots import recall_plot
from ..figures import reliability_figure
from ..pictures import Picture
from ..study_view import StudyView

SHOWN_CLASSES = 20  # rows of the confusion matrix and of the recall figure
MOST_MISTAKES = 16  # pictures of mistakes


@dataclass(frozen=True)
class ConfusionCell:
    """Answers of one true class that named the class of the column, and their share of that class."""

    count: int
    share: float
    right: bool


@dataclass(frozen=True)
class Confusion:
    """So many images of class `true` were called `said`."""

    true: str
    said: str
    count: int
    share: float


@dataclass(frozen=True)
class ConfusionMatrix:
    """(true class, cells) of the classes with most mistakes; a last cell is for answers of `left_out` classes."""

    names: tuple[str, ...]
    rows: tuple[tuple[str, tuple[ConfusionCell, ...]], ...]
    left_out: int
    worst: tuple[Confusion, ...]


@dataclass(frozen=True)
class Trust:
    """The reliability diagram of a method, and its sentence."""

    method: str
    figure: Markup
    sentence: str


@dataclass(frozen=True)
class ClassesSection:
    """Recall of each class, weakest first, and what else the template shows of the recommended method."""

    rows: tuple[ClassRecall, ...]
    plot: Markup
    confusion: ConfusionMatrix
    trust: tuple[Trust, ...]
    mistakes: tuple[tuple[Mistake, Picture | None], ...]


def classes_section(study: StudyView) -> ClassesSection | None:
    """Return the mistakes of the recommended method; None where no fit succeeded."""
    summary, place = study.summary, (study.chosen, study.main_budget)
    if study.chosen is None:
        return None
    rows = sorted((r for r in summary.per_class if (r.method, r.budget) == place), key=lambda r: r.recall)
    counts = next(c.counts for c in summary.confusion if (c.method, c.budget) == place)
    return ClassesSection(
        tuple(rows),
        recall_plot(study, rows[:SHOWN_CLASSES]),
        confusion_matrix(summary.data.classes, counts),
        _trust(study),
        tuple((m, study.picture(m.picture)) for m in summary.mistakes[:MOST_MISTAKES]),
    )


def confusion_matrix(names: Sequence[str], counts: Sequence[Sequence[int]]) -> ConfusionMatrix:
    """Return counts [K][K] of true class and answer as shares of the true class.

    Beyond SHOWN_CLASSES those with most mistakes stay, and the rest is put into one column.
    """
    every = range(len(names))
    wrong = [sum(counts[k]) + sum(row[k] for row in counts) - 2 * counts[k][k] for k in every]
    kept = sorted(sorted(every, key=lambda k: (-wrong[k], k))[:SHOWN_CLASSES])
    rows = []
    for k in kept:
        of = sum(counts[k]) or 1
        cells = [ConfusionCell(counts[k][j], counts[k][j] / of, j == k) for j in kept]
        if len(kept) < len(names):
            rest = sum(counts[k]) - sum(c.count for c in cells)
            cells.append(ConfusionCell(rest, rest / of, right=False))
        rows.append((names[k], tuple(cells)))
    mistakes = [
        Confusion(names[k], names[j], counts[k][j], counts[k][j] / sum(counts[k]))
        for k in every
        for j in every
        if j != k and counts[k][j]
    ]
    worst = sorted(mistakes, key=lambda m: -m.count)[:3]
    return ConfusionMatrix(tuple(names[k] for k in kept), tuple(rows), len(names) - len(kept), tuple(worst))


def _trust(study: StudyView) -> tuple[Trust, ...]:
    """Return the reliability of the recommended method, and of the next most accurate one for comparison."""
    budget = study.main_budget
    ranked = [s.method for s in study.summary.ranked(budget)]
    others = [m for m in ranked if m != study.chosen and not study.is_floor(m)]
    bins = {r.method: [b for b in r.bins if b.count] for r in study.summary.reliability if r.budget == budget}
    names = [m for m in (study.chosen, *others[:1]) if m is not None]
    return tuple(Trust(m, reliability_figure(study, m, bins[m]), trust_sentence(bins[m])) for m in names)


def trust_sentence(bins: Sequence[Bin]) -> str:
    """Return the mean confidence beside the share that was right."""
    total = sum(b.count for b in bins)
    claimed = sum(b.confidence * b.count for b in bins) / total
    right = sum(b.accuracy * b.count for b in bins) / total
    gap = 100 * (claimed - right)
    word = "about right" if abs(gap) < 1 else f"too {'sure' if gap > 0 else 'modest'} by {number(abs(gap))} points"
    return f"On average it claimed {percent(claimed)} and was right in {percent(right)}: {word}."
