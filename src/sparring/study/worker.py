"""One fit of one method in a process of its own: from training images and labels to test probabilities.

This is all that a method sees of a study. Test labels are not in this process.
"""

import hashlib
import os
import signal
import threading
import time
import traceback
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, is_dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from sklearn.utils.validation import has_fit_parameter

from ..classifiers.fit_record import FitRecord
from ..classifiers.methods import Method
from ..devices import all_threads, hardware, versions
from ..errors import SparringError
from ..records import to_json
from .records import FitMachine, FitRow, Problem, Trial

PICTURES_KEPT = 64  # of each kind that a row keeps


class AnyMethod(Protocol):
    """What a study asks of a method: a row of METHODS has it, and a user's own may be any such object."""

    @property
    def title(self) -> str: ...
    @property
    def what(self) -> str: ...
    @property
    def family(self) -> str: ...
    @property
    def cites(self) -> Sequence[str]: ...

    def make(self, **settings: object) -> Any:
        """Return an estimator with `fit(images, labels)`, `predict_proba(images)` and, once fitted, `classes_`.

        Where `fit` takes `groups`, it gets those of the images, int64 [N], if they have any.
        """
        ...


@dataclass(frozen=True, eq=False)
class Task:
    """What a process needs for a fit: `labels` int64 [N] has -1 where the draw hid the label.

    `device`: "cpu", or "cuda" for a method that can compute there.
    """

    trial: Trial
    method: AnyMethod
    images: Path  # .npy of uint8 [N,H,W,C]
    labels: np.ndarray
    seed: int
    threads: int
    device: str = "cpu"
    pretrained: str = "none"
    groups: np.ndarray | None = None  # int64 [N], equal for images of one group

    def estimator(self) -> Any:
        """Return a new estimator, whose fit takes all the time that it needs.

        `device` and `pretrained` go to rows of METHODS only: a user's own method need not know of them.
        """
        more: dict[str, object] = {}
        if isinstance(self.method, Method):
            more = {"device": self.device, "pretrained": self.pretrained}
        return self.method.make(random_state=self.seed, minutes=None, threads=self.threads, **more)

    def of_groups(self, estimator: Any) -> dict[str, np.ndarray]:
        """Return the argument `groups` of `fit` where images have groups and the estimator takes it."""
        takes = self.groups is not None and has_fit_parameter(estimator, "groups")
        return {"groups": self.groups} if takes and self.groups is not None else {}

    def pixels(self) -> np.ndarray:
        return np.load(self.images, mmap_mode="c")

    def row(self, **known: Any) -> FitRow:
        """Return the row of this fit with what is known of it."""
        fixed = {"labels": int((self.labels >= 0).sum()), "seed": self.seed, "threads": self.threads}
        fixed |= {"minutes": None, "versions": versions(), "hardware": FitMachine(**hardware(self.device))}
        return FitRow(**self.trial._asdict(), **fixed, draw=array_hash(self.labels), **known)

    def failed(self, error: Problem, seconds: float | None = None) -> "Outcome":
        return Outcome(self.row(status="error", error=error, seconds=seconds, record={}))


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of a task: its row, and what goes into the files that the row names."""

    row: FitRow
    proba: np.ndarray | None = None  # float32 [T,K]
    pictures: Mapping[str, np.ndarray] = field(default_factory=dict)


def fit_and_predict(task: Task, test: Path, classes: int) -> Outcome:
    """Fit, and predict the test images (.npy of uint8 [T,H,W,C]). An exception of the method becomes a row with it."""
    start = time.perf_counter()
    try:
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("default")
            estimator = task.estimator()
            # What the method needs is loaded by now, so loading is not part of its seconds.
            with all_threads(task.threads):
                start, cpu = time.perf_counter(), time.process_time()
                estimator.fit(task.pixels(), task.labels.copy(), **task.of_groups(estimator))
                seconds, cpu_seconds = elapsed(start), round(time.process_time() - cpu, 4)
                start = time.perf_counter()
                proba = class_probabilities(estimator, np.load(test, mmap_mode="c"), classes)
                predict_seconds = elapsed(start)
    except Exception as error:  # the study goes on
        return task.failed(problem_of(error), elapsed(start))
    record = getattr(estimator, "record_", {})
    notes = json_ready(record.to_json() if isinstance(record, FitRecord) else record)
    if said := sorted({f"{w.category.__name__}: {w.message}" for w in heard})[:5]:
        notes |= {"warnings": said}
    pictures = {
        name: np.asarray(p)[:PICTURES_KEPT] for name, p in getattr(estimator, "pictures_", {}).items() if len(p)
    }
    row = task.row(
        status="ok",
        error=None,
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        predict_seconds=predict_seconds,
        record=notes,
        predictions=f"predictions/{task.trial}.npz",
        digest=array_hash(proba),
        pictures={kind: f"runs/{task.trial}/{kind}.png" for kind in pictures},
    )
    return Outcome(row, proba, pictures)


def uses_device(method: AnyMethod) -> bool:
    """Return whether a method can compute on a GPU."""
    return isinstance(method, Method) and method.knows("device")


def always_pretrained(method: AnyMethod) -> bool:
    """Return whether a method cannot be without a pretrained network."""
    return isinstance(method, Method) and method.needs_pretrained


def looks_through(method: AnyMethod) -> bool:
    """Return whether a method may use a pretrained network."""
    return isinstance(method, Method) and method.knows("pretrained")


def compute_features(paths: Sequence[Path], pretrained: str, device: str, threads: int) -> float:
    """Compute the features of these images by each encoder into the user's cache; return the seconds that it took."""
    from ..features.encoders import encoders_of

    start = time.perf_counter()
    with all_threads(threads):
        for encoder in encoders_of(pretrained, device=device):
            for path in paths:
                encoder.features(np.load(path, mmap_mode="r"))
    return elapsed(start)


