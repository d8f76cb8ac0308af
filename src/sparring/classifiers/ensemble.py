"""The average of a few methods, where held-out labels say that it is better than the best of them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
from scipy.special import log_softmax, softmax

from .base import Classifier
from .fit_record import CrossValidation, TriedSettings
from .methods import METHODS
from .selection import (
    MOST,
    balanced_accuracy,
    class_weights,
    fit_temperature,
    groups_at,
    stratified_folds,
    within_error,
)
from .selection import subset as label_subset

MEMBERS = ("probe", "spreading", "logistic", "svm")  # the preferred one first, where labels do not tell them apart
PAIR = ("probe", "spreading")  # whose plain mean is preferred to any other: a few labels cannot tell weights
FOLDS = 5  # with 3, and 5 labels a class, the worst member was chosen of four in 2 of 10 draws
CLEARLY = 1.0  # standard errors by which the best member must be worse than the mean
ROUNDS = 10  # members that are added at most, the same one more than once: weights are tenths at the finest
SMALLEST = 1e-6  # of a probability, before its logarithm


@dataclass(eq=False, repr=False, kw_only=True)
class EnsembleClassifier(Classifier):
    """The weighted mean of the probabilities of a few methods, or the best of them exactly.

    Each member classifies labelled images that were hidden from it, in folds. Members are added one by one, the same
    one again where that is best by the log-loss of the mean (Caruana et al. 2004, doi:10.1145/1015330.1015432); how
    often a member was added is its weight. The mean is used where the best single member (as in selection.choose) is
    worse by more than one standard error. Where a class has one label the first member is used.

    `probe` and `spreading` err differently, and their plain mean was mostly better than either on photographs
    (benchmarks/results/photographs.md). So it is used unless something else is better by more than one standard error,
    and where a class has one label.

    `members`: names of METHODS, with commas between them; None takes `probe`, `spreading`, `logistic` and `svm`.
    Members that need a pretrained network are left out where `pretrained` is "none". `minutes`: the most that all
    members may take together. The other parameters are passed on to those that have them.
    """

    members: str | None = None
    pretrained: str = "efficientnet-lite0"
    device: str = "auto"
    minutes: float | None = None
    threads: int | None = None

    def _fit(self, images: np.ndarray, labels: np.ndarray) -> None:
        seed, names = self._seed(), self._names()
        known = np.flatnonzero(labels >= 0)
        few = known[label_subset(labels[known], MOST, seed)]
        folds = stratified_folds(labels[few], seed, FOLDS, groups_at(self._groups, few))
        share = 1 / (len(names) * (len(folds) + 1))  # of the minutes

        def fitted(name: str, hidden: np.ndarray) -> Classifier:
            shown = labels.copy()
            shown[hidden] = -1
            return self._made(name, seed, share).fit(images, shown, groups=self._groups)

        usual = (0.5, 0.5, *[0.0] * (len(names) - 2)) if tuple(names[:2]) == PAIR else None
        found = Mixture(usual or (1.0,), 1.0, CrossValidation(None, ()))
        if folds and len(names) > 1:
            held_out = np.empty((len(names), len(few), len(self.classes_)))
            for _, held in folds:
                for member, name in enumerate(names):
                    held_out[member, held] = predicted(fitted(name, few[held]), name, images, few[held])
            found = mixture(held_out, labels[few], names, usual, groups_at(self._groups, few))
        nothing = np.array([], np.int64)
        used = [(name, weight) for name, weight in zip(names, found.weights, strict=False) if weight]
        self.members_ = [fitted(name, nothing) for name, _ in used]
        self.weights_, self.temperature_ = [weight for _, weight in used], found.temperature
        self._describe(dict(used), found)

    def _names(self) -> list[str]:
        """Return the members. Raises UsageError for an unknown one."""
        given = [name for name in MEMBERS if name in METHODS]
        if self.members is not None:
            given = [name.strip() for name in self.members.split(",")]
        return [name for name in given if not (METHODS[name].needs_pretrained and self.pretrained == "none")]

    def _made(self, name: str, seed: int, share: float) -> Classifier:
        return METHODS[name].make(
            random_state=seed,
            pretrained=self.pretrained,
            device=self.device,
            minutes=None if self.minutes is None else self.minutes * share,
            threads=self.threads,
        )

    def _describe(self, weights: dict[str, float], found: "Mixture") -> None:
        """Write the record; and keep the name of the encoder, if a member sees images through one."""
        records = [member.record_ for member in self.members_]
        chosen = {name: record.chosen for name, record in zip(weights, records, strict=True)}
        self._note(
            chosen={"weights": weights, "temperature": self.temperature_, **chosen},
            cross_validation=found.measured,
            size=_joined([record.size for record in records]),
            device=_joined([record.device for record in records]),
            pretrained=_joined([record.pretrained for record in records]),
        )
        for name in ("encoder_", "encoder_hash_"):
            values = [vars(member)[name] for member in self.members_ if name in vars(member)]
            if values:
                setattr(self, name, values[0])

    # --- prediction ---

    def _predict_proba(self, images: np.ndarray) -> np.ndarray:
        for member in self.members_:  # a model that was loaded may have another device, and its encoder elsewhere
            given = {"device": self.device}
            if vars(member).get("encoder_hash_") == vars(self).get("encoder_hash_"):  # members may have chosen others
                given["encoder_"] = vars(self).get("encoder_", "")
            vars(member).update({name: value for name, value in given.items() if name in vars(member)})
        if len(self.members_) == 1:
            return self.members_[0]._predict_proba(images)  # that method exactly
        found = np.stack([member.predict_proba(images) for member in self.members_])
        return averaged(found, self.weights_, self.temperature_)

    # --- model folders ---

    @property
    def _limits(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return tuple(dict.fromkeys(said for member in getattr(self, "members_", ()) for said in member._limits))

    def _state(self) -> dict[str, object]:
        parts = [
            {
                "method": next(row.name for row in METHODS.values() if row.estimator_class() is type(member)),
                "parameters": member.get_params(deep=False),
                "state": dict(member._state()),
            }
            for member in self.members_
        ]
        return {**super()._state(), "members_": parts}

    def _restore(self, state: dict[str, object]) -> None:
        super()._restore(state)
        self.members_ = [_restored(part) for part in self.members_]


def _restored(part: Any) -> Classifier:
    """Return a member of a saved ensemble. Raises ValueError for parameters that it does not have."""
    cls = METHODS[part["method"]].estimator_class()
    if unknown := part["parameters"].keys() - {field.name for field in fields(cls)}:
        raise ValueError(f"{sorted(unknown)} are no parameters of {part['method']}")
    member = cls(**part["parameters"])
    member._restore(part["state"])
    return member


def _joined(words: Sequence[str | None]) -> str | None:
    return ", ".join(dict.fromkeys(word for word in words if word)) or None


def predicted(member: Classifier, name: str, images: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Return probabilities [n,K] of the images at `index`.

    Whoever sees all images through a pretrained network is asked for all: their features are in the cache already.
    """
    if METHODS[name].needs_pretrained:
        return member.predict_proba(images)[index]
    return member.predict_proba(images[index])


