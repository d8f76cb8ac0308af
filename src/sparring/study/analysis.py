"""From rows and predictions to the numbers of a summary, without advice. The same rows give the same numbers."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from .. import stats
from ..devices import hardware, versions
from ..errors import FileFormatError
from ..records import Value
from ..stats import RepeatedInterval
from ..stats.variance import design_effect
from ..words import listed
from . import probabilities
from .ablations import ablations, starts_of, unclean
from .definition import Definition
from .learning_curve import more_labels
from .plan import QUICK_FAMILIES, Study, now
from .precision import images_needed
from .records import (
    SEAL,
    STUDY_FORMAT,
    ArmScore,
    ClassRecall,
    Comparison,
    ConfusionCounts,
    FailedFit,
    FitMachine,
    FitRow,
    FitSeconds,
    GameCurves,
    GateRow,
    HeldOutPart,
    LabelBudget,
    Recommendation,
    ReliabilityBins,
    StudyMachine,
    TieGroups,
    Trial,
    UnmeasuredArm,
)
from .sealed import Sealed
from .summary import Summary

COVERS = (
    "Intervals and verdicts speak about new draws of the labelled images, new random seeds and new test images of the "
    "same kind. They do not speak about other data, other settings or other amounts of unlabelled images."
)
COVERS_GROUPS = " New images are those of new groups: patients, slides, animals or whatever the groups are."
COVERS_ALL = " At all labels nothing is drawn: there they speak about seeds and test images only."


@dataclass(frozen=True, eq=False)
class Arm:
    """The fits of a method at a budget that succeeded, repeats ascending."""

    method: str
    budget: str
    rows: list[FitRow]
    said: np.ndarray  # int64 [R,T]: the most probable class
    right: np.ndarray  # bool [R,T]
    confidence: np.ndarray  # float32 [R,T]: the probability of that class
    summed: np.ndarray  # float64 [T,K]: probabilities, added up over repeats
    calibrated: probabilities.Calibrated
    failed: int = 0  # fits that did not succeed

    def mean(self, weights: np.ndarray | None = None) -> float:
        """Return the mean accuracy, of images with these weights [T]."""
        return float((self.right.mean(0) * (1.0 if weights is None else weights)).mean())

    @property
    def cut_short(self) -> bool:
        """Whether a fit of it took less than half of its steps."""
        return any(row.notes.cut_short for row in self.rows)

    @classmethod
    def of(
        cls,
        method: str,
        budget: str,
        rows: list[FitRow],
        proba: np.ndarray,
        truth: np.ndarray,
        failed: int = 0,
        groups: np.ndarray | None = None,
    ) -> "Arm":
        """Return the arm of probabilities float32 [R,T,K], which it does not keep: a study has many of them."""
        said, summed = proba.argmax(-1), proba.sum(0, dtype=float)
        calibrated = probabilities.calibration(proba, truth, groups=groups)
        return cls(method, budget, rows, said, said == truth, proba.max(-1), summed, calibrated, failed)


Arms = dict[tuple[str, str], Arm]  # (method, budget) -> arm


def measure(study: Study) -> tuple[Summary, Arms, np.ndarray]:
    """Return the summary without opinions and pictures, the arms, and the true classes [T].

    Opens the seal; a look is counted unless the same rows were looked at before. Raises FileFormatError when rows of
    one repeat cannot be compared.
    """
    rows, definition = study.rows(), study.definition
    refuse_mixed(rows.values())
    refuse_devices(rows.values())
    sealed = Sealed.read(study.folder / SEAL, definition.fingerprint)
    truth = sealed.opened(lambda: study.count_look(rows))
    definition = study.definition
    classes = definition.data.classes
    names = [method.name for method in definition.methods]
    arms, unmeasured = arms_of(study, rows, truth)
    starts = starts_of({place: arm.rows for place, arm in arms.items()})
    weights, groups = stats.class_weights(truth) if stats.uneven(truth) else None, definition.test.grouped
    pairs = comparisons(arms, definition.budgets, names, repeats=definition.repeats, weights=weights, groups=groups)
    summary = Summary(
        format=STUDY_FORMAT,
        created=now(),
        command=definition.command,
        name=definition.data.name,
        sparring=versions()["sparring"],
        versions=versions(),
        machine=study_machine(definition, list(rows.values())),
        data=definition.data,
        test=tested_part(definition),
        repeats=definition.repeats,
        seed=definition.settings.seed,
        fingerprint=definition.fingerprint,
        minutes_each=definition.minutes_each,
        budgets=tuple(LabelBudget(b, definition.labels[b]) for b in definition.budgets),
        methods=definition.methods,
        scores=tuple(score(arm, truth, len(classes), weights, groups) for arm in arms.values()),
        unmeasured=tuple(unmeasured),
        errors=tuple(FailedFit(r.method, r.budget, r.repeat, r.error.id, r.error.reason) for r in rows.values()
                     if r.error),
        pairs=pairs,
        tie_groups=tie_groups_of(arms, pairs, definition.budgets, repeats=definition.repeats, weights=weights),
        leading="accuracy" if weights is None else "balanced accuracy",
        per_class=tuple(row for arm in arms.values() for row in recalled(arm, truth, classes, groups)),
        confusion=tuple(confused(arm, truth, len(classes)) for arm in arms.values()),
        reliability=tuple(reliability(arm) for arm in arms.values()),
        games=tuple(game_curves(rows.values(), {m.name for m in definition.methods if m.family == "gan"})),
        gates=tuple(gate_rows(rows.values())),
        more_labels=more_labels(rights_of(arms), definition.budgets, definition.labels, groups),
        short=definition.short,
        notes=(*shortened(rows.values()),
               *unequal(rows.values(), {m.name for m in definition.methods if m.family not in QUICK_FAMILIES})),
        ablations=tuple(ablations(pairs, starts)),
        unclean=tuple(unclean(starts)),
        pretrained=definition.settings.pretrained,
        features_seconds=definition.features_seconds,
        covers=covered(definition),
        recommendation=Recommendation(None, None, ""),
        verdict="",
        mistakes=(),
        folder=study.folder,
    )  # fmt: skip
    return summary, arms, truth


def covered(definition: Definition) -> str:
    """Return what intervals and verdicts speak about."""
    groups, every = definition.test.groups, "all" in definition.budgets
    return COVERS + (COVERS_GROUPS if groups else "") + (COVERS_ALL if every else "")


def tested_part(definition: Definition) -> HeldOutPart:
    """Return how many test images there are, and the looks at their labels, those of an earlier study included."""
    earlier = definition.against.looks if definition.against else 0
    return HeldOutPart(len(definition.test.hashes), len(definition.looks) + earlier, earlier)


def rights_of(arms: Arms) -> dict[tuple[str, str], dict[int, np.ndarray]]:
    """Return what is right in each repeat of each arm, bool [T]."""
    return {
        place: {row.repeat: right for row, right in zip(arm.rows, arm.right, strict=True)}
        for place, arm in arms.items()
    }


# Guards.


def refuse_mixed(rows: Iterable[FitRow]) -> None:
    """Rule 3: raise FileFormatError unless all methods of a repeat at a budget saw the same labels and seed."""
    seen: dict[tuple[str, int], tuple] = {}
    for row in rows:
        given = row.draw, row.labels, row.seed
        if seen.setdefault((row.budget, row.repeat), given) != given:
            raise FileFormatError(
                "rows-mixed",
                f"{row.method} saw other labels than another method in repeat {row.repeat} at {row.budget}",
                fix="rows of two studies were put together: repeat the study in a new folder",
            )


def refuse_devices(rows: Iterable[FitRow]) -> None:
    """Raise FileFormatError where fits of one method ran on different devices: times and digits differ."""
    seen: dict[str, FitMachine] = {}
    for row in rows:
        first = seen.setdefault(row.method, row.hardware)
        if first.on_gpu != row.hardware.on_gpu or (first.on_gpu and first.device != row.hardware.device):
            raise FileFormatError(
                "rows-mixed",
                f"{row.method} ran on {first.device} and, in repeat {row.repeat} at {row.budget}, on "
                f"{row.hardware.device}",
                fix="rows of two studies were put together: repeat the study in a new folder",
            )


# One method at one budget.


def arms_of(study: Study, rows: dict[Trial, FitRow], truth: np.ndarray) -> tuple[Arms, list[UnmeasuredArm]]:
    """Return the arms with a fit that succeeded, in the order of tables, and the others."""
    arms: Arms = {}
    unmeasured = []
    for method in study.definition.methods:
        for budget in study.definition.budgets:
            mine = sorted((r for r in rows.values() if (r.method, r.budget) == (method.name, budget)),
                          key=lambda r: r.repeat)  # fmt: skip
            found = [(row, study.proba(row)) for row in mine if row.status == "ok"]
            found = [(row, proba) for row, proba in found if proba is not None]
            failed = sum(row.status == "error" for row in mine)
            if found:
                proba = np.stack([proba for _, proba in found])
                place, mine = (method.name, budget), [row for row, _ in found]
                arms[place] = Arm.of(*place, mine, proba, truth, failed, study.definition.test.grouped)
            else:
                unmeasured.append(UnmeasuredArm(method.name, budget, failed))
    return arms, unmeasured


def six_digits(value: Value) -> Value:
    """Return a number, or a tuple or record of numbers, with its numbers rounded to 6 decimals."""
    found: Any = value
    if isinstance(value, float):
        found = round(float(value), 6)
    elif isinstance(value, tuple):
        found = tuple(map(six_digits, value))
    elif is_dataclass(value) and not isinstance(value, type):
        found = replace(value, **{f.name: six_digits(getattr(value, f.name)) for f in fields(value)})
    return found


def score(
    arm: Arm, truth: np.ndarray, classes: int, weights: np.ndarray | None = None, groups: np.ndarray | None = None
) -> ArmScore:
    balanced = np.nanmean(stats.recalls(arm.right, truth, classes), 1)
    seconds = [row.seconds for row in arm.rows if row.seconds is not None]
    return ArmScore(
        method=arm.method,
        budget=arm.budget,
        n=len(arm.rows),
        failed=arm.failed,
        accuracy=repeated_interval(stats.share_interval(arm.right, groups), arm.right.mean(1)),
        balanced_accuracy=repeated_interval(stats.balanced_interval(arm.right, truth, classes, groups), balanced),
        ece=six_digits(arm.calibrated.ece),
        nll=six_digits(arm.calibrated.nll),
        brier=six_digits(arm.calibrated.brier),
        seconds=FitSeconds(float(np.median(seconds)), tuple(seconds)),
        pretrained=from_elsewhere(arm.rows),
        wrong=int((arm.summed.argmax(1) != truth).sum()),
        guessing=None if groups is not None else round(stats.guess_p(arm.said, truth, weights=weights), 6),
    )


def from_elsewhere(rows: Sequence[FitRow]) -> str | None:
    """Return what came from other images than the user's, in how many of the fits; None where nothing did in any."""
    said = Counter(row.notes.pretrained or "nothing" for row in rows)
    if set(said) == {"nothing"}:
        return None
    return "; ".join(what if n == len(rows) else f"{what} ({n} of {len(rows)} fits)" for what, n in said.items())


