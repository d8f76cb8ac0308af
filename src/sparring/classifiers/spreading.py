"""Label spreading over a neighbour graph: the traditional use of unlabelled images."""

from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from scipy.special import softmax

from . import graph as graphs
from .base import UNLABELLED, Classifier
from .graph import Graph
from .selection import choose
from .svm import best_features

ALPHAS = (0.995, 0.9)  # how far labels spread, the preferred one first
SHARES = 0.1  # weight of what is assumed about class shares before looking, in units of all images
TEMPERATURE = 0.3  # of probabilities, where there are too few labels to measure it
LARGEST = 100_000  # images in a graph: the time grows with their square


@dataclass(eq=False, repr=False, kw_only=True)
class SpreadingClassifier(Classifier):
    """Labels spread along a graph of nearest neighbours over labelled and unlabelled images (Zhou et al. 2004).

    Neighbours are near by HOG, and re-ranked by a distance that lets patches move (Keysers et al. 2007) where that is
    affordable. Class shares are estimated from the images (see `graph.class_shares`), not taken from the labels, which
    may have been drawn the same number a class. Features, `alpha` and the probabilities' temperature are chosen on
    held-out labels. A new image takes the mean of its neighbours; one that was there in `fit` its own value.
    The fitted estimator holds the images it learned from.
    """

    features: str = "auto"
    alpha: float | None = None  # in (0, 1): None is chosen

    def learn(self, images: np.ndarray, labels: np.ndarray) -> None:
        seed = self.seed()
        inside = within(labels, LARGEST, seed)
        images, labels = images[inside], labels[inside]
        found = solve(images, labels, seed, features=self.features, alpha=self.alpha)
        self.images_, self.spread_, self.extractor_ = images, found.proba, found.extractor
        for field in fields(Graph):
            setattr(self, f"graph_{field.name}_", getattr(found.graph, field.name))
        self.record_["chosen"] = found.chosen
        self.record_["cross_validation"] = {"accuracy": found.accuracy, "table": found.table}

    @property
    def graph(self) -> Graph:
        return Graph(**{field.name: getattr(self, f"graph_{field.name}_") for field in fields(Graph)})

    def judge(self, images: np.ndarray) -> np.ndarray:
        proba = read_off(self.graph, self.images_, self.spread_, images, self.extractor_)
        place = places(self.images_, images)
        proba[place >= 0] = self.spread_[place[place >= 0]]
        return proba


class Solution(NamedTuple):
    """What spreading says of every image, and how it was found."""

    proba: np.ndarray  # float32 [N,K]
    graph: Graph
    extractor: str
    accuracy: float | None  # on labels that were hidden, classes alike; None where a class has a single label
    chosen: dict
    table: list[dict]


def graph_guess(images: np.ndarray, labels: np.ndarray, seed: int = 0) -> tuple[np.ndarray, float]:
    """Class probabilities float32 [N,K] of all images, and their mean recall on labels that were hidden.

    uint8 images [N,H,W,C], labels int64 [N] in 0..K-1 or -1. The recall is 0 where it cannot be measured, because a
    class has a single label: then there is no ground to believe the graph.
    """
    inside = within(labels, LARGEST, seed)
    found = solve(images[inside], labels[inside], seed)
    proba = found.proba
    if len(inside) < len(images):
        outside = np.setdiff1d(np.arange(len(images)), inside)
        proba = np.empty((len(images), found.proba.shape[1]), np.float32)
        proba[inside] = found.proba
        proba[outside] = read_off(found.graph, images[inside], found.proba, images[outside], found.extractor)
    return proba, found.accuracy or 0.0


