"""The pretrained network, end to end, on the labelled images alone: the head starts from a logistic regression."""

from dataclasses import dataclass

import numpy as np

from ..errors import UsageError
from ..features.encoders import names_of
from ..features.pretrained import BUILT_IN
from ..games.builders import Recipe
from ..games.heads import Classes
from ..games.players import Discriminator
from .looks import Look
from .network import NetworkClassifier, Plan, Start, learner, supervised
from .warm_start import warm_start


@dataclass(eq=False, repr=False, kw_only=True)
class FinetuneClassifier(NetworkClassifier):
    """EfficientNet-Lite0 with the weights of ImageNet, trained on strong views of the labelled images.

    Batch norm stays that of ImageNet, and so do the first two stages. The head starts from the logistic regression on
    the features of the untouched network (Kumar et al. 2022, arXiv:2202.10054: a head drawn at random distorts the
    features). The weights that are kept lie between start and end (Wortsman et al. 2022, arXiv:2109.01903). Steps and
    labelled images of a step are those of `consistency` with the same trunk. Images are seen at 64 to 160 pixels of the
    shorter side. Raises UsageError where `pretrained` does not name the built-in network.
    """

    pretrained: str = BUILT_IN

    def _prepare(self, images: np.ndarray, labels: np.ndarray, seed: int) -> Start:
        if BUILT_IN not in names_of(self.pretrained):
            what = f"finetune trains {BUILT_IN}, and pretrained is {self.pretrained!r}"
            raise UsageError("no-pretrained", what, fix=f"use --pretrained {BUILT_IN}, or the method cnn")
        return Start(warm=warm_start(images, labels, seed, device=self.device, guess=False, groups=self._groups))

    def _recipe(self, plan: Plan, look: Look, start: Start) -> Recipe:
        player = learner(Discriminator("D", self._trunk(start), Classes()), (supervised(look),))
        return Recipe("fine-tuning from a linear probe, strong views", (player,), plan.labelled)