def repeated_interval(found: stats.Interval, each: np.ndarray) -> RepeatedInterval:
    return six_digits(RepeatedInterval(*found.triple, tuple(each.tolist())))


def confused(arm: Arm, truth: np.ndarray, classes: int) -> ConfusionCounts:
    counts = np.zeros((classes, classes), int)
    for said in arm.said:
        np.add.at(counts, (truth, said), 1)
    return ConfusionCounts(arm.method, arm.budget, tuple(map(tuple, counts.tolist())))


def reliability(arm: Arm) -> ReliabilityBins:
    """Return a reliability diagram over all repeats; counts are per repeat."""
    curve = probabilities.Calibration(arm.confidence.ravel(), arm.right.ravel())
    bins = [replace(b, count=float(b.count / len(arm.rows))) for b in curve.table()]
    return ReliabilityBins(arm.method, arm.budget, six_digits(tuple(bins)))


def recalled(
    arm: Arm, truth: np.ndarray, classes: Sequence[str], groups: np.ndarray | None = None
) -> Iterator[ClassRecall]:
    """Yield the recall of every class of the test part; `right` is a mean over repeats."""
    for k, name in enumerate(classes):
        mine = truth == k
        right = arm.right[:, mine]
        if of := right.shape[1]:
            each, of_class = right.mean(0), None if groups is None else groups[mine]
            found, effect = stats.share_interval(right, of_class), design_effect(each, of_class)
            hits, needed = float(each.sum()), math.ceil(images_needed(round(found.mean, 6)) * effect - 1e-9)
            yield six_digits(ClassRecall(arm.method, arm.budget, name, hits, of, *found.triple, needed))


