"""What a person should look at: the page of all mistakes, and the labels that may be wrong."""

from dataclasses import dataclass

from ...study.mistake_list import MistakeList
from ..mistakes_page import listed_mistakes
from ..study_view import StudyView


@dataclass(frozen=True)
class CheckSection:
    """The list that mistakes.html shows; None where that page could not be made."""

    found: MistakeList | None


def check_section(study: StudyView) -> CheckSection | None:
    """Return what there is to look at; None while the study runs, or where no fit succeeded."""
    found = listed_mistakes(study.summary)
    if found is None and (study.summary.running or not study.summary.scores):
        return None
    return CheckSection(found)
