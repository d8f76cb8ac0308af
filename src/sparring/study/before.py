"""Before and after: what a study and an earlier one get right on the test images that both share."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .. import stats
from ..errors import FileFormatError, SparringError
from .analysis import Arms, six_digits
from .changes import FEW_SHARED, BeforeAfter, MethodChange
from .definition import Definition
from .earlier import common_budgets
from .plan import Study
from .records import SEAL, FitRow
from .sealed import Sealed
from .summary import Summary

Pair = tuple[str, str]  # a method of the earlier study, and one of the new study


@dataclass(frozen=True, eq=False)
class Fitted:
    """What a method gets right on the shared test images, bool [R,S], and why that carries no verdict, or ""."""

    right: np.ndarray
    unfinished: str

    @classmethod
    def of(cls, right: np.ndarray, rows: Sequence[FitRow], wanted: int) -> "Fitted":
        """Return it with the reasons that a study has too: too few repeats, or too few steps."""
        least = max(wanted, stats.ENOUGH)
        few = f"{len(rows)} of {least} repeats" if len(rows) < least else ""
        return cls(right, "less than half of its steps" if any(row.notes.cut_short for row in rows) else few)


@dataclass(frozen=True, eq=False)
class Both:
    """What both studies say, method by method; `truth` [S] of the shared test images is that of the new study."""

    old: Mapping[str, Fitted]
    new: Mapping[str, Fitted]
    truth: np.ndarray
    relabelled: int
    groups: np.ndarray | None = None  # int64 [S], as the new study says


def before_and_after(study: Study, summary: Summary, arms: Arms, truth: np.ndarray) -> BeforeAfter | None:
    """Return what changed since the study that this one is compared with; None where it is compared with none.

    Both are judged by the labels of the new study, `truth` [T]. The methods that were recommended have four fifths of
    the risk of a false verdict, all others together the rest. Where the earlier study is gone or another one now, what
    was said of it before stays.
    """
    against = study.definition.against
    if against is None:
        return None
    try:
        earlier = Study.read(against.folder)
        if earlier.definition.fingerprint != against.fingerprint:
            return said_before(study)
        both, budget = on_shared(earlier, study, arms, truth)
    except SparringError:
        return said_before(study)
    weights = stats.class_weights(both.truth) if summary.leading != "accuracy" else None
    main = main_pair(earlier, summary, both)
    floor = {method.name for method in summary.methods if method.family == "floor"}
    others = [(name, name) for name in both.new if name in both.old and name not in floor and (name, name) != main]
    share = stats.MAIN_SHARE if others else 1.0
    return BeforeAfter(
        folder=against.folder,
        created=earlier.definition.created,
        images=len(both.truth),
        relabelled=both.relabelled,
        budget=budget,
        old_labels=earlier.definition.labels[budget],
        new_labels=study.definition.labels[budget],
        balanced=weights is not None,
        main=next(changes([main], both, weights, share)) if main else None,
        others=tuple(changes(others, both, weights, 1 - share if main else 1.0)),
        differs=tuple(other_settings(earlier.definition, study.definition)),
    )


def said_before(study: Study) -> BeforeAfter | None:
    """Return what the summary in the folder says."""
    try:
        return Summary.read(study.folder).against
    except FileFormatError:
        return None


def on_shared(earlier: Study, study: Study, arms: Arms, truth: np.ndarray) -> tuple[Both, str]:
    """Return both studies on the shared test images, and the largest budget at which both have a fit.

    Where there is none, the largest of both and no method.
    """
    old, new = shared_places(earlier.definition.test.hashes, study.definition.test.hashes)
    budgets = common_budgets(earlier.definition, study.definition.budgets)
    labels = Sealed.read(earlier.folder / SEAL, earlier.definition.fingerprint).opened(lambda: None)[old]
    relabelled = int((labels != truth[new]).sum())
    groups = study.definition.test.grouped
    groups = groups if groups is None else groups[new]
    for budget in reversed(budgets):
        wanted = study.definition.repeats
        mine = {
            method: Fitted.of(arm.right[:, new], arm.rows, wanted) for (method, at), arm in arms.items() if at == budget
        }
        wanted = earlier.definition.repeats
        theirs = {
            name: Fitted.of(said[:, old] == truth[new], rows, wanted) for name, rows, said in said_at(earlier, budget)
        }
        if mine and theirs:
            return Both(theirs, mine, truth[new], relabelled, groups), budget
    return Both({}, {}, truth[new], relabelled, groups), budgets[-1]


def shared_places(old: tuple[str, ...], new: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return where the images of both lists of hashes are, int64 [S] in each; equal images are taken in their order."""
    places: dict[str, list[int]] = {}
    for place, name in enumerate(old):
        places.setdefault(name, []).append(place)
    pairs = [(places[name].pop(0), place) for place, name in enumerate(new) if places.get(name)]
    first, second = np.array(pairs, np.int64).reshape(-1, 2).T
    return first, second