def solve(
    images: np.ndarray, labels: np.ndarray, seed: int, *, features: str = "auto", alpha: float | None = None
) -> Solution:
    """Chooses features and alpha, builds the graph or finds it in the cache, and lets the labels spread."""
    where = np.flatnonzero(labels >= 0)
    known, classes = labels[where], int(labels.max()) + 1
    extractor = best_features(images[where], known, names_for(images), seed) if features == "auto" else features
    graph = graphs.build(images, extractor)
    S, base = graphs.affinity(graph), assumed_shares(known)

    def scores(alpha: float, sources: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log of share times density at `targets`, and the shares."""
        flow = np.zeros((len(images), classes), np.float32)
        flow[where[sources], known[sources]] = 1
        density = graphs.spread(S, flow, alpha).astype(np.float64) + 1e-12
        density /= density.sum(0)
        shares = graphs.class_shares(density[:: max(1, len(density) // 10_000)], base, SHARES)
        return np.log(density[targets] * shares), shares

    chosen = choose(
        known,
        ALPHAS if alpha is None else (alpha,),
        lambda alpha, train, held: scores(alpha, train, where[held])[0],
        seed=seed,
        temperature=TEMPERATURE,
    )
    final, shares = scores(chosen.settings, np.arange(len(where)), np.arange(len(images)))
    told = {
        "features": extractor,
        "alpha": chosen.settings,
        "temperature": chosen.temperature,
        "class_shares": [round(float(share), 4) for share in shares],
        "distortion": graphs.distorts(images),
        "images": len(images),
    }
    proba = softmax(final / chosen.temperature, axis=1).astype(np.float32)
    return Solution(proba, graph, extractor, chosen.accuracy, told, chosen.table)


def names_for(images: np.ndarray) -> tuple[str, ...]:
    return ("hog", "deskewed hog") if images.shape[3] == 1 else ("hog+colours",)


def assumed_shares(labels: np.ndarray) -> np.ndarray:
    """Class shares before looking at the images: uniform if every class has the same number of labels, since then
    someone chose the numbers; otherwise those of the labels, one image a class added."""
    counts = np.bincount(labels)
    counts = np.ones(len(counts)) if (counts == counts[0]).all() else counts + 1.0
    return counts / counts.sum()


def within(labels: np.ndarray, largest: int, seed: int) -> np.ndarray:
    """Ascending indices of all labelled images and as many of the others, at random, as make up `largest`."""
    if len(labels) <= largest:
        return np.arange(len(labels))
    labelled, others = np.flatnonzero(labels != UNLABELLED), np.flatnonzero(labels == UNLABELLED)
    kept = np.random.default_rng(seed).permutation(others)[: max(0, largest - len(labelled))]
    return np.sort(np.concatenate([labelled, kept]))


def read_off(graph: Graph, known: np.ndarray, proba: np.ndarray, images: np.ndarray, extractor: str) -> np.ndarray:
    """Probabilities [M,K] of new images: the mean of their neighbours', weighted as edges of the graph would be."""
    index, distance = graphs.neighbours_of(graph, known, images, extractor)
    weights = graphs.closeness(distance, graphs.reach(distance), graph.reach[index])
    weights /= weights.sum(1, keepdims=True)
    return np.einsum("mn,mnk->mk", weights, proba[index].astype(np.float64))


def places(known: np.ndarray, images: np.ndarray) -> np.ndarray:
    """int64 [M]: where each image stands, pixel for pixel, among the known ones, or -1."""
    keys, wanted = checksums(known), checksums(images)
    order = np.argsort(keys, kind="stable")
    at = np.minimum(np.searchsorted(keys[order], wanted), len(keys) - 1)
    place = order[at]
    same = keys[place] == wanted
    same[same] = (known[place[same]] == images[same]).all((1, 2, 3))
    return np.where(same, place, -1)


def checksums(images: np.ndarray) -> np.ndarray:
    """uint64 [N], one number for each image's content: a dot product modulo 2^64."""
    flat = images.reshape(len(images), -1)
    flat = np.pad(flat, ((0, 0), (0, -flat.shape[1] % 8))).view(np.uint64)
    odd = np.random.default_rng(0).integers(0, 2**63, flat.shape[1], dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    return (flat * odd).sum(1, dtype=np.uint64)
