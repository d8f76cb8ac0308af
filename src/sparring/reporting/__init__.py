"""From a study's summary.json and its pictures, or from a training run, to one HTML page without network and scripts.

A study gets a second page, mistakes.html, where its list of mistakes is there. `write(folder)` reads only files of that
folder: the numbers were computed before. Nothing here imports torch or scikit-learn, so a report can be written again
anywhere.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from .. import files
from ..errors import FileFormatError
from ..words import from_home

__all__ = ["write"]


def write(folder: str | os.PathLike) -> Path:
    """Write folder/report.html, of a study from summary.json, of a run from recipe.json, and return its path.

    Of a study with a list of mistakes mistakes.html is written beside it.

    Raises FileFormatError where they are missing or cannot be read, MachineError where the page cannot be
    written. An older report stays as it was until the new one is complete.
    """
    folder = Path(folder)
    path = folder / "report.html"
    if any((folder / name).is_file() for name in ("recipe.json", "summary.json")):
        files.refuse_links(folder)
    for name, page in _pages(folder):
        files.write_text(folder / name, from_home(page))
    return path


def _pages(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the name and the content of each page, report.html last: what it links to is there."""
    if (folder / "recipe.json").is_file():
        from . import run_page

        yield "report.html", run_page.run_html(run_page.read_run(folder))
        return
    if not (folder / "summary.json").is_file():
        raise FileFormatError(
            "study-summary",
            f"no summary.json and no recipe.json in {folder}",
            fix="pass the folder that sparring compare or sparring train wrote",
        )
    from ..study.mistake_list import PAGE
    from ..study.summary import Summary
    from .mistakes_page import mistakes_page
    from .study_page import study_page

    def damaged(reason: str) -> FileFormatError:
        fix = "repeat the command sparring compare, which writes it again"
        return FileFormatError("study-damaged", f"the study in {folder} is damaged: {reason}", fix=fix)

    summary = Summary.read(folder)
    with files.fitting_together(damaged):
        pages = mistakes_page(summary), study_page(summary)
    if pages[0] is not None:
        yield PAGE, pages[0]
    yield "report.html", pages[1]
