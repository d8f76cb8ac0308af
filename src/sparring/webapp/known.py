"""Suggestions, as the background makes them and the page reads them; nothing here loads torch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..stats import Interval


@dataclass(frozen=True)
class Question:
    """An image to be asked, by its place among those that are looked at. around, between: as in `NextImage`."""

    place: int
    around: int
    between: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, eq=False)
class Suggestions:
    """What labels say of M images. proba: float32 [M,K] over all classes, None before two classes have a label.

    order: the most useful questions first. right: the share of held-out images that are predicted right, of `tested`.
    """

    order: tuple[Question, ...]
    proba: np.ndarray | None = None
    right: Interval | None = None
    tested: int = 0

    def predicted(self) -> np.ndarray:
        """Return int64 [M], -1 where nothing is known."""
        return np.full(0, -1) if self.proba is None else self.proba.argmax(1)


NONE_YET = Suggestions(())


def top_of(proba: np.ndarray, count: int = 3) -> tuple[tuple[int, float], ...]:
    """Return the most probable classes of [K] with their probabilities."""
    order: Sequence[int] = np.argsort(-proba, kind="stable")[:count].tolist()
    return tuple((k, round(float(proba[k]), 4)) for k in order)
