"""Label spreading over a neighbour graph: the traditional use of unlabelled images."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from scipy.special import softmax

from ..data import UNLABELLED
from ..devices import choose_device, device_name
from ..features import Extractor, extract, seen_size, shrunk
from ..features.encoders import NONE, encoders_of, names_of, place_of, same_encoder
from ..features.pretrained import BUILT_IN
from . import graph
from .base import Classifier
from .fit_record import CrossValidation
from .graph import Graph
from .probe import seen_by
from .selection import choose, groups_at
from .svm import best_of

ALPHAS = (0.995, 0.9)  # how far labels spread, the preferred one first
PRETRAINED_ALPHAS = (0.9, 0.995, 0.5)  # along the graph of a pretrained network
SHARES_WEIGHT = 0.1  # weight of what is assumed about class shares before looking, in units of all images
USUAL_TEMPERATURE = 0.3  # of probabilities, where there are too few labels to measure it
HANDMADE = {1: ("hog", "deskewed hog"), 3: ("hog+colours",)}  # features by channels, the preferred one first
LARGEST_GRAPH = 100_000  # images in a graph: the time grows with their square


@dataclass(eq=False, repr=False, kw_only=True)
class SpreadingClassifier(Classifier):
    """Labels spread along a graph of nearest neighbours over labelled and unlabelled images (Zhou et al. 2004).

    Neighbours are near by the features of a pretrained network, or by HOG, and then re-ranked by a distance that lets
    patches move (Keysers et al. 2007) where that is affordable. Class shares are estimated from the images
    (`graph.class_shares`), not from the labels, whose numbers may have been chosen. A new image takes the mean of its
    neighbours; an image of `fit` has its own value. The fitted estimator holds the images that it learned from.

    `features`: a name of `features.EXTRACTORS`, or "auto". `alpha` in (0, 1): how far labels spread. Features, `alpha`
    (None) and the temperature of the probabilities are chosen on held-out labels. `pretrained`: encoders that may be
    chosen (`encoders.names_of`), "none" for HOG alone. `device`: where features of encoders are computed.
    """

    features: str = "auto"
    alpha: float | None = None
    pretrained: str = BUILT_IN
    device: str = "auto"

    _limits = ("It holds every image that it learned from: whoever has this folder has those images.",)

    def _fit(self, images: np.ndarray, labels: np.ndarray) -> None:
        seed = self._seed()
        kept, groups = graph_members(labels, LARGEST_GRAPH, seed), self._groups
        if len(kept) < len(images):
            images, labels, groups = images[kept], labels[kept], groups_at(groups, kept)
        found = solve(
            images, labels, seed,
            features=self.features, alpha=self.alpha, pretrained=self.pretrained, device=self.device, groups=groups,
        )  # fmt: skip
        self.images_, self.labels_ = shrunk(images), labels
        self.spread_, self.extractor_ = found.proba, found.name
        for field in fields(Graph):
            setattr(self, f"graph_{field.name}_", getattr(found.graph, field.name))
        self._note(chosen=found.chosen, cross_validation=found.measured)
        if isinstance(encoder := found.features, Extractor):
            self.encoder_, self.encoder_hash_ = place_of(found.name), encoder.hash
            self._note(
                pretrained=f"{encoder.name}: neighbour graph",
                size=seen_by(found.name, images.shape),
                device=device_name(choose_device(self.device)),
            )

    def _restore(self, state: dict[str, object]) -> None:
        if "graph_turn_" in state:  # its name before version 0.2
            state["graph_directions_"] = state.pop("graph_turn_")
        super()._restore({"labels_": None} | state)  # models of version 0.3 do not know which images had labels
        if self.labels_ is not None and not (
            len(self.labels_) == len(self.images_)
            and np.array_equal(np.unique(self.labels_[self.labels_ >= 0]), np.arange(len(self.classes_)))
        ):
            raise ValueError("the labels of its images are not those of its classes")

    @property
    def _graph(self) -> Graph:
        return Graph(**{field.name: getattr(self, f"graph_{field.name}_") for field in fields(Graph)})

    def _predict_proba(self, images: np.ndarray) -> np.ndarray:
        features = self._features()
        proba = from_neighbours(self._graph, self.images_, self.spread_, as_seen(images, features), features)
        known = same_image(self.images_, shrunk(images))
        proba[known >= 0] = self.spread_[known[known >= 0]]
        return proba

    def _features(self) -> str | Extractor:
        """Return what images are near by. Raises FileFormatError for an encoder that is not here or has changed."""
        if "encoder_" in vars(self):
            return same_encoder(self.encoder_, self.encoder_hash_, device=self.device)
        return self.extractor_

    def _neighbours(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return of images [M,H,W,C] which of its own are their neighbours, int64 [M,k], and the weights of these."""
        features = self._features()
        return weighted_neighbours(self._graph, self.images_, as_seen(images, features), features)

    def _points(self, images: np.ndarray) -> np.ndarray:
        """Return float32 [N,D]: where images [N,H,W,C] lie, by the features along the directions of the graph."""
        features = self._features()
        found = graph.features_of(features, as_seen(images, features))
        return graph.projected(found, self._graph.mean, self._graph.directions)