def seconds_of_fit(task: Task) -> float | None:
    """Return about how many seconds a fit takes, by a short trial; None for a method that knows no trial.

    What goes wrong in a trial goes wrong in the fit, which says so.
    """
    with warnings.catch_warnings(), suppress(Exception):
        warnings.simplefilter("ignore")
        estimator = task.estimator()
        if hasattr(estimator, "seconds_for"):
            with all_threads(task.threads):
                return float(estimator.seconds_for(task.pixels(), task.labels))
    return None


def elapsed(start: float) -> float:
    return round(time.perf_counter() - start, 4)


def array_hash(array: np.ndarray) -> str:
    """Return 16 hexadecimal digits of an array's bytes, as rows have kept them from the first version on."""
    return hashlib.blake2b(array.tobytes(), digest_size=8).hexdigest()


def problem_of(error: Exception) -> Problem:
    """Return what an exception says; for one that is not of sparring also where it came from."""
    if isinstance(error, SparringError):
        return Problem(error.id, error.problem, error.fix)
    return Problem(
        "fit-failed",
        f"{type(error).__name__}: {error}"[:500],
        "leave this method out, or repeat the command with its failed fits",
        traceback.format_exc(limit=-5),
    )


def class_probabilities(estimator: Any, images: np.ndarray, classes: int) -> np.ndarray:
    """Return probabilities float32 [T,K] with one column per class of the study.

    Raises ValueError when `predict_proba` gives something else.
    """
    given = np.asarray(estimator.predict_proba(images), float)
    wanted = len(images), len(estimator.classes_)
    if given.shape != wanted:
        raise ValueError(f"predict_proba gave {given.shape}, not {wanted}")
    if not np.isfinite(given).all() or given.min() < 0 or not np.allclose(given.sum(1), 1, atol=1e-3):
        raise ValueError("predict_proba gave numbers that are no probabilities")
    proba = np.zeros((len(images), classes), np.float32)
    proba[:, np.asarray(estimator.classes_, int)] = given
    return proba


def json_ready(value: object) -> Any:
    """Return `value` as JSON can hold it: a number that is not finite as None, what is unknown as its text."""
    if is_dataclass(value) and not isinstance(value, type):
        return json_ready(to_json(value, kinds=False))
    if isinstance(value, dict):
        return {str(name): json_ready(item) for name, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return json_ready(value.tolist())
    if isinstance(value, list | tuple):
        return [json_ready(item) for item in value]
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value if isinstance(value, str | int | None) else str(value)


def prepare_process(parent: int) -> None:
    """Prepare a process: Ctrl-C is its parent's business, and it ends when its parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def follow() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=follow, daemon=True, name="parent watch").start()
