"""How accurate each method is: against the number of labels, and at each budget."""

from dataclasses import dataclass

from markupsafe import Markup

from ..dotplots import accuracy_plot
from ..figures import learning_figure
from ..study_view import StudyView

FAMILY_WORDS = {
    "floor": "the floor",
    "traditional": "traditional methods",
    "pretrained": "features of a pretrained network",
    "network": "networks",
    "gan": "methods with a GAN",
    "ensemble": "several methods together",
}


@dataclass(frozen=True)
class AccuracySection:
    """The learning curves, wide and narrow (none for a single budget), and (budget, dot plot) of each budget.

    `families`: a method of each family, and what the family is called.
    """

    learning: tuple[Markup, ...]
    plots: tuple[tuple[str, Markup], ...]
    families: tuple[tuple[str, str], ...]


def accuracy_section(study: StudyView) -> AccuracySection | None:
    """Return the figures; None where no fit succeeded."""
    measured = [b.budget for b in study.summary.budgets if study.summary.ranked(b.budget)]
    if not measured:
        return None
    learning = (learning_figure(study, 780), learning_figure(study, 360)) if len(measured) > 1 else ()
    first = {entry.family: name for name, entry in reversed(study.methods.items())}
    families = tuple((name, FAMILY_WORDS.get(family, f"{family} methods")) for family, name in reversed(first.items()))
    return AccuracySection(learning, tuple((b, accuracy_plot(study, b)) for b in measured), families)
