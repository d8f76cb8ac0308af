"""What a person sees: results on stdout, the rest on stderr; live on a terminal, an occasional plain line elsewhere."""

import csv
import json
import sys
import time
from collections.abc import Container, Iterable, Sequence
from textwrap import fill
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Column, Table
from rich.text import Text

from ..errors import printable
from ..files import csv_cell
from ..records import News
from ..records import Progress as Step
from ..words import duration, percent

CELL = 1000  # characters of a table's cell that are shown
EVERY_SECONDS = 15.0  # between two plain lines of progress


class Screen:
    """Where one command writes: `show` its results, `note` what else is worth knowing, `progress` while it works."""

    def __init__(self, *, as_json: bool = False, quiet: bool = False, verbose: bool = False):
        self.as_json, self.quiet, self.verbose = as_json, quiet, verbose
        self.results = console(sys.stdout)
        self.notes = console(sys.stderr)

    def note(self, text: str = "", style: str = "dim") -> None:
        if not self.quiet:
            paragraph(self.notes, text, style)

    def tell(self, news: News) -> None:
        """Say what was found on the way: in a few lines, or all of it."""
        for text in news.full if self.verbose else news.short:
            self.note(printable(text), style="yellow")

    def line(self, text: str = "", style: str = "") -> None:
        """One paragraph of the result."""
        paragraph(self.results, text, style)

    def command(self, text: str) -> None:
        """A command to copy: the terminal breaks it where it must, and no line end is put into it."""
        self.results.print(f"  {printable(text)}", soft_wrap=True)

    def show_json(self, value: Any) -> None:
        text = json.dumps(value, indent=1, ensure_ascii=not unicode_output(), allow_nan=False)
        sys.stdout.write(_json_shown(text) + "\n")

    def csv(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """A table that another program reads: no cell is a formula to a spreadsheet, or steers a terminal."""
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerows([csv_cell(cell) for cell in row] for row in (columns, *rows))

    def table(
        self, columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str = "", right: Container[str] = ()
    ) -> None:
        """A table of the result. Columns named in `right` are numbers, aligned there."""
        table = Table(
            title=Text(shown(title)) if title else None, title_justify="left", title_style="bold", box=None,
            pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", show_header=any(columns),
        )  # fmt: skip
        for column in columns:
            numeric = column in right
            table.add_column(Text(shown(column)), justify="right" if numeric else "left", no_wrap=numeric)
        for row in rows:
            table.add_row(*(cell if isinstance(cell, Text) else Text(shown(str(cell), CELL)) for cell in row))
        with self.results.capture() as drawn:
            self.results.print(table)
        text = drawn.get()
        plain = "\n".join(line.rstrip() for line in text.split("\n"))  # no padding at the end of lines
        self.results.file.write(text if self.results.is_terminal else plain)

    def progress(self, what: str) -> "Line":
        return Line(self, what)


def shown(text: str, most: int | None = None) -> str:
    """Return text whose lines stay lines, and in which nothing steers a terminal; at most so many characters."""
    lines = "\n".join(map(printable, text.split("\n")))
    return lines if most is None or len(lines) <= most else f"{lines[: most - 3]}..."


def unicode_output() -> bool:
    """Whether results may hold any character."""
    return (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "").startswith("utf")


def _json_shown(text: str) -> str:
    """Return JSON that says the same, and in which nothing steers a terminal."""
    if text.isascii():
        return text
    return "".join(c if c == "\n" or c.isprintable() else json.dumps(c)[1:-1] for c in text)


def paragraph(to: Console, text: str, style: str) -> None:
    """Print text. A terminal gets its lines broken between words; a path or a word that is too long stays whole."""
    text = shown(text)
    if to.is_terminal:
        wrapped = (fill(line, to.width, break_long_words=False, break_on_hyphens=False) for line in text.split("\n"))
        text = "\n".join(wrapped)
    to.print(text, style=style, soft_wrap=True)


def console(file) -> Console:
    """Colours only on a terminal; elsewhere nothing is cut to the width of a terminal that is not there."""
    kind = _Results if file is sys.stdout else _Notes
    return kind(file=file, highlight=False, markup=False, emoji=False, width=None if file.isatty() else 160)


class _Results(Console):
    def on_broken_pipe(self) -> None:
        """Let the command end: whoever read its results has enough."""
        raise BrokenPipeError


class _Notes(Console):
    def on_broken_pipe(self) -> None:
        """Go on without: nobody reads the notes any more, and the work is not done."""
        self.quiet = True


class Line:
    """`with screen.progress("comparing") as line: line(3, 10, "cnn")`: how far, what now, how long still."""

    def __init__(self, screen: Screen, what: str):
        self.screen, self.what = screen, what
        self.live = screen.notes.is_terminal and not screen.quiet
        self.begun = self.said = time.monotonic()
        self.first: float | None = None  # what was done before this process began

    def __enter__(self) -> "Line":
        if self.live:
            what, state = (
                TextColumn(f"{{task.{name}}}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis"))
                for name in ("description", "fields[state]")
            )
            self.bar = Progress(SpinnerColumn(), what, BarColumn(24), state, console=self.screen.notes, transient=True)
            self.task = self.bar.add_task(self.what, total=None, state="")
            self.bar.start()
        return self

    def __exit__(self, *_) -> None:
        if self.live:
            self.bar.stop()

    def show(self, progress: "Step") -> None:
        """Show a Progress, as functions report it, and keep its news in sight."""
        self.screen.tell(progress.news)
        self.count(progress)

    def count(self, progress: "Step") -> None:
        """Show how far a Progress has come."""
        text = progress.message or f"{progress.what} {progress.done:,} of {progress.total:,}"
        self(progress.done, progress.total or None, text, left=progress.seconds_left)

    def __call__(
        self,
        done: float,
        total: float | None,
        text: str = "",
        *,
        left: float | None = None,
        share: float | None = None,
    ) -> None:
        """Show `done` of `total` (None: unknown).

        `left`: seconds, worked out from the pace so far when not given. `share`: of the time that has passed, where
        things differ too much in length to be counted.
        """
        now = time.monotonic()
        if self.first is None:
            self.first = done
        pace = (done - self.first) / max(now - self.begun, 1e-9)
        if left is None and total and pace > 0:
            left = (total - done) / pace
        parts = [printable(text), f"{duration(round(left))} left" if left is not None else ""]
        state = "  ".join(part for part in parts if part)
        if share is not None:
            done, total = 1000 * share, 1000.0
        if self.live:
            self.bar.update(self.task, completed=done, total=total, state=state)
        elif not self.screen.quiet and now - self.said >= EVERY_SECONDS:
            self.said = now
            far = f" {percent(done / total, 0)}" if total else ""
            self.screen.note(f"{self.what}{far}  {state}".rstrip())