# Methods against each other.


def comparisons(
    arms: Arms,
    budgets: Sequence[str],
    methods: Sequence[str],
    *,
    repeats: int | None = None,
    weights: np.ndarray | None = None,
    groups: np.ndarray | None = None,
) -> tuple[Comparison, ...]:
    """Return every pair at every budget, the more accurate method as a.

    repeats: that an arm wants, None for those of the arm that has most; pairs on fewer carry no verdict, and neither do
    methods that were cut short. weights: of the test images (stats.class_weights). groups: of them. The budget of the
    advice, the largest one, has stats.MAIN_SHARE of the study's risk of a false verdict, the others share the rest.
    """
    wanted = repeats or max((len(arm.rows) for arm in arms.values()), default=0)
    there = [budget for budget in budgets if any(at == budget for _, at in arms)]
    found: list[Comparison] = []
    for budget in there:
        mine = [arms[m, budget] for m in methods if (m, budget) in arms]
        pairs = [paired(*both, weights, groups) for both in combinations(mine, 2) if in_common(*both)]
        share = risk_share(there, budget)
        why = {(a.method, b.method): no_verdict(a, b, test, wanted) for a, b, test in pairs}
        whole = [test for a, b, test in pairs if not why[a.method, b.method]]
        judged = iter(stats.with_verdicts(whole, share=share))
        for a, b, test in pairs:
            reason = why[a.method, b.method]
            found.append(compared(budget, a, b, stats.without_verdict(test, reason) if reason else next(judged)))
    return tuple(found)


