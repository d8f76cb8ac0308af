"""From explanations.json and its pictures to explanations.html: why a model says what it says of each image."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from .. import files
from ..explaining.methods import EXPLANATIONS
from ..explaining.records import PAGE, Explained, ExplainedList, LabelledImage, MapVerdict, PartShare
from ..words import from_home
from .html import template
from .pictures import Picture, inlined

LINKED = 40  # images that the top of the page links to


@dataclass(frozen=True, eq=False)
class ShownExplanation:
    """One image with its pictures."""

    said: Explained
    folder: Path

    @cached_property
    def picture(self) -> Picture | None:
        return inlined(self.folder, self.said.picture)

    @cached_property
    def maps(self) -> tuple[tuple[MapVerdict, Picture | None], ...]:
        return tuple((found, inlined(self.folder, found.picture)) for found in self.said.maps)

    @cached_property
    def parts(self) -> tuple[tuple[PartShare, Picture | None], ...]:
        return tuple((part, inlined(self.folder, part.picture)) for part in self.said.parts)

    @cached_property
    def walk(self) -> Picture | None:
        return inlined(self.folder, self.said.walk.picture) if self.said.walk else None

    @cached_property
    def labelled(self) -> tuple[tuple[LabelledImage, Picture | None], ...]:
        return tuple((image, inlined(self.folder, image.picture)) for image in self.said.labelled)


@dataclass(frozen=True, eq=False)
class ExplanationsView:
    """What the page shows."""

    found: ExplainedList
    folder: Path

    @cached_property
    def images(self) -> tuple[ShownExplanation, ...]:
        return tuple(ShownExplanation(said, self.folder) for said in self.found.images if not said.problem)

    @property
    def bad(self) -> tuple[Explained, ...]:
        """Return the images that could not be read."""
        return tuple(said for said in self.found.images if said.problem)

    @property
    def linked(self) -> tuple[ShownExplanation, ...]:
        return self.images[:LINKED]

    @property
    def empty(self) -> int:
        """Return how many heat maps explain nothing."""
        return sum(found.explains is False for one in self.images for found in one.said.maps)

    @property
    def checked(self) -> int:
        """Return how many heat maps were checked."""
        return sum(found.explains is not None for one in self.images for found in one.said.maps)

    @cached_property
    def used(self) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
        """Return the title, words and sources of each kind of explanation on the page."""
        shown = {found.by for said in self.found.images for found in said.maps}
        shown |= {"parts"} if any(said.parts for said in self.found.images) else set()
        shown |= {"labelled"} if any(said.labelled for said in self.found.images) else set()
        return tuple((row.title, row.what, row.cites) for name, row in EXPLANATIONS.items() if name in shown)


def write_explanations_page(folder: Path) -> Path:
    """Write folder/explanations.html from folder/explanations.json and return its path.

    Raises FileFormatError where there are no explanations, MachineError where the page cannot be written.
    """
    page = template("explanations.html").render(view=ExplanationsView(ExplainedList.read(folder), folder))
    files.write_text(folder / PAGE, from_home(page))
    return folder / PAGE
