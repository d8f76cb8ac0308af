"""Terms: what players minimise. A term is called with a turn and returns one number per image, [N].

The loop takes the mean and multiplies by `weight` (which may move over training) on every `every`-th move (times
`every`). Numbers per image are what makes gradient accumulation and several processes exact; a term that needs the
whole batch at once returns a scalar and says `whole_batch`.
"""

import math
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize, relu, softplus

from ..records import record
from .nodes import FAKE, REAL, Batch, ContinuousCode, Discriminated, Features, Interpolated, Node, Output, Weights

# --- numbers that move over training; progress runs from 0 to 1 ------------------------------------------------------


@record
class Linear:
    """From `start` to `end` in a straight line."""

    start: float
    end: float = 0.0

    def __call__(self, progress: float) -> float:
        return self.start + (self.end - self.start) * progress


@record
class Cosine:
    """From `start` to `end` along half a cosine wave."""

    start: float
    end: float = 0.0

    def __call__(self, progress: float) -> float:
        return self.end + (self.start - self.end) * (1 + math.cos(math.pi * progress)) / 2


@record
class Window:
    """`value` while start <= progress < stop, else 0; the first and last `ramp` of training inside it are linear."""

    value: float = 1.0
    start: float = 0.0
    stop: float = 1.0
    ramp: float = 0.0

    def __call__(self, progress: float) -> float:
        if not self.start <= progress < self.stop:
            return 0.0
        inside = min(progress - self.start, self.stop - progress if self.stop < 1 else math.inf)
        return self.value * (min(1.0, inside / self.ramp) if self.ramp else 1.0)


Schedule = Linear | Cosine | Window


def at(value: float | Schedule, progress: float) -> float:
    return value(progress) if isinstance(value, Schedule) else value


@record(was="Term")
class Loss:
    weight: float | Schedule = 1.0
    every: int = 1

    whole_batch = False
    reads = ()  # what it takes from verdicts
    traced = ()  # judged cells whose images it differentiates by

    def __call__(self, context) -> Tensor:
        raise NotImplementedError

    def scale(self, progress: float) -> float:
        return self.every * at(self.weight, progress)


# --- the contest of a generator and a discriminator ------------------------------------------------------------------


class Duel:
    """One batch of real images against one batch of fakes; each side is judged when it is first read."""

    def __init__(self, context, real: Discriminated, fake: Discriminated):
        self.context, self.nodes = context, (real, fake)

    @cached_property
    def real(self):
        return self.context[self.nodes[0]]

    @cached_property
    def fake(self):
        return self.context[self.nodes[1]]


def per_image(values: Tensor) -> Tensor:
    """[N] from one number per patch, [N,P]; what is [N] already, or one number for the batch, stays."""
    return values.flatten(1).mean(1) if values.ndim > 1 else values


@record(was="Contest")
class AdversarialLoss(Loss):
    """The same term stands in both players' lists: `d` when the judge of these images moves, else `g`."""

    real: Discriminated = REAL
    fake: Discriminated = FAKE
    reads = ("score",)

    def __call__(self, context) -> Tensor:
        duel = Duel(context, self.real, self.fake)
        return per_image(self.d(duel) if self.real.by in context.movers else self.g(duel))

    def d(self, duel: Duel) -> Tensor:
        raise NotImplementedError

    def g(self, duel: Duel) -> Tensor:
        raise NotImplementedError

    @property
    def monitored(self) -> tuple[Loss, ...]:
        """How the contest stands, from the verdicts that it reads anyway."""
        return tuple(FractionReal(self.weight, self.every, of=side) for side in (self.real, self.fake))


@record
class NonSaturating(AdversarialLoss):
    """Logistic loss; G maximises log D(G(z)). Goodfellow et al. 2014, section 3.

    `smoothing`: D is told that real images are real with 1 - smoothing. Salimans et al. 2016, section 3.4 (one-sided).
    """

    smoothing: float = 0.0

    def d(self, duel):
        return softplus(-duel.real.score) + self.smoothing * duel.real.score + softplus(duel.fake.score)

    def g(self, duel):
        return softplus(-duel.fake.score)


@record
class Minimax(NonSaturating):
    """The game as first written: G minimises log(1 - D(G(z))), flat where D is sure. Goodfellow et al. 2014, eq. 1."""

    def g(self, duel):
        return -softplus(duel.fake.score)


@record
class LeastSquares(AdversarialLoss):
    """Mao et al. 2017 with targets 0 and 1, arXiv:1611.04076, section 3.2; the score is not squashed."""

    def d(self, duel):
        return ((duel.real.score - 1).square() + duel.fake.score.square()) / 2

    def g(self, duel):
        return (duel.fake.score - 1).square() / 2

    @property
    def monitored(self):
        return tuple(MeanScore(self.weight, self.every, of=side) for side in (self.real, self.fake))


