"""Processes that fit, one task at a time each. They start once and end with the study.

When a process dies (out of memory, a crash in native code), only its own fit fails: the tasks that ran at that moment
run again one by one, which shows the one at fault.
"""

import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING

from ..devices import training_speed
from .records import Problem
from .worker import Outcome, Task, prepare_process, seconds_of_fit

if TYPE_CHECKING:
    from loky import ProcessPoolExecutor

TICK = 1.0  # seconds between two looks at what runs
PATIENCE = 5.0  # seconds to wait at most until submitted tasks have started
KILLED = "the process of this fit was killed, perhaps for lack of memory"
Event = tuple[list[Task], Outcome | None]  # what runs, and what has just ended


class Pool:
    """`jobs` processes; 0 means none: fits run here, one after the other (for debugging)."""

    def __init__(self, jobs: int, *, threads: int = 1):
        self.jobs, self.threads = jobs, threads
        self._executor: ProcessPoolExecutor | None = None
        self._live: list[Future] = []

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    def stop(self) -> None:
        """End all processes now."""
        if self._executor is not None:
            # loky's own thread fails on tasks that it has not seen yet, so they must have started.
            until = time.monotonic() + PATIENCE
            while any(not (f.running() or f.done()) for f in self._live) and time.monotonic() < until:
                time.sleep(0.01)
            self._executor.shutdown(wait=True, kill_workers=True)
            self._executor = None

    def resize(self, jobs: int, threads: int) -> None:
        """Go on with so many processes and threads of each."""
        if (self.jobs, self.threads) != (jobs, threads):
            self.stop()
            self.jobs, self.threads = jobs, threads

    def submit(self, function: Callable, *given: object) -> Future:
        if self._executor is None:
            from loky import ProcessPoolExecutor

            env = {name: str(self.threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
            self._executor = ProcessPoolExecutor(
                self.jobs, initializer=prepare_process, initargs=(os.getpid(),), env=env
            )
        future = self._executor.submit(function, *given)
        self._live = [f for f in self._live if not f.done()] + [future]
        return future

    def run(self, take: Callable[[], Task | None], work: Callable[[Task], Outcome]) -> Iterator[Event]:
        """Yield (what runs, None) as tasks start and every TICK, and (what runs, outcome) as they end.

        `take` gives the next task whenever a process is free, None where there is none now. The end is reached where
        there is none and nothing runs.
        """
        if self.jobs == 0:
            while task := take():
                yield [task], None
                yield [], work(task)
            return
        while lost := (yield from self._round(take, work, at_once=self.jobs)):
            while lost:
                alone = lost.pop(0)
                if (yield from self._round(only(alone), work, at_once=1)):
                    yield [], failed(alone, "process-died", KILLED)

    def _round(
        self, take: Callable[[], Task | None], work: Callable[[Task], Outcome], *, at_once: int
    ) -> Generator[Event, None, list[Task]]:
        """Run tasks until there is none, or a process dies: return what was running then."""
        running: dict[Future, Task] = {}
        while True:
            while len(running) < at_once and (task := take()):
                running[self.submit(work, task)] = task
                yield list(running.values()), None
            if not running:
                return []
            done, _ = wait(running, timeout=TICK, return_when=FIRST_COMPLETED)
            for future in [f for f in done if not isinstance(f.exception(), BrokenProcessPool)]:
                task, error = running.pop(future), future.exception()
                reason = f"{type(error).__name__}: {error}"[:500]
                yield list(running.values()), future.result() if error is None else failed(task, "fit-failed", reason)
            if any(future in running for future in done):
                self.stop()
                return list(running.values())
            if not done:
                yield list(running.values()), None

    def seconds(self, tasks: Sequence[Task]) -> list[float | None]:
        """Return how long a fit of each task takes, tried with all processes busy; None where nothing says so."""
        if self.jobs == 0:
            return [seconds_of_fit(task) for task in tasks]
        futures = [self.submit(seconds_of_fit, task) for task in tasks]
        try:
            return [future.result() for future in futures]
        except BrokenProcessPool:  # the fit itself will say what is wrong
            self.stop()
            return [None] * len(tasks)

    def speeds(self, threads: int) -> dict[str, float]:
        """Return training steps a second of `jobs` processes with one thread each, and of one with `threads`."""
        together = [self.submit(training_speed, 1) for _ in range(self.jobs)]
        many = sum(future.result() for future in together)
        return {
            f"{self.jobs} x 1": round(many, 1),
            f"1 x {threads}": round(self.submit(training_speed, threads).result(), 1),
        }


def only(task: Task) -> Callable[[], Task | None]:
    """Return what gives one task, once."""
    waiting = [task]
    return lambda: waiting.pop() if waiting else None


def failed(task: Task, id: str, reason: str) -> Outcome:
    """Return the outcome of a fit that could not speak for itself."""
    return task.failed(Problem(id, reason, "use fewer --jobs or a smaller --size, and try again"))
