"""What the features of the untouched pretrained network say before a network trains: its head, and a first guess.

A logistic regression on them is the head that training starts from. Together with label spreading over their neighbour
graph it guesses the classes of all images. Both are checked on held-out labels.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import log_softmax, softmax

from ..features import pretrained_features
from ..nets.efficientnet import WIDTH
from . import graph
from .graph import Graph
from .logistic import C_VALUES, StandardisedFeatures, regression
from .selection import MOST, Choice, choose, subset
from .spreading import ALPHAS, LARGEST_GRAPH, SHARES_WEIGHT, USUAL_TEMPERATURE, assumed_shares

SOURCES = ("both", "probe", "graph")  # of the guess, the preferred one first


class WarmStart(NamedTuple):
    """Where a pretrained network starts from.

    `weights` float32 [1280,K] and `offset` [K]: of the head, calibrated. `guess`: class probabilities float32 [N,K] of
    all images; None where it was not asked for. `accuracy`: balanced, of held-out labels, the best of the probe and the
    guess; None where a class has a single label.
    """

    weights: np.ndarray
    offset: np.ndarray
    guess: np.ndarray | None
    accuracy: float | None


def warm_start(images: np.ndarray, labels: np.ndarray, seed: int, *, device: str = "auto", guess: bool) -> WarmStart:
    """Return where to start from: uint8 images [N,H,W,C] of any size, labels int64 [N] in 0..K-1 or -1."""
    where = np.flatnonzero(labels >= 0)
    known = labels[where]
    features = pretrained_features(images if guess else images[where], device=device)[:, :WIDTH]
    labelled = features[where] if guess else features
    probe = best_probe(labelled, known, seed)
    weights, offset = probe_of(labelled, known, probe.settings)
    weights, offset = weights / probe.temperature, offset / probe.temperature
    accuracy = probe.measured.accuracy
    if not guess or len(images) > LARGEST_GRAPH:
        return WarmStart(weights, offset, softmax(features @ weights + offset, axis=1) if guess else None, accuracy)
    spread = FeatureGraph(features, where, known)
    chosen = choose(known, ALPHAS, spread.held_out, seed=seed, temperature=USUAL_TEMPERATURE)

    def scores(source: str, train: np.ndarray, held: np.ndarray) -> np.ndarray:
        found = np.zeros((len(held), weights.shape[1]))
        if source != "graph":
            fitted, shift = probe_of(labelled[train], known[train], probe.settings)
            found += log_softmax((labelled[held] @ fitted + shift) / probe.temperature, axis=1)
        if source != "probe":
            found += log_softmax(spread.held_out(chosen.settings, train, held) / chosen.temperature, axis=1)
        return found

    best = choose(known, SOURCES, scores, seed=seed, temperature=1.0)
    total = np.zeros((len(images), weights.shape[1]))
    if best.settings != "graph":
        total += log_softmax(features @ weights + offset, axis=1)
    if best.settings != "probe":
        everything = spread.scores(chosen.settings, np.arange(len(where)), np.arange(len(images)))
        total += log_softmax(everything / chosen.temperature, axis=1)
    proba = softmax(total / best.temperature, axis=1).astype(np.float32)
    measured = [found for found in (accuracy, best.measured.accuracy) if found is not None]
    return WarmStart(weights, offset, proba, max(measured, default=None))


def best_probe(features: np.ndarray, labels: np.ndarray, seed: int) -> Choice[float]:
    """Return the penalty of the logistic regression on features [n,F], its temperature, and what was measured."""
    few = subset(labels, MOST, seed)
    space = StandardisedFeatures(features[few])

    def held_out(strength: float, train: np.ndarray, held: np.ndarray) -> np.ndarray:
        weights, offset = regression(space.points[train], labels[few][train], strength)
        return space.points[held] @ weights + offset

    return choose(labels[few], C_VALUES, held_out, seed=seed, temperature=1.0)


def probe_of(features: np.ndarray, labels: np.ndarray, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """Return float32 weights [F,K] and offset [K] of the logistic regression on features [n,F]."""
    space = StandardisedFeatures(features)
    return space.for_raw_features(*regression(space.points, labels, strength))


class FeatureGraph:
    """The neighbour graph of images by their features [N,F]; labels spread along it from those of `where`, `known`."""

    def __init__(self, features: np.ndarray, where: np.ndarray, known: np.ndarray):
        features = features / np.linalg.norm(features, axis=1, keepdims=True).clip(1e-6)
        mean = features.mean(0)
        some = (features - mean)[:: max(1, len(features) // 20_000)].astype(np.float64)  # float32 did not converge
        directions = np.linalg.eigh(some.T @ some)[1][:, -graph.DIMENSIONS :].astype(np.float32)
        points = graph.projected(features, mean, directions)
        index, distance = graph.nearest_by_features(points, points, graph.NEIGHBOURS, same=True)
        self.affinity = graph.affinity(Graph(mean, directions, points, index.astype(np.int32), distance))
        self.where, self.known, self.count = where, known, len(features)
        self.base = assumed_shares(known)

    def scores(self, alpha: float, sources: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Return the log of share times density [n,K] of images `targets`, by the labels numbered `sources`."""
        flow = np.zeros((self.count, len(self.base)), np.float32)
        flow[self.where[sources], self.known[sources]] = 1
        density = graph.spread_labels(self.affinity, flow, alpha).astype(np.float64) + 1e-12
        density /= density.sum(0)
        shares = graph.class_shares(density[:: max(1, len(density) // 10_000)], self.base, SHARES_WEIGHT)
        return np.log(density[targets] * shares)

    def held_out(self, alpha: float, train: np.ndarray, held: np.ndarray) -> np.ndarray:
        return self.scores(alpha, train, self.where[held])
