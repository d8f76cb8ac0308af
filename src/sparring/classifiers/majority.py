"""The floor: class shares of the labelled images, whatever the image shows."""

from dataclasses import dataclass

import numpy as np

from .base import Classifier
from .selection import HeldOut


@dataclass(eq=False, repr=False, kw_only=True)
class MajorityClassifier(Classifier):
    """Predicts the most frequent class of the labelled images; probabilities are the classes' shares."""

    def _fit(self, images: np.ndarray, labels: np.ndarray) -> None:
        known = np.flatnonzero(labels >= 0)
        counts = np.bincount(labels[known])
        self.shares_ = counts / counts.sum()
        if len(known) > 1:
            without = counts - np.eye(len(counts))[labels[known]]
            self._keep_held_out(HeldOut(known, without / (len(known) - 1)))
        self._note(size=None)

    def _predict_proba(self, images: np.ndarray) -> np.ndarray:
        return np.tile(self.shares_, (len(images), 1))
