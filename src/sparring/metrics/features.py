"""Feature arrays: checks, and chunks of rows as float64 tensors. Features are never copied whole to another type."""

from collections.abc import Iterator

import numpy as np
import torch

from ..errors import DataError

CHUNK = 1024  # rows compared with others at a time


def checked(features: np.ndarray, *, least: int, what: str) -> np.ndarray:
    """[N,F], float32 or float64 as it comes, else float64. Raises DataError for another shape, fewer than `least`
    rows, or values that are not finite."""
    features = np.asarray(features)
    if features.dtype not in (np.float32, np.float64):
        features = features.astype(np.float64)
    if features.ndim != 2 or len(features) < least:
        raise DataError(
            "features-shape",
            f"{what} features have the shape {features.shape}, not [N,F] with N of at least {least}",
            fix="pass one row of features an image, of more images",
        )
    for rows in chunks(len(features)):
        good = np.isfinite(features[rows]).all(1)
        if not good.all():
            raise DataError(
                "features-not-finite",
                f"{what} features hold values that are not finite, first in row {rows.start + good.argmin()}",
                fix="look for the image that the row comes from",
            )
    return features


def pair(real: np.ndarray, fake: np.ndarray, *, least: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Both checked, and as wide as each other."""
    real, fake = checked(real, least=least, what="real"), checked(fake, least=least, what="fake")
    same_width(real, fake)
    return real, fake


def same_width(real: np.ndarray, fake: np.ndarray, *, what: str = "fake ones") -> None:
    if real.shape[1] != fake.shape[1]:
        raise DataError(
            "features-width",
            f"real features are {real.shape[1]} wide, {what} {fake.shape[1]}",
            fix="compute both with the same extractor",
        )


def chunks(count: int, size: int = CHUNK) -> Iterator[slice]:
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def doubles(features: np.ndarray) -> Iterator[tuple[slice, torch.Tensor]]:
    """(rows, float64 [rows,F]) in turn."""
    return ((rows, torch.from_numpy(features[rows].astype(np.float64))) for rows in chunks(len(features)))


def squares(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Squared distances [len(a),len(b)]: |a|^2 - 2 a.b + |b|^2, not below 0."""
    found = torch.addmm(b.square().sum(1), a, b.T, alpha=-2)
    return found.add_(a.square().sum(1)[:, None]).clamp_(min=0)
