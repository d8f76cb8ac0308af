"""How accurate each method is: against the number of labels, and at each budget."""

from dataclasses import dataclass

from markupsafe import Markup

from ..dotplots import accuracy_plot
from ..figures import learning_figure
from ..study_view import StudyView


@dataclass(frozen=True)
class AccuracySection:
    """The learning curves, wide and narrow (none for a single budget), and (budget, dot plot) of each budget."""

    learning: tuple[Markup, ...]
    plots: tuple[tuple[str, Markup], ...]


def accuracy_section(study: StudyView) -> AccuracySection | None:
    """Return the figures; None where no fit succeeded."""
    measured = [b.budget for b in study.summary.budgets if study.summary.ranked(b.budget)]
    if not measured:
        return None
    learning = (learning_figure(study, 780), learning_figure(study, 360)) if len(measured) > 1 else ()
    return AccuracySection(learning, tuple((b, accuracy_plot(study, b)) for b in measured))
