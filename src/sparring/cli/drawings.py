"""What results look like on a terminal: a study, a data set, and a study on its way."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import printable
from .screen import Line, Screen, duration

if TYPE_CHECKING:
    from ..data import Description

Row = Mapping[str, Any]
MOST = 30  # rows of a long table that are shown


class Telling:
    """Draws the events of a study on a progress line; failed fits are said at once, each reason once."""

    def __init__(self, screen: Screen, line: Line):
        self.screen, self.line = screen, line
        self.saved, self.fits, self.told = "", 0, set()

    def __call__(self, event: Row) -> None:
        stage, message = event["stage"], event["message"]
        if stage == "stopped":
            self.saved = f"{message}; "
            return
        if stage == "fit":
            if message and message not in self.told:
                self.told.add(message)
                self.screen.note(message)
            self.heard(event.get("row"))
            running = ", ".join(event["running"][:3])
            self.line(
                event["done"], event["total"], f"{event['done']} of {event['total']} fits  {running}", left=event["eta"]
            )
        elif stage != "done":
            self.line(0, None, message or stage)

    def heard(self, row: Row | None) -> None:
        if not row:
            return
        self.fits += 1
        reason = (row.get("error") or {}).get("reason")
        if reason and (row["method"], reason) not in self.told:
            self.told.add((row["method"], reason))
            self.screen.note(f"{row['method']} failed at {row['budget']} labels: {reason}", style="yellow")


def share(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f} %"


def draw_summary(screen: Screen, summary: Row, page: Path) -> None:
    """The verdict, a table for each budget, and where to read on."""
    screen.line(summary["verdict"], style="bold")
    for budget in summary["budgets"]:
        draw_budget(screen, summary, budget)
    screen.note("Methods that share a letter were not told apart.")
    for warning in summary["recommendation"].get("warnings") or []:
        screen.note(warning, style="yellow")
    if summary["errors"]:
        screen.note(
            f"{len(summary['errors'])} fits failed; the same command with --retry tries them again", style="yellow"
        )
    screen.line(f"\nReport: {page}")
    model = summary["recommendation"].get("model")
    if model:
        place = page.parent / model
        screen.line(f"Model:  {place}")
        screen.note(f"Next: sparring classify {place} IMAGES...")


def draw_budget(screen: Screen, summary: Row, budget: Row) -> None:
    name = budget["budget"]
    groups = next((row["groups"] for row in summary["tie_groups"] if row["budget"] == name), [])
    rows = []
    scores = [score for score in summary["scores"] if score["budget"] == name]
    for score in sorted(scores, key=lambda s: -(s["accuracy"]["mean"] or 0)):
        accuracy, seconds = score["accuracy"], score["seconds"]["median"]
        letters = "".join(chr(ord("A") + i) for i, group in enumerate(groups) if score["method"] in group)
        interval = (
            f"{share(accuracy['low'])[:-2]} to {share(accuracy['high'])[:-2]}" if accuracy["low"] is not None else ""
        )
        time = duration(seconds) if seconds is not None and seconds >= 1 else "under 1 s" if seconds is not None else ""
        rows.append((score["method"], share(accuracy["mean"]) or "failed", interval, letters, time))
    each = "all labels" if name == "all" else f"{name} labels a class"
    title = f"\n{each} ({budget['labels']:,} in all)"
    screen.table(("method", "accuracy", "95 %", "group", "a fit takes"), rows, title=title, right=("accuracy",))


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
    shown = sorted(total, key=lambda c: -total[c])[:MOST] if len(total) > MOST else list(total)
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
    yield from (("", f"{name}: {reason}") for name, reason in bad[:MOST])
    yield "", f"... and {len(bad) - MOST:,} more (all of them: --json)" if len(bad) > MOST else ""
    yield from (("mind", text) for text in found.warnings)
