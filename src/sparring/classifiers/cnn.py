"""An end-to-end convolutional network on the labelled images alone, strongly augmented: the bar for the others."""

from dataclasses import dataclass

import numpy as np

from ..games.builders import Recipe
from ..games.heads import Classes
from ..games.players import Discriminator
from .network import Look, NetworkClassifier, Plan, Start, learner, supervised

SMOOTHING = 0.1  # of the labels: a network that has learned its few images by heart should not be sure of others


@dataclass(eq=False, repr=False, kw_only=True)
class CNNClassifier(NetworkClassifier):
    """A small network, AdamW to 0, weight averaging, views of each image drawn anew at every step.

    Unlabelled images are not learned from, but count for the number of steps, which is that of `consistency` and
    `semi-gan`, and batch norm's statistics are of all training images.
    """

    def recipe(self, plan: Plan, look: Look, start: Start) -> Recipe:
        judge = Discriminator("D", self.net, Classes())
        return Recipe(
            "supervised, strong views", (learner(judge, (supervised(look, smoothing=SMOOTHING),)),), plan.labelled
        )

    def judge(self, images: np.ndarray) -> np.ndarray:
        return unsmoothed(super().judge(images))


def unsmoothed(p: np.ndarray) -> np.ndarray:
    """Class probabilities from those of smoothed labels, [N,K]: the network's answer is an estimate of
    (1 - SMOOTHING) y + SMOOTHING / K, solved for y; at least 0.001 for a class that it all but rules out. Ours."""
    p = ((p - SMOOTHING / p.shape[1]) / (1 - SMOOTHING)).clip(0.001)
    return p / p.sum(1, keepdims=True)
