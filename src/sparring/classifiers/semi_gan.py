"""The network of `consistency` as the discriminator of a GAN: K classes of real images, and generated images."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

from .. import keyed_random
from ..games.builders import Recipe
from ..games.heads import ClassesAsScore, DiscriminatorOutput
from ..games.losses import FeatureMatching
from ..games.nodes import Batch, Discriminated, Noise, Output, StepContext
from ..games.players import Adam, Generator, Player
from ..games.schedules import Window
from ..games.training import State
from ..images import to_uint8
from ..nets.dcgan import DCGAN
from ..records import record
from .consistency import ConsistencyClassifier, agreement
from .looks import Look
from .network import Plan, Start, learner
from .pseudo_labels import Apart

SHOWN = 64  # images of a picture
Z = 64  # width of the noise


@record(was="Latents")
class RatioNoise(Noise):
    """Standard normal [ratio * N, dim]: more or fewer fakes than the batch has images."""

    ratio: int = 1

    def __call__(self, context: StepContext) -> Tensor:
        return context.normal(self, context.size * self.ratio, self.dim)


@record
class TeacherMatching(FeatureMatching):
    """D tells real from generated images, K+1 classes; G matches the mean features that D's average sees in `target`.

    Salimans et al. 2016, arXiv:1606.03498, sections 3.1 and 5. The features are those of the averaged weights, which
    change slowly and have no fakes in batch norm's statistics. One number per batch, since fakes and real images differ
    in number.
    """

    target: Discriminated = Discriminated("D", averaged=True)
    match: Discriminated = Discriminated("D", Output("G", Noise()), averaged=True)

    title = "loss on teacher features"

    def d(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        return softplus(-real.score).mean() + softplus(fake.score).mean()

    def matched(self) -> tuple[Discriminated, Discriminated]:
        return self.target, self.match


@dataclass(eq=False, repr=False, kw_only=True)
class SemiGANClassifier(ConsistencyClassifier):
    """`consistency`, whose network also plays a game: a generator makes images, the network tells them from real ones.

    Salimans et al. 2016, arXiv:1606.03498: the score "real" is the log-sum-exp of the K class logits, and G matches
    the mean of features. `game`: the weight of the game between 10 % and 75 % of training. Then a generator is nearly
    right and shows where the borders between classes are. With `game=0` the fit is that of `consistency`, bit for bit.
    """

    game: float = 0.3

    def _recipe(self, plan: Plan, look: Look, start: Start) -> Recipe:
        discriminator, losses = agreement(self._trunk(start), ClassesAsScore(), plan, look, start)
        ratio = max(1, plan.ratio // 4)  # fakes for each labelled image: a quarter of the unlabelled ones
        made = Output("G", RatioNoise(Z, ratio))
        adversarial = TeacherMatching(
            Window(self.game, 0.1, 0.75, ramp=0.1),
            real=Discriminated("D", look.strong(Batch("x", "all", plan.ratio))),
            fake=Apart("D", made),
            target=Discriminated("D", look.weak(Batch("x", "all", ratio)), averaged=True),
            match=Discriminated("D", made, averaged=True),
        )
        generator = Generator("G", DCGAN(width=16), z=Z)
        players = (
            learner(discriminator, (*losses, adversarial)),
            Player("G", (generator,), (adversarial,), Adam(4e-3, (0.5, 0.99)), steps=2, average=0.99),
        )
        return Recipe("Salimans et al. 2016, arXiv:1606.03498, with consistency", players, plan.labelled)

    def _train(self, images: np.ndarray, labels: np.ndarray, seed: int) -> State:
        state = super()._train(images, labels, seed)
        order = keyed_random.order(keyed_random.key(seed, "real"), len(images))
        self.pictures_ = {"generated": generated_images(state, seed), "real": images[order[:SHOWN].numpy()]}
        return state


@torch.no_grad()
def generated_images(state: State, seed: int) -> np.ndarray:
    """Return uint8 [64,H,W,C] from the averaged generator."""
    z = keyed_random.normal(keyed_random.key(seed, "shown"), torch.arange(SHOWN), Z).float()
    G = state.best("G")
    return to_uint8(G(z.to(next(G.parameters()).device)))
