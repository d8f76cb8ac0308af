"""Which fits a study makes, and in which order, so that it ends in its time.

A fit always takes all of its steps. So time decides how many fits there are, never how good one is:

1. quick methods, repeat by repeat, FEWEST at every budget;
2. slow methods, the quickest first, at the largest budget: FEWEST repeats or none;
3. all repeats there, of the quickest method first;
4. slow methods at the other budgets: FEWEST repeats, or none;
5. all repeats there;
6. further repeats of arms that are clearly behind (stats.clearly_behind);
7. slow methods that had no room at the largest budget, at the others: they cannot be recommended, and say something.

What no longer fits into the time is left out, and named with its reason.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from .plan import QUICK_FAMILIES
from .records import FEWEST, ShortArm, Trial
from .timing import MODEL, Clock
from .worker import AnyMethod

Place = tuple[str, str]  # method, budget
Unit = tuple[int, Place, int]  # stage, arm, and at the first stage the repeat: what is made whole or not at all


@dataclass(frozen=True)
class Load:
    """When each process will be free, in seconds from now, and the seconds of fits that then run alone."""

    ends: tuple[float, ...]
    alone: float = 0.0

    def plus(self, seconds: float, *, alone: bool) -> "Load":
        """Return the load with a fit more, on the process that is free first."""
        if alone:
            return Load(self.ends, self.alone + seconds)
        first, *others = sorted(self.ends)
        return Load((first + seconds, *others), self.alone)

    @property
    def seconds(self) -> float:
        """How long all of it takes."""
        return max(self.ends) + self.alone


@dataclass(eq=False)
class Schedule:
    """The fits that a study still wants, and which of them its time has room for.

    `seconds`: for all that is still to be done, None without a limit. `refit`: whether the recommended method is fitted
    once more in the end. `clock`: tells how long a fit takes. `alone`: methods whose fits run one after the other.
    """

    methods: Mapping[str, AnyMethod]
    budgets: Sequence[str]
    missing: Iterable[Trial]
    clock: Clock
    seconds: float | None
    jobs: int = 1
    alone: frozenset[str] = frozenset()
    refit: bool = True
    now: Callable[[], float] = time.monotonic
    only: Callable[[Trial], bool] | None = None  # which fits may begin now; None for all
    behind: dict[Place, str] = field(default_factory=dict)  # arm -> the method that it is behind

    def __post_init__(self) -> None:
        self.left = set(self.missing)
        self.running: dict[Trial, float] = {}  # when each began
        self.begun = self.now()
        self.overdue: dict[Place, float] = {}  # seconds after which a fit was given up
        self.made: set[Place] = set()  # arms of which a fit was made

    def take(self, *, alone: bool) -> Trial | None:
        """Begin the next fit of those that run alone, or of the others; None where there is no room for one now."""
        ready = (trial for trial in self.planned() if (trial.method in self.alone) == alone)
        trial = next((trial for trial in ready if self.only is None or self.only(trial)), None)
        if trial is not None:
            self.left.discard(trial)
            self.running[trial] = self.now()
            self.made.add(trial[:2])
        return trial

    def ended(self, trial: Trial) -> None:
        self.running.pop(trial, None)

    def give_up(self, trial: Trial) -> None:
        """Take note of a fit that took too long and was ended."""
        self.overdue[trial[:2]] = self.now() - self.running.pop(trial)
        self.left.add(trial)

    def stage(self, trial: Trial) -> int:
        further, elsewhere = trial.repeat >= FEWEST, trial.budget != self.budgets[-1]
        if further and trial[:2] in self.behind:
            return 6
        if not further and self.methods[trial.method].family in QUICK_FAMILIES:
            return 1
        return 2 + 2 * elsewhere + further

    def units(self) -> dict[Unit, list[Trial]]:
        """Return what is made whole or not at all, in order."""
        found: dict[Unit, list[Trial]] = {}
        for trial in sorted(self.left, key=self.order):
            stage = self.stage(trial)
            found.setdefault((stage, trial[:2], trial.repeat if stage == 1 else 0), []).append(trial)
        return found

    def order(self, trial: Trial) -> tuple:
        stage, place = self.stage(trial), list(self.methods).index(trial.method)
        budget = self.budgets.index(trial.budget)
        if stage == 1:
            return stage, trial.repeat, budget, place
        return stage, self.clock.fit(trial), place, budget, trial.repeat

    def seconds_left(self) -> float | None:
        """Return what is left of the time."""
        return None if self.seconds is None else self.seconds - (self.now() - self.begun)

    def load(self) -> Load:
        """Return what the fits at work still take."""
        found = Load((0.0,) * max(1, self.jobs))
        for trial, began in self.running.items():
            expected = self.clock.fit(trial)
            rest = max(expected - (self.now() - began), 0.1 * expected)
            found = found.plus(rest, alone=trial.method in self.alone)
        return found

    def planned(self) -> list[Trial]:
        """Return the fits that the time has room for, in order; those that run already are left out."""
        room, load, last = self.seconds_left(), self.load(), 0.0
        chosen: list[Trial] = []
        full: set[Place] = set()  # arms that had no room: their later repeats have none either
        if self.refit:
            last = max((self.clock.fit(Trial(m, MODEL, 0)) for m, b in self.made if b == self.budgets[-1]
                        and (m, b) not in self.behind), default=0.0)  # fmt: skip
        units = list(self.units().items())
        deferred = len(units)
        for number, (unit, trials) in enumerate(units):  # grows by what is deferred
            stage, place, _ = unit
            if stage > 3 and number < deferred and not self.covers(place[0], chosen):
                units.append((unit, trials))
                continue
            more, refit = load, last
            for trial in trials:
                more = more.plus(self.clock.fit(trial), alone=trial.method in self.alone)
                if self.refit and trial.budget == self.budgets[-1]:
                    refit = max(refit, self.clock.fit(trial), self.clock.fit(Trial(trial.method, MODEL, 0)))
            alone_fits = self.is_first(trials[0]) and self.clock.fit(trials[0]) <= (self.seconds or 0.0)
            if place in full or not (room is None or alone_fits or more.seconds + refit <= room):
                full.add(place)
                continue
            load, last = more, refit
            chosen += trials
        return chosen

    def is_first(self, trial: Trial) -> bool:
        """Return whether it is the first fit of a quick method at a budget."""
        return self.stage(trial) == 1 and trial.repeat == 0

    def covers(self, method: str, chosen: Iterable[Trial]) -> bool:
        """Return whether a method has fits at the largest budget: without them its others come last."""
        place, left = (method, self.budgets[-1]), {trial[:2] for trial in self.left}
        return place in self.made or place not in left or any(trial[:2] == place for trial in chosen)

    def time_left(self) -> float:
        """Return the seconds until all that is planned is done, the fit of the model not counted."""
        load = self.load()
        for trial in self.planned():
            load = load.plus(self.clock.fit(trial), alone=trial.method in self.alone)
        return load.seconds

    def short(self, done: Mapping[Place, int], repeats: int) -> tuple[ShortArm, ...]:
        """Return the arms that got fewer repeats than wanted; `done`: the fits that each has."""
        planned = self.planned()
        wanting = {trial[:2] for trial in self.left}
        found = []
        for method in self.methods:
            for budget in self.budgets:
                place = method, budget
                ahead = sum(trial[:2] == place for trial in (*planned, *self.running))
                count = done.get(place, 0) + ahead
                if place in wanting and count < repeats:
                    seconds = max(self.clock.fit(Trial(method, budget, 0)), self.overdue.get(place, 0.0))
                    found.append(ShortArm(method, budget, count, repeats, round(seconds, 1), self.behind.get(place)))
        return tuple(found)
