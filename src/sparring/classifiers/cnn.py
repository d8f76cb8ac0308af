"""A convolutional network on the labelled images alone, strongly augmented: what the other networks must beat."""

from dataclasses import dataclass

import numpy as np

from ..games.builders import Recipe
from ..games.heads import Classes
from ..games.players import Discriminator
from .looks import Look
from .network import NetworkClassifier, Plan, Start, learner, supervised

SMOOTHING = 0.1  # of the labels: a network that has memorised its few images should not be sure of others


@dataclass(eq=False, repr=False, kw_only=True)
class CNNClassifier(NetworkClassifier):
    """A small network, AdamW to 0, weight averaging, new views of each image at every step.

    It does not learn from unlabelled images. But they count for the number of steps, which is that of `consistency` and
    `semi-gan`, and batch norm's statistics are those of all training images.
    """

    def _recipe(self, plan: Plan, look: Look, start: Start) -> Recipe:
        player = learner(Discriminator("D", self._trunk(start), Classes()), (supervised(look, smoothing=SMOOTHING),))
        return Recipe("supervised, strong views", (player,), plan.labelled)

    def _predict_proba(self, images: np.ndarray) -> np.ndarray:
        return unsmoothed(super()._predict_proba(images))


def unsmoothed(p: np.ndarray) -> np.ndarray:
    """Return class probabilities [N,K] from those of a network that learned smoothed labels. Ours."""
    # The network estimates (1 - SMOOTHING) y + SMOOTHING / K. This is solved for y; a class gets at least 0.001.
    p = ((p - SMOOTHING / p.shape[1]) / (1 - SMOOTHING)).clip(0.001)
    return p / p.sum(1, keepdims=True)
