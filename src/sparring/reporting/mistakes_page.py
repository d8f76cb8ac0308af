"""All mistakes of a study and its labels to check -> mistakes.html: the pictures that report.html has no room for."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..errors import FileFormatError
from ..study.mistake_list import LIST, LabelCheck, MistakeList, Suspect
from ..study.records import Mistake
from ..study.summary import Summary
from .html import template
from .pictures import Picture
from .study_view import StudyView

LINKED = 24  # groups of mistakes that the top of the page links to


@dataclass(frozen=True)
class Shown:
    """A mistake with its picture, and that of the nearest training image."""

    mistake: Mistake
    picture: Picture | None
    nearest: Picture | None


@dataclass(frozen=True)
class Group:
    """Images of class `true` that were called `said`, the most confident answer first."""

    true: str
    said: str
    shown: tuple[Shown, ...]


@dataclass(frozen=True, eq=False)
class MistakesView:
    """What the page shows of a study."""

    study: StudyView
    found: MistakeList

    @property
    def check(self) -> LabelCheck:
        return self.found.check

    @cached_property
    def pairs(self) -> tuple[Group, ...]:
        """Return the mistakes by (true class, answer): largest group first, of equal ones the most confident."""
        groups: dict[tuple[str, str], list[Mistake]] = {}
        for mistake in sorted(self.found.mistakes, key=lambda m: -m.confidence):
            groups.setdefault((mistake.true, mistake.said), []).append(mistake)
        picture = self.study.picture
        return tuple(
            Group(true, said, tuple(Shown(m, picture(m.picture), picture(m.nearest_picture)) for m in mine))
            for (true, said), mine in sorted(groups.items(), key=lambda group: -len(group[1]))
        )

    @property
    def groups(self) -> tuple[Group, ...]:
        """Return the groups of several mistakes."""
        return tuple(group for group in self.pairs if len(group.shown) > 1)

    @property
    def single(self) -> tuple[Shown, ...]:
        """Return the mistakes that stand alone: no other image of the class was called the same."""
        return tuple(group.shown[0] for group in self.pairs if len(group.shown) == 1)

    @cached_property
    def suspects(self) -> tuple[tuple[Suspect, Picture | None], ...]:
        return tuple((suspect, self.study.picture(suspect.picture)) for suspect in self.found.suspects)

    @property
    def linked(self) -> tuple[Group, ...]:
        return self.groups[:LINKED]


def listed_mistakes(summary: Summary) -> MistakeList | None:
    """Return the list that belongs to a summary; None where there is none, or it cannot be read."""
    if LIST not in summary.files:
        return None
    try:
        return MistakeList.read(Path(summary.folder))
    except FileFormatError:
        return None


def mistakes_page(summary: Summary) -> str | None:
    """Return the whole page; None where the study has no list of mistakes."""
    found = listed_mistakes(summary)
    if found is None:
        return None
    view = MistakesView(StudyView(summary), found)
    return template("mistakes.html").render(view=view, study=view.study, summary=summary)
