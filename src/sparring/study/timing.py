"""How many processes and threads a study uses, and how long it still takes."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np

from ..devices import cores, hardware
from .plan import SLOW_FAMILIES, Study
from .pool import Pool
from .records import FitRow, Jobs, StudyProgress, Trial
from .worker import AnyMethod

# Seconds of a first fit.
GUESS = {"floor": 0.05, "traditional": 2.0, "pretrained": 2.0, "network": 20.0, "gan": 40.0, "ensemble": 60.0}
GIB_EACH = 1.5  # of memory that a process with torch may want


def settle_jobs(
    study: Study,
    pool: Pool,
    jobs: int | str,
    missing: list[Trial],
    methods: Mapping[str, AnyMethod],
    say: Callable[[StudyProgress], None],
) -> Jobs:
    """Set the pool's processes and threads, and return them.

    "auto" goes on as the study began on a machine with as many cores; else it measures, where a network is to be
    trained, whether one process per core beats one process with all cores.
    """
    old, here = study.definition.jobs, cores()
    networks = sum(methods[trial.method].family in SLOW_FAMILIES for trial in missing)
    measurable = networks > 1 and here > 1
    if jobs != "auto":
        found = Jobs(here, int(jobs), max(1, here // int(jobs)) if jobs else 1)
    elif old and old.jobs and old.cores == here and (old.measured or not measurable):
        found = old
    else:
        memory = hardware()["memory_gib"] or here * GIB_EACH
        found = Jobs(here, max(1, min(here, int(memory / GIB_EACH), len(missing))), 1)
        if measurable and found.jobs > 1:
            say(StudyProgress("fits", message=f"measuring whether {found.jobs} processes of 1 thread beat 1 of {here}"))
            pool.jobs, pool.threads = found.jobs, 1
            found = faster(found, pool.speeds(here))
    pool.resize(found.jobs, found.threads)
    return found


def faster(several: Jobs, measured: dict[str, float]) -> Jobs:
    one, many = measured[f"1 x {several.cores}"], measured[f"{several.jobs} x 1"]
    several = replace(several, measured=measured)
    return replace(several, jobs=1, threads=several.cores) if one > many else several


class Clock:
    """Estimates a fit from earlier ones of its method and budget, or of its method, or of its family, or by a guess."""

    def __init__(
        self,
        rows: Iterable[FitRow],
        methods: Mapping[str, AnyMethod],
        minutes: float | None,
        jobs: int,
        alone: frozenset[str] = frozenset(),
    ):
        self.methods, self.minutes, self.jobs, self.alone = methods, minutes, max(1, jobs), alone
        self.seconds: dict[tuple[str, ...], list[float]] = {}
        for row in rows:
            self.heard(row)

    def heard(self, row: FitRow) -> None:
        if row.method in self.methods and row.seconds is not None and row.predict_seconds is not None:
            for name in self.names(row.trial):
                self.seconds.setdefault(name, []).append(row.seconds + row.predict_seconds)

    def names(self, trial: Trial) -> tuple[tuple[str, ...], ...]:
        return (trial.method, trial.budget), (trial.method,), (self.methods[trial.method].family, "family")

    def fit(self, trial: Trial) -> float:
        """Return the seconds that a fit will take."""
        for name in self.names(trial):
            if name in self.seconds:
                return float(np.mean(self.seconds[name]))
        family = self.methods[trial.method].family
        guess = GUESS.get(family, 40.0)
        return min(guess, 60 * self.minutes) if self.minutes and family in SLOW_FAMILIES else guess

    def left(self, trials: Iterable[Trial]) -> float:
        """Return the seconds until all of these are done.

        Of those side by side their sum over the processes, and at least the longest; then those that run alone.
        """
        together = [self.fit(trial) for trial in trials if trial.method not in self.alone]
        apart = sum(self.fit(trial) for trial in trials if trial.method in self.alone)
        return max(sum(together) / self.jobs, max(together, default=0.0)) + apart

    def plan(self, missing: list[Trial], threads: int) -> str:
        """Return what is about to happen, as a sentence."""
        processes = f"{self.jobs} process{'es' * (self.jobs > 1)} of {threads} thread{'s' * (threads > 1)}"
        capped = any(self.methods[t.method].family in SLOW_FAMILIES for t in missing) and self.minutes
        cap = f", at most {self.minutes:.2g} minutes for each network fit" if capped else ""
        gpu = sum(trial.method in self.alone for trial in missing)
        return f"{len(missing)} fits to do on {processes}{f', {gpu} of them on the GPU in turn' if gpu else ''}{cap}"
