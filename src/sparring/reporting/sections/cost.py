"""What a fit costs, and on which machine that was measured."""

from markupsafe import Markup

from ..figures import cost_figure
from ..study_view import StudyView


def cost_section(study: StudyView) -> Markup:
    """Return the figure of time against accuracy; empty where no fit succeeded."""
    return cost_figure(study, study.main_budget)