# --- which members ---------------------------------------------------------------------------------------------------


class Mixture(NamedTuple):
    """Weights of the members, which sum to 1; the temperature of the mean; and what was measured."""

    weights: tuple[float, ...]
    temperature: float
    measured: CrossValidation


def averaged(proba: np.ndarray, weights: Sequence[float], temperature: float) -> np.ndarray:
    """Return the weighted mean [N,K] of probabilities [M,N,K] at a temperature."""
    mean = np.einsum("m,mnk->nk", np.asarray(weights), proba)
    return softmax(np.log(mean.clip(SMALLEST)) / temperature, axis=1)


def mixture(
    proba: np.ndarray,
    labels: np.ndarray,
    names: Sequence[str],
    usual: Sequence[float] | None = None,
    groups: np.ndarray | None = None,
) -> Mixture:
    """Return the mixture of members that held-out labels choose.

    proba [M,N,K]: what each member says of images that were hidden from it, the preferred member first; labels [N].
    usual: weights [M] that are preferred to all others, unless these are better by more than one standard error.
    Log-losses are those at the best temperature, classes weighted alike, as in `selection.choose`. A single member is
    used as it is: its temperature is 1. groups [N]: of images that are not independent, for standard errors.
    """
    weight = class_weights(labels)

    def losses(counts: np.ndarray) -> tuple[float, np.ndarray]:
        mean = np.einsum("m,mnk->nk", counts / counts.sum(), proba)
        return fit_temperature(log_softmax(np.log(mean.clip(SMALLEST)), axis=1), labels)

    alone = [losses(counts) for counts in np.eye(len(names))]
    best = min((found for _, found in alone), key=lambda found: (weight * found).sum())
    single = next(
        member for member, (_, found) in enumerate(alone) if within_error(found - best, weight, groups=groups)
    )
    counts, temperature, together = greedy(losses, weight, len(names))
    rows = [("alone: " + name, *found) for name, found in zip(names, alone, strict=True)]
    rows.append(("together", temperature, together))
    means = [counts / counts.sum()]
    if usual is not None:
        means.append(np.array(usual))
        rows.append(("usual", *losses(means[1])))
    predicted = [p.argmax(1) for p in (*proba, *(np.einsum("m,mnk->nk", mean, proba) for mean in means))]
    accuracy = [balanced_accuracy(said, labels) for said in predicted]
    table = tuple(
        TriedSettings(name, round(float((weight * found).sum()), 4), round(right, 4))
        for (name, _, found), right in zip(rows, accuracy, strict=True)
    )
    if usual is not None:
        least = min((found for _, _, found in rows), key=lambda found: float((weight * found).sum()))
        if within_error(rows[-1][2] - least, weight, CLEARLY, groups):
            return Mixture(tuple(usual), rows[-1][1], CrossValidation(accuracy[-1], table))
        accuracy = accuracy[:-1]
    if within_error(alone[single][1] - together, weight, CLEARLY, groups):
        return Mixture(tuple(np.eye(len(names))[single].tolist()), 1.0, CrossValidation(accuracy[single], table))
    return Mixture(tuple((counts / counts.sum()).tolist()), temperature, CrossValidation(accuracy[-1], table))


def greedy(losses: Any, weight: np.ndarray, members: int) -> tuple[np.ndarray, float, np.ndarray]:
    """Return how often each member is added [M], the temperature, and the log-losses [N] of the mean.

    Caruana et al. 2004, section 2: forward selection with replacement, ROUNDS times, of which the best mean is taken.
    """
    counts, kept = np.zeros(members), []
    for _ in range(ROUNDS):
        tried = [(counts + one, *losses(counts + one)) for one in np.eye(members)]
        kept.append(min(tried, key=lambda found: float((weight * found[2]).sum())))
        counts = kept[-1][0]
    return min(kept, key=lambda found: float((weight * found[2]).sum()))
