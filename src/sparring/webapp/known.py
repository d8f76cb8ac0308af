"""What is known of the images beside their labels: values that the background makes and the page reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..stats import Interval

if TYPE_CHECKING:  # torch is loaded by the background, not before the page is there
    from ..study.audit.label_errors import CheckedLabels
    from .suggesting import Suggester


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


@dataclass(frozen=True, eq=False)
class Known:
    """What the background knows, whole at any moment. members: int64 [M], the images that are looked at, by number.

    place: int64 [N], where an image is among them, -1 for none. classes: those of `suggestions`.
    """

    members: np.ndarray
    place: np.ndarray
    suggester: "Suggester"
    classes: tuple[str, ...] = ()
    suggestions: Suggestions = NONE_YET
    checked: "CheckedLabels | None" = None
    checked_classes: tuple[str, ...] = ()
    unusual: np.ndarray | None = None


def top_of(proba: np.ndarray, count: int = 3) -> tuple[tuple[int, float], ...]:
    """Return the most probable classes of [K] with their probabilities."""
    order: Sequence[int] = np.argsort(-proba, kind="stable")[:count].tolist()
    return tuple((k, round(float(proba[k]), 4)) for k in order)
