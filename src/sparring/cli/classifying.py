"""What `sparring classify` and `sparring data --against` show: how sure answers are, and what changed."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UsageError, printable
from ..files import apart, writable
from ..words import capitalised, number, p_value, percent
from .screen import Screen

if TYPE_CHECKING:
    from ..classifiers.doubt.drift import Drift
    from ..classifiers.fitting import Prediction

COLUMNS = ("image", "class", "confidence", "answer", "set")
MOST_NAMED = 4  # classes of a set that the table names


def new_page(path: Path, images: Sequence[Path]) -> Path:
    """Return the path of a page that is not there yet, outside the images. Raises UsageError or MachineError."""
    if path.exists():
        raise UsageError("out-in-use", f"{path} exists", fix="name another file with --html")
    for folder in images:
        apart(path, folder, "--html")
    return writable(path, "--html")


def json_fields(p: "Prediction") -> Iterator[tuple[str, object]]:
    yield from (("image", p.image), ("class", p.label), ("confidence", p.confidence))
    yield from (("answer", p.answer), ("unsure", p.unsure), ("unlike", p.unlike), ("typical", p.typical))
    yield "set", None if p.labels_in_set is None else list(p.labels_in_set)
    yield "probabilities", p.probabilities


def draw_answers(screen: Screen, said: "Sequence[Prediction]", promises: Sequence[str]) -> None:
    """Print the table, and what it is worth."""
    answered = any(p.answer for p in said)
    rows = []
    for p in said:
        row = (printable(p.image), p.label, percent(p.confidence))
        rows.append((*row, p.answer or "", set_words(p)) if answered else row)
    screen.table(COLUMNS if answered else COLUMNS[:3], rows, right=("confidence",))
    screen.note("\n" + "\n".join(f"- {sentence}" for sentence in promises))


def draw_drift(screen: Screen, found: "Drift") -> None:
    """Print the verdict about new images, and what it is about."""
    screen.line(f"{capitalised(printable(found.verdict))}.", style="bold")
    rows = [("images that are unlike", percent(found.unlike.known), percent(found.unlike.new), p_value(found.unlike.p))]
    rows.append(("features (squared discrepancy)", "0", f"{found.features.new:.4f}", p_value(found.features.p)))
    rows += [(s.what, number(s.known, 2), number(s.new, 2), p_value(s.p)) for s in found.properties]
    rows += [(f"called {printable(s.what)}", percent(s.known), percent(s.new), p_value(s.p)) for s in found.classes]
    screen.line()
    screen.table(("", "learned from", "these", "p"), rows, right=("learned from", "these", "p"))
    screen.note("\np are adjusted for all comparisons; of classes there is one for all shares together.")


def set_words(p: "Prediction") -> str:
    """Return the classes of a set, of which several could be the true one."""
    names = p.labels_in_set or ()
    shown = ", ".join(names[:MOST_NAMED])
    return f"{shown} and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else shown


def probability_column(name: str) -> str:
    """Return the column of a class: its name, unless another column is called so."""
    return f"probability of {name}" if name in COLUMNS else name
