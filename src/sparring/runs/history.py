"""What a run folder records as plain values: its settings, the events of its training, the lines of its log.

No torch here: a report is written from these files alone.
"""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from .. import files
from ..records import read_record

EVENTS, LOG = "events.jsonl", "log.jsonl"
Value = TypeVar("Value")


def from_mapping(kind: type[Value], data: files.JsonObject) -> Value:
    """Return the dataclass `kind` from JSON. Keys that it does not know are left out, fields that are not there keep
    their defaults. Raises FileFormatError for a value of another type."""
    known = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    return read_record(kind, {name: value for name, value in data.items() if name in known}, name="a run")


@dataclass(frozen=True)
class RunSettings:
    """How a run was started: `settings` in recipe.json."""

    images: int = 0
    seed: int = 0
    precision: str = "unknown"
    recipe_name: str = ""
    source: str = ""
    # training images that are kept from training, to see whether D knows the others by heart
    held: int = 0


def read_settings(folder: Path | str) -> RunSettings:
    """Return the settings of a run; nothing of its recipe is read."""
    settings = files.read_object(Path(folder) / "recipe.json").get("settings")
    return from_mapping(RunSettings, settings if isinstance(settings, dict) else {})


class EventKind(StrEnum):
    """What can happen to a training. The values stand in events.jsonl."""

    STARTED = "started"
    RESUMED = "resumed"
    # a finding that is told to the user and not acted upon
    WARNING = "warning"
    # a finding that counts when it comes again
    SUSPECT = "suspect"
    WENT_BACK = "went back"
    DIVERGED = "diverged"
    STOPPED = "stopped"
    TIME_OVER = "time over"
    DONE = "done"


EVENT_KINDS = frozenset(EventKind)


@dataclass(frozen=True)
class Event:
    """One line of events.jsonl.

    `images`: trained on when it happened; `round` likewise, 0 where the event belongs to no round. `words`: what was
    found, for people. `signals`: which signals of the monitor. `to`, `change`: for a rollback, the images of the state
    that it went back to and what it changed.
    """

    event: EventKind
    images: int | None = None
    round: int = 0
    words: str = ""
    signals: tuple[str, ...] = ()
    to: int | None = None
    change: str = ""
    time: float = 0.0

    def append(self, folder: Path) -> None:
        """Add this event, with the time of now, to the events of a run."""
        values = asdict(replace(self, time=round(time.time(), 3)))
        kept = {name: value for name, value in values.items() if value not in ("", (), None) or name == "images"}
        files.append_line(folder / EVENTS, kept)


def read_events(folder: Path) -> list[Event]:
    """Return the events of a run, oldest first, also of versions that named a pause by a sentence."""
    return [_event(line) for line in files.read_lines(folder / EVENTS)]


def _event(line: files.JsonObject) -> Event:
    signals = line.get("signals", [line["signal"]] if "signal" in line else [])
    kind, words = str(line.get("event")), line.get("words") or ""
    if kind not in EVENT_KINDS:
        kind, words = EventKind.TIME_OVER, kind
    named = list(map(str, signals)) if isinstance(signals, list) else []
    return from_mapping(Event, {**line, "event": kind, "words": str(words), "signals": named})


@dataclass(frozen=True)
class LogLine:
    """One line of log.jsonl: where training stood, the mean of each loss and monitored value over the last batch
    ("D/NonSaturating" -> 0.7), and each player's gradient norm."""

    round: int = 0
    images: int = 0
    seconds: float = 0.0
    images_per_second: float = 0.0
    skipped: int = 0
    means: Mapping[str, float] = field(default_factory=dict)
    gradients: Mapping[str, float] = field(default_factory=dict)

    def append(self, folder: Path) -> None:
        files.append_line(folder / LOG, asdict(self))


def read_log(folder: Path) -> list[LogLine]:
    """Return the log of a run, oldest line first."""
    return [from_mapping(LogLine, line) for line in files.read_lines(folder / LOG)]
