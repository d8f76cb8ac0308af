"""Logistic regression on image features."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from ..features.handcrafted import blocks_of, candidate_features, extract
from ..features.shrinking import shrunk
from .base import Classifier
from .selection import MOST, choose_in_turn, groups_at, subset

C_VALUES = (0.03, 0.3, 0.003)  # inverse penalties on standardised features, the preferred one first
LEAST_DEVIATION = 1 / 3  # of a feature among several blocks, of the mean of its block


@dataclass(eq=False, repr=False, kw_only=True)
class LogisticClassifier(Classifier):
    """Multinomial logistic regression with an L2 penalty on standardised features.

    Features, penalty and the temperature of the probabilities are chosen by cross-validation on the labels. Where a
    class has a single label these are the first of `candidate_features`, 0.03 and 1. Classes are weighted alike,
    however many labels they have. `features`: names of `features.EXTRACTORS` with " & " between them, or "auto" to
    choose. `C`: the inverse of the penalty, None to choose.
    """

    features: str = "auto"
    C: float | None = None

    def _fit(self, images: np.ndarray, labels: np.ndarray) -> None:
        seed, labelled = self._seed(), np.flatnonzero(labels >= 0)
        known = labels[labelled]
        names = candidate_features(images.shape[1:]) if self.features == "auto" else (self.features,)
        strengths = C_VALUES if self.C is None else (self.C,)
        few, shown = subset(known, MOST, seed), shrunk(images, labelled)
        spaces = {name: StandardisedFeatures(*blocks(name, shown[few])) for name in names}

        def held_out(setting: tuple, train: np.ndarray, held: np.ndarray) -> np.ndarray:
            points = spaces[setting[0]].points
            weights, offset = regression(points[train], known[few][train], setting[1])
            return points[held] @ weights + offset

        groups, strengths = groups_at(self._groups, labelled[few]), [(C,) for C in strengths]
        chosen = choose_in_turn(known[few], names, strengths, held_out, seed=seed, temperature=1.0, groups=groups)
        self.extractor_, strength = chosen.settings
        space = spaces[self.extractor_]
        if len(few) < len(known):
            space = StandardisedFeatures(*blocks(self.extractor_, shown))
        self.weights_, self.offset_ = space.for_raw_features(*regression(space.points, known, strength))
        self.mean_ = space.mean.astype(np.float32)
        self.temperature_ = chosen.temperature
        self._note(
            chosen={"features": self.extractor_, "C": strength, "temperature": self.temperature_},
            cross_validation=chosen.measured,
        )

    def _predict_proba(self, images: np.ndarray) -> np.ndarray:
        return self._proba_of(self._blocks(images))

    def _blocks(self, images: np.ndarray) -> list[np.ndarray]:
        """Return what it sees of uint8 images [N,H,W,C], by blocks of features: float32 [N,F] each."""
        return blocks(self.extractor_, shrunk(images))

    def _proba_of(self, blocks: Sequence[np.ndarray]) -> np.ndarray:
        """Return probabilities [N,K] of such blocks."""
        scores = np.concatenate(blocks, axis=1) @ self.weights_ + self.offset_
        return softmax(scores.astype(np.float64) / self.temperature_, axis=1)

    def _usual_features(self) -> np.ndarray | None:
        """Return the mean features [F] of the labelled images; None of a model of version 0.3, which lacks them."""
        return self.mean_

    def _restore(self, state: dict[str, object]) -> None:
        super()._restore({"mean_": None} | state)


def blocks(name: str, images: np.ndarray) -> list[np.ndarray]:
    """Return the features of each block of `name`, float32 [N,F]."""
    return [extract(block, images) for block in blocks_of(name)]


class StandardisedFeatures:
    """Features of N images with mean 0 and deviation 1, rotated so that they need no more than N numbers each.

    Where there are several blocks [N,F], each has the same share of the variance, whose sum is the mean of their F; a
    feature counts as varying at least LEAST_DEVIATION times as much as its block, so that rare colours and patterns do
    not decide. `points` [N, min(N, sum of F)]. The penalty does not change under a rotation, so nothing is lost, and
    few images with many features are fast.
    """

    def __init__(self, *blocks: np.ndarray):
        features = np.concatenate(blocks, axis=1).astype(np.float64)
        self.mean, self.scale = features.mean(0), features.std(0)
        if len(blocks) > 1:
            self.scale = balanced(self.scale, [block.shape[1] for block in blocks])
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


def balanced(deviation: np.ndarray, widths: list[int]) -> np.ndarray:
    """Return what features [F] are divided by, of their deviations [F] and the widths of the blocks they come in."""
    scales = []
    for part in np.split(deviation, np.cumsum(widths)[:-1]):
        scale = np.maximum(part, LEAST_DEVIATION * np.sqrt(np.square(part).mean()))
        scale[scale < 1e-6] = 1.0
        variance = np.square(part / scale).sum()
        scales.append(scale * np.sqrt(variance / np.mean(widths) * len(widths) or 1.0))
    return np.concatenate(scales)


def regression(points: np.ndarray, labels: np.ndarray, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """Return weights [F,K] and offset [K] of scikit-learn's logistic regression; `strength` is its C."""
    model = LogisticRegression(C=strength, class_weight="balanced", tol=1e-4, max_iter=500)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(points, labels)
    if len(model.classes_) == 2:  # scikit-learn gives one row of scores, against zero
        return np.concatenate([-model.coef_, model.coef_]).T / 2, np.array([-1, 1]) * model.intercept_ / 2
    return model.coef_.T, np.asarray(model.intercept_)
