"""Choosing settings by cross-validation on the labels alone, and probabilities whose confidence fits those labels.

With few labels accuracy is a coarse judge: settings are compared by the log-loss of held-out labels at the best
temperature (Guo et al. 2017, arXiv:1706.04599). The floor below which no probability falls keeps one sure mistake
among few labels from deciding.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.special import log_softmax
from sklearn.model_selection import StratifiedKFold

FOLDS = 5
MOST = 2000  # labelled images that take part in cross-validation
FLOOR = 1e-3  # of a probability when settings are compared
NEAR = 0.5  # standard errors of a paired difference; one cost MNIST 1.2 points, none cost the digits as much
SPREAD = 0.5  # standard deviation of the logarithm of a temperature before any label is seen
TEMPERATURES = np.geomspace(0.02, 50.0, 60)


class Choice(NamedTuple):
    """The settings, what was measured for all of them, and held-out scores of the chosen ones."""

    settings: Any
    temperature: float
    table: list[dict]  # {"settings", "log_loss", "accuracy"}, JSON-able
    accuracy: float | None  # of held-out labels, None where a class has too few labels to hold one out


def folds(labels: np.ndarray, seed: int, most: int = FOLDS) -> list[tuple[np.ndarray, np.ndarray]]:
    """(train, held out) pairs of indices, every class in each; none where a class has only one labelled image."""
    count = min(most, int(np.bincount(labels).min()))
    if count < 2:
        return []
    return list(StratifiedKFold(count, shuffle=True, random_state=seed).split(labels, labels))


def subset(labels: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Indices of at most about `most` images, ascending: the same share of every class, but no fewer than 20 of any."""
    if len(labels) <= most:
        return np.arange(len(labels))
    rng, counts = np.random.default_rng(seed), np.bincount(labels)
    wanted = np.maximum(np.minimum(counts, 20), counts * most // len(labels))
    return np.sort(np.concatenate([rng.permutation(np.flatnonzero(labels == k))[:n] for k, n in enumerate(wanted)]))


def choose(
    labels: np.ndarray,
    settings: Sequence[Any],
    held_out: Callable[[Any, np.ndarray, np.ndarray], np.ndarray],
    *,
    seed: int,
    temperature: float,
) -> Choice:
    """One of `settings`, which come in order of preference: the first that is as good as the best within NEAR.

    After the one-standard-error rule of Breiman et al. 1984, section 3.4.3. `held_out(setting, train, held)` gives
    scores [n,K] of held-out images. Falls back to the first and to `temperature` where a class has a single label.
    """
    split = folds(labels, seed)
    if not split:
        return Choice(settings[0], temperature, [], None)
    order = np.concatenate([held for _, held in split])
    weight, table, found = class_weights(labels[order]), [], []
    for setting in settings:
        scores = np.concatenate([held_out(setting, train, held) for train, held in split])
        best, losses = fit_temperature(scores, labels[order], temperature)
        accuracy = balanced_accuracy(scores.argmax(1), labels[order])
        found.append((setting, best, losses, accuracy))
        loss = float((weight * losses).sum())
        table.append({"settings": said(setting), "log_loss": round(loss, 4), "accuracy": round(accuracy, 4)})
    least = min((losses for _, _, losses, _ in found), key=lambda losses: (weight * losses).sum())
    setting, best, _, accuracy = next(row for row in found if near(row[2] - least, weight))
    return Choice(setting, best, table, accuracy)


def near(excess: np.ndarray, weight: np.ndarray) -> bool:
    """Whether a weighted mean excess [N] is within NEAR standard errors of zero."""
    mean = (weight * excess).sum()
    return bool(mean <= NEAR * np.sqrt((weight**2 * (excess - mean) ** 2).sum()) + 1e-12)


def class_weights(labels: np.ndarray) -> np.ndarray:
    """[N], their sum one, every class alike."""
    weight = 1 / np.bincount(labels)[labels]
    return weight / weight.sum()


def said(setting: Any) -> Any:
    return list(setting) if isinstance(setting, tuple) else setting


def balanced_accuracy(code_params: np.ndarray, labels: np.ndarray) -> float:
    """Mean recall of the classes."""
    hits = np.bincount(labels, weights=code_params == labels)
    return float((hits / np.bincount(labels)).mean())


def fit_temperature(scores: np.ndarray, labels: np.ndarray, usual: float = 1.0) -> tuple[float, np.ndarray]:
    """(temperature, log-losses [N]) of softmax(scores / temperature) where their mean is least.

    Each class counts alike. A probability is mixed with FLOOR of the uniform one, and the temperature has a log-normal
    prior worth one image, so that a few images that all happen to be right do not ask for certainty. The losses
    returned are without the prior.
    """
    weight, rows = class_weights(labels), np.arange(len(labels))
    best, least, chosen = 1.0, np.inf, np.zeros(len(labels))
    prior = 0.5 * (np.log(TEMPERATURES / usual) / SPREAD) ** 2 / len(labels)
    for temperature, cost in zip(TEMPERATURES, prior, strict=True):
        p = np.exp(log_softmax(scores / temperature, axis=1)[rows, labels])
        losses = -np.log(p * (1 - FLOOR) + FLOOR / scores.shape[1])
        if (weight * losses).sum() + cost < least:
            best, least, chosen = float(temperature), (weight * losses).sum() + cost, losses
    return best, chosen