class Solution(NamedTuple):
    """Probabilities float32 [N,K] of all images, and how they were found: by which features, and their `name`."""

    proba: np.ndarray
    graph: Graph
    name: str
    features: str | Extractor
    measured: CrossValidation
    chosen: dict[str, object]


def graph_guess(
    images: np.ndarray,
    labels: np.ndarray,
    seed: int = 0,
    *,
    pretrained: str = NONE,
    device: str = "auto",
    groups: np.ndarray | None = None,
) -> tuple[np.ndarray, float]:
    """Return class probabilities float32 [N,K] of all images, and their mean recall on labels that were hidden.

    uint8 images [N,H,W,C], labels int64 [N] in 0..K-1 or -1. pretrained: encoders that may be chosen, beside HOG. The
    recall is 0 where it cannot be measured because a class has a single label.
    """
    inside = graph_members(labels, LARGEST_GRAPH, seed)
    known = images if len(inside) == len(images) else images[inside]
    found = solve(known, labels[inside], seed, pretrained=pretrained, device=device, groups=groups_at(groups, inside))
    proba = found.proba
    if len(inside) < len(images):
        outside = np.setdiff1d(np.arange(len(images)), inside)
        proba = np.empty((len(images), found.proba.shape[1]), np.float32)
        proba[inside] = found.proba
        known, new = as_seen(known, found.features), as_seen(images[outside], found.features)
        proba[outside] = from_neighbours(found.graph, known, found.proba, new, found.features)
    return proba, found.measured.accuracy or 0.0


def candidates(channels: int, pretrained: str, device: str) -> Mapping[str, str | Extractor]:
    """Return the features by which images may be near, the usual best first: of grey images HOG, of colour encoders."""
    handmade: dict[str, str | Extractor] = {name: name for name in HANDMADE[channels]}
    encoders = dict(zip(names_of(pretrained), encoders_of(pretrained, device=device), strict=True))
    return handmade | encoders if channels == 1 else encoders | handmade


def best_candidate(
    images: np.ndarray,
    where: np.ndarray,
    known: np.ndarray,
    candidates: Mapping[str, str | Extractor],
    seed: int,
    groups: np.ndarray | None = None,
) -> str:
    """Return the name of the features that tell the labelled images apart best: images[where], with labels `known`."""

    def some(name: str, few: np.ndarray) -> np.ndarray:
        if isinstance(encoder := candidates[name], Extractor):
            return graph.nearness(encoder, encoder.some_features(images, where[few]))
        return extract(name, shrunk(images, where[few]))

    return best_of(known, tuple(candidates), some, seed, groups_at(groups, where))


