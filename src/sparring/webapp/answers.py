"""What a person answered: lines of a file that only grows, each on the disk before the page is told that it is saved.

    LABELS/  answers.jsonl  labels.csv  added/*.png  listing.npz  queue.json  runs/

A line names its images, so that answers fit a folder to which images were added. The last answer about an image counts.
Taking one back is a line too. No line says who answered.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from .. import files
from ..data.labels import BLANK_LABELS, LONGEST_NAME
from ..errors import FileFormatError, UsageError
from ..records import read_record, to_json

JOURNAL = "answers.jsonl"
MOST_ANSWERS = 5_000_000  # lines: a file of answers is never too long for its own page
JOURNAL_FORMAT = 1
MOST_AT_ONCE = 1000  # images of one answer

Kind = Literal["label", "none", "skip", "not", "class", "undo"]
Why = Literal["", "chosen", "first", "random", "suspect", "page", "look", "try"]


@dataclass(frozen=True)
class Answer:
    """One line. `number`: its place, from 0.

    kind: "label" (the images show `label`), "none" (they show none of the classes), "skip", "not" (they were predicted
    as `label`, and are not), "class" (there is a class `label`), "undo" (line `of` does not count). why: how the images
    came to be asked: "chosen" as most useful, one of the "first" before anything can be chosen, drawn at "random" and
    held out, a "suspect" label, a "page" of one predicted class, from "look" or "try". suggested: what the page
    suggested. at: local time, ISO 8601.
    """

    kind: Kind
    images: tuple[str, ...] = ()
    label: str | None = None
    why: Why = ""
    suggested: str | None = None
    of: int | None = None
    at: str = ""
    number: int = -1


class Answers:
    """All answers in a folder. Several threads may ask and add."""

    def __init__(self, folder: Path, name: str):
        """Read the answers of a folder, or begin there. `name`: of the data. Raises FileFormatError, MachineError."""
        self.path, self.lock = folder / JOURNAL, threading.RLock()
        self.lines: list[Answer] = []
        self.undone: set[int] = set()
        self.about: dict[str, list[int]] = defaultdict(list)
        rows = files.read_lines(self.path, most=MOST_ANSWERS)
        if rows and rows[0].get("format") != JOURNAL_FORMAT:
            what = f"{self.path} is of another version of sparring, or not one of its files"
            raise FileFormatError("bad-line", what, fix="name another folder with --out")
        if not rows:
            files.append_line(self.path, {"kind": "begun", "format": JOURNAL_FORMAT, "data": name})
        for row in rows[1:]:
            self._take(read_record(Answer, row, name=str(self.path)))

    def _take(self, line: Answer) -> Answer:
        line = replace(line, number=len(self.lines))
        self.lines.append(line)
        for image in line.images:
            self.about[image].append(line.number)
        if line.kind == "undo" and line.of is not None:
            self.undone.add(line.of)
        return line

    def add(self, line: Answer) -> Answer:
        """Write an answer and return it with its number; it is on the disk then. Raises UsageError, MachineError."""
        if line.kind in ("label", "not", "class"):
            line = replace(line, label=class_name(line.label))
        if len(line.images) > MOST_AT_ONCE or (line.kind in ("label", "none", "skip", "not") and not line.images):
            what = f"an answer is about 1 to {MOST_AT_ONCE:,} images, not {len(line.images):,}"
            raise UsageError("answer", what, fix="answer in several steps")
        line = replace(line, at=time.strftime("%Y-%m-%dT%H:%M:%S%z"))
        with self.lock:
            if line.kind == "undo" and not (line.of is not None and 0 <= line.of < len(self.lines)):
                raise UsageError("undo", "there is no such answer", fix="take back an answer that was given")
            written = {name: value for name, value in to_json(line, kinds=False).items() if value not in (None, "", [])}
            files.append_line(self.path, {k: v for k, v in written.items() if k != "number"})
            return self._take(line)

    def latest(self, image: str) -> Answer | None:
        """Return the answer that counts for an image: a label or "none"; None where there is none."""
        return next((line for line in self._of(image) if line.kind in ("label", "none")), None)

    def skipped(self, image: str) -> bool:
        """Return whether the last that was said of an image is that it be skipped."""
        last = next((line for line in self._of(image) if line.kind != "not"), None)
        return last is not None and last.kind == "skip"

    def refused(self, label: str) -> set[str]:
        """Return the images that were said not to be of a class that they were predicted as."""
        with self.lock:
            lines = [line for line in self._counting() if line.kind == "not" and line.label == label]
        return {image for line in lines for image in line.images}

    def _of(self, image: str) -> Iterator[Answer]:
        for number in reversed(self.about.get(image, ())):
            if number not in self.undone:
                yield self.lines[number]

    def _counting(self) -> Iterator[Answer]:
        return (line for line in self.lines if line.number not in self.undone)

    def known(self) -> dict[str, Answer]:
        """Return the answer that counts for each image that has one."""
        with self.lock:
            return {image: found for image in self.about if (found := self.latest(image)) is not None}

    def classes(self, first: Sequence[str]) -> tuple[str, ...]:
        """Return the classes `first` and those that answers added, in that order."""
        with self.lock:
            added = [line.label for line in self._counting() if line.kind in ("class", "label") and line.label]
        return tuple(dict.fromkeys([*first, *added]))

    def count(self, kinds: Iterable[str], why: Iterable[str]) -> int:
        """Return how many answers of these kinds count that were asked for these reasons."""
        kinds, why = set(kinds), set(why)
        with self.lock:
            return sum(line.kind in kinds and line.why in why for line in self._counting())


def class_name(given: str | None) -> str:
    """Return the name of a class as it was typed, without blanks around it. Raises UsageError for what can be none."""
    name = (given or "").strip()
    if name in BLANK_LABELS or not name.isprintable():
        raise UsageError("class-name", f"{name!r} cannot be a class", fix="type a name, such as cat")
    if len(name) > LONGEST_NAME:
        what = f"a class has a name of more than {LONGEST_NAME} characters"
        raise UsageError("class-name", what, fix="shorten it")
    return name
