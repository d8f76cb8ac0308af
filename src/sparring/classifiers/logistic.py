"""Logistic regression on image features."""

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.special import softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from ..features.handcrafted import candidate_features, extract
from .base import Classifier
from .selection import MOST, choose, subset

C_VALUES = (0.03, 0.3, 0.003)  # inverse penalties on standardised features, the preferred one first


@dataclass(eq=False, repr=False, kw_only=True)
class LogisticClassifier(Classifier):
    """Multinomial logistic regression with an L2 penalty on standardised features.

    Features, penalty and the temperature of the probabilities are chosen by cross-validation on the labels. Where a
    class has a single label these are HOG, 0.03 and 1. Classes are weighted alike, however many labels they have.
    `features`: a name of `features.EXTRACTORS`, or "auto" to choose. `C`: the inverse of the penalty, None to choose.
    """

    features: str = "auto"
    C: float | None = None

    def _fit(self, images: np.ndarray, labels: np.ndarray) -> None:
        seed, labelled = self._seed(), np.flatnonzero(labels >= 0)
        known = labels[labelled]
        names = candidate_features(images.shape[1:]) if self.features == "auto" else (self.features,)
        strengths = C_VALUES if self.C is None else (self.C,)
        few = subset(known, MOST, seed)
        spaces = {name: StandardisedFeatures(extract(name, images[labelled[few]])) for name in names}

        def held_out(setting: tuple[str, float], train: np.ndarray, held: np.ndarray) -> np.ndarray:
            points = spaces[setting[0]].points
            weights, offset = regression(points[train], known[few][train], setting[1])
            return points[held] @ weights + offset

        settings = [(name, strength) for name in names for strength in strengths]
        chosen = choose(known[few], settings, held_out, seed=seed, temperature=1.0)
        self.extractor_, strength = chosen.settings
        space = spaces[self.extractor_]
        if len(few) < len(known):
            space = StandardisedFeatures(extract(self.extractor_, images[labelled]))
        self.weights_, self.offset_ = space.for_raw_features(*regression(space.points, known, strength))
        self.temperature_ = chosen.temperature
        self._note(
            chosen={"features": self.extractor_, "C": strength, "temperature": self.temperature_},
            cross_validation=chosen.measured,
        )

    def _predict_proba(self, images: np.ndarray) -> np.ndarray:
        scores = extract(self.extractor_, images) @ self.weights_ + self.offset_
        return softmax(scores.astype(np.float64) / self.temperature_, axis=1)


class StandardisedFeatures:
    """Features of N images with mean 0 and deviation 1, rotated so that they need no more than N numbers each.

    `points` [N, min(N,F)]. The penalty does not change under a rotation, so nothing is lost, and few images with many
    features are fast.
    """

    def __init__(self, features: np.ndarray):
        features = features.astype(np.float64)
        self.mean, self.scale = features.mean(0), features.std(0)
        self.scale[self.scale < 1e-6] = 1.0
        points = (features - self.mean) / self.scale
        self.rotation = None
        if len(points) < points.shape[1]:
            self.rotation = np.linalg.svd(points, full_matrices=False)[2].T  # [F,N]
            points = points @ self.rotation
        self.points = points

    def for_raw_features(self, weights: np.ndarray, offset: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return float32 weights [F,K] and offset [K] for features as they come from the extractor."""
        weights = (weights if self.rotation is None else self.rotation @ weights) / self.scale[:, None]
        return weights.astype(np.float32), (offset - self.mean @ weights).astype(np.float32)


def regression(points: np.ndarray, labels: np.ndarray, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """Return weights [F,K] and offset [K] of scikit-learn's logistic regression; `strength` is its C."""
    model = LogisticRegression(C=strength, class_weight="balanced", tol=1e-4, max_iter=500)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(points, labels)
    if len(model.classes_) == 2:  # scikit-learn gives one row of scores, against zero
        return np.concatenate([-model.coef_, model.coef_]).T / 2, np.array([-1, 1]) * model.intercept_ / 2
    return model.coef_.T, np.asarray(model.intercept_)
