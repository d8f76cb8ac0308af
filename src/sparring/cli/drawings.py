"""What results look like on a terminal: a study, a data set, and a study on its way."""

from collections.abc import Callable, Iterator
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import printable
from ..words import budget_name, capitalised, count, percent, plural, points
from .screen import Line, Screen

if TYPE_CHECKING:  # numpy is loaded only by commands that need it
    from ..data import Description
    from ..study.changes import BeforeAfter
    from ..study.precision import Findable, GroupSizes, StudyPlan
    from ..study.records import StudyProgress
    from ..study.summary import Summary

ROWS_SHOWN = 30  # rows of a long table that are shown


class StudyLine:
    """Draws the progress of a study on a line; failed fits are said at once, each reason once."""

    def __init__(self, screen: Screen, line: Line, *, on_interim: Callable[[], Path]):
        self.screen, self.line, self.on_interim = screen, line, on_interim
        self.saved, self.fits = "", 0
        self._said: set[object] = set()

    def __call__(self, progress: "StudyProgress") -> None:
        done, total, message = progress.done, progress.total, progress.message
        self.screen.tell(progress.news)
        if progress.what == "stopped":
            self.saved = f"{message}; "
        elif progress.what == "fits":
            self.once(message, message)
            self.fits += progress.finished is not None
            if (row := progress.finished) and row.error:
                reason = row.error.reason
                self.once((row.method, reason), f"{row.method} failed at {row.budget} labels: {reason}", "yellow")
            running = ", ".join(progress.running[:3])
            text = f"{done} of about {total} fits  {running}"
            self.line(done, total, text, left=progress.seconds_left, share=progress.share)
        elif progress.what == "interim":
            page = self.on_interim()
            self.once("interim", f"A first answer is on the page {page}, which grows as the study does.")
        elif progress.what != "done":
            self.line(0, None, message)

    def once(self, key: object, text: str, style: str = "dim") -> None:
        if text and key not in self._said:
            self._said.add(key)
            self.screen.note(text, style=style)


def draw_summary(screen: Screen, summary: "Summary", page: Path) -> None:
    """The verdict, a table for each budget, and where to read on."""
    from ..study.headline import time_words
    from ..study.summary import TABLE_COLUMNS

    screen.line(summary.verdict, style="bold")
    advice = summary.recommendation
    if advice.sentence and advice.sentence != summary.verdict:
        screen.line(f"{advice.sentence}.")
    for b in summary.budgets:
        title = f"\n{capitalised(budget_name(b.budget, b.labels))}"
        screen.table(TABLE_COLUMNS, summary.table(b.budget), title=title, right=("accuracy",))
    screen.note("Methods that share a letter were not told apart.")
    if summary.against:
        draw_changes(screen, summary.against)
    for text in time_words(summary.short, {score.method for score in summary.scores}):
        screen.note(text)
    for warning in advice.warnings:
        screen.note(capitalised(warning), style="yellow")
    if summary.errors:
        failed = plural(len(summary.errors), "fit")
        screen.note(f"{failed} failed; the same command with --retry tries them again", style="yellow")
    screen.line(f"\nReport: {page}")
    for text in lists_words(summary, page.parent):
        screen.line(text)
    if advice.model:
        screen.line(f"Model:  {page.parent / advice.model}")
    screen.line("\nWhat to do next", style="bold")
    for step in summary.next:
        screen.line(f"- {capitalised(step.text)}.")
        if step.command:
            screen.command(step.command)


def draw_changes(screen: Screen, against: "BeforeAfter") -> None:
    """What changed since an earlier study: the main change as a sentence, the others as a list."""
    screen.line(f"\n{against.headline}.", style="bold")
    for change in against.all[1:]:
        screen.line(f"- {change.words}: {change.conclusion}")
    for text in against.notes():
        screen.note(f"{text}.")


def lists_words(summary: "Summary", folder: Path) -> Iterator[str]:
    """Yield where all mistakes and the labels to check are, where there are some."""
    from ..study.mistake_list import MISTAKES, PAGE, SUSPECTS

    if summary.wrong:
        mistakes = f"All {plural(summary.wrong, 'mistake')}" if summary.wrong > 1 else "The only mistake"
        yield f"{mistakes}: {folder / PAGE} ({MISTAKES})"
    if summary.suspects:
        yield f"{plural(summary.suspects, 'label')} to check: {folder / PAGE}#labels ({SUSPECTS})"


def draw_description(screen: Screen, found: "Description") -> None:
    """Print what `describe` found: a headline, images of each class and part, and what else there is to know."""
    height, width, channels = found.shape
    images = f"{found.images:,} images of {height}x{width}, {'grey' if channels == 1 else 'colour'}"
    screen.line(f"{printable(found.name)}: {images}, {len(found.classes)} classes ({found.layout})", style="bold")
    _draw_counts(screen, found)
    screen.line()
    screen.table(("", ""), [(name, printable(text)) for name, text in _description_rows(found) if text])


def _draw_counts(screen: Screen, found: "Description") -> None:
    """Print one row for each class, one column for each part; the largest 30 classes of many."""
    parts = found.counts
    total = {c: sum(part.classes[c] for part in parts.values()) for c in found.classes}
    shown = sorted(total, key=lambda c: -total[c])[:ROWS_SHOWN] if len(total) > ROWS_SHOWN else list(total)
    rows = [(printable(c), *(f"{part.classes[c]:,}" for part in parts.values())) for c in shown]
    if len(shown) < len(total):
        rest = [sum(n for c, n in part.classes.items() if c not in shown) for part in parts.values()]
        rows.append((f"{len(total) - len(shown)} smaller classes", *(f"{n:,}" for n in rest)))
    if found.unlabelled:
        rows.append(("(unlabelled)", *(f"{part.unlabelled:,}" for part in parts.values())))
    names = [name.replace(" ", "\u00a0") for name in parts]
    screen.line()
    screen.table(("class", *names), rows, right=names)


