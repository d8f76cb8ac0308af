"""mistakes.json: what the page of all mistakes and of labels to check shows, as frozen records."""

from pathlib import Path

from .. import files
from ..records import read_record, record
from .records import Mistake

LIST = "mistakes.json"
PREDICTIONS, MISTAKES, SUSPECTS = "predictions.csv", "mistakes.csv", "suspects.csv"
PAGE = "mistakes.html"
LIST_FORMAT = 1


@record
class Suspect:
    """A training image whose label is probably wrong.

    `confidence`: held-out probability of the suggested class. `margin`: held-out probability of the label less that of
    the most probable other class, -1 to 0; lowest first.
    """

    origin: str
    label: str
    suggested: str
    confidence: float
    margin: float
    picture: str | None = None


@record
class LabelCheck:
    """How the training labels were checked: by which features, how many of how many labels, which classes not.

    `agreed`: the share of the checked labels that are what the held-out classifier says, as far as it can be trusted.
    `few`: the classes with fewer than `fewest` labels, or labels of too few groups, which is too little to check.
    """

    features: str
    labels: int
    checked: int
    agreed: float
    fewest: int
    few: tuple[str, ...] = ()


@record
class MistakeList:
    """The most confident mistakes of the recommended method, and the most suspicious labels; `wrong`, `suspected`: all.

    `method` and `budget` are None where no method is recommended.
    """

    format: int
    method: str | None
    budget: str | None
    wrong: int
    suspected: int
    mistakes: tuple[Mistake, ...]
    suspects: tuple[Suspect, ...]
    check: LabelCheck

    @classmethod
    def read(cls, folder: Path) -> "MistakeList":
        """Return the list of a study. Raises FileFormatError where there is none of this format."""
        path = folder / LIST
        return read_record(cls, files.read_json(path), name=str(path))
