"""What results look like on a terminal: a study, a data set, and a study on its way."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import printable
from ..words import budget_name, capitalised, plural
from .screen import Line, Screen

if TYPE_CHECKING:  # numpy is loaded only by commands that need it
    from ..study.records import StudyProgress
    from ..study.summary import Summary

Described = Mapping[str, Any]
ROWS_SHOWN = 30  # rows of a long table that are shown


class StudyLine:
    """Draws the progress of a study on a line; failed fits are said at once, each reason once."""

    def __init__(self, screen: Screen, line: Line):
        self.screen, self.line = screen, line
        self.saved, self.fits = "", 0
        self._said: set[object] = set()

    def __call__(self, progress: "StudyProgress") -> None:
        done, total, message = progress.done, progress.total, progress.message
        if progress.what == "stopped":
            self.saved = f"{message}; "
        elif progress.what == "fits":
            self.once(message, message)
            self.fits += progress.finished is not None
            if (row := progress.finished) and row.error:
                reason = row.error.reason
                self.once((row.method, reason), f"{row.method} failed at {row.budget} labels: {reason}", "yellow")
            running = ", ".join(progress.running[:3])
            self.line(done, total, f"{done} of {total} fits  {running}", left=progress.seconds_left)
        elif progress.what != "done":
            self.line(0, None, message)

    def once(self, key: object, text: str, style: str = "dim") -> None:
        if text and key not in self._said:
            self._said.add(key)
            self.screen.note(text, style=style)


def draw_summary(screen: Screen, summary: "Summary", page: Path) -> None:
    """The verdict, a table for each budget, and where to read on."""
    from ..study.summary import TABLE_COLUMNS

    screen.line(summary.verdict, style="bold")
    for b in summary.budgets:
        title = f"\n{capitalised(budget_name(b.budget, b.labels))}"
        screen.table(TABLE_COLUMNS, summary.table(b.budget), title=title, right=("accuracy",))
    screen.note("Methods that share a letter were not told apart.")
    for warning in summary.recommendation.warnings:
        screen.note(warning, style="yellow")
    if summary.errors:
        failed = plural(len(summary.errors), "fit")
        screen.note(f"{failed} failed; the same command with --retry tries them again", style="yellow")
    screen.line(f"\nReport: {page}")
    if model := summary.recommendation.model:
        place = page.parent / model
        screen.line(f"Model:  {place}")
        screen.note(f"Next: sparring classify {place} IMAGES...")


def draw_data(screen: Screen, about: Described) -> None:
    """What `describe` found: a headline, images per class and part, and what else there is to know."""
    height, width, channels = about["shape"]
    kind = "grey" if channels == 1 else "colour"
    images = f"{about['images']:,} images of {height}x{width}, {kind}"
    screen.line(
        f"{printable(about['name'])}: {images}, {len(about['classes'])} classes ({about['layout']})", style="bold"
    )
    draw_counts(screen, about)
    screen.line()
    screen.table(("", ""), [(name, printable(text)) for name, text in about_data(about) if text])


def draw_counts(screen: Screen, about: Described) -> None:
    """One row per class, one column per part; the largest 30 classes of many."""
    parts = about["counts"]
    total = {c: sum(part["classes"][c] for part in parts.values()) for c in about["classes"]}
    shown = sorted(total, key=lambda c: -total[c])[:ROWS_SHOWN] if len(total) > ROWS_SHOWN else list(total)
    rows = [(printable(c), *(f"{part['classes'][c]:,}" for part in parts.values())) for c in shown]
    if len(shown) < len(total):
        rest = [sum(n for c, n in part["classes"].items() if c not in shown) for part in parts.values()]
        rows.append((f"{len(total) - len(shown)} smaller classes", *(f"{n:,}" for n in rest)))
    if about["unlabelled"]:
        rows.append(("(unlabelled)", *(f"{part['unlabelled']:,}" for part in parts.values())))
    names = [name.replace(" ", "\u00a0") for name in parts]
    screen.line()
    screen.table(("class", *names), rows, right=names)


def about_data(about: Described) -> Iterator[tuple[str, str]]:
    """(name, text) of everything that is not a count."""
    sizes = [f"{size} ({count:,})" for size, count in list(about["sizes"].items())[:5]]
    more = about["distinct_sizes"] - len(sizes)
    yield "sizes", ", ".join(sizes) + (f" and {more:,} more" if more > 0 else "")
    yield "fitted", about["size_rule"]
    yield "modes", ", ".join(f"{mode} ({count:,})" for mode, count in about["modes"].items())
    yield "converted", "; ".join(about["converted"])
    yield "ignored", ", ".join(f"{count:,} {what}" for what, count in about["ignored"].items())
    found = about["duplicates"]
    if found["exact"] or found["near"]:
        across = f"; {found['across']:,} across parts" if found["across"] else ""
        yield "duplicates", f"{found['exact']:,} exact, {found['near']:,} near{across}"
        for kind in ("two_classes", "across", "exact", "near"):
            for group in found["examples"][kind][:2]:
                yield "", f"{kind.replace('_', ' ')}: {' = '.join(group)}"
    else:
        yield "duplicates", "none"
    bad = about["bad_files"]
    yield "bad files", f"{len(bad):,}, left out" if bad else "none"
    yield from (("", f"{name}: {reason}") for name, reason in bad[:ROWS_SHOWN])
    yield "", f"... and {len(bad) - ROWS_SHOWN:,} more (all of them: --json)" if len(bad) > ROWS_SHOWN else ""
    yield from (("mind", text) for text in about["warnings"])
