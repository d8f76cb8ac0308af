"""Support vector machine on image features."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import scipy.sparse
import torch
from scipy.special import log_expit, softmax
from sklearn.svm import SVC

from ..features.handcrafted import blocks_of, candidate_features, extract
from ..features.shrinking import shrunk
from .base import Classifier
from .selection import MOST, choose, choose_in_turn, groups_at, subset

PENALTIES = (10.0, 1.0)  # C, the preferred one first
WIDTHS = (1.0, 0.3)  # gamma, times the inverse of the features' total variance
LEAST_VARIANCE = 1e-12  # of features that differ at all
KERNEL_VALUES = 20_000_000  # computed at a time


@dataclass(eq=False, repr=False, kw_only=True)
class SVMClassifier(Classifier):
    """One-against-one support vector machines with RBF kernel (Cortes & Vapnik 1995).

    Features, C and the kernel's width are chosen by cross-validation on the labels. Where a class has a single label
    these are the first of `candidate_features`, 10 and 1. The probability of a class is the product of the sigmoids of
    its pairwise decisions, normalised, at a temperature that is fitted to held-out labels. Platt's method
    (SVC(probability=True)) fits two numbers for every pair of classes instead, which takes more labels than there are.

    `features`: names of `features.EXTRACTORS` with " & " between them (the kernel takes the mean of their squared
    distances, each in units of its variance), or "auto" to choose. `C`, `width` (gamma times the total variance of the
    features): None to choose. `most`: labelled images that are used, the same share of every class, because the time
    grows with their square.
    """

    features: str = "auto"
    C: float | None = None
    width: float | None = None
    most: int = 10_000

    def _fit(self, images: np.ndarray, labels: np.ndarray) -> None:
        seed, labelled = self._seed(), np.flatnonzero(labels >= 0)
        labelled = labelled[subset(labels[labelled], self.most, seed)]
        known = labels[labelled]
        names = candidate_features(images.shape[1:]) if self.features == "auto" else (self.features,)
        strengths = PENALTIES if self.C is None else (self.C,)
        widths = WIDTHS if self.width is None else (self.width,)
        few, shown = subset(known, MOST, seed), shrunk(images, labelled)
        distances = distances_of(names, shown[few])

        def held_out(setting: tuple, train: np.ndarray, held: np.ndarray) -> np.ndarray:
            name, strength, width = setting
            kernel = np.exp(-width * distances[name])
            model = svc_of(strength, "precomputed").fit(kernel[np.ix_(train, train)], known[few][train])
            return pairwise_scores(as_pair_columns(model.decision_function(kernel[np.ix_(held, train)])), classes)

        classes = int(known.max()) + 1
        details = [(strength, width) for strength in strengths for width in widths]
        groups = groups_at(self._groups, labelled[few])
        chosen = choose_in_turn(known[few], names, details, held_out, seed=seed, temperature=1.0, groups=groups)
        self.extractor_, strength, width = chosen.settings
        self.temperature_ = chosen.temperature
        self.scales_ = block_scales(self.extractor_, shown)
        seen = np.concatenate(scaled_blocks(self.extractor_, self.scales_, shown), axis=1)
        self._keep(seen, known, strength, width)
        self._note(
            chosen={
                "features": self.extractor_,
                "C": strength,
                "width": width,
                "temperature": self.temperature_,
                "labels_used": len(known),
                "support_vectors": len(self.vectors_),
            },
            cross_validation=chosen.measured,
        )

    def _keep(self, features: np.ndarray, labels: np.ndarray, strength: float, width: float) -> None:
        """Fit scikit-learn's SVC and keep its numbers: a saved model holds nothing but arrays."""
        self.gamma_ = width / total_variance(features)
        model = svc_of(strength, "rbf", gamma=self.gamma_).fit(features.astype(np.float64), labels)
        self.vectors_ = model.support_vectors_.astype(np.float32)
        self.vector_classes_ = np.repeat(np.arange(len(model.n_support_)), model.n_support_)
        self.dual_, self.intercept_ = model.dual_coef_.astype(np.float32), model.intercept_.astype(np.float32)
        if len(model.n_support_) == 2:  # scikit-learn flips the sign of a single pair
            self.dual_, self.intercept_ = -self.dual_, -self.intercept_

    def _decisions(self, blocks: Sequence[np.ndarray]) -> np.ndarray:
        """Return decisions float32 [N, K(K-1)/2] of pairs (0,1), (0,2) ... (1,2) ...; the first class is above 0."""
        features = torch.tensor(np.concatenate(blocks, axis=1))
        vectors = torch.tensor(self.vectors_)
        pairs = pair_weights(self.dual_, self.vector_classes_)
        length, out = vectors.square().sum(1), []
        for chunk in features.split(max(64, KERNEL_VALUES // max(1, len(vectors)))):
            squared = (chunk.square().sum(1)[:, None] + length - 2 * chunk @ vectors.T).clamp_min(0)
            out.append((-self.gamma_ * squared).exp().numpy() @ pairs + self.intercept_)
        return np.concatenate(out)

    def _predict_proba(self, images: np.ndarray) -> np.ndarray:
        return self._proba_of(self._blocks(images))

    def _blocks(self, images: np.ndarray) -> list[np.ndarray]:
        """Return what it sees of uint8 images [N,H,W,C], by blocks of scaled features: float32 [N,F] each."""
        return scaled_blocks(self.extractor_, self.scales_, shrunk(images))

    def _proba_of(self, blocks: Sequence[np.ndarray]) -> np.ndarray:
        """Return probabilities [N,K] of such blocks."""
        scores = pairwise_scores(self._decisions(blocks).astype(np.float64), len(self.classes_))
        return softmax(scores / self.temperature_, axis=1)

    def _usual_features(self) -> np.ndarray | None:
        """Return the mean scaled features [F] of the support vectors."""
        return self.vectors_.mean(0)

    def _restore(self, state: dict[str, object]) -> None:
        super()._restore({"scales_": np.ones(1, np.float32)} | state)  # before version 0.3 there was one block


def block_scales(name: str, images: np.ndarray) -> np.ndarray:
    """Return float32 [blocks]: what multiplies each block of features, so that all vary alike; 1 where there is one."""
    names = blocks_of(name)
    if len(names) == 1:
        return np.ones(1, np.float32)
    variances = [total_variance(extract(block, images)) for block in names]
    return np.array([0.0 if variance <= LEAST_VARIANCE else variance**-0.5 for variance in variances], np.float32)


def scaled_blocks(name: str, scales: np.ndarray, images: np.ndarray) -> list[np.ndarray]:
    """Return the blocks of features times their scales, float32 [N,F] each."""
    return [extract(block, images) * scale for block, scale in zip(blocks_of(name), scales, strict=True)]


def distances_of(names: Sequence[str], images: np.ndarray) -> dict[str, np.ndarray]:
    """Return `relative_distances` [N,N] by name of features; of several blocks their mean."""
    found = {block: relative_distances(extract(block, images)) for name in names for block in blocks_of(name)}
    return {name: np.mean([found[block] for block in blocks_of(name)], axis=0) for name in names}


def svc_of(strength: float, kernel: str, gamma: Any = "scale") -> SVC:
    return SVC(C=strength, kernel=kernel, gamma=gamma, class_weight="balanced", decision_function_shape="ovo")


def total_variance(features: np.ndarray) -> float:
    return max(float(features.var(0, dtype=np.float64).sum()), LEAST_VARIANCE)


def relative_distances(features: np.ndarray) -> np.ndarray:
    """Return squared distances [N,N] of features, in units of their total variance."""
    x = features.astype(np.float64)
    length = (x * x).sum(1)
    return np.maximum(length[:, None] + length - 2 * x @ x.T, 0) / total_variance(features)


def as_pair_columns(decisions: np.ndarray) -> np.ndarray:
    """Return decisions [N, pairs], above zero for the first class; scikit-learn flips the sign of a single pair [N]."""
    return -decisions[:, None] if decisions.ndim == 1 else decisions


def pair_weights(dual: np.ndarray, classes: np.ndarray) -> scipy.sparse.csc_array:
    """Return [vectors, pairs]: what a support vector adds to each pairwise decision, from libsvm's `dual` [K-1,V]."""
    pairs = list(combinations(range(len(dual) + 1), 2))
    rows, data = [], []
    for first, second in pairs:
        a, b = np.flatnonzero(classes == first), np.flatnonzero(classes == second)
        rows.append(np.concatenate([a, b]))
        data.append(np.concatenate([dual[second - 1, a], dual[first, b]]))
    ends = np.cumsum([0, *map(len, rows)])
    return scipy.sparse.csc_array((np.concatenate(data), np.concatenate(rows), ends), shape=(len(classes), len(pairs)))


def pairwise_scores(decisions: np.ndarray, classes: int) -> np.ndarray:
    """Return each class's sum over its pairs of log sigmoid(2 * decision), float64 [N,K].

    2 is the scale of a logit on a margin.
    """
    scores = np.zeros((len(decisions), classes))
    for column, (first, second) in enumerate(combinations(range(classes), 2)):
        scores[:, first] += log_expit(2 * decisions[:, column])
        scores[:, second] += log_expit(-2 * decisions[:, column])
    return scores


def best_features(images: np.ndarray, labels: np.ndarray, names: tuple[str, ...], seed: int) -> str:
    """Return the name of the features with which an SVM is best on held-out labels; the first where none is better."""
    return best_of(labels, names, lambda name, few: extract(name, images[few]), seed)


def best_of(
    labels: np.ndarray,
    names: tuple[str, ...],
    features: Callable[[str, np.ndarray], np.ndarray],
    seed: int,
    groups: np.ndarray | None = None,
) -> str:
    """Return what `best_features` does, of any features: `features(name, few)` are those of some of the images."""
    if len(names) == 1:
        return names[0]
    few = subset(labels, MOST, seed)
    known, classes = labels[few], int(labels.max()) + 1
    kernels = {name: np.exp(-relative_distances(features(name, few))) for name in names}

    def held_out(name: str, train: np.ndarray, held: np.ndarray) -> np.ndarray:
        kernel = kernels[name]
        model = svc_of(PENALTIES[0], "precomputed").fit(kernel[np.ix_(train, train)], known[train])
        return pairwise_scores(as_pair_columns(model.decision_function(kernel[np.ix_(held, train)])), classes)

    chosen = choose(known, names, held_out, seed=seed, temperature=1.0, groups=groups_at(groups, few))
    return chosen.settings
