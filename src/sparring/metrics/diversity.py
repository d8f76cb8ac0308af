"""How far samples are from each other. A generator that has collapsed makes images that are alike."""

import numpy as np

from .features import checked, pair, squared_distances


def mean_distance(features: np.ndarray) -> float:
    """Mean Euclidean distance of two different rows of [N,F]. Raises DataError."""
    features = checked(features, least=2, what="the")
    total = 0.0
    for rows, apart in squared_distances(features, features):
        apart[np.arange(len(apart)), np.arange(rows.start, rows.stop)] = 0
        total += np.sqrt(apart).sum()
    return float(total / (len(features) * (len(features) - 1)))


def diversity(real: np.ndarray, fake: np.ndarray) -> float:
    """Mean distance between fakes over that between real images: 1 as diverse, 0 all the same. Raises DataError."""
    real, fake = pair(real, fake)
    among = mean_distance(real)
    return mean_distance(fake) / among if among > 0 else float("nan")
