"""How many processes and threads a study uses, and how long it still takes."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np

from ..devices import cores, hardware
from .definition import Jobs
from .plan import QUICK_FAMILIES, Study
from .pool import Pool
from .records import FitRow, StudyProgress, Trial
from .worker import AnyMethod

# Seconds of a first fit.
GUESS = {"floor": 0.05, "traditional": 2.0, "pretrained": 2.0, "network": 20.0, "gan": 40.0, "ensemble": 60.0}
GROWTH = (
    0.75  # power of the labels by which the seconds of a quick method grow: CIFAR-10, 200 to 48,000 labels, 0.6 to 0.9
)
MODEL = "model"  # in place of a budget: the fit on all labels, those of the test part included
MEMBERS_FITS = 6  # fits of each member that an ensemble makes: five folds and all labels
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
    networks = sum(methods[trial.method].family not in QUICK_FAMILIES for trial in missing)
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
    """How many seconds a fit takes, the test images included.

    By earlier fits of its method and budget; else by those at other budgets, which of a quick method and of an ensemble
    of such grow with the labels; else by a trial; an ensemble by its members. Where nothing is known it guesses.
    """

    def __init__(self, rows: Iterable[FitRow], methods: Mapping[str, AnyMethod], labels: Mapping[str, int]):
        self.methods, self.labels = methods, labels
        self.tried: dict[str, float] = {}  # seconds of a fit by a trial
        self.seconds: dict[tuple[str, str], list[float]] = {}
        for row in rows:
            self.heard(row)

    def heard(self, row: FitRow) -> None:
        """Take note of a fit that ended."""
        if row.method in self.methods and row.seconds is not None:
            self.seconds.setdefault((row.method, row.budget), []).append(row.seconds + (row.predict_seconds or 0.0))

    def knows(self, method: str) -> bool:
        """Return whether a fit of a method was heard of or tried."""
        return method in self.tried or any(name == method for name, _ in self.seconds)

    def fit(self, trial: Trial) -> float:
        """Return the seconds that a fit will take."""
        if found := self.seconds.get(trial[:2]):
            return float(np.mean(found))
        family, elsewhere = self.methods[trial.method].family, self.elsewhere(trial)
        if elsewhere is not None:
            return elsewhere
        if trial.method in self.tried:
            return self.tried[trial.method]
        if family == "ensemble" and (members := self.members(trial.budget)):
            return MEMBERS_FITS * members
        return GUESS.get(family, GUESS["network"])

    def elsewhere(self, trial: Trial) -> float | None:
        """Return the seconds by fits at other budgets; None where there is none."""
        known = [
            (budget, float(np.mean(each))) for (name, budget), each in self.seconds.items() if name == trial.method
        ]
        if not known:
            return None
        if self.methods[trial.method].family not in (*QUICK_FAMILIES, "ensemble"):
            return float(np.mean([seconds for _, seconds in known]))
        wanted = self.labels.get(trial.budget, max(self.labels.values(), default=1))
        budget, seconds = min(known, key=lambda pair: abs(np.log(wanted / self.labels.get(pair[0], 1))))
        return seconds * max(1.0, wanted / self.labels.get(budget, 1)) ** GROWTH

    def members(self, budget: str) -> float:
        """Return the seconds of a fit of each quick method at a budget, added up."""
        return sum(float(np.mean(each)) for (name, at), each in self.seconds.items()
                   if at == budget and self.methods[name].family in QUICK_FAMILIES)  # fmt: skip
