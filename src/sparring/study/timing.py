"""How many processes and threads, and how long still."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from ..devices import cores, hardware
from .plan import SLOW, Study
from .pool import Pool
from .worker import Cell

GUESS = {"floor": 0.05, "traditional": 2.0, "network": 20.0, "gan": 40.0}  # seconds of a fit nobody has timed yet
GIB_EACH = 1.5  # of memory that a process with torch may want


def settle_jobs(
    study: Study,
    pool: Pool,
    jobs: int | str,
    missing: list[Cell],
    methods: Mapping[str, Any],
    say: Callable[..., None],
) -> None:
    """Sets the pool's processes and threads and writes them into study.json.

    "auto" goes on as the study began on a machine with as many cores; else it measures, where a network is to be
    trained, whether one process per core beats one process with all cores.
    """
    old, here = study.told["jobs"], cores()
    networks = sum(methods[cell.method].family in SLOW for cell in missing)
    measurable = networks > 1 and here > 1
    if jobs != "auto":
        found = Settled(int(jobs), max(1, here // int(jobs)) if jobs else 1)
    elif old.get("jobs") and old["cores"] == here and ("measured" in old or not measurable):
        found = Settled(old["jobs"], old["threads"], old.get("measured"))
    else:
        memory = hardware()["memory_gib"] or here * GIB_EACH
        found = Settled(max(1, min(here, int(memory / GIB_EACH), len(missing))), 1)
        if measurable and found.jobs > 1:
            say("fit", message=f"measuring whether {found.jobs} processes of 1 thread beat 1 of {here}")
            pool.jobs, pool.threads = found.jobs, 1
            found = faster(found.jobs, here, pool.speeds(here))
    study.told["jobs"] = {"cores": here} | {k: v for k, v in found._asdict().items() if v is not None}
    if (pool.jobs, pool.threads) != (found.jobs, found.threads):
        pool.stop()
        pool.jobs, pool.threads = found.jobs, found.threads


class Settled(NamedTuple):
    jobs: int
    threads: int
    measured: dict[str, float] | None = None  # training steps a second


def faster(jobs: int, threads: int, measured: dict[str, float]) -> Settled:
    one, many = measured[f"1 x {threads}"], measured[f"{jobs} x 1"]
    return Settled(1, threads, measured) if one > many else Settled(jobs, 1, measured)


class Clock:
    """Estimates from the fits so far: of the same method and budget, or the method, or its family, or a guess."""

    def __init__(self, rows: Iterable[dict], methods: Mapping[str, Any], minutes: float | None, jobs: int):
        self.methods, self.minutes, self.jobs = methods, minutes, max(1, jobs)
        self.seconds: dict[tuple, list[float]] = {}
        for row in rows:
            self.heard(row)

    def heard(self, row: dict) -> None:
        if row["status"] == "ok" and row["method"] in self.methods:
            spent = row["seconds"] + row["predict_seconds"]
            family = self.methods[row["method"]].family
            for name in ((row["method"], row["budget"]), (row["method"],), (family, "family")):
                self.seconds.setdefault(name, []).append(spent)

    def fit(self, cell: Cell) -> float:
        """Seconds that this fit will take."""
        family = self.methods[cell.method].family
        for name in ((cell.method, cell.budget), (cell.method,), (family, "family")):
            if name in self.seconds:
                return float(np.mean(self.seconds[name]))
        guess = GUESS.get(family, 40.0)
        return min(guess, 60 * self.minutes) if self.minutes and family in SLOW else guess

    def eta(self, left: Iterable[Cell]) -> float:
        """Seconds until all of these are done: shared by the processes, but no less than the longest one."""
        each = [self.fit(cell) for cell in left]
        return max(sum(each) / self.jobs, max(each, default=0.0))

    def plan(self, missing: list[Cell], threads: int) -> str:
        """What is about to happen, as a sentence."""
        processes = f"{self.jobs} process{'es' * (self.jobs > 1)} of {threads} thread{'s' * (threads > 1)}"
        capped = any(self.methods[c.method].family in SLOW for c in missing) and self.minutes
        cap = f", at most {self.minutes:.2g} minutes for each network fit" if capped else ""
        return f"{len(missing)} fits to do on {processes}{cap}"
