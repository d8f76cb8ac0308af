"""Sets of classes that hold the true one with a stated probability: conformal prediction. Pure functions of arrays.

The score of a class is 1 - its probability (Sadinle, Lei & Wasserman 2019, arXiv:1609.00451), which gives the smallest
sets. A class is in the set where its score is at most the k-th smallest score of the true classes of n held-out images,
k = ceil((n + 1) level) (Vovk, Gammerman & Shafer 2005; Papadopoulos et al. 2002). Where a new image is drawn as the
held-out ones were, and the classifier scores both alike, the true class is in the set with a probability of at least
`level`, and of at most level + 1 / (n + 1). With fewer than `fewest(level)` images no such limit exists: a set would
have to hold every class, so there is none.
"""

import math

import numpy as np

COVERAGE = 0.9  # of the sets


def fewest(level: float) -> int:
    """Return the number of held-out images, or of groups of them, that a promise takes: 9 for 0.9, 19 for 0.95."""
    return math.ceil(round(1 / (1 - level), 9)) - 1


def unit_weights(groups: np.ndarray | None, count: int) -> np.ndarray:
    """Return weights float64 [N] that sum to one for each group; 1 where images have no groups."""
    if groups is None:
        return np.ones(count)
    _, place, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    return 1 / sizes[place]


def score_limit(scores: np.ndarray, level: float, groups: np.ndarray | None = None) -> float | None:
    """Return the smallest score that a share `level` of held-out scores [n] does not exceed; None where n is too few.

    groups [n]: images of equal ones are not independent. Every group has the same weight then, and it is the number of
    groups that has to suffice; the promise is about an image of a new group (Dunn, Wasserman & Ramdas 2023,
    doi:10.1080/01621459.2022.2060112).
    """
    weights = unit_weights(groups, len(scores))
    order = np.argsort(scores, kind="stable")
    covered = np.cumsum(weights[order])
    reached = np.flatnonzero(covered >= level * (round(weights.sum()) + 1) - 1e-9)
    return float(scores[order[reached[0]]]) if len(reached) else None


def score_limits(
    proba: np.ndarray,
    labels: np.ndarray,
    level: float = COVERAGE,
    *,
    per_class: bool = False,
    groups: np.ndarray | None = None,
) -> np.ndarray:
    """Return the largest score of each class that is in a set, float64 [K]; NaN where nothing can be promised.

    proba [n,K], labels int64 [n]: of held-out images. per_class: a limit of its own for each class, so that the promise
    holds for the images of each, whatever their shares (Mondrian: Vovk et al. 2005); else one for all.
    """
    scores = 1 - proba[np.arange(len(labels)), labels]
    found = np.full(proba.shape[1], np.nan)
    for k in range(proba.shape[1]):
        mine = labels == k if per_class else slice(None)
        limit = score_limit(scores[mine], level, None if groups is None else groups[mine])
        found[k] = np.nan if limit is None else limit
    return found


def prediction_sets(proba: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """Return which classes are in the set of each image, bool [N,K], for probabilities [N,K] and `score_limits` [K].

    A set may be empty: then no class fits as well as the true one nearly always does. Raises ValueError where a limit
    is NaN, because nothing is promised then.
    """
    if np.isnan(limits).any():
        raise ValueError("there are no limits for some classes: too few held-out labels")
    return 1 - proba <= limits


def with_best(sets: np.ndarray, proba: np.ndarray) -> np.ndarray:
    """Return sets bool [N,K] that hold the most probable class too, so that none is empty."""
    found = sets.copy()
    found[np.arange(len(proba)), proba.argmax(1)] = True
    return found