def _description_rows(found: "Description") -> Iterator[tuple[str, str]]:
    """Yield (name, text) of everything that is not a count."""
    sizes = [f"{size} ({count:,})" for size, count in list(found.sizes.items())[:5]]
    more = found.distinct_sizes - len(sizes)
    yield "sizes", ", ".join(sizes) + (f" and {more:,} more" if more > 0 else "")
    yield "fitted", found.size_rule
    yield "modes", ", ".join(f"{mode} ({count:,})" for mode, count in found.modes.items())
    yield "converted", "; ".join(found.converted)
    yield "ignored", ", ".join(f"{count:,} {what}" for what, count in found.ignored.items())
    yield "left out", found.notes.losses(ROWS_SHOWN)
    twins = found.duplicates
    if twins.exact or twins.near:
        across = f"; {twins.across:,} across parts" if twins.across else ""
        yield "duplicates", f"{twins.exact:,} exact, {twins.near:,} near{across}"
        for kind in ("two_classes", "across", "exact", "near"):
            for group in getattr(twins.examples, kind)[:2]:
                yield "", f"{kind.replace('_', ' ')}: {' = '.join(group)}"
    else:
        yield "duplicates", "none"
    bad = found.bad_files
    yield "bad files", f"{len(bad):,}, left out" if bad else "none"
    yield from (("", f"{name}: {reason}") for name, reason in bad[:ROWS_SHOWN])
    yield "", f"... and {len(bad) - ROWS_SHOWN:,} more (all of them: --json)" if len(bad) > ROWS_SHOWN else ""
    yield from (("mind", text) for text in found.warnings)


def draw_plan(screen: Screen, plan: "StudyPlan") -> None:
    """What a study could find, and the labels that an accuracy needs, as tables of at most 80 columns."""
    classes = plural(plan.classes, "class", "classes") if plan.classes else "no classes yet"
    images = f"{plural(plan.images, 'image')}, {plan.labelled:,} of them labelled, {classes}"
    screen.line(f"{printable(plan.name)}: {images}", style="bold")
    _draw_findable(screen, plan)
    _draw_needed(screen, plan, every_class=False)
    if plan.groups:
        _draw_groups(screen, plan, plan.groups)
    if plan.classes > 1:
        _draw_needed(screen, plan, every_class=True)
    screen.note("Intervals hold for the choice of test images (95 %); the chance of label draws comes on top.")


def _draw_findable(screen: Screen, plan: "StudyPlan") -> None:
    """Print the differences that are found: a row for each accuracy, a column for each test part."""
    screen.line(f"\nSmallest difference of two methods that is found with {percent(plan.power, 0)} probability")
    if not plan.parts:
        screen.line("none: a study needs test images of at least two classes")
        return
    heads = [f"{'all ' if p.all_labelled else ''}{p.labels:,} labels: {p.images:,} test" for p in plan.parts]
    rows = [
        (percent(same[0].accuracy, 0), percent(same[0].disagree, 0), *map(_found, same))
        for same in zip(*(part.findable for part in plan.parts), strict=True)
    ]
    screen.table(("accuracy", "disagree on", *heads), rows, right=("accuracy", "disagree on", *heads))
    share = "the source's own test part" if plan.test_share is None else f"--test {plan.test_share:g}"
    screen.note(f"Assumed: {share}, {plan.repeats} repeats, two methods alone, label draws that matter as on digits.")
    if plan.groups:
        of = " and ".join(plural(part.groups or 0, "group") for part in plan.parts)
        screen.note(f"Images come in {plan.groups.groups:,} groups, those of the test in about {of}. Assumed: what a")
        screen.note(f"method gets right correlates by {plan.groups.correlation:.2f} between two images of a group.")
    screen.note("They disagree on an image: one is right, one is wrong; here of two that are equally good.")


def _found(found: "Findable") -> str:
    return "none" if found.difference is None else f"{points(found.difference)} points"


def _draw_needed(screen: Screen, plan: "StudyPlan", *, every_class: bool) -> None:
    """Print test images and labels that intervals need: a row for each width, a column for each accuracy."""
    screen.line(f"\nTest images (labels in all) for {'the recall of every class' if every_class else 'the accuracy'}")
    rows: dict[str, list[str]] = {}
    for n in plan.needed:
        images, labels = (n.images_every, n.labels_every) if every_class else (n.images, n.labels)
        rows.setdefault(f"+-{points(n.half_width, 0)} points", []).append(f"{count(images)} ({count(labels)})")
    heads = [f"at {percent(a, 0)}" for a in dict.fromkeys(n.accuracy for n in plan.needed)]
    screen.table(("interval", *heads), [(width, *cells) for width, cells in rows.items()], right=heads)


def _draw_groups(screen: Screen, plan: "StudyPlan", groups: "GroupSizes") -> None:
    """Print of how many groups the test images for the accuracy must be, where they are as large as these."""
    screen.line(f"\nGroups of {groups.images:.3g} images (in all) for the accuracy of new ones")
    rows: dict[str, list[str]] = {}
    for n in plan.needed:
        cells = rows.setdefault(f"+-{points(n.half_width, 0)} points", [])
        cells.append(f"{count(n.groups or 0)} ({count(ceil(n.labels / groups.images))})")
    heads = [f"at {percent(a, 0)}" for a in dict.fromkeys(n.accuracy for n in plan.needed)]
    screen.table(("interval", *heads), [(width, *cells) for width, cells in rows.items()], right=heads)
