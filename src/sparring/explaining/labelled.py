"""Which labelled images an answer rests on, and which are most like an image by what a model sees of it."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from ..classifiers import Classifier, graph
from ..classifiers.ensemble import EnsembleClassifier
from ..classifiers.image_inputs import images_like
from ..classifiers.logistic import LogisticClassifier
from ..classifiers.network import NetworkClassifier
from ..classifiers.probe import ProbeClassifier, directions
from ..classifiers.spreading import SpreadingClassifier, same_image
from ..classifiers.svm import SVMClassifier
from ..data import ImageSet, load
from ..data.arrays import Scale
from ..errors import DataError
from ..features import shrunk
from ..features.cache import passing_cache
from ..features.encoders import same_encoder
from .records import LabelledImage
from .scores import network_input
from .sentences import alike_sentence, shares_sentence

RESTS_ON = 0.8  # of an answer: words say how many labelled images it takes to have so much of it


class SpreadingShares:
    """What each labelled image adds to the answers of a fitted `spreading`, exactly.

    The propagated score of image i for class k is the sum of G[i,j] over the labelled images j of the class, where
    G = (I - alpha S)^-1 (Zhou et al. 2004, eq. 4). The class's probability is shared out in these proportions: so the
    shares of a class sum to what the model says of it. A new image takes the mean of its neighbours, and so its shares.
    `places` int64 [L], `labels` int64 [L]: which images of the fit have labels, and these.
    """

    def __init__(self, model: SpreadingClassifier):
        if model.labels_ is None:
            raise ValueError("a model of version 0.3 does not know which of its images had labels")
        self.model = model
        self.places = np.flatnonzero(model.labels_ >= 0)
        self.labels = model.labels_[self.places]
        self.alpha = float((model.record_.chosen or {})["alpha"])
        self.affinity = graph.affinity(model._graph)

    def of(self, images: np.ndarray) -> np.ndarray:
        """Return float64 [M,L]: the share of each labelled image in the answers to uint8 images [M,H,W,C]."""
        model, small = self.model, shrunk(images)
        known = same_image(model.images_, small)
        neighbours, weights = model._neighbours(images)
        found = np.zeros((len(images), len(self.places)))
        for i in range(len(images)):
            places, weight = (known[i : i + 1], np.ones(1)) if known[i] >= 0 else (neighbours[i], weights[i])
            found[i] = weight @ self.of_known(places)
        return found

    def of_known(self, places: np.ndarray) -> np.ndarray:
        """Return float64 [n,L]: the shares in the answers to the model's own images at these places [n]."""
        sources = np.zeros((len(self.model.images_), len(places)), np.float32)
        sources[places, np.arange(len(places))] = 1
        # S is symmetric: a column of G is its row
        flow = graph.spread_labels(self.affinity, sources, self.alpha)[self.places].T.astype(np.float64) + 1e-30
        answer = self.model.spread_[places].astype(np.float64)
        answer /= answer.sum(1, keepdims=True)
        for k in range(answer.shape[1]):
            of_class = self.labels == k
            flow[:, of_class] *= (answer[:, k] / flow[:, of_class].sum(1))[:, None]
        return flow


# --- likeness --------------------------------------------------------------------------------------------------------


def model_features(model: Classifier, images: np.ndarray) -> np.ndarray | None:
    """Return float32 [N,F]: what a model sees of uint8 images [N,H,W,C] before it decides; None where it sees nothing.

    Of an ensemble, what its first member sees.
    """
    if isinstance(model, EnsembleClassifier):
        return model_features(model.members_[0], images)
    if isinstance(model, NetworkClassifier):
        net, device = model._built_network(), "cpu"
        with torch.inference_mode():
            return np.concatenate([net(network_input(model, images[i : i + 64])).features.to(device).numpy()
                                   for i in range(0, len(images), 64)])  # fmt: skip
    if isinstance(model, ProbeClassifier):
        encoder = same_encoder(model.encoder_, model.encoder_hash_, device=model.device)
        return directions(encoder, images, earlier=model.earlier_)
    if isinstance(model, SpreadingClassifier):
        return model._points(images)
    if isinstance(model, LogisticClassifier | SVMClassifier):
        return np.concatenate([block / max(float(block.std()), 1e-9) for block in model._blocks(images)], axis=1)
    return None


class Alike(NamedTuple):
    """The labelled images that are most like some others: which, int64 [M,n], and how far, float64 [M,n]."""

    places: np.ndarray
    distance: np.ndarray


