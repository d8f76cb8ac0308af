"""What the features of the untouched pretrained network say before a network trains: its head, and a first guess.

A logistic regression on them is the head that training starts from. The first guess of the classes of all images is
that of `probe` and of `spreading` together; both are checked on held-out labels.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import softmax

from ..features import pretrained_features
from ..features.pretrained import BUILT_IN, imagenet
from ..nets.efficientnet import WIDTH
from .logistic import C_VALUES, StandardisedFeatures, regression
from .probe import chosen_probe
from .selection import MOST, Choice, choose, groups_at, subset
from .spreading import graph_guess

SMALLEST = 1e-4  # of a probability, before its logarithm


class WarmStart(NamedTuple):
    """Where a pretrained network starts from.

    `weights` float32 [1280,K] and `offset` [K]: of the head, calibrated. `guess`: class probabilities float32 [N,K] of
    all images, those of labelled ones as their labels say; None where it was not asked for. `accuracy`: balanced, of
    held-out labels, the better one of `probe` and `spreading`; None where a class has a single label.
    """

    weights: np.ndarray
    offset: np.ndarray
    guess: np.ndarray | None
    accuracy: float | None


def warm_start(
    images: np.ndarray,
    labels: np.ndarray,
    seed: int,
    *,
    device: str = "auto",
    guess: bool,
    groups: np.ndarray | None = None,
) -> WarmStart:
    """Return where to start from: uint8 images [N,H,W,C] of any size, labels int64 [N] in 0..K-1 or -1.

    groups [N]: images of equal ones are held out together.
    """
    where = np.flatnonzero(labels >= 0)
    known = labels[where]
    features = pretrained_features(images if guess else images[where], device=device)
    labelled = (features[where] if guess else features)[:, :WIDTH]
    chosen = best_probe(labelled, known, seed, groups_at(groups, where))
    weights, offset = probe_of(labelled, known, chosen.settings)
    weights, offset = weights / chosen.temperature, offset / chosen.temperature
    if not guess:
        return WarmStart(weights, offset, None, chosen.measured.accuracy)
    proba, accuracy = first_guess(images, labels, seed, device, groups)
    return WarmStart(weights, offset, proba, accuracy)


def first_guess(
    images: np.ndarray, labels: np.ndarray, seed: int, device: str, groups: np.ndarray | None = None
) -> tuple[np.ndarray, float | None]:
    """Return class probabilities float32 [N,K] of all images, and the balanced accuracy of held-out labels.

    The product of what `probe` and `spreading` say, each at its own temperature, as if they erred independently.
    """
    probe = chosen_probe({BUILT_IN: imagenet(device=device)}, images, labels, seed, groups=groups)
    spread, recall = graph_guess(images, labels, seed, pretrained=BUILT_IN, device=device, groups=groups)
    proba = softmax(probe.scores(images) + np.log(spread.clip(SMALLEST)), axis=1).astype(np.float32)
    known = np.flatnonzero(labels >= 0)
    proba[known] = np.eye(proba.shape[1], dtype=np.float32)[labels[known]]
    measured = probe.noted["cross_validation"].accuracy
    return proba, None if measured is None else max(measured, recall)


def best_probe(features: np.ndarray, labels: np.ndarray, seed: int, groups: np.ndarray | None = None) -> Choice[float]:
    """Return the penalty of the logistic regression on features [n,F], its temperature, and what was measured."""
    few = subset(labels, MOST, seed)
    space = StandardisedFeatures(features[few])

    def held_out(strength: float, train: np.ndarray, held: np.ndarray) -> np.ndarray:
        weights, offset = regression(space.points[train], labels[few][train], strength)
        return space.points[held] @ weights + offset

    return choose(labels[few], C_VALUES, held_out, seed=seed, temperature=1.0, groups=groups_at(groups, few))


def probe_of(features: np.ndarray, labels: np.ndarray, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """Return float32 weights [F,K] and offset [K] of the logistic regression on features [n,F]."""
    space = StandardisedFeatures(features)
    return space.for_raw_features(*regression(space.points, labels, strength))