@record
class Hinge(AdversarialLoss):
    """D stops pushing beyond +-1. Lim & Ye 2017; Miyato et al. 2018, eq. 16 and 17."""

    def d(self, duel):
        return relu(1 - duel.real.score) + relu(1 + duel.fake.score)

    def g(self, duel):
        return -duel.fake.score


@record
class Wasserstein(AdversarialLoss):
    """Arjovsky et al. 2017, eq. 2; needs a Lipschitz D (a penalty or a constraint)."""

    def d(self, duel):
        return duel.fake.score - duel.real.score

    def g(self, duel):
        return -duel.fake.score

    @property
    def monitored(self):
        return tuple(MeanScore(self.weight, self.every, of=side) for side in (self.real, self.fake))


@record
class Relativistic(AdversarialLoss):
    """Each real image against one fake: which is more real? Jolicoeur-Martineau 2019; Huang et al. 2024, section 2."""

    def d(self, duel):
        return softplus(duel.fake.score - duel.real.score)

    def g(self, duel):
        return softplus(duel.real.score - duel.fake.score)

    @property
    def monitored(self):
        return (PairAccuracy(self.weight, self.every, of=self.real, rival=self.fake),)


@record
class FeatureMatching(NonSaturating):
    """G matches the mean features of real images. Salimans et al. 2016, section 3.1."""

    whole_batch = True
    reads = ("score",)

    def g(self, duel):
        mean = duel.context.batch_mean
        return (mean(duel.real.features) - mean(duel.fake.features)).square().mean()


# --- penalties -------------------------------------------------------------------------------------------------------


def input_gradient(verdict) -> Tensor:
    """d score / d image, flat [N, C*H*W], differentiable again."""
    score = per_image(verdict.score).sum()
    return torch.autograd.grad(score, verdict.x, create_graph=True)[0].flatten(1)


@record(was="SlopePenalty")
class InputGradientPenalty(Loss):
    """A penalty on the slope of the score at some images."""

    at: Discriminated = REAL
    reads = ("score",)

    @property
    def traced(self):
        return (self.at,)


@record
class R1(InputGradientPenalty):
    """|dD/dx|^2 / 2 at real images. Mescheder et al. 2018, eq. 9. At fakes, R1(at=FAKE), it is their R2."""

    def __call__(self, context):
        return input_gradient(context[self.at]).square().sum(1) / 2


@record
class GradientPenalty(InputGradientPenalty):
    """(|dD/dx| - 1)^2 between real and fake. Gulrajani et al. 2017, eq. 3."""

    weight: float | Schedule = 10.0
    at: Discriminated = Discriminated("D", Interpolated(REAL.of, FAKE.of))

    def __call__(self, context):
        return (input_gradient(context[self.at]).norm(dim=1) - 1).square()


# --- labels and codes ------------------------------------------------------------------------------------------------


@record
class Classify(Loss):
    """Cross-entropy with labels int64 [N] (-1 counts 0) or with class probabilities [N,K]."""

    of: Node = REAL
    label: Node = Batch("y")
    smoothing: float = 0.0
    reads = ("logits",)

    def __call__(self, context):
        logits, label = context[self.of].logits, context[self.label]
        if label.ndim == 2:
            return cross_entropy(logits, label, reduction="none", label_smoothing=self.smoothing)
        return cross_entropy(logits, label, ignore_index=-1, reduction="none", label_smoothing=self.smoothing)


@record(was="GuessSliders", renamed={"code": "sliders"})
class ContinuousCodeLoss(Loss):
    """-log N(code; mean, variance) up to a constant, both as D gives them. Chen et al. 2016, section 6."""

    of: Discriminated = FAKE
    code: ContinuousCode = ContinuousCode()
    reads = ("code_params",)

    def __call__(self, context):
        mean, log_var = context[self.of].code_params.chunk(2, dim=1)
        return ((context[self.code] - mean).square() * (-log_var).exp() + log_var).sum(1) / 2


@record
class Entropy(Loss):
    """How unsure the classes are, in nats: D is to be sure of real images. Dai et al. 2017, arXiv:1705.09783."""

    of: Discriminated = REAL
    reads = ("logits",)

    def __call__(self, context):
        logs = context[self.of].logits.log_softmax(1)
        return -(logs.exp() * logs).sum(1)