def said_at(study: Study, budget: str) -> Iterator[tuple[str, list[FitRow], np.ndarray]]:
    """Yield each method with a fit at a budget, its rows, and the most probable class int64 [R,T] in each of them."""
    rows = sorted(study.rows().values(), key=lambda row: row.repeat)
    for method in study.definition.methods:
        mine = (row for row in rows if (row.method, row.budget, row.status) == (method.name, budget, "ok"))
        said = [(row, proba.argmax(-1)) for row in mine if (proba := study.proba(row)) is not None]
        if said:
            yield method.name, [row for row, _ in said], np.stack([classes for _, classes in said])


def main_pair(earlier: Study, summary: Summary, both: Both) -> Pair | None:
    """Return the method recommended then and the one recommended now, where both were measured."""
    try:
        then = Summary.read(earlier.folder).recommended
    except FileFormatError:
        return None
    now = summary.recommended
    return (then, now) if then and now and then in both.old and now in both.new else None


def changes(pairs: list[Pair], both: Both, weights: np.ndarray | None, share: float) -> Iterator[MethodChange]:
    """Yield the comparisons of a family that has this share of the risk of a false verdict."""
    why = [not_judged(both, *pair) for pair in pairs]
    found = [
        stats.change_test(both.new[now].right, both.old[then].right, weights=weights, groups=both.groups)
        for then, now in pairs
    ]
    family = iter(stats.holm([change.p for change, reason in zip(found, why, strict=True) if not reason]))
    for (then, now), change, reason in zip(pairs, found, why, strict=True):
        old, new = both.old[then].right, both.new[now].right
        p_holm = 1.0 if reason else min(1.0, next(family) / share)
        mean = float((old.mean(0) * (1.0 if weights is None else weights)).mean())
        repeats = 0 if reason else min(len(old), len(new))
        yield six_digits(
            MethodChange(
                before=then,
                after=now,
                old=mean,
                new=mean + change.difference.mean,
                old_repeats=len(old),
                new_repeats=len(new),
                difference=change.difference,
                p=change.p,
                p_holm=p_holm,
                p_tost=change.p_tost,
                verdict=stats.judged(change.difference.mean, p_holm, change.p_tost, repeats=repeats),
                no_verdict=reason,
            )
        )


def not_judged(both: Both, then: str, now: str) -> str:
    """Return why a change is described only; "" where a verdict is possible."""
    if len(both.truth) < FEW_SHARED:
        return f"{FEW_SHARED} shared test images are needed"
    reasons = {"then": both.old[then].unfinished, "now": both.new[now].unfinished}
    return " and ".join(f"{reason} {when}" for when, reason in reasons.items() if reason)


def other_settings(old: Definition, new: Definition) -> Iterator[str]:
    """Yield what both studies did not do alike, so that the data are not all that changed."""
    if old.sparring != new.sparring:
        yield f"sparring {old.sparring} then, {new.sparring} now"
    for name in ("pretrained", "device", "minutes"):
        then, now = getattr(old.settings, name), getattr(new.settings, name)
        if then != now:
            yield f"--{name} {'no limit' if then is None else then} then, {'no limit' if now is None else now} now"
