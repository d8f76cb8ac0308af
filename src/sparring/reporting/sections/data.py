"""The data of a study: images per class and part, unreadable files, a contact sheet."""

from dataclasses import dataclass

from ..pictures import Picture
from ..study_view import StudyView

SHOWN_FILES = 12  # unreadable files that are shown at once; the rest folds out


@dataclass(frozen=True)
class DataSection:
    """Labelled images of each class (rows) in each part of the data (columns), with sums, and the rest."""

    parts: tuple[str, ...]
    rows: tuple[tuple[str, tuple[int, ...]], ...]
    totals: tuple[int, ...]
    smallest: int
    largest: int
    sheet: Picture | None
    shown_files: int


def data_section(study: StudyView) -> DataSection:
    """Return the counts as a table."""
    data = study.summary.data
    rows = tuple((c, tuple(part[c] for part in data.counts.values())) for c in data.classes)
    sizes = [sum(cells) for _, cells in rows]
    totals = tuple(sum(part.values()) for part in data.counts.values())
    sheet = study.picture(data.contact_sheet)
    return DataSection(tuple(data.counts), rows, totals, min(sizes), max(sizes), sheet, SHOWN_FILES)
