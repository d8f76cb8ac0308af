"""Losses: what players minimise. A loss is called with the context of a step and returns one number per image, [N].

The loop takes the mean and multiplies it by `weight` (a number or a schedule) in every `every`-th step (and by
`every`). Numbers per image keep gradient accumulation and several processes exact; a loss that needs the whole batch
at once returns a scalar and says so by `whole_batch`.
"""

from typing import ClassVar, cast

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize, relu, softplus

from ..records import record
from .heads import DiscriminatorOutput
from .measures import FractionReal, Loss, MeanScore, PairAccuracy, mean_over_patches
from .nodes import (
    FAKE,
    REAL,
    Batch,
    Code,
    ContinuousCode,
    Discriminated,
    Features,
    GeneratorInput,
    Interpolated,
    Labels,
    Node,
    Output,
    PseudoLabel,
    StepContext,
    Weights,
)
from .schedules import Schedule

# --- a generator against a discriminator -----------------------------------------------------------------------------


class _ComputedWhenRead:
    """A discriminator output that is computed when one of its tensors is first read."""

    def __init__(self, context: StepContext, node: Discriminated):
        self._context, self._node = context, node

    def __getattr__(self, name: str) -> Tensor:
        return getattr(self._context[self._node], name)


@record(was="Contest")
class AdversarialLoss(Loss):
    """A loss in the lists of both players: `d` in the steps of the discriminator of these images, else `g`.

    A loss of your own defines `d(real, fake)` and `g(real, fake)`, each [N] from the scores [N], logits [N,K] or
    features [N,F] of the real images and of the fakes. An output is computed when it is first read: a `g` that reads
    `fake` alone costs no pass over real images. `relative`: scores mean something only beside others, so "above 0" does
    not mean "real". `needs_lipschitz`: D must have a bounded slope. `measure`: of each output, to see who
    is ahead.
    """

    real: Discriminated = REAL
    fake: Discriminated = FAKE

    title = "loss against the other"
    reads = ("score",)
    relative: ClassVar[bool] = False
    needs_lipschitz: ClassVar[bool] = False
    measure: ClassVar[type[FractionReal] | type[MeanScore]] = FractionReal

    def __call__(self, context: StepContext) -> Tensor:
        outputs = (_ComputedWhenRead(context, node) for node in (self.real, self.fake))
        real, fake = (cast(DiscriminatorOutput, output) for output in outputs)
        return mean_over_patches(self.d(real, fake) if self.real.by in context.trained else self.g(real, fake))

    def d(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        """Return what the discriminator minimises, [N]."""
        raise NotImplementedError

    def g(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        """Return what the generator minimises, [N]."""
        raise NotImplementedError

    @property
    def monitored(self) -> tuple[Loss, ...]:
        """What is monitored in D's steps to see who is ahead, from outputs that this loss reads anyway."""
        return tuple(self.measure(self.weight, self.every, of=node) for node in (self.real, self.fake))


@record
class NonSaturating(AdversarialLoss):
    """Logistic loss; G maximises log D(G(z)). Goodfellow et al. 2014, section 3.

    `smoothing`: D's target for real images is 1 - smoothing. Salimans et al. 2016, section 3.4 (one-sided).
    """

    smoothing: float = 0.0

    def d(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        return softplus(-real.score) + self.smoothing * real.score + softplus(fake.score)

    def g(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        return softplus(-fake.score)


@record
class Minimax(NonSaturating):
    """The first GAN loss: G minimises log(1 - D(G(z))), flat where D is sure. Goodfellow et al. 2014, eq. 1."""

    def g(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        return -softplus(fake.score)


@record
class LeastSquares(AdversarialLoss):
    """Mao et al. 2017 with targets 0 and 1, arXiv:1611.04076, section 3.2; the score is not squashed."""

    measure = MeanScore

    def d(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        return ((real.score - 1).square() + fake.score.square()) / 2

    def g(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        return (fake.score - 1).square() / 2


@record
class Hinge(AdversarialLoss):
    """No gradient to D beyond scores of +-1. Lim & Ye 2017; Miyato et al. 2018, eq. 16 and 17."""

    def d(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        return relu(1 - real.score) + relu(1 + fake.score)

    def g(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        return -fake.score


@record
class Wasserstein(AdversarialLoss):
    """Arjovsky et al. 2017, eq. 2; needs a Lipschitz D (a penalty or a constraint)."""

    relative = True
    needs_lipschitz = True
    measure = MeanScore

    def d(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        return fake.score - real.score

    def g(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        return -fake.score


@record
class Relativistic(AdversarialLoss):
    """Each real image against one fake: which is more real? Jolicoeur-Martineau 2019; Huang et al. 2024, section 2."""

    relative = True

    def d(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        return softplus(fake.score - real.score)

    def g(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        return softplus(real.score - fake.score)

    @property
    def monitored(self) -> tuple[Loss, ...]:
        return (PairAccuracy(self.weight, self.every, of=self.real, rival=self.fake),)


@record
class FeatureMatching(NonSaturating):
    """G matches the mean features of real images. Salimans et al. 2016, section 3.1."""

    title = "loss on features"
    whole_batch = True

    def __call__(self, context: StepContext) -> Tensor:
        if self.real.by in context.trained:
            return super().__call__(context)
        target, matched = (context.batch_mean(context[node].features) for node in self.matched())
        return (target - matched).square().mean()

    def matched(self) -> tuple[Discriminated, Discriminated]:
        """Return the discriminator outputs whose mean features G brings together: the target, and its own."""
        return self.real, self.fake


# --- penalties -------------------------------------------------------------------------------------------------------


def input_gradient(output: DiscriminatorOutput) -> Tensor:
    """Return d score / d image, flat [N, C*H*W], differentiable again."""
    score = mean_over_patches(output.score).sum()
    return torch.autograd.grad(score, output.x, create_graph=True)[0].flatten(1)


@record(was="SlopePenalty")
class InputGradientPenalty(Loss):
    """A penalty on the gradient of the score with respect to some images."""

    at: Discriminated = REAL

    title = "penalty on its slope"
    reads = ("score",)

    def input_gradients(self) -> tuple[Discriminated, ...]:
        return (self.at,)


@record
class R1(InputGradientPenalty):
    """|dD/dx|^2 / 2 at real images. Mescheder et al. 2018, eq. 9. At fakes, R1(at=FAKE), it is their R2."""

    title = "penalty on the discriminator's slope"
    compares_real_and_fake = True

    def __call__(self, context: StepContext) -> Tensor:
        return input_gradient(context[self.at]).square().sum(1) / 2


@record
class GradientPenalty(InputGradientPenalty):
    """(|dD/dx| - 1)^2 between real and fake. Gulrajani et al. 2017, eq. 3."""

    weight: float | Schedule = 10.0
    at: Discriminated = Discriminated("D", Interpolated(REAL.of, FAKE.of))

    def __call__(self, context: StepContext) -> Tensor:
        return (input_gradient(context[self.at]).norm(dim=1) - 1).square()


# --- labels and codes ------------------------------------------------------------------------------------------------


@record
class Classify(Loss):
    """Cross-entropy with labels int64 [N] (-1 counts 0) or with class probabilities [N,K]."""

    of: Discriminated = REAL
    label: Node[Tensor] = Batch("y")
    smoothing: float = 0.0

    title = "loss on the labels"
    reads = ("logits",)

    def __call__(self, context: StepContext) -> Tensor:
        logits, label = context[self.of].logits, context[self.label]
        return cross_entropy(logits, label, ignore_index=-1, reduction="none", label_smoothing=self.smoothing)

    def code_input(self) -> GeneratorInput | None:
        return self.label if isinstance(self.label, Code) else None

    def detail(self) -> str:
        if isinstance(self.label, Batch):
            return "labelled" if self.label.pool == "labelled" else self.label.field
        words = {Code: "codes", PseudoLabel: "guess", Labels: "asked"}
        return words.get(type(self.label), "")

    def curve_title(self) -> str:
        of = {"codes": "the codes", "guess": "guessed labels", "asked": "the labels of fakes"}.get(self.detail())
        return f"loss on {of}" if of else self.title


@record(was="GuessSliders", renamed={"code": "sliders"})
class ContinuousCodeLoss(Loss):
    """-log N(code; mean, variance) up to a constant, both as D gives them. Chen et al. 2016, section 6."""

    of: Discriminated = FAKE
    code: ContinuousCode = ContinuousCode()

    title = "loss on the continuous codes"
    reads = ("code_params",)

    def __call__(self, context: StepContext) -> Tensor:
        mean, log_var = context[self.of].code_params.chunk(2, dim=1)
        return ((context[self.code] - mean).square() * (-log_var).exp() + log_var).sum(1) / 2

    def code_input(self) -> GeneratorInput | None:
        return self.code


@record
class Entropy(Loss):
    """Entropy of the classes in nats: D is to be sure of real images. Dai et al. 2017, arXiv:1705.09783."""

    of: Discriminated = REAL

    title = "doubt about the class"
    reads = ("logits",)

    def __call__(self, context: StepContext) -> Tensor:
        logs = context[self.of].logits.log_softmax(1)
        return -(logs.exp() * logs).sum(1)


@record
class Information(Loss):
    """Minus the mutual information of image and class, in nats: H(class | image) - H(class) over the batch.

    To minimise it, D must be sure of each image and use all classes. Krause, Perona & Gomes 2010 (NIPS 23); Hu et al.
    2017, arXiv:1702.08720.
    """

    of: Discriminated = REAL

    title = "information in the codes, negative"
    reads = ("logits",)
    whole_batch = True

    def __call__(self, context: StepContext) -> Tensor:
        logs = context[self.of].logits.log_softmax(1)
        class_shares = logs.exp().mean(0)
        return torch.xlogy(class_shares, class_shares).sum() - (logs.exp() * logs).sum(1).mean()


@record
class PullAway(Loss):
    """Mean squared cosine between features of different fakes, so that they spread. Zhao et al. 2017, section 2.4."""

    of: Node[Tensor] = Features(FAKE)

    title = "similarity of its features"
    whole_batch = True
    needs_vectors = True

    def __call__(self, context: StepContext) -> Tensor:
        h = normalize(context[self.of], dim=1)
        n = len(h)
        return ((h @ h.T).square().sum() - n) / (n * (n - 1))


# --- reconstructions -------------------------------------------------------------------------------------------------


@record
class L1(Loss):
    """Mean absolute difference of two images, in [0,2]."""

    made: Node[Tensor] = FAKE.of
    target: Node[Tensor] = Batch("x")

    title = "distance to the target"

    def __call__(self, context: StepContext) -> Tensor:
        return (context[self.made] - context[self.target]).abs().flatten(1).mean(1)


@record
class SquaredError(Loss):
    """-log N(target; made, deviation^2) up to a constant: a VAE's first term. Kingma & Welling 2014, eq. 10."""

    made: Node[Tensor] = FAKE.of
    target: Node[Tensor] = Batch("x")
    deviation: float = 1.0

    title = "error of the image"

    def __call__(self, context: StepContext) -> Tensor:
        return (context[self.made] - context[self.target]).square().flatten(1).sum(1) / (2 * self.deviation**2)


@record
class KL(Loss):
    """KL(N(mean, variance) || N(0, 1)) of [N, 2Z] = (mean, log variance). Kingma & Welling 2014, appendix B."""

    of: Node[Tensor] = Output("E", Batch())

    title = "distance of its noise to normal"

    def __call__(self, context: StepContext) -> Tensor:
        mean, log_var = context[self.of].chunk(2, dim=1)
        return (mean.square() + log_var.exp() - 1 - log_var).sum(1) / 2


# --- weights ---------------------------------------------------------------------------------------------------------


@record
class Orthogonal(Loss):
    """Off-diagonal products of the filters of each matrix or kernel, squared. Brock et al. 2019, section 3.1."""

    weight: float | Schedule = 1e-4
    of: Weights = Weights("G")

    title = "penalty on similar filters"

    def __call__(self, context: StepContext) -> Tensor:
        filters = [w.flatten(1) for w in context[self.of].values() if w.ndim > 1]
        products = [w @ w.T if len(w) <= w.shape[1] else w.T @ w for w in filters]
        return torch.stack([p.square().sum() - p.diagonal().square().sum() for p in products]).sum()


@record
class HistoricalAverage(Loss):
    """Squared distance of the weights to their own average. Salimans et al. 2016, section 3.3.

    The player's exponential average stands for their arithmetic mean over all of training.
    """

    weight: float | Schedule = 1e-2
    of: Weights = Weights("G")
    mean: Weights = Weights("G", averaged=True)

    title = "distance to its past weights"

    def __call__(self, context: StepContext) -> Tensor:
        mean = context[self.mean]
        return torch.stack([(w - mean[name]).square().sum() for name, w in context[self.of].items()]).sum()