def solve(
    images: np.ndarray,
    labels: np.ndarray,
    seed: int,
    *,
    features: str = "auto",
    alpha: float | None = None,
    pretrained: str = NONE,
    device: str = "auto",
    groups: np.ndarray | None = None,
) -> Solution:
    """Choose features and alpha, build the graph or find it in the cache, and let the labels spread."""
    where = np.flatnonzero(labels >= 0)
    known, classes = labels[where], int(labels.max()) + 1
    known_by = {features: features} if features != "auto" else candidates(images.shape[3], pretrained, device)
    name = best_candidate(images, where, known, known_by, seed, groups)
    used = known_by[name]
    neighbours = graph.neighbour_graph(images, used)
    alphas = ALPHAS if isinstance(used, str) else PRETRAINED_ALPHAS
    S, base = graph.affinity(neighbours), assumed_shares(known)

    def scores(alpha: float, sources: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the log of share times density at `targets`, and the shares."""
        flow = np.zeros((len(images), classes), np.float32)
        flow[where[sources], known[sources]] = 1
        density = graph.spread_labels(S, flow, alpha).astype(np.float64) + 1e-12
        density /= density.sum(0)
        shares = graph.class_shares(density[:: max(1, len(density) // 10_000)], base, SHARES_WEIGHT)
        return np.log(density[targets] * shares), shares

    chosen = choose(
        known,
        alphas if alpha is None else (alpha,),
        lambda alpha, train, held: scores(alpha, train, where[held])[0],
        seed=seed,
        temperature=USUAL_TEMPERATURE,
        groups=groups_at(groups, where),
    )
    final, shares = scores(chosen.settings, np.arange(len(where)), np.arange(len(images)))
    settings = {
        "features": used if isinstance(used, str) else used.name,
        "alpha": chosen.settings,
        "temperature": chosen.temperature,
        "class_shares": [round(float(share), 4) for share in shares],
        "distortion": graph.distorts(as_shrunk(images), used),
        "images": len(images),
    }
    proba = softmax(final / chosen.temperature, axis=1).astype(np.float32)
    return Solution(proba, neighbours, name, used, chosen.measured, settings)


def as_seen(images: np.ndarray, features: str | Extractor) -> np.ndarray:
    """Return images in the size at which such features are taken of them: handmade ones see them shrunk."""
    return shrunk(images) if isinstance(features, str) else images


def as_shrunk(images: np.ndarray) -> np.ndarray:
    """Return zeros of the shape of shrunk images; they take no memory."""
    return np.broadcast_to(np.uint8(0), (len(images), *seen_size(*images.shape[1:3]), images.shape[3]))


def assumed_shares(labels: np.ndarray) -> np.ndarray:
    """Return class shares [K] before looking at the images: those of the labels, one image a class added.

    They are uniform if every class has the same number of labels, since then someone chose the numbers.
    """
    counts = np.bincount(labels)
    counts = np.ones(len(counts)) if (counts == counts[0]).all() else counts + 1.0
    return counts / counts.sum()


def graph_members(labels: np.ndarray, largest: int, seed: int) -> np.ndarray:
    """Return ascending indices of all labelled images and as many random others as make up `largest`."""
    if len(labels) <= largest:
        return np.arange(len(labels))
    labelled, others = np.flatnonzero(labels != UNLABELLED), np.flatnonzero(labels == UNLABELLED)
    kept = np.random.default_rng(seed).permutation(others)[: max(0, largest - len(labelled))]
    return np.sort(np.concatenate([labelled, kept]))


def from_neighbours(
    known_graph: Graph, known: np.ndarray, proba: np.ndarray, images: np.ndarray, features: str | Extractor
) -> np.ndarray:
    """Return probabilities [M,K] of new images: the mean of their neighbours', weighted as the graph's edges are."""
    index, weights = weighted_neighbours(known_graph, known, images, features)
    return np.einsum("mn,mnk->mk", weights, proba[index].astype(np.float64))


def weighted_neighbours(
    known_graph: Graph, known: np.ndarray, images: np.ndarray, features: str | Extractor
) -> tuple[np.ndarray, np.ndarray]:
    """Return of new images which known ones are their neighbours, [M,k], and weights [M,k] that sum to 1."""
    index, distance = graph.new_neighbours(known_graph, known, images, features)
    weights = graph.edge_weights(distance, graph.local_scale(distance), known_graph.scale[index])
    return index, weights / weights.sum(1, keepdims=True)


def same_image(known: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Return int64 [M]: the index of the known image that equals each image pixel for pixel, or -1."""
    places = {hash(image.tobytes()): place for place, image in reversed(list(enumerate(known)))}
    found = np.array([places.get(hash(image.tobytes()), -1) for image in images], np.int64)
    found[(known[found] != images).any((1, 2, 3))] = -1
    return found