@record
class Information(Loss):
    """Minus what an image tells about its class, in nats: H(class | image) - H(class) over the batch. D is to be sure
    of each image, and to use all classes. Krause, Perona & Gomes 2010 (NIPS 23); Hu et al. 2017, arXiv:1702.08720.
    """

    of: Discriminated = REAL
    reads = ("logits",)
    whole_batch = True

    def __call__(self, context):
        logs = context[self.of].logits.log_softmax(1)
        shares = logs.exp().mean(0)
        return torch.xlogy(shares, shares).sum() - (logs.exp() * logs).sum(1).mean()


@record
class PullAway(Loss):
    """Mean squared cosine between features of different fakes, so that they spread. Zhao et al. 2017, section 2.4."""

    of: Node = Features(FAKE)
    whole_batch = True

    def __call__(self, context):
        h = normalize(context[self.of], dim=1)
        n = len(h)
        return ((h @ h.T).square().sum() - n) / (n * (n - 1))


# --- reconstructions -------------------------------------------------------------------------------------------------


@record
class L1(Loss):
    """Mean absolute difference of two images, in [0,2]."""

    made: Node = FAKE.of
    target: Node = Batch("x")

    def __call__(self, context):
        return (context[self.made] - context[self.target]).abs().flatten(1).mean(1)


@record
class SquaredError(Loss):
    """-log N(target; made, deviation^2) up to a constant: a VAE's first term. Kingma & Welling 2014, eq. 10."""

    made: Node = FAKE.of
    target: Node = Batch("x")
    deviation: float = 1.0

    def __call__(self, context):
        return (context[self.made] - context[self.target]).square().flatten(1).sum(1) / (2 * self.deviation**2)


@record
class KL(Loss):
    """KL(N(mean, variance) || N(0, 1)) of [N, 2Z] = (mean, log variance). Kingma & Welling 2014, appendix B."""

    of: Node = Output("E", Batch())

    def __call__(self, context):
        mean, log_var = context[self.of].chunk(2, dim=1)
        return (mean.square() + log_var.exp() - 1 - log_var).sum(1) / 2


# --- weights ---------------------------------------------------------------------------------------------------------


@record
class Orthogonal(Loss):
    """Off-diagonal products of the filters of each matrix or kernel, squared. Brock et al. 2019, section 3.1."""

    weight: float | Schedule = 1e-4
    of: Weights = Weights("G")

    def __call__(self, context):
        rows = [w.flatten(1) for w in context[self.of].values() if w.ndim > 1]
        products = [w @ w.T if len(w) <= w.shape[1] else w.T @ w for w in rows]
        return torch.stack([p.square().sum() - p.diagonal().square().sum() for p in products]).sum()


@record
class HistoricalAverage(Loss):
    """Squared distance of the weights to their own average. Salimans et al. 2016, section 3.3.

    The player's exponential average stands for their arithmetic mean over all of training.
    """

    weight: float | Schedule = 1e-2
    of: Weights = Weights("G")
    mean: Weights = Weights("G", averaged=True)

    def __call__(self, context):
        mean = context[self.mean]
        return torch.stack([(w - mean[name]).square().sum() for name, w in context[self.of].items()]).sum()


# --- gauges: measured, not minimised ---------------------------------------------------------------------------------


@record(was="SaysReal")
class FractionReal(Loss):
    """1 where D calls an image real, else 0."""

    of: Discriminated = REAL
    reads = ("score",)

    def __call__(self, context):
        score = context[self.of].score
        return per_image((score > 0).to(score.dtype))


@record
class MeanScore(Loss):
    """D's score."""

    of: Discriminated = REAL
    reads = ("score",)

    def __call__(self, context):
        return per_image(context[self.of].score)


@record(was="Ahead")
class PairAccuracy(Loss):
    """1 where D puts a real image above the fake beside it, else 0."""

    of: Discriminated = REAL
    rival: Discriminated = FAKE
    reads = ("score",)

    def __call__(self, context):
        score = context[self.of].score
        return per_image((score > context[self.rival].score).to(score.dtype))


@record
class Sign(Loss):
    """+1 where D calls real images real, else -1: r_t of Karras et al. 2020, eq. 1, ADA's gauge of overfitting.

    `rival`: where D puts them above these fakes, for scores that mean nothing alone.
    """

    of: Discriminated = REAL
    rival: Discriminated | None = None
    reads = ("score",)

    def __call__(self, context):
        score = context[self.of].score
        return per_image((score - context[self.rival].score if self.rival else score).sign())


@record(was="Right")
class Accuracy(Loss):
    """1 where the most likely class is the label, else 0; unlabelled images count 0."""

    of: Discriminated = REAL
    label: Node = Batch("y")
    reads = ("logits",)

    def __call__(self, context):
        logits = context[self.of].logits
        return (logits.argmax(1) == context[self.label]).to(logits.dtype)