def no_verdict(a: Arm, b: Arm, test: stats.Paired, wanted: int) -> str:
    """Return why two arms are described only; "" where a verdict is possible."""
    if cut := [arm.method for arm in (a, b) if arm.cut_short]:
        return f"{listed(cut)} took less than half of {'its' if len(cut) == 1 else 'their'} steps"
    return "" if test.repeats >= wanted else f"only {test.repeats} of {wanted} repeats"


def risk_share(budgets: Sequence[str], budget: str) -> float:
    """Return the share of the study's risk of a false verdict that comparisons at a budget have."""
    if len(budgets) == 1:
        return 1.0
    return stats.MAIN_SHARE if budget == budgets[-1] else (1 - stats.MAIN_SHARE) / (len(budgets) - 1)


def in_common(a: Arm, b: Arm) -> list[int]:
    """Return the repeats that two arms have in common."""
    return sorted({row.repeat for row in a.rows} & {row.repeat for row in b.rows})


def paired(
    first: Arm, second: Arm, weights: np.ndarray | None, groups: np.ndarray | None = None
) -> tuple[Arm, Arm, stats.Paired]:
    """Return two arms, the better one first, and their test on the repeats that both have."""
    a, b = (first, second) if first.mean(weights) >= second.mean(weights) else (second, first)
    common = in_common(a, b)
    right = [arm.right[[row.repeat in common for row in arm.rows]] for arm in (a, b)]
    return a, b, stats.paired_test(*right, weights=weights, groups=groups)


def compared(budget: str, a: Arm, b: Arm, pair: stats.Paired) -> Comparison:
    return six_digits(
        Comparison(
            budget,
            a.method,
            b.method,
            pair.difference,
            pair.repeats,
            pair.p,
            pair.p_sign_flip,
            pair.p_holm,
            pair.p_tost,
            pair.verdict,
            sentence=f"{a.method} against {b.method}: {pair.sentence}",
        )
    )


def tie_groups(
    methods: Sequence[str], accuracy: dict[str, float], beaten: Callable[[str, str], bool]
) -> list[list[str]]:
    """Return groups of methods: each is its most accurate method and all others that this one does not beat.

    `beaten(a, b)`: whether a is better than b.
    """
    left, groups = sorted(methods, key=lambda m: -accuracy[m]), []
    while left:
        groups.append([m for m in left if m == left[0] or not beaten(left[0], m)])
        left = [m for m in left if m not in groups[-1]]
    return groups


