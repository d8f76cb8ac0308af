"""From a study's summary.json and its pictures, or from a training run, to one HTML page without network and scripts.

`write(folder)` reads only files of that folder: the numbers were computed before. Nothing here imports torch or
scikit-learn, so a report can be written again anywhere.
"""

import os
from pathlib import Path

from .. import files
from ..errors import FileFormatError

__all__ = ["write"]


def write(folder: str | os.PathLike) -> Path:
    """Write folder/report.html, of a study from summary.json, of a run from recipe.json, and return its path.

    Raises FileFormatError where they are missing or cannot be read, MachineError where the page cannot be
    written. An older report stays as it was until the new one is complete.
    """
    folder = Path(folder)
    path = folder / "report.html"
    files.write_text(path, _report_html(folder))
    return path


def _report_html(folder: Path) -> str:
    if (folder / "recipe.json").is_file():
        from . import run_page

        return run_page.run_html(run_page.read_run(folder))
    if not (folder / "summary.json").is_file():
        raise FileFormatError(
            "study-summary",
            f"no summary.json and no recipe.json in {folder}",
            fix="pass the folder that sparring compare or sparring train wrote",
        )
    from ..study.summary import Summary
    from .study_page import study_page

    return study_page(Summary.read(folder))
