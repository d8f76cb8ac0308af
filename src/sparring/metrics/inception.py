"""Inception score: is the class of each image certain, and do all classes occur?"""

import numpy as np

from ..errors import DataError
from .estimate import Estimate

TOLERANCE = 1e-4  # of the sum of an image's probabilities


def inception_score(probabilities: np.ndarray) -> Estimate:
    """Return exp of the mean over images of KL(p(y|x) || p(y)), in [1, K], from a classifier's probabilities [N,K].

    Salimans et al. 2016, arXiv:1606.03498, section 4. They take the mean over 10 parts of the images; this is the score
    of all images at once. It is too large with few images. The influences are exact derivatives. Raises DataError where
    rows are no probabilities.
    """
    p = np.asarray(probabilities, np.float64)
    if p.ndim != 2 or len(p) < 2 or not (p >= 0).all() or np.abs(p.sum(1) - 1).max() > TOLERANCE:
        what = f"an array {p.shape} does not hold probabilities of classes, one row each for 2 images or more"
        raise DataError("probabilities", what, fix="pass [N,K], at least 0, that add up to 1 in each row")
    whole = p.mean(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = np.where(p > 0, p * np.log(p / whole), 0).sum(1)
    score = float(np.exp(apart.mean()))
    return Estimate(score, fake=score * (apart - apart.mean()))