def most_alike(model: Classifier, images: np.ndarray, labelled: np.ndarray, most: int) -> Alike | None:
    """Return the labelled images uint8 [L,H,W,C] most like images [M,H,W,C] by what the model sees, nearest first.

    Distances are in units of the mean distance to all of them. None where the model looks at nothing.
    """
    with passing_cache():
        seen = model_features(model, np.concatenate([images, labelled]))
    if seen is None:
        return None
    x, known = seen[: len(images)].astype(np.float64), seen[len(images) :].astype(np.float64)
    squared = np.maximum((x**2).sum(1)[:, None] + (known**2).sum(1) - 2 * x @ known.T, 0)
    distance = np.sqrt(squared)
    distance /= np.maximum(distance.mean(1, keepdims=True), 1e-12)
    order = np.argsort(distance, axis=1, kind="stable")[:, :most]
    return Alike(order, np.take_along_axis(distance, order, 1))


# --- what is shown of them -------------------------------------------------------------------------------------------


class NearLabelled(NamedTuple):
    """Labelled images, their pictures uint8 [h,w,C], and what they are in words."""

    images: tuple[LabelledImage, ...] = ()
    pictures: tuple[np.ndarray, ...] = ()
    says: str = ""


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """The labelled images of a fit, as far as they are known: those that `spreading` holds, or those of the data.

    `shares`: computes their shares in an answer, None where these are not known. `weight`: how much what `spreading`
    says counts in an ensemble. `names` [L], `labels` [L] names of classes, `pictures` uint8 [L,h,w,C].
    """

    model: Classifier
    shares: SpreadingShares | None
    weight: float
    names: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    pictures: np.ndarray | None = None

    @classmethod
    def of(cls, model: Classifier, data: object = None) -> "LabelledImages":
        """Return the labelled images of a fitted model; data: the data set that it learned from, if it is there.

        Raises DataError where the data have no labelled image, and what `load` raises.
        """
        shares, weight = _spreading_in(model)
        names: tuple[str, ...] = ()
        labels: tuple[str, ...] = ()
        pictures = None
        if data is not None:
            found = data if isinstance(data, ImageSet) else load(data, size=tuple(model.image_shape_[:2]))
            found = found.take(found.labelled)
            if not len(found):
                raise DataError("labels-missing", f"{found.name} has no labelled image", fix="name labelled data")
            names, labels = tuple(found.origins), tuple(str(found.classes[k]) for k in found.labels)
            pictures = images_like(found, model.image_shape_, Scale(model.pixel_scale_))
        if shares is None:
            return cls(model, None, weight, names, labels, pictures)
        held = shares.model.images_[shares.places]
        called = [f"image {i} of the fit" for i in shares.places]
        if pictures is not None:  # the same pixels
            places = same_image(shrunk(pictures), held)
            called = [str(names[place]) if place >= 0 else name for place, name in zip(places, called, strict=True)]
        classes = tuple(model.class_names_[k] for k in shares.labels)
        return cls(model, shares, weight, tuple(called), classes, held)

    def nearest(self, picture: np.ndarray, about: str, most: int) -> NearLabelled:
        """Return the labelled images that the answer to an image uint8 [H,W,C] rests on, or that are most like it."""
        if self.pictures is None or most < 1:
            return NearLabelled()
        if self.shares is not None:
            found = self.shares.of(picture[None])[0]
            order = np.argsort(-found, kind="stable")
            needed = int(np.searchsorted(np.cumsum(found[order]), RESTS_ON)) + 1
            images = tuple(LabelledImage(self.names[i], self.labels[i], share=float(found[i])) for i in order[:most])
            says = shares_sentence(images[0], needed, float(found[order[:needed]].sum()), self.weight)
            return NearLabelled(images, tuple(self.pictures[order[:most]]), says)
        alike = most_alike(self.model, picture[None], self.pictures, most)
        if alike is None:
            return NearLabelled()
        places, distance = alike.places[0].tolist(), alike.distance[0].tolist()
        images = tuple(
            LabelledImage(self.names[i], self.labels[i], distance=d) for i, d in zip(places, distance, strict=True)
        )
        return NearLabelled(images, tuple(self.pictures[places]), alike_sentence(images, about))


def _spreading_in(model: Classifier) -> tuple[SpreadingShares | None, float]:
    """Return the shares of `spreading`, where the model is one or asks one, and how much that counts, 0 to 1."""
    if isinstance(model, SpreadingClassifier):
        return (SpreadingShares(model), 1.0) if model.labels_ is not None else (None, 0.0)
    if isinstance(model, EnsembleClassifier):
        for member, weight in zip(model.members_, model.weights_, strict=True):
            if isinstance(member, SpreadingClassifier) and member.labels_ is not None:
                return SpreadingShares(member), weight
    return None, 0.0
