"""How good probabilities are: calibration error, log loss and Brier score, with intervals. Pure functions of arrays."""

from typing import NamedTuple

import numpy as np

from ..records import record
from ..stats import LEVEL, Interval

BINS = 15  # of equal mass
SMALLEST = 1e-7  # probability that a log loss can see: what float32 resolves below 1


def log_losses(proba: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return -ln of the true class's probability (at least SMALLEST) [..., T], for proba [..., T, K]."""
    of_truth = np.take_along_axis(proba, np.broadcast_to(truth, proba.shape[:-1])[..., None], -1)[..., 0]
    return -np.log(np.maximum(of_truth.astype(float), SMALLEST))


def brier_scores(proba: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the squared distance to the one-hot truth [..., T], 0 to 2 (Brier 1950), for proba [..., T, K]."""
    return ((proba.astype(float) - np.eye(proba.shape[-1])[truth]) ** 2).sum(-1)


@record
class Bin:
    """Images of similar confidence: their mean confidence, their accuracy, and how many they are."""

    confidence: float
    accuracy: float
    count: float


class Calibration:
    """Confidence [T] against what is right [T], in `bins` bins of equal mass.

    Where a border of bins cuts through images of equal confidence, both sides get a share of their mean.
    """

    def __init__(self, confidence: np.ndarray, right: np.ndarray, *, bins: int = BINS):
        self.values, self.place = np.unique(np.asarray(confidence, float), return_inverse=True)
        self.right, self.bins = np.asarray(right, float), bins

    def sums(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return (mass, confidence, right) summed per bin [bins], when image i counts weights[i] times."""
        mass = np.bincount(self.place, weights, len(self.values))
        right = np.bincount(self.place, weights * self.right, len(self.values))
        ends = np.concatenate([[0.0], np.cumsum(mass)])
        borders = np.linspace(0, ends[-1], self.bins + 1)
        cumulated = (np.concatenate([[0.0], np.cumsum(column)]) for column in (mass * self.values, right))
        confidence, right = (np.diff(np.interp(borders, ends, column)) for column in cumulated)
        return np.diff(borders), confidence, right

    def error(self, weights: np.ndarray | None = None) -> float:
        """Return ECE (Guo et al. 2017, arXiv:1706.04599, with bins of equal mass): mean |accuracy - confidence|."""
        mass, confidence, right = self.sums(np.ones(len(self.right)) if weights is None else weights)
        return float(np.abs(right - confidence).sum() / mass.sum())

    def table(self) -> list[Bin]:
        mass, confidence, right = self.sums(np.ones(len(self.right)))
        return [Bin(c / m, r / m, m) for m, c, r in zip(mass, confidence, right, strict=True)]


class Calibrated(NamedTuple):
    """Intervals of the three measures of probabilities."""

    ece: Interval
    nll: Interval
    brier: Interval


def calibration(
    proba: np.ndarray,
    truth: np.ndarray,
    *,
    bins: int = BINS,
    draws: int = 200,
    seed: int = 0,
    groups: np.ndarray | None = None,
) -> Calibrated:
    """Return ECE, NLL and Brier of proba [R,T,K], means over repeats, with bootstrap intervals.

    Repeats and images are resampled independently (the pigeonhole bootstrap, Owen 2007). groups [T]: these are
    resampled as a whole.
    """
    repeats, images, _ = proba.shape
    place = np.arange(images) if groups is None else np.unique(groups, return_inverse=True)[1]
    units = int(place.max()) + 1
    random = np.random.default_rng(seed)
    curves = [Calibration(p.max(-1), p.argmax(-1) == truth, bins=bins) for p in proba]
    losses = np.stack([log_losses(proba, truth), brier_scores(proba, truth)])  # [2,R,T]
    resampled = np.zeros((draws, 3))
    for row in resampled:
        weights = random.multinomial(units, np.full(units, 1 / units)).astype(float)[place]
        shares = random.multinomial(repeats, np.full(repeats, 1 / repeats)) / repeats
        row[0] = sum(share * curve.error(weights) for curve, share in zip(curves, shares, strict=True) if share)
        row[1:] = losses @ weights @ shares / weights.sum()
    found = [float(np.mean([curve.error() for curve in curves])), *losses.mean((1, 2)).tolist()]
    # ECE is never negative, and resampling adds to it: its percentiles are shifted back by the mean addition.
    resampled[:, 0] -= resampled[:, 0].mean() - found[0]
    return Calibrated(*(_percentiles(value, column) for value, column in zip(found, resampled.T, strict=True)))


def _percentiles(found: float, resampled: np.ndarray) -> Interval:
    low, high = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(found, max(0.0, min(found, float(low))), max(found, float(high)))