def tie_groups_of(
    arms: Arms,
    pairs: Sequence[Comparison],
    budgets: Sequence[str],
    *,
    repeats: int | None = None,
    weights: np.ndarray | None = None,
) -> tuple[TieGroups, ...]:
    """Return the tie groups of complete arms at every budget; where none is complete, of all."""
    wanted = repeats or max((len(arm.rows) for arm in arms.values()), default=0)
    both = [*pairs, *(pair.reversed() for pair in pairs)]
    better = {(pair.budget, pair.a, pair.b) for pair in both if pair.verdict == "better"}
    found = []
    for budget in budgets:
        mine = [arm for arm in arms.values() if arm.budget == budget]
        complete = [arm for arm in mine if len(arm.rows) >= wanted and not arm.cut_short] or mine
        means = {arm.method: arm.mean(weights) for arm in complete}
        grouped = tie_groups(list(means), means, lambda a, b, at=budget: (at, a, b) in better)
        found.append(TieGroups(budget, tuple(map(tuple, grouped))))
    return tuple(found)


# From the notes of fits.


def game_curves(rows: Iterable[FitRow], gans: set[str]) -> Iterator[GameCurves]:
    """Yield curves and pictures of methods with a GAN: the first repeat that succeeded at each budget."""
    seen = set()
    for row in sorted(rows, key=lambda r: r.repeat):
        place, notes, pictures = (row.method, row.budget), row.notes, row.pictures or {}
        if row.method in gans and row.status == "ok" and place not in seen and (notes.curves or pictures):
            seen.add(place)
            curves = notes.gan_curves or notes.curves
            yield GameCurves(*row.trial, curves, pictures.get("generated"), pictures.get("real"), notes.note)


def gate_rows(rows: Iterable[FitRow]) -> Iterator[GateRow]:
    for row in sorted(rows, key=lambda r: r.repeat):
        if row.status == "ok" and (gate := row.notes.gate):
            yield GateRow(**vars(gate), **row.trial._asdict())


def shortened(rows: Iterable[FitRow]) -> Iterator[str]:
    """Yield a note for each budget at which the time limit left networks with less than half of their steps."""
    cut: dict[str, list[tuple[int, int]]] = {}
    for row in rows:
        notes = row.notes
        if row.status == "ok" and notes.cut_short:
            cut.setdefault(row.budget, []).append((notes.steps or 0, notes.planned or 0))
    for budget, found in cut.items():
        taken, planned = np.mean(found, axis=0)
        yield (
            f"at {budget} labels the time limit left networks {taken:,.0f} of {planned:,.0f} steps: with more "
            "--minutes, or without it, they may do much better"
        )


def unequal(rows: Iterable[FitRow], networks: set[str]) -> Iterator[str]:
    """Rule 3: yield a note for each budget at which networks of the same trunk took different numbers of steps.

    A pretrained network needs other numbers of them than one from scratch.
    """
    steps: dict[tuple[str, int, str | None], dict[str, int]] = {}
    for row in rows:
        taken = row.notes.steps
        if row.method in networks and row.status == "ok" and taken is not None:
            steps.setdefault((row.budget, row.repeat, row.notes.trunk), {})[row.method] = taken
    for budget in dict.fromkeys(budget for budget, *_ in steps):
        mine = [taken for (b, *_), taken in steps.items() if b == budget and len(set(taken.values())) > 1]
        if mine:
            names = dict.fromkeys(name for taken in mine for name in taken)
            means = {n: np.mean([taken[n] for taken in mine if n in taken]) for n in names}
            said = ", ".join(f"{name} {mean:,.0f}" for name, mean in means.items())
            yield f"at {budget} labels the networks did not take the same number of steps ({said}): the time ran out"


def study_machine(definition: Definition, rows: list[FitRow]) -> StudyMachine:
    """Return the machine of the fits; where they ran on several, that of the last row."""
    found = rows[-1].hardware if rows else FitMachine(**hardware())
    device = next((row.hardware.device for row in rows if row.hardware.on_gpu), found.device)
    precision = next((p for row in rows if (p := row.notes.precision)), None)
    threads, jobs = rows[-1].threads if rows else None, definition.jobs.jobs if definition.jobs else None
    return StudyMachine(found.cpu, found.cores, found.memory_gib, device, precision, threads, jobs)
