"""The fits of a study: what is missing is made as far as time allows, and each row is on the disk when its fit ends."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from .. import files, stats
from ..devices import cores
from ..images import grid, save_png
from ..words import duration, listed, plural
from .audit.label_errors import seconds_to_check
from .headline import time_words
from .plan import QUICK_FAMILIES, Study, seed_of
from .pool import Event, Pool
from .prepared import Prepared, label_draws
from .records import FEWEST, SEAL, StudyProgress, Trial
from .schedule import Place, Schedule
from .sealed import Sealed
from .timing import MODEL, Clock, settle_jobs
from .worker import (
    AnyMethod,
    Outcome,
    Task,
    compute_features,
    fit_and_predict,
    looks_through,
    uses_device,
)

WORK = f"{files.TEMPORARY}work"  # arrays that processes map; gone when the command ends
SUMMARY_EVERY = 30.0  # seconds between two summaries of a study that still runs
SUMMARY_SHARE = 0.05  # of the time, at most, that they take
OVERTIME = 1.15  # times the limit at which a fit that takes longer than thought is given up
MARGIN_SHARE = 0.05  # of the time for what nobody foresees
OnStudyProgress = Callable[[StudyProgress], None]


@dataclass(eq=False, kw_only=True)
class Fits:
    """Makes the fits of one study. On a GPU, methods that can use it come one after the other, with all cores.

    `begun`: when the command began, as time.monotonic() says. `refit`: whether a model is fitted in the end. `interim`:
    writes a summary of what there is.
    """

    study: Study
    prepared: Prepared
    methods: Mapping[str, AnyMethod]
    pool: Pool
    device: str
    say: OnStudyProgress
    begun: float
    refit: bool
    interim: Callable[[], object]
    right: dict[Place, dict[int, np.ndarray]] = field(default_factory=dict)  # arm -> repeat -> bool [T]
    fitted: set[Trial] = field(default_factory=set)  # by this command
    summarised_at: float = 0.0  # seconds after the command began
    summary_cost: float = 0.0  # seconds

    def make(self, trials: Sequence[Trial], *, jobs: int | str, retry: bool) -> None:
        """Make what is missing of `trials`; with `retry` also what failed."""
        study, missing = self.study, self.study.missing(trials, retry=retry)
        if study.definition.complete:  # time is up: only what was lost, or is tried again
            rows = study.rows()
            missing = [trial for trial in missing if trial in rows]
        gpu = self.device != "cpu"
        self.alone = frozenset(name for name, method in self.methods.items() if gpu and uses_device(method))
        side_by_side = [trial for trial in missing if trial.method not in self.alone]
        settled = settle_jobs(study, self.pool, jobs, side_by_side, self.methods, self.say)
        study.save(jobs=settled)
        self.prepared.sealed.write(study.folder / SEAL)
        self.rows, self.there = study.rows(), len(trials) - len(missing)
        self.before = study.spent(self.rows.values())
        every = int((self.prepared.labels >= 0).sum()) + len(self.prepared.test)
        self.clock = Clock(self.rows.values(), self.methods, {**study.definition.labels, MODEL: every})
        if not missing:
            return
        self.tasks, self.paths = self.prepared_tasks(missing)
        self.schedule = self.schedule_for(missing)
        self.say(replace(self.now_at(), message=self.beforehand(missing)))
        try:
            self.make_all(missing)
        except KeyboardInterrupt:
            done = self.there + len(self.fitted)
            message = f"{plural(done, 'fit')} {'is' if done == 1 else 'are'} saved in {study.folder}"
            self.say(replace(self.now_at(), what="stopped", message=message, seconds_left=None))
            raise

    def make_all(self, missing: list[Trial]) -> None:
        """Make a first fit of all that is quick, then what the time has room for."""
        study, before = self.study, self.study.definition.complete
        self.first_round({name for name, method in self.methods.items() if not looks_through(method)})
        self.features_first(missing)
        self.first_round(set(self.methods))
        self.try_slow()
        self.summarise_now()
        self.say(replace(self.now_at(), message=self.plan_words()))
        self.round()
        done = Counter(row.trial[:2] for row in self.rows.values() if row.status == "ok")
        short = study.definition.short if before else self.schedule.short(done, study.definition.repeats)
        study.save(short=short, complete=True)

    def first_round(self, names: set[str]) -> None:
        """Make the first fits of those of these methods that are quick."""
        self.schedule.only = lambda trial: trial.method in names and self.schedule.is_first(trial)
        self.round()
        self.schedule.only = None

    def spent(self) -> float:
        """Return the seconds that the study took so far, earlier commands included."""
        return self.before + time.monotonic() - self.begun

    def too_long_for_model(self, method: str | None) -> float | None:
        """Return how many seconds the model of a method takes where that is far more than what is left, else None."""
        if self.study.limit is None or method is None or method not in self.methods:
            return None
        seconds = self.clock.fit(Trial(method, MODEL, 0))
        return seconds if self.spent() + seconds > OVERTIME * self.study.limit else None

    def schedule_for(self, missing: Iterable[Trial]) -> Schedule:
        limit = self.study.limit
        if limit is not None:
            lists = seconds_to_check(self.prepared.labels)
            limit = (1 - MARGIN_SHARE) * limit - self.spent() - lists
        budgets = self.study.definition.budgets
        return Schedule(
            self.methods, budgets, missing, self.clock, limit, self.pool.jobs, alone=self.alone, refit=self.refit
        )

    # --- one fit after the other ---

    def round(self) -> None:
        """Make all that the schedule has room for."""
        work = partial(fit_and_predict, test=self.paths[1], classes=len(self.prepared.classes))
        for running, outcome in self.events(work):
            if outcome is not None:
                self.keep(outcome)
            at_work = tuple(str(task.trial) for task in running)
            self.say(replace(self.now_at(), running=at_work, finished=outcome.row if outcome else None))
            if outcome is not None and self.due():
                self.summarise_now()
            if running and self.is_over():
                self.give_up(running)
                break

    def events(self, work: Callable[[Task], Outcome]) -> Iterator[Event]:
        """Yield what the pool says: first of fits that run side by side, then of those that run alone."""
        yield from self.pool.run(partial(self.take, alone=False), work)
        if self.schedule.only is None and any(trial.method in self.alone for trial in self.schedule.planned()):
            self.pool.resize(min(self.pool.jobs, 1), cores())
            yield from self.pool.run(partial(self.take, alone=True), work)

    def is_over(self) -> bool:
        """Return whether the study has no time left at all."""
        return self.study.limit is not None and self.spent() > OVERTIME * self.study.limit

    def give_up(self, tasks: Sequence[Task]) -> None:
        """End these fits: they leave no row, and count as not made. What a fit takes may depend on its labels."""
        self.pool.stop()
        for task in tasks:
            self.schedule.give_up(task.trial)
        names = listed(sorted({task.trial.method for task in tasks}))
        self.say(replace(self.now_at(), message=f"time is over: {names} took longer than thought, which is not judged"))

    def take(self, *, alone: bool) -> Task | None:
        trial = None if self.is_over() else self.schedule.take(alone=alone)
        return None if trial is None else self.tasks[trial]

    def keep(self, outcome: Outcome) -> None:
        """Write the files of a fit and then the row that names them, so that no row names a file that is not there."""
        folder, row = self.study.folder, outcome.row
        if outcome.proba is not None and row.predictions:
            files.make_folder(folder / "predictions")
            files.write_arrays(folder / row.predictions, proba=outcome.proba)
        for kind, name in (row.pictures or {}).items():
            files.make_folder((folder / name).parent)
            save_png(folder / name, grid(outcome.pictures[kind]), generated=kind == "generated")
        self.study.append(row)
        self.rows[row.trial] = row
        self.fitted.add(row.trial)
        self.schedule.ended(row.trial)
        self.clock.heard(row)
        self.look_behind(row.trial[:2])

    # --- arms that are clearly behind ---

    def look_behind(self, place: Place) -> None:
        """Tell the schedule where a slow arm is clearly behind the best one at its budget."""
        slow = self.methods[place[0]].family not in QUICK_FAMILIES
        if not slow or self.study.limit is None or place in self.schedule.behind:
            return
        rows = [row for row in self.rows.values() if row.budget == place[1] and row.status == "ok"]
        if sum(row.method == place[0] for row in rows) < FEWEST:
            return
        for row in rows:
            mine = self.right.setdefault(row.trial[:2], {})
            if row.repeat not in mine and (proba := self.study.proba(row)) is not None:
                mine[row.repeat] = proba.argmax(1) == self.truth()
        arms = {at: each for at, each in self.right.items() if at[1] == place[1] and len(each) >= FEWEST}
        best = max(arms, key=lambda at: np.mean(list(arms[at].values())))
        both = sorted(arms[place].keys() & arms[best].keys())
        if best != place and len(both) >= FEWEST:
            mine, other = (np.stack([arms[at][repeat] for repeat in both]) for at in (place, best))
            truth = self.truth()
            weights = stats.class_weights(truth) if stats.uneven(truth) else None
            if stats.clearly_behind(mine, other, weights=weights, groups=self.study.definition.test.grouped):
                self.schedule.behind[place] = best[0]

    def truth(self) -> np.ndarray:
        sealed = Sealed.read(self.study.folder / SEAL, self.study.definition.fingerprint)
        return sealed.opened(lambda: self.study.count_look(self.rows))

    # --- before the first fit ---

    def prepared_tasks(self, trials: list[Trial]) -> tuple[dict[Trial, Task], tuple[Path, Path]]:
        """Return a task for each trial, and the files of training and test images."""
        paths, definition = self.prepared.write(self.study.folder / WORK), self.study.definition
        seed, threads = definition.settings.seed, definition.jobs.threads if definition.jobs else 1
        places = {t[1:] for t in trials}
        draws = {(b, r): label_draws(self.prepared, [b], seed=seed, repeat=r)[b] for b, r in places}
        return {
            trial: Task(
                trial=trial,
                method=self.methods[trial.method],
                images=paths[0],
                labels=draws[trial.budget, trial.repeat],
                seed=seed_of(seed, trial.budget, trial.repeat),
                threads=cores() if trial.method in self.alone else threads,
                device=self.device if trial.method in self.alone else "cpu",
                pretrained=definition.settings.pretrained,
                groups=self.prepared.groups,
            )
            for trial in trials
        }, paths

    def features_first(self, missing: Sequence[Trial]) -> None:
        """Compute the pretrained network's features of all images once, with all cores: fits find them cached."""
        pretrained = self.study.definition.settings.pretrained
        names = {trial.method for trial in missing}
        if pretrained == "none" or not any(looks_through(self.methods[name]) for name in names):
            return
        message = f"computing the features of all images by {pretrained}, once for all fits"
        self.say(StudyProgress("fits", message=message))
        given = self.paths, pretrained, self.device, cores()
        pool = self.pool
        try:
            seconds = compute_features(*given) if pool.jobs == 0 else pool.submit(compute_features, *given).result()
        except BrokenProcessPool:
            pool.stop()  # each fit computes them again, and says what happened
        else:
            self.study.save(features_seconds=max(seconds, self.study.definition.features_seconds or 0.0))

    def try_slow(self) -> None:
        """Find out how long fits of slow methods take, where there is a limit of time and none was made yet."""
        if left := self.untried():
            self.say(replace(self.now_at(), message="trying how long a fit of each slow method takes"))
            for name, seconds in zip(left, self.pool.seconds([self.tasks[t] for t in left.values()]), strict=True):
                if seconds is not None:
                    self.clock.tried[name] = seconds

    def untried(self) -> dict[str, Trial]:
        """Return a fit of each slow method of which nobody knows how long it takes, where there is a limit of time."""
        if self.study.limit is None:
            return {}
        return {t.method: t for t in sorted(self.schedule.left, key=self.schedule.order, reverse=True)
                if self.methods[t.method].family not in QUICK_FAMILIES and not self.clock.knows(t.method)}  # fmt: skip

    # --- summaries on the way ---

    def due(self) -> bool:
        """Return whether it is time for a summary: not where the study ends soon anyway."""
        elapsed = time.monotonic() - self.begun - self.summarised_at
        return elapsed > max(SUMMARY_EVERY, self.summary_cost / SUMMARY_SHARE) and self.schedule.time_left() > 10

    def summarise_now(self) -> None:
        if self.schedule.time_left() < SUMMARY_EVERY:
            return
        start = time.monotonic()
        self.interim()
        self.summary_cost = time.monotonic() - start
        self.summarised_at = time.monotonic() - self.begun

    # --- what is said ---

    def now_at(self) -> StudyProgress:
        """Return how far the study is: the fits that are there, of these and those ahead, and its share of time."""
        left, spent = self.schedule.time_left(), self.spent()
        if self.untried():  # they may take all the time that there is
            left = max(left, self.schedule.seconds_left() or 0.0)
        ahead = len(self.schedule.planned()) + len(self.schedule.running)
        share = spent / (spent + left) if spent + left > 0 else 0.0
        done = self.there + len(self.fitted)
        return StudyProgress("fits", done=done, total=done + ahead, seconds_left=left, share=share)

    def beforehand(self, missing: Sequence[Trial]) -> str:
        """Return what is about to happen, before the first fit."""
        limit = self.study.limit
        threads, jobs = self.pool.threads, max(1, self.pool.jobs)
        where = f"{jobs} process{'es' * (jobs > 1)} of {plural(threads, 'thread')}"
        gpu = sum(trial.method in self.alone for trial in missing)
        where += f", {gpu} of them on the GPU in turn" if gpu else ""
        time_said = "" if limit is None else f", in {duration(limit)} at most: what is quick first (--minutes)"
        return f"at most {plural(len(missing), 'fit')} on {where}{time_said}"

    def plan_words(self) -> str:
        """Return what the study will cost, and what it leaves out, once the seconds of a fit are known."""
        planned = self.schedule.planned()
        text = f"{plural(len(planned), 'more fit')}, about {duration(self.schedule.time_left())}"
        done = Counter(row.trial[:2] for row in self.rows.values() if row.status == "ok")
        out = self.schedule.short(done, self.study.definition.repeats)
        measured = {method for method, _ in done} | {trial.method for trial in planned}
        return ". ".join([text, *time_words(out, measured)])
