"""Scores of every method at every budget, and which differences are real."""

from dataclasses import dataclass

from markupsafe import Markup

from ...study.records import ArmScore, Comparison
from ..dotplots import difference_plot
from ..study_view import StudyView

SIGNS = {"better": "+", "worse": "\u2212", "tie": "=", "not enough evidence": "?"}


@dataclass(frozen=True)
class ScoreRow:
    """A method at a budget; `score` is None where every fit failed, `letters` name its tie groups."""

    method: str
    score: ArmScore | None
    letters: tuple[str, ...]


@dataclass(frozen=True)
class MatrixCell:
    """The verdict of a row's method about a column's: `+`, `-`, `=` or `?`, and nothing about itself."""

    about: str
    verdict: str
    sign: str


@dataclass(frozen=True)
class BudgetScores:
    """One budget: its table, the most accurate method against each other one, and all pairs."""

    budget: str
    rows: tuple[ScoreRow, ...]
    against: tuple[Comparison, ...]
    plot: Markup
    pairs: tuple[Comparison, ...]
    matrix: tuple[tuple[str, tuple[MatrixCell, ...]], ...]

    @property
    def grouped(self) -> bool:
        """Return whether any method has a letter."""
        return any(row.letters for row in self.rows)


def scores_section(study: StudyView) -> tuple[BudgetScores, ...]:
    """Return the tables of each budget."""
    return tuple(_budget_scores(study, b.budget) for b in study.summary.budgets)


def _budget_scores(study: StudyView, budget: str) -> BudgetScores:
    summary = study.summary
    ranked = summary.ranked(budget)
    rows = [ScoreRow(s.method, s, summary.letters(s.method, budget)) for s in ranked]
    rows += [ScoreRow(u.method, None, ()) for u in summary.unmeasured if u.budget == budget]
    names = [s.method for s in ranked]
    found = (summary.comparison(names[0], other, budget) for other in names[1:])
    against = tuple(pair for pair in found if pair)
    plot = difference_plot(study, budget, against) if against else Markup("")
    pairs = tuple(p for p in summary.pairs if p.budget == budget)
    matrix = tuple((a, tuple(_cell(study, a, b, budget) for b in names)) for a in names) if len(pairs) > 1 else ()
    return BudgetScores(budget, tuple(rows), against, plot, pairs, matrix)


def _cell(study: StudyView, a: str, b: str, budget: str) -> MatrixCell:
    pair = study.summary.comparison(a, b, budget) if a != b else None
    return MatrixCell(b, pair.verdict, SIGNS[pair.verdict]) if pair else MatrixCell(b, "", "")
