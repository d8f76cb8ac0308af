"""One fit of one method, in a process of its own: training images and drawn labels in, test probabilities out.

This is all that a method ever sees of a study. Test labels are not in this process.
"""

import os
import signal
import threading
import time
import traceback
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..devices import all_threads, hardware, versions
from ..errors import SparringError

PICTURES = 64  # of each kind that a row keeps


class Cell(NamedTuple):
    """A place in the table of a study."""

    method: str
    budget: str  # "5", "20", "all"
    repeat: int

    def __str__(self) -> str:
        return f"{self.method}-{self.budget}-{self.repeat}"


@dataclass(frozen=True)
class Task:
    """What a process needs for a cell: `labels` int64 [N] has -1 where the draw hid the label."""

    cell: Cell
    method: Any  # a row of classify.METHODS, or anything with its `make`
    labels: np.ndarray
    train: Path  # .npy of uint8 [N,H,W,C]
    test: Path  # .npy of uint8 [T,H,W,C]
    classes: int
    seed: int
    minutes: float | None
    threads: int
    steps: int | None = None  # of every network at this budget, where minutes cap them


@dataclass(frozen=True)
class Outcome:
    """What came of a task: parts of its row, and what goes into files beside it."""

    row: dict
    proba: np.ndarray | None  # float32 [T,K]
    pictures: dict[str, np.ndarray]


def fit(task: Task) -> Outcome:
    """Fits and predicts; whatever a method raises becomes a row with its error."""
    row = row_of(task)
    start = time.perf_counter()
    try:
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("default")
            estimator = made(task)
            with all_threads(task.threads):  # what the method needs is loaded by now, and not part of its seconds
                start, cpu = time.perf_counter(), time.process_time()
                estimator.fit(np.load(task.train, mmap_mode="c"), task.labels.copy())
                row |= {"seconds": elapsed(start), "cpu_seconds": round(time.process_time() - cpu, 4)}
                start = time.perf_counter()
                proba = columns(estimator, np.load(task.test, mmap_mode="c"), task.classes)
                row["predict_seconds"] = elapsed(start)
    except Exception as error:  # the study goes on
        row |= {"status": "error", "error": described(error), "seconds": elapsed(start), "record": {}}
        return Outcome(row, None, {})
    said = sorted({f"{w.category.__name__}: {w.message}" for w in heard})[:5]
    row["record"] = plain(getattr(estimator, "record_", {})) | ({"warnings": said} if said else {})
    pictures = {name: np.asarray(p)[:PICTURES] for name, p in getattr(estimator, "pictures_", {}).items()}
    return Outcome(row, proba, pictures)


def row_of(task: Task) -> dict[str, Any]:
    """What a row says before anything is known of the fit."""
    return {
        **task.cell._asdict(),
        "status": "ok",
        "error": None,
        "labels": int((task.labels >= 0).sum()),
        "seed": task.seed,
        "threads": task.threads,
        "minutes": task.minutes,
        "versions": versions(),
        "hardware": hardware(),
    }


def made(task: Task) -> Any:
    """The estimator of a task; `steps` is told only where the study has settled them."""
    settled = {} if task.steps is None else {"steps": task.steps}
    return task.method.make(random_state=task.seed, minutes=task.minutes, threads=task.threads, **settled)


def steps_within(task: Task) -> int | None:
    """How many optimiser steps a method can take in the task's minutes; None for one that takes none."""
    estimator = made(task)
    if not hasattr(estimator, "steps_within"):
        return None
    with all_threads(task.threads):
        return estimator.steps_within(np.load(task.train, mmap_mode="c"), task.labels)


def elapsed(start: float) -> float:
    return round(time.perf_counter() - start, 4)


def described(error: Exception) -> dict:
    """{"id", "reason", "fix"} of any exception; of one that is not ours also where it came from."""
    if isinstance(error, SparringError):
        return {"id": error.id, "reason": error.problem, "fix": error.fix}
    return {
        "id": "fit-failed",
        "reason": f"{type(error).__name__}: {error}"[:500],
        "fix": "leave this method out, or repeat the command with its failed fits",
        "trace": traceback.format_exc(limit=-5),
    }


def columns(estimator: Any, images: np.ndarray, classes: int) -> np.ndarray:
    """Probabilities float32 [T,K] with one column per class of the study. Raises ValueError when they are none."""
    given = np.asarray(estimator.predict_proba(images), float)
    wanted = len(images), len(estimator.classes_)
    if given.shape != wanted:
        raise ValueError(f"predict_proba gave {given.shape}, not {wanted}")
    if not np.isfinite(given).all() or given.min() < 0 or not np.allclose(given.sum(1), 1, atol=1e-3):
        raise ValueError("predict_proba gave numbers that are no probabilities")
    proba = np.zeros((len(images), classes), np.float32)
    proba[:, np.asarray(estimator.classes_, int)] = given
    return proba


def plain(value: Any) -> Any:
    """`value` as JSON can hold it: numbers finite or None, everything unknown as its text."""
    if isinstance(value, dict):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value if isinstance(value, str | int | None) else str(value)


def settle(parent: int) -> None:
    """What a process does first: Ctrl-C is its parent's business, and it ends when its parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="parent watch").start()
