"""Which fits a study makes in its time: the order, what is left out, and how it goes on when fits take longer."""

import numpy as np
import pytest
from arms import Arm, table

from sparring.study.plan import all_trials
from sparring.study.records import FEWEST, FitMachine, FitRow, Trial
from sparring.study.schedule import Schedule
from sparring.study.timing import GROWTH, MEMBERS_FITS, MODEL, Clock

METHODS = table(
    Arm("floor", family="floor"), Arm("quick"), Arm("net", family="network"), Arm("dear", family="network"),
    Arm("gan", family="gan"),
)  # fmt: skip
COSTS = {"floor": 0.1, "quick": 1.0, "net": 10.0, "dear": 40.0, "gan": 300.0}
BUDGETS = ("5", "all")
LABELS = {"5": 50, "all": 500}


def row(trial: Trial, seconds: float) -> FitRow:
    machine = FitMachine("cpu", 2, None, "cpu")
    return FitRow(
        *trial, status="ok", error=None, labels=1, seed=1, threads=1, minutes=None, versions={}, hardware=machine,
        seconds=seconds, record={}, draw="", cpu_seconds=seconds, predict_seconds=0.0, predictions="p", digest="d",
        pictures={},
    )  # fmt: skip


def clock_of(costs=COSTS, methods=METHODS) -> Clock:
    clock = Clock([], methods, LABELS)
    clock.tried = dict(costs)
    return clock


class Time:
    """A clock that tests move."""

    def __init__(self):
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def scheduled(seconds: float | None, *, repeats=6, jobs=2, **settings) -> tuple[Schedule, Time]:
    time = Time()
    trials = all_trials(METHODS, BUDGETS, repeats)
    return Schedule(METHODS, BUDGETS, trials, clock_of(), seconds, jobs, now=time, **settings), time


def played(schedule: Schedule, time: Time, took=COSTS, stretch=lambda: 1.0) -> list[Trial]:
    """Make all fits of a schedule on its processes; return them in the order in which they began."""
    ends: dict[Trial, float] = {}
    began: dict[Trial, float] = {}
    begun = []
    while True:
        while len(ends) < schedule.jobs and (trial := schedule.take(alone=False)):
            began[trial], ends[trial] = time.seconds, time.seconds + took[trial.method] * stretch()
            begun.append(trial)
        if not ends:
            return begun
        trial = min(ends, key=lambda t: ends[t])
        time.seconds = ends.pop(trial)
        schedule.ended(trial)
        schedule.clock.heard(row(trial, time.seconds - began[trial]))


def counts(trials) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for trial in trials:
        found[trial.method, trial.budget] = found.get((trial.method, trial.budget), 0) + 1
    return found


def test_without_a_limit_everything_is_made():
    schedule, time = scheduled(None)
    assert set(played(schedule, time)) == set(all_trials(METHODS, BUDGETS, 6))
    assert schedule.short({}, 6) == ()


def test_quick_methods_come_first_then_the_largest_budget_then_certainty_then_the_others():
    schedule, time = scheduled(None)
    begun = played(schedule, time)
    stages = [
        [t for t in begun if t.method in ("floor", "quick") and t.repeat < FEWEST],
        [t for t in begun if t.method not in ("floor", "quick") and t.repeat < FEWEST and t.budget == "all"],
        [t for t in begun if t.repeat >= FEWEST and t.budget == "all"],
        [t for t in begun if t.method not in ("floor", "quick") and t.repeat < FEWEST and t.budget == "5"],
        [t for t in begun if t.repeat >= FEWEST and t.budget == "5"],
    ]
    assert begun == [trial for stage in stages for trial in stage]
    assert [t.repeat for t in stages[0]] == [0] * 4 + [1] * 4 + [2] * 4
    assert [t.method for t in stages[1]] == ["net"] * 3 + ["dear"] * 3 + ["gan"] * 3


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        # On 2 processes: quick methods 3.3 s, 3 fits of net 20 s, its model 10 s.
        (23, {}),
        (33, {("net", "5"): 3}),  # no room for its model
        (34, {("net", "all"): 3}),
        (66, {("net", "all"): 6, ("net", "5"): 3}),
        # 3 fits of net and 3 of dear 90 s, its model 40 s.
        (135, {("net", "all"): 3, ("dear", "all"): 3}),
        (170, {("net", "all"): 6, ("net", "5"): 6, ("dear", "all"): 3}),
        (10_000, {(m, b): 6 for m in ("net", "dear", "gan") for b in BUDGETS}),
    ],
)
def test_what_does_not_fit_is_left_out_slowest_first_and_in_whole(seconds, expected):
    schedule, time = scheduled(seconds)
    made = counts(played(schedule, time))
    assert {place: n for place, n in made.items() if place[0] not in ("floor", "quick")} == expected
    assert made["quick", "all"] >= FEWEST and made["floor", "5"] >= FEWEST
    refit = max([COSTS[m] for m, b in made if b == "all"])
    assert time.seconds + refit <= seconds
    named = {(arm.method, arm.budget): arm for arm in schedule.short(made, 6)}
    assert {place for place, n in made.items() if n < 6} <= named.keys()
    assert all(named[place].repeats == made.get(place, 0) for place in named)
    if seconds < 10_000:
        assert named["gan", "all"].seconds == 300 and named["gan", "all"].repeats == 0


