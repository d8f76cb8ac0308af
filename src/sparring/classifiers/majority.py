"""The floor: class shares of the labelled images, whatever the image shows."""

from dataclasses import dataclass

import numpy as np

from .base import Classifier


@dataclass(eq=False, repr=False, kw_only=True)
class MajorityClassifier(Classifier):
    """Predicts the most frequent class of the labelled images; probabilities are the classes' shares."""

    def _fit(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.shares_ = np.bincount(labels[labels >= 0]) / (labels >= 0).sum()
        self._note(size=None)

    def _predict_proba(self, images: np.ndarray) -> np.ndarray:
        return np.tile(self.shares_, (len(images), 1))
