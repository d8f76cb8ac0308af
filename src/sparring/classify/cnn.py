"""An end-to-end convolutional network on the labelled images alone, strongly augmented: the bar for the others."""

from dataclasses import dataclass

from ..heads import Classes
from ..players import Judge
from ..recipes import Recipe
from .network import Look, NetworkClassifier, Plan, Start, learner, supervised

SMOOTHING = 0.1  # of the labels: a network that has learned its few images by heart should not be sure of others


@dataclass(eq=False, repr=False, kw_only=True)
class CNN(NetworkClassifier):
    """A small network, AdamW to 0, weight averaging, views of each image drawn anew at every step.

    Unlabelled images are not learned from, but count for the number of steps, which is that of `consistency` and
    `semi-gan`, and batch norm's statistics are of all training images.
    """

    def recipe(self, plan: Plan, look: Look, start: Start) -> Recipe:
        judge = Judge("D", self.net, Classes())
        return Recipe(
            "supervised, strong views", (learner(judge, (supervised(look, smoothing=SMOOTHING),)),), plan.labelled
        )
