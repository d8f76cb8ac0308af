"""One study as its page sees it: the records of summary.json, and what all sections look up in them."""

from dataclasses import dataclass
from functools import cached_property

from ..study.records import ArmScore, MethodEntry
from ..study.summary import Summary
from ..words import budget_name
from .pictures import Picture, inlined
from .svg import COLOUR, colour_role, family_shape


@dataclass(frozen=True, eq=False)
class StudyView:
    """The summary of a study, seen from the recommended method at the budget of the recommendation."""

    summary: Summary

    @cached_property
    def methods(self) -> dict[str, MethodEntry]:
        """Return the methods by name, in the study's order."""
        return {m.name: m for m in self.summary.methods}

    @property
    def chosen(self) -> str | None:
        """Return the recommended method; None where no fit succeeded."""
        return self.summary.recommendation.method

    @property
    def main_budget(self) -> str:
        """Return the budget that sections with a single one show: the recommendation's, or else the last."""
        return self.summary.recommendation.budget or self.summary.budgets[-1].budget

    @property
    def best(self) -> ArmScore | None:
        """Return the score of the recommended method."""
        return self.summary.score(self.chosen, self.main_budget)

    @property
    def digits(self) -> int:
        """Return the decimals of a percentage: a second one only where the test part is large enough to fill it."""
        return 2 if self.summary.test.images >= 5000 else 1

    @property
    def from_elsewhere(self) -> tuple[tuple[str, str], ...]:
        """Return the methods that use something of other images than the user's, and what."""
        found = {s.method: s.pretrained for s in self.summary.scores if s.pretrained and s.budget == self.main_budget}
        return tuple((m, found[m]) for m in self.methods if m in found)

    @property
    def on_gpu(self) -> bool:
        """Return whether networks ran on a GPU."""
        return self.summary.machine.on_gpu

    def budget_name(self, budget: str) -> str:
        """Return `5 labels a class (50 in all)`."""
        return budget_name(budget, self.summary.labels(budget))

    def role(self, method: str) -> str:
        """Return the colour role of a method, the same in figures and tables."""
        return colour_role(method, tuple(self.methods))

    def colour(self, method: str) -> str:
        """Return what stands for a method's colour inside a figure."""
        return COLOUR[self.role(method)]

    def shape(self, method: str) -> str:
        """Return the marker of a method's family."""
        return family_shape(self.methods[method].family)

    def is_floor(self, method: str) -> bool:
        """Return whether a method looks at no image: it is there to be beaten."""
        return self.methods[method].family == "floor"

    def picture(self, name: str | None) -> Picture | None:
        """Return a picture of the study's folder; None where there is none."""
        return inlined(self.summary.folder, name)
