"""One summary -> one HTML page: a table of sections, each with its own values and template."""

from collections.abc import Callable
from dataclasses import dataclass

from markupsafe import Markup

from ..study.summary import Summary
from .html import template
from .sections.accuracy import accuracy_section
from .sections.before import before_section
from .sections.check import check_section
from .sections.classes import classes_section
from .sections.cost import cost_section
from .sections.data import data_section
from .sections.gans import gans_section
from .sections.methods import methods_section
from .sections.scores import scores_section
from .sections.verdict import verdict_section
from .study_view import StudyView


@dataclass(frozen=True)
class Section:
    """A section of the page.

    `values` returns what the template sees as `section`, or None where the study has nothing to show there.
    `template` is a file in the folder of the reports, or the template itself. It sees `study` (a StudyView) too.
    """

    id: str
    contents: str  # its name in the table of contents
    heading: str
    values: Callable[[StudyView], object | None]
    template: str


SECTIONS = (
    Section("verdict", "Verdict", "The verdict", verdict_section, "sections/verdict.html"),
    Section(
        "before", "Before and after", "What changed since the earlier study?", before_section, "sections/before.html"
    ),
    Section("accuracy", "Accuracy", "How accurate is each method?", accuracy_section, "sections/accuracy.html"),
    Section("scores", "Scores", "Scores, and which differences are real", scores_section, "sections/scores.html"),
    Section("classes", "Classes and mistakes", "Where does it go wrong?", classes_section, "sections/classes.html"),
    Section("check", "What to look at", "What to look at", check_section, "sections/check.html"),
    Section("gan", "GANs", "What the GANs did", gans_section, "sections/gans.html"),
    Section("cost", "Cost", "What does it cost?", cost_section, "sections/cost.html"),
    Section("data", "Data", "The data", data_section, "sections/data.html"),
    Section("how", "How it was done", "How it was done", methods_section, "sections/methods.html"),
)


@dataclass(frozen=True)
class _Filled:
    """A section with its HTML."""

    section: Section
    body: Markup


def study_page(summary: Summary) -> str:
    """Return the whole page. Lone surrogates of file names never reach it: `shown` escapes them."""
    study = StudyView(summary)
    filled = []
    for section in SECTIONS:
        if (values := section.values(study)) is not None:
            body = Markup(template(section.template).render(study=study, section=values))
            filled.append(_Filled(section, body))
    return template("page.html").render(study=study, summary=summary, filled=filled)
