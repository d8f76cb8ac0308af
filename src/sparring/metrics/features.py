"""Feature arrays: checks, and chunks of rows as float64 tensors. Features are never copied whole to another type."""

from collections.abc import Iterator

import numpy as np
import torch

from ..errors import DataError

ROWS_AT_ONCE = 1024  # compared with others


def checked_features(features: np.ndarray, *, least: int, what: str) -> np.ndarray:
    """Return features [N,F], as float32 or float64 if they are, else as float64.

    Raises DataError for another shape, fewer than `least` rows, or values that are not finite.
    """
    features = np.asarray(features)
    if features.dtype not in (np.float32, np.float64):
        features = features.astype(np.float64)
    if features.ndim != 2 or len(features) < least:
        found = f"{what} features have the shape {features.shape}, not [N,F] with N of at least {least}"
        raise DataError("features-shape", found, fix="pass one row of features an image, of more images")
    for rows in row_chunks(len(features)):
        good = np.isfinite(features[rows]).all(1)
        if not good.all():
            found = f"{what} features hold values that are not finite, first in row {rows.start + good.argmin()}"
            raise DataError("features-not-finite", found, fix="look for the image that the row comes from")
    return features


def pair(real: np.ndarray, fake: np.ndarray, *, least: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Return both, checked, and as wide as each other. Raises DataError."""
    real, fake = checked_features(real, least=least, what="real"), checked_features(fake, least=least, what="fake")
    same_width(real, fake)
    return real, fake


def same_width(real: np.ndarray, fake: np.ndarray, *, what: str = "fake ones") -> None:
    """Raise DataError where features differ in width."""
    if real.shape[1] != fake.shape[1]:
        found = f"real features are {real.shape[1]} wide, {what} {fake.shape[1]}"
        raise DataError("features-width", found, fix="compute both with the same extractor")


def row_chunks(count: int, size: int = ROWS_AT_ONCE) -> Iterator[slice]:
    """Return slices of at most `size` rows that cover `count` rows."""
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def doubles(features: np.ndarray) -> Iterator[tuple[slice, torch.Tensor]]:
    """Return (rows, float64 [rows,F]) in turn."""
    return ((rows, torch.from_numpy(features[rows].astype(np.float64))) for rows in row_chunks(len(features)))


def squares(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return squared distances [len(a),len(b)] as |a|^2 - 2 a.b + |b|^2, not below 0."""
    found = torch.addmm(b.square().sum(1), a, b.T, alpha=-2)
    return found.add_(a.square().sum(1)[:, None]).clamp_(min=0)
