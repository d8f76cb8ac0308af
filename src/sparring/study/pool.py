"""Processes that fit: one task at a time each, started once, gone when the study is.

A process that dies (out of memory, a crash in native code) takes only its own fit with it: what was running beside it
is run again, one by one, so that the guilty one is known.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from ..devices import training_speed
from .worker import Outcome, Task, fit, row_of, settle, steps_within

TICK = 1.0  # seconds between two looks at what runs
PATIENCE = 5.0  # seconds at most until what was handed over has been taken


class Pool:
    """`jobs` processes; 0 means none: fits run here, one after the other (for debugging)."""

    def __init__(self, jobs: int, *, threads: int = 1):
        self.jobs, self.threads = jobs, threads
        self._executor: Any = None
        self._live: list[Future] = []

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends all processes now."""
        if self._executor is not None:
            until = time.monotonic() + PATIENCE  # loky's own thread trips over work that it has not seen yet
            while any(not (f.running() or f.done()) for f in self._live) and time.monotonic() < until:
                time.sleep(0.01)
            self._executor.shutdown(wait=True, kill_workers=True)
            self._executor = None

    def submit(self, function: Callable, *given: Any) -> Future:
        if self._executor is None:
            from loky import ProcessPoolExecutor

            env = {name: str(self.threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
            self._executor = ProcessPoolExecutor(self.jobs, initializer=settle, initargs=(os.getpid(),), env=env)
        future = self._executor.submit(function, *given)
        self._live = [f for f in self._live if not f.done()] + [future]
        return future

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[list[Task], Task | None, Outcome | None]]:
        """Yields (what runs, None, None) as things start and every TICK, and (what runs, task, outcome) as they end.

        Tasks start in their order.
        """
        if self.jobs == 0:
            for task in tasks:
                yield [task], None, None
                yield [], task, fit(task)
            return
        waiting, suspects = list(tasks), []
        while waiting or suspects:
            alone = bool(suspects)
            lost = yield from self._round(suspects or waiting, at_once=1 if alone else self.jobs)
            if alone and lost:
                yield [], lost[0], died(lost[0])
            else:
                suspects = suspects or lost

    def _round(self, queue: list[Task], *, at_once: int):
        """Runs tasks from the front of `queue` until it is empty, or a process dies: returns what was running then."""
        running: dict[Future, Task] = {}
        while queue or running:
            while queue and len(running) < at_once:
                task = queue.pop(0)
                running[self.submit(fit, task)] = task
                yield list(running.values()), None, None
            done, _ = wait(running, timeout=TICK, return_when=FIRST_COMPLETED)
            for future in [f for f in done if not isinstance(f.exception(), BrokenProcessPool)]:
                task = running.pop(future)
                yield list(running.values()), task, ended(task, future)
            if any(future in running for future in done):
                self.stop()
                return list(running.values())
            if not done:
                yield list(running.values()), None, None
        return []

    def steps(self, tasks: Sequence[Task]) -> list[int | None]:
        """What each task's method can afford, tried with all processes busy, as in the study."""
        if self.jobs == 0:
            return [steps_within(task) for task in tasks]
        return [future.result() for future in [self.submit(steps_within, task) for task in tasks]]

    def speeds(self, threads: int) -> dict[str, float]:
        """Training steps a second in all: `jobs` processes of one thread at once, and one process of `threads`."""
        together = [self.submit(training_speed, 1) for _ in range(self.jobs)]
        many = sum(future.result() for future in together)
        return {
            f"{self.jobs} x 1": round(many, 1),
            f"1 x {threads}": round(self.submit(training_speed, threads).result(), 1),
        }


def ended(task: Task, future: Future) -> Outcome:
    error = future.exception()
    return future.result() if error is None else failed(task, "fit-failed", f"{type(error).__name__}: {error}"[:500])


def died(task: Task) -> Outcome:
    return failed(task, "process-died", "the process of this fit was killed, perhaps for lack of memory")


def failed(task: Task, id: str, reason: str) -> Outcome:
    """The outcome of a fit that could not speak for itself."""
    error = {"id": id, "reason": reason, "fix": "use fewer --jobs or a smaller --size, and try again"}
    row = {**row_of(task), "status": "error", "error": error, "seconds": None, "record": {}}
    return Outcome(row, None, {})
