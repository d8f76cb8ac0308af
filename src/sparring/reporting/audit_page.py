"""From audit.json and its pictures to audit.html: what may be wrong with a data set, with pictures."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from .. import files
from ..study.audit.findings import KINDS, PAGE, Audit, AuditFinding
from ..words import from_home
from .html import template
from .pictures import Picture, inlined

# What each kind means for training, and what to do.
ADVICE = {
    "label": "A classifier that did not see these labels is surer of another class than is usual for images of that "
    "class. Look before you change one: some labels are right, and the image is only unusual.",
    "two labels": "The same pixels carry different labels: one of them is wrong.",
    "across": "Whoever learned the twin knows this image: tests on it say too much. A study of sparring keeps twins on "
    "one side, unless the data name a test part of their own.",
    "copy": "The same picture again, or nearly. It counts as often as it comes, and a random split would put it on "
    "both sides; a study of sparring keeps copies on one side.",
    "unusual": "Further than usual from the images most like them: perhaps of something else altogether, or of a kind "
    "that is rare here.",
    "empty": "There is nothing to learn from these.",
    "dark": "Nearly black. Are they meant to be?",
    "light": "Nearly white. Are they meant to be?",
    "blurred": "Edges are much weaker than usual for the contrast.",
    "odd size": "All images are fitted to one size; these lose or gain more than others.",
    "odd shape": "All images are fitted to one shape; these are squeezed or stretched more than others.",
}


@dataclass(frozen=True)
class Kind:
    """All findings of a kind, of which the first are shown with their pictures."""

    name: str
    title: str
    advice: str
    count: int
    shown: tuple[tuple[AuditFinding, Picture | None], ...]

    @property
    def id(self) -> str:
        return self.name.replace(" ", "-")


@dataclass(frozen=True, eq=False)
class AuditView:
    """What the page shows."""

    audit: Audit
    folder: Path

    @cached_property
    def kinds(self) -> tuple[Kind, ...]:
        """Return the kinds of which there are findings."""
        return tuple(self.kind(name) for name in KINDS if self.audit.of(name))

    def kind(self, name: str) -> Kind:
        found = self.audit.of(name)
        shown = tuple((f, inlined(self.folder, f.picture)) for f in found if f.picture)
        return Kind(
            name, KINDS[name][len(found) != 1], ADVICE[name], len(found), shown[: 48 if name == "label" else 18]
        )


def write_audit_page(folder: Path) -> Path:
    """Write folder/audit.html from folder/audit.json and return its path.

    Raises FileFormatError where there is no audit, MachineError where the page cannot be written.
    """
    page = template("audit.html").render(view=AuditView(Audit.read(folder), folder))
    files.write_text(folder / PAGE, from_home(page))
    return folder / PAGE
