"""What `sparring.compare`, `audit`, `explain` and `report` do: what they find and its page, or a page again."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import ParamSpec

from ..explaining import Explanations
from ..explaining.explaining import explain_images
from ..judging import Judgement
from ..study import Summary
from ..study import compare as compare_methods
from ..study.audit import Audit
from ..study.audit import audit as audit_data
from . import write
from .audit_page import write_audit_page
from .explanations_page import write_explanations_page
from .judgement_page import write_judgement_page

Options = ParamSpec("Options")


def _with_page(study: Callable[Options, Summary]) -> Callable[Options, Summary]:
    @wraps(study)
    def compare(*args: Options.args, **options: Options.kwargs) -> Summary:
        summary = study(*args, **options)
        write(summary.folder)
        return summary

    return compare


def _with_audit_page(audited: Callable[Options, Audit]) -> Callable[Options, Audit]:
    @wraps(audited)
    def audit(*args: Options.args, **options: Options.kwargs) -> Audit:
        found, out = audited(*args, **options), options.get("out")
        if out is not None:
            write_audit_page(Path(str(out)))
        return found

    return audit


def _with_explanations_page(explained: Callable[Options, Explanations]) -> Callable[Options, Explanations]:
    @wraps(explained)
    def explain(*args: Options.args, **options: Options.kwargs) -> Explanations:
        found, out = explained(*args, **options), options.get("out")
        if out is not None:
            write_explanations_page(Path(str(out)))
        return found

    return explain


compare = _with_page(compare_methods)  # and writes report.html
audit = _with_audit_page(audit_data)  # and writes audit.html
explain = _with_explanations_page(explain_images)  # and writes explanations.html


def report(of: Path | str | Summary | Judgement, out: Path | str | None = None, *, nearest: object = None) -> Path:
    """Write the page of a study, a training run or a judgement, and return its path.

    of: the folder of a study or a run, what `compare` or `judge` returned. out: the page of a judgement, such as
    "judge.html"; a study and a run have theirs in their folder. nearest: of a run, the images that it was trained on;
    the page then shows those nearest to its samples.

    Raises FileFormatError where the folder holds neither, MachineError where the page cannot be written.
    """
    if isinstance(of, Judgement):
        path = Path(out or "judge.html")
        write_judgement_page(path, of.result, of.pictures())
        return path
    folder = of.folder if isinstance(of, Summary) else Path(of)
    if (folder / "recipe.json").is_file():
        from ..runs.latent_views import refresh_views  # loads torch, which a study's page does not need

        refresh_views(folder, nearest)
    return write(folder)
