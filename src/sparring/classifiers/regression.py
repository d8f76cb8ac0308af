"""Logistic regression on features of length 1, of which there may be more than images."""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits


def regression(
    x: np.ndarray, labels: np.ndarray, strength: float, *, tolerance: float = 1e-4
) -> tuple[np.ndarray, np.ndarray]:
    """Return float32 weights [F,K] and offset [K] of scikit-learn's logistic regression; `strength` is its C.

    Where there are fewer images than features, these are rotated to as many numbers first: the penalty stays the same.
    """
    rotation = None
    if len(x) < x.shape[1]:
        values, vectors = np.linalg.eigh((x @ x.T).astype(np.float64))
        kept = values > 1e-9 * values[-1]
        rotation = (x.T @ (vectors[:, kept] / np.sqrt(values[kept])).astype(np.float32)).astype(np.float32)  # [F,R]
        x = x @ rotation
    model = LogisticRegression(C=strength, class_weight="balanced", tol=tolerance, max_iter=300)
    with warnings.catch_warnings(), threadpool_limits(1, user_api="blas"):  # two threads took ten times as long
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x, labels)
    weights, offset = model.coef_.T.astype(np.float32), np.asarray(model.intercept_, np.float32)
    if len(model.classes_) == 2:  # scikit-learn gives one row of scores, against zero
        weights, offset = np.concatenate([-weights, weights], 1) / 2, np.array([-1, 1], np.float32) * offset / 2
    return (weights if rotation is None else rotation @ weights), offset