def test_no_arm_has_one_or_two_repeats():
    for seconds in range(5, 700, 7):
        schedule, time = scheduled(seconds)
        assert set(counts(played(schedule, time)).values()) <= {3, 6}


def test_the_first_fits_of_quick_methods_are_made_whatever_the_time():
    made = counts(played(*scheduled(1.5)))
    assert made["quick", "5"] == made["quick", "all"] == 1 and {m for m, _ in made} == {"floor", "quick"}
    made = counts(played(*scheduled(0.5)))  # less than a single fit of "quick"
    assert {method for method, _ in made} == {"floor"}


def test_arms_that_are_clearly_behind_come_last():
    schedule, time = scheduled(10_000)
    schedule.behind["net", "all"] = "quick"
    begun = played(schedule, time)
    assert set(begun[-3:]) == {Trial("net", "all", r) for r in (3, 4, 5)}
    schedule, time = scheduled(70)
    schedule.behind["net", "all"] = "quick"
    made = counts(played(schedule, time))
    assert made["net", "all"] == 3 and made["net", "5"] == 6
    (arm,) = [arm for arm in schedule.short(made, 6) if (arm.method, arm.budget) == ("net", "all")]
    assert (arm.repeats, arm.wanted, arm.behind) == (3, 6, "quick")


def test_a_study_ends_in_time_although_fits_take_longer_than_thought():
    random = np.random.default_rng(0)
    for seconds in (60, 150, 400, 1200):
        for slower in (0.7, 1.0, 1.4):
            schedule, time = scheduled(seconds)
            made = counts(played(schedule, time, stretch=lambda s=slower: s * float(random.uniform(0.8, 1.2))))
            refit = slower * max(COSTS[m] for m, b in made if b == "all")
            assert time.seconds + refit <= 1.25 * seconds, (seconds, slower)


def test_time_left_is_that_of_the_schedule():
    schedule, time = scheduled(None, repeats=1)
    assert schedule.time_left() == pytest.approx(391.2)  # as they follow each other on two processes
    began = schedule.take(alone=False)
    assert began == Trial("floor", "5", 0)
    time.seconds = 0.05
    assert schedule.load().seconds == pytest.approx(0.05)
    time.seconds = 10.0  # longer than expected: it will end soon
    assert schedule.load().seconds == pytest.approx(0.01)


def test_fits_that_run_alone_count_one_after_the_other():
    schedule, _ = scheduled(None, repeats=1, alone=frozenset({"dear"}))
    assert schedule.time_left() == pytest.approx(321.0 + 80)
    assert schedule.take(alone=True) == Trial("dear", "all", 0)


# The clock.


def test_a_fit_is_estimated_by_what_is_nearest():
    methods = table(Arm("quick"), Arm("net", family="network"), Arm("both", family="ensemble"))
    clock = Clock([], methods, {"5": 50, "20": 200, "all": 500})
    assert clock.fit(Trial("quick", "5", 0)) == 2.0 and clock.fit(Trial("net", "5", 0)) == 20.0  # guesses
    assert clock.fit(Trial("both", "5", 0)) == 60.0
    clock.tried["net"] = 33.0
    assert clock.fit(Trial("net", "5", 0)) == 33.0 and clock.knows("net") and not clock.knows("quick")
    clock.heard(row(Trial("quick", "5", 0), 4.0))
    clock.heard(row(Trial("quick", "5", 1), 6.0))
    assert clock.fit(Trial("quick", "5", 2)) == 5.0
    assert clock.fit(Trial("quick", "20", 0)) == pytest.approx(5.0 * 4**GROWTH)  # four times as many labels
    clock.heard(row(Trial("quick", "20", 0), 7.0))
    assert clock.fit(Trial("quick", "all", 0)) == pytest.approx(7.0 * 2.5**GROWTH)
    assert clock.fit(Trial("both", "20", 0)) == MEMBERS_FITS * 7.0
    clock.heard(row(Trial("net", "5", 0), 11.0))
    assert clock.fit(Trial("net", "all", 0)) == 11.0  # what was made counts more than a trial


def test_the_model_is_reckoned_with_all_labels_an_ensemble_too():
    """A study of few labels recommends an ensemble: its model learns from all, and takes so much longer."""
    methods = table(Arm("quick"), Arm("both", family="ensemble"), Arm("net", family="network"))
    clock = Clock([], methods, {"5": 50, MODEL: 3000})
    for method, seconds in (("quick", 2.0), ("both", 10.0), ("net", 30.0)):
        clock.heard(row(Trial(method, "5", 0), seconds))
    more = (3000 / 50) ** GROWTH
    found = {method: clock.fit(Trial(method, MODEL, 0)) for method in methods}
    assert found == pytest.approx({"quick": 2 * more, "both": 10 * more, "net": 30})
    assert Clock([row(Trial("quick", "5", 0), 2.0)], methods, {"5": 50}).fit(Trial("quick", MODEL, 0)) == 2.0
