"""Choosing settings by cross-validation on the labels alone, and probabilities whose confidence fits those labels.

With few labels accuracy is a coarse measure. So settings are compared by the log-loss of held-out labels at the best
temperature (Guo et al. 2017, arXiv:1706.04599). No probability counts as less than a floor: one confident mistake among
few labels must not decide.
"""

from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from scipy.special import log_softmax
from sklearn.model_selection import StratifiedKFold

from .fit_record import CrossValidation, TriedSettings

FOLDS = 5
TURNS = 10  # of chance, in which folds of whole groups are looked for that leave every class in training
MOST = 2000  # labelled images that take part in cross-validation
FLOOR = 1e-3  # of a probability when settings are compared
# Standard errors of a paired difference within which a setting is as good as the best. With 1, MNIST lost 1.2 points;
# with 0 the digits lost as much.
NEAR = 0.5
PRIOR_DEVIATION = 0.5  # standard deviation of the logarithm of a temperature before any label is seen
TEMPERATURES = np.geomspace(0.02, 50.0, 60)


Setting = TypeVar("Setting")
Folds = list[tuple[np.ndarray, np.ndarray]]  # (train, held out) indices of each


class Choice(NamedTuple, Generic[Setting]):
    """The chosen settings, their temperature, and what was measured."""

    settings: Setting
    temperature: float
    measured: CrossValidation


def stratified_folds(labels: np.ndarray, seed: int, most: int = FOLDS, groups: np.ndarray | None = None) -> Folds:
    """Return (train, held out) indices of each fold, every class in each; [] where a class has one labelled image.

    groups [N]: images of equal ones are held out together. Then every class is in each training part, and [] is
    returned where that cannot be, as for a class of a single group.
    """
    if groups is not None:
        return grouped_folds(labels, groups, seed, most)
    count = min(most, int(np.bincount(labels).min()))
    if count < 2:
        return []
    return list(StratifiedKFold(count, shuffle=True, random_state=seed).split(labels, labels))


def grouped_folds(labels: np.ndarray, groups: np.ndarray, seed: int, most: int) -> Folds:
    """Return (train, held out) indices of `most` folds of whole groups, or of as many as there are groups.

    Labels int64 [N] from 0 to K - 1. Every class is in each training part; [] where no turn of chance does that.
    """
    place = np.unique(groups, return_inverse=True)[1]
    counts = np.zeros((int(place.max()) + 1, int(labels.max()) + 1))  # images by group and class
    np.add.at(counts, (place, labels), 1)
    folds = min(most, len(counts))
    for turn in range(TURNS if folds > 1 else 0):
        fold = _dealt(counts, folds, np.random.default_rng([seed, turn]))[place]
        parts = [(np.flatnonzero(fold != held), np.flatnonzero(fold == held)) for held in range(folds)]
        if all(len(np.unique(labels[train])) == len(np.unique(labels)) for train, _ in parts):
            return parts
    return []


def _dealt(counts: np.ndarray, folds: int, rng: np.random.Generator) -> np.ndarray:
    """Return the fold int64 [M] of each group, from its images of each class [M,K].

    The largest group comes first, of equal ones as chance will, and goes where its classes are rarest so far.
    """
    order = rng.permutation(len(counts))
    order = order[np.argsort(-counts[order].sum(1), kind="stable")]
    share, inside = counts / np.maximum(counts.sum(0), 1), np.zeros((folds, counts.shape[1]))
    found, total = np.zeros(len(counts), np.int64), np.zeros(folds)
    for group in order.tolist():
        cost = inside @ share[group]
        found[group] = fold = int(np.lexsort((total, cost))[0])
        inside[fold] += share[group]
        total[fold] += counts[group].sum()
    return found


def groups_at(groups: np.ndarray | None, index: np.ndarray) -> np.ndarray | None:
    """Return the groups of some images; None where there are none."""
    return None if groups is None else groups[index]


