"""From a study's summary.json and its pictures, or from a training run, to one HTML page without network and scripts.

`write(folder)` reads only files of that folder: the numbers were computed before. Nothing here imports torch or
scikit-learn, so a report can be written again anywhere.
"""

import os
from pathlib import Path

from .. import files

__all__ = ["write"]


def write(folder: str | os.PathLike) -> Path:
    """Writes folder/report.html, of a study from summary.json, of a run from recipe.json, and returns its path.

    Raises FileFormatError where they are missing or cannot be read, MachineError where the page cannot be
    written. An older report stays as it was until the new one is complete.
    """
    folder = Path(folder)
    path = folder / "report.html"
    files.write_text(path, _page(folder))
    return path


def _page(folder: Path) -> str:
    if (folder / "recipe.json").is_file():
        from . import run_page

        return run_page.page(run_page.read_run(folder))
    from .study_page import page
    from .summary import read_summary

    return page(read_summary(folder))
