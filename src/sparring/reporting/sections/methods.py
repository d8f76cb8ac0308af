"""How a study was done: the model, fairness, statistics, the command, methods and sources."""

from dataclasses import dataclass

from ...stats import MAIN_SHARE, smallest_p
from ..study_view import StudyView


@dataclass(frozen=True)
class MethodsSection:
    """Of the statistics: the smallest p of a sign-flip test, and the share of the risk at the budget of the advice."""

    smallest: float
    share: float


def methods_section(study: StudyView) -> MethodsSection:
    measured = sum(bool(study.summary.ranked(b.budget)) for b in study.summary.budgets)
    return MethodsSection(smallest_p(study.summary.repeats), MAIN_SHARE if measured > 1 else 1.0)
