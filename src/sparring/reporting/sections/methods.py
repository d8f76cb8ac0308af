"""How a study was done: the model, fairness, statistics, the command, methods and sources."""

from ...stats import smallest_p
from ..study_view import StudyView


def methods_section(study: StudyView) -> float:
    """Return the smallest p that a sign-flip test of so many repeats can reach."""
    return smallest_p(study.summary.repeats)
