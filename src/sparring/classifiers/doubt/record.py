"""What a classifier keeps so that it can say how far it is to be trusted: what it said of held-out labelled images, and
what images of its classes look like."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from .unlikeness import Reference, Unlikeness

# How labels were held out: in folds, by the classifier's own cross-validation; a fifth of them, from one more fit; or
# the test part of a study, from its fits.
How = Literal["folds", "fifth", "study"]
FEATURES = ("efficientnet-lite0", "handmade")


class HeldOutAnswers(NamedTuple):
    """What a classifier said of n labelled images that were hidden from it, at the temperature of its answers.

    proba float64 [n,K], labels int64 [n] from 0 to K - 1; groups int64 [n], equal for images that are not independent,
    None where each is its own.
    """

    proba: np.ndarray
    labels: np.ndarray
    groups: np.ndarray | None = None
    how: How = "folds"


class Familiar(NamedTuple):
    """What images of the classes look like in features of this name (one of FEATURES), and the hash of the features.

    `properties`: float64 [M] of the same images by name, such as "brightness".
    """

    features: str
    hash: str
    unlikeness: Unlikeness
    properties: Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Doubt:
    """What is known of a classifier's doubts; None where nothing is, as of models that earlier versions saved.

    `temperature`: of the answers, beside that of the classifier itself: another one than 1 only where the classifier
    fits none. `why`: what kept labels from being held out, in words.
    """

    held_out: HeldOutAnswers | None = None
    familiar: Familiar | None = None
    temperature: float = 1.0
    why: str = ""

    def answers(self, proba: np.ndarray) -> np.ndarray:
        """Return the probabilities float64 [N,K] of answers, for those of the classifier."""
        if self.temperature == 1:
            return proba
        found = np.maximum(proba, 1e-12) ** (1 / self.temperature)
        return found / found.sum(1, keepdims=True)

    def to_tree(self) -> dict[str, object]:
        """Return what a model folder holds: arrays, numbers and strings, in dicts."""
        tree: dict[str, object] = {"temperature": self.temperature, "why": self.why}
        if self.held_out is not None:
            tree["held_out"] = self.held_out._asdict()
        if self.familiar is not None:
            features, content, (known, usual, held_out, weights), properties = self.familiar
            of = {**known._asdict(), "usual": usual, "held_out": held_out, "image_weights": weights}
            tree["familiar"] = {"features": features, "hash": content, "properties": dict(properties), **of}
        return tree

    @staticmethod
    def from_tree(tree: Mapping[str, object], classes: int) -> "Doubt":
        """Return what `to_tree` gave. Raises ValueError, TypeError or KeyError where it does not fit together."""
        held, like = tree.get("held_out"), tree.get("familiar")
        found = Doubt(
            None if held is None else _held_out(held, classes),
            None if like is None else _familiar(like),
            float(str(tree["temperature"])),
            str(tree["why"]),
        )
        if not 0 < found.temperature < 1e6:
            raise ValueError(f"a temperature of {found.temperature}")
        return found


def _held_out(tree: object, classes: int) -> HeldOutAnswers:
    found = HeldOutAnswers(**_mapping(tree))
    count = len(_array(found.labels, "held-out labels", ndim=1, kind="i"))
    _array(found.proba, "held-out probabilities", ndim=2, shape=(count, classes))
    if found.groups is not None:
        _array(found.groups, "held-out groups", shape=(count,), ndim=1, kind="i")
    if count and not 0 <= found.labels.min() <= found.labels.max() < classes:
        raise ValueError("held-out labels of no class")
    return found


def _familiar(tree: object) -> Familiar:
    values = _mapping(tree)
    if values["features"] not in FEATURES:
        raise ValueError(f"features {values['features']!r:.40}")
    points = _array(values["points"], "features", ndim=2)
    weights = _array(values["weights"], "weights", ndim=2)
    if not len(points) or len(weights) != points.shape[1]:
        raise ValueError(f"features of shape {points.shape} and weights of shape {weights.shape}")
    known = Reference(points, weights, _array(values["offset"], "offset", ndim=1, shape=weights.shape[1:]))
    held_out = _array(values["held_out"], "how unlike held-out images are", ndim=1)
    usual = _array(values["usual"], "usual parts", ndim=2, shape=(2, 2))
    of_images = _array(values["image_weights"], "weights of images", ndim=1, shape=held_out.shape)
    properties = {
        name: _array(array, name, ndim=1, shape=held_out.shape)
        for name, array in _mapping(values["properties"]).items()
    }
    found = Unlikeness(known, usual, held_out, of_images)
    return Familiar(str(values["features"]), str(values["hash"]), found, properties)


def _mapping(tree: object) -> Mapping[str, Any]:
    if not isinstance(tree, dict):
        raise ValueError(f"a {type(tree).__name__} where names belong")
    return tree


def _array(value: object, name: str, *, ndim: int, kind: str = "f", shape: tuple[int, ...] | None = None) -> np.ndarray:
    if not isinstance(value, np.ndarray) or value.ndim != ndim or value.dtype.kind != kind:
        raise ValueError(f"{name} are no array of {ndim} dimensions")
    if shape is not None and value.shape != shape:
        raise ValueError(f"{name} of shape {value.shape}, not {shape}")
    if not np.isfinite(value).all():
        raise ValueError(f"{name} that are not finite")
    return value
