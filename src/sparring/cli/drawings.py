"""What results look like on a terminal: a study, a data set, and a study on its way."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .screen import Line, Screen, duration

Row = Mapping[str, Any]


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
    failed = summary.get("errors") or []
    if failed:
        screen.note(f"\n{len(failed)} fits failed; --retry tries them again", style="yellow")
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
        rows.append((score["method"], share(accuracy["mean"]), interval, letters, time))
    each = "all labels" if name == "all" else f"{name} labels a class"
    title = f"\n{each} ({budget['labels']:,} in all)"
    screen.table(("method", "accuracy", "95 %", "group", "a fit takes"), rows, title=title, right="accuracy")


def draw_data(screen: Screen, about: Row) -> None:
    """What `describe` found."""
    screen.show_json(about)