def subset(labels: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Return ascending indices of about `most` images: the same share of every class, but at least 20 of each."""
    if len(labels) <= most:
        return np.arange(len(labels))
    rng, counts = np.random.default_rng(seed), np.bincount(labels)
    wanted = np.maximum(np.minimum(counts, 20), counts * most // len(labels))
    return np.sort(np.concatenate([rng.permutation(np.flatnonzero(labels == k))[:n] for k, n in enumerate(wanted)]))


def choose(
    labels: np.ndarray,
    settings: Sequence[Setting],
    held_out: Callable[[Setting, np.ndarray, np.ndarray], np.ndarray],
    *,
    seed: int,
    temperature: float,
    groups: np.ndarray | None = None,
) -> Choice[Setting]:
    """Choose the first of `settings`, which come in order of preference, that is as good as the best within NEAR.

    After the one-standard-error rule of Breiman et al. 1984, section 3.4.3. `held_out(setting, train, held)` gives
    scores [n,K] of held-out images. Where a class has a single label, the first and `temperature` are chosen. groups
    [N]: images of equal ones are held out together.
    """
    folds = stratified_folds(labels, seed, groups=groups)
    if not folds:
        return Choice(settings[0], temperature, CrossValidation(None, ()))
    order = np.concatenate([held for _, held in folds])
    weight, table, found = class_weights(labels[order]), [], []
    for setting in settings:
        scores = np.concatenate([held_out(setting, train, held) for train, held in folds])
        best, losses = fit_temperature(scores, labels[order], temperature)
        accuracy = balanced_accuracy(scores.argmax(1), labels[order])
        found.append((setting, best, losses, accuracy))
        loss = float((weight * losses).sum())
        shown = list(setting) if isinstance(setting, tuple) else setting
        table.append(TriedSettings(shown, round(loss, 4), round(accuracy, 4)))
    least = min((losses for _, _, losses, _ in found), key=lambda losses: (weight * losses).sum())
    held = groups_at(groups, order)
    setting, best, _, accuracy = next(row for row in found if within_error(row[2] - least, weight, groups=held))
    return Choice(setting, best, CrossValidation(accuracy, tuple(table)))


def choose_in_turn(
    labels: np.ndarray,
    names: Sequence[str],
    details: Sequence[tuple[float, ...]],
    held_out: Callable[[tuple, np.ndarray, np.ndarray], np.ndarray],
    *,
    seed: int,
    temperature: float,
    groups: np.ndarray | None = None,
) -> Choice[tuple]:
    """Choose features of `names` at the first of `details`, then one of `details` for them, each as `choose` does.

    A setting is (name, *detail). So the sum of both numbers is tried, not their product.
    """
    known: dict[tuple, np.ndarray] = {}

    def once(setting: tuple, train: np.ndarray, held: np.ndarray) -> np.ndarray:
        key = (setting, held.tobytes())
        if key not in known:
            known[key] = held_out(setting, train, held)
        return known[key]

    settings = [(name, *details[0]) for name in names]
    first = choose(labels, settings, once, seed=seed, temperature=temperature, groups=groups)
    settings = [(first.settings[0], *detail) for detail in details]
    last = choose(labels, settings, once, seed=seed, temperature=temperature, groups=groups)
    table = first.measured.table + last.measured.table[1:]
    return Choice(last.settings, last.temperature, CrossValidation(last.measured.accuracy, table))


def mean_and_error(values: np.ndarray, weight: np.ndarray, groups: np.ndarray | None = None) -> tuple[float, float]:
    """Return the weighted mean of values [N] and its standard error; weights [N] sum to 1.

    groups [N]: images of equal ones are not independent, so their deviations are added up before they are squared.
    """
    mean = float((weight * values).sum())
    parts = weight * (values - mean)
    if groups is not None:
        parts = np.bincount(np.unique(groups, return_inverse=True)[1], parts)
    return mean, float(np.sqrt((parts**2).sum()))


def within_error(excess: np.ndarray, weight: np.ndarray, near: float = NEAR, groups: np.ndarray | None = None) -> bool:
    """Return whether the weighted mean of an excess [N] is within `near` standard errors of zero."""
    mean, error = mean_and_error(excess, weight, groups)
    return mean <= near * error + 1e-12


def class_weights(labels: np.ndarray) -> np.ndarray:
    """Return weights [N] that sum to 1, and to the same for every class."""
    weight = 1 / np.bincount(labels)[labels]
    return weight / weight.sum()


def balanced_accuracy(predicted: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean recall of the classes."""
    hits = np.bincount(labels, weights=predicted == labels)
    return float((hits / np.bincount(labels)).mean())


def fit_temperature(scores: np.ndarray, labels: np.ndarray, usual: float = 1.0) -> tuple[float, np.ndarray]:
    """Return the temperature at which softmax(scores / temperature) has the least log-loss, and the log-losses [N].

    scores [N,K], labels [N]. Each class is weighted alike, and a probability is mixed with FLOOR of the uniform one.
    The temperature has a log-normal prior around `usual` that is worth one image; the losses returned are without it.
    CalibratedClassifierCV(method="temperature") of scikit-learn has neither prior nor class weights: where five labels
    all happen to be right, it chose a temperature of 0.01.
    """
    weight, rows = class_weights(labels), np.arange(len(labels))
    best, least, chosen = 1.0, np.inf, np.zeros(len(labels))
    prior = 0.5 * (np.log(TEMPERATURES / usual) / PRIOR_DEVIATION) ** 2 / len(labels)
    for temperature, cost in zip(TEMPERATURES, prior, strict=True):
        p = np.exp(log_softmax(scores / temperature, axis=1)[rows, labels])
        losses = -np.log(p * (1 - FLOOR) + FLOOR / scores.shape[1])
        if (weight * losses).sum() + cost < least:
            best, least, chosen = float(temperature), (weight * losses).sum() + cost, losses
    return best, chosen
