"""audit.json: what an audit found, as frozen records. Reading them loads no torch."""

from pathlib import Path

from ... import files
from ...data.shortcuts import Shortcut
from ...records import read_record, record

FILE, TABLE, PAGE, PICTURES = "audit.json", "audit.csv", "audit.html", "pictures"
FORMAT = 1

# kind of finding -> what one and what several are called: in the order of the page
KINDS = {
    "label": ("label to check", "labels to check"),
    "two labels": ("image with another label elsewhere", "equal images with different labels"),
    "across": ("test image with a twin in another part", "test images with a twin in another part"),
    "copy": ("image that comes again", "images that come again"),
    "unusual": ("image like no other", "images like no other"),
    "empty": ("image that shows nothing", "images that show nothing"),
    "dark": ("dark image", "dark images"),
    "light": ("light image", "light images"),
    "blurred": ("blurred image", "blurred images"),
    "odd size": ("image of an odd size", "images of an odd size"),
    "odd shape": ("image of an odd shape", "images of an odd shape"),
}


@record
class AuditFinding:
    """Something about one image. `value`: what it was judged by; `like`: another image of the same picture."""

    kind: str
    origin: str
    says: str
    value: float
    label: str | None = None
    suggested: str | None = None
    like: str | None = None
    picture: str | None = None


@record
class WeakGroup:
    """Images on which the held-out check of the labels is worse than on the others: `agreed` of `images`, `others`."""

    group: str
    images: int
    agreed: float
    others: float
    p: float


@record
class LabelsChecked:
    """How labels were checked: by which features, how many of how many, the share that the check agreed with.

    `few`: classes with too few labels, or labels of too few groups, to check.
    """

    features: str
    labels: int
    checked: int
    agreed: float
    few: tuple[str, ...] = ()


@record
class Audit:
    """What is wrong with a data set, and what may be. `seconds`: that it took."""

    format: int
    name: str
    source: str
    created: str
    images: int
    labelled: int
    classes: tuple[str, ...]
    check: LabelsChecked
    found: tuple[AuditFinding, ...]
    shortcuts: tuple[Shortcut, ...]
    weak: tuple[WeakGroup, ...]
    notes: tuple[str, ...]
    seconds: float

    def of(self, kind: str) -> tuple[AuditFinding, ...]:
        """Return the findings of a kind, the most striking first."""
        return tuple(finding for finding in self.found if finding.kind == kind)

    @classmethod
    def read(cls, folder: Path) -> "Audit":
        """Return the audit of a folder. Raises FileFormatError where there is none of this format."""
        path = folder / FILE
        return read_record(cls, files.read_json(path), name=str(path))
