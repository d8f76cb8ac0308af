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

from ..records import part
from .nodes import FAKE, REAL, Cell, Features, Given, Judged, Made, Mixed, Sliders, Weights

# --- numbers that move over training; progress runs from 0 to 1 ------------------------------------------------------


@part
class Linear:
    """From `start` to `end` in a straight line."""

    start: float
    end: float = 0.0

    def __call__(self, progress: float) -> float:
        return self.start + (self.end - self.start) * progress


@part
class Cosine:
    """From `start` to `end` along half a cosine wave."""

    start: float
    end: float = 0.0

    def __call__(self, progress: float) -> float:
        return self.end + (self.start - self.end) * (1 + math.cos(math.pi * progress)) / 2


@part
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


@part
class Term:
    weight: float | Schedule = 1.0
    every: int = 1

    whole_batch = False
    reads = ()  # what it takes from verdicts
    traced = ()  # judged cells whose images it differentiates by

    def __call__(self, turn) -> Tensor:
        raise NotImplementedError

    def scale(self, progress: float) -> float:
        return self.every * at(self.weight, progress)


# --- the contest of a generator and a discriminator ------------------------------------------------------------------


class Duel:
    """One batch of real images against one batch of fakes; each side is judged when it is first read."""

    def __init__(self, turn, real: Judged, fake: Judged):
        self.turn, self.cells = turn, (real, fake)

    @cached_property
    def real(self):
        return self.turn[self.cells[0]]

    @cached_property
    def fake(self):
        return self.turn[self.cells[1]]


def per_image(values: Tensor) -> Tensor:
    """[N] from one number per patch, [N,P]; what is [N] already, or one number for the batch, stays."""
    return values.flatten(1).mean(1) if values.ndim > 1 else values


@part
class Contest(Term):
    """The same term stands in both players' lists: `d` when the judge of these images moves, else `g`."""

    real: Judged = REAL
    fake: Judged = FAKE
    reads = ("score",)

    def __call__(self, turn) -> Tensor:
        duel = Duel(turn, self.real, self.fake)
        return per_image(self.d(duel) if self.real.by in turn.movers else self.g(duel))

    def d(self, duel: Duel) -> Tensor:
        raise NotImplementedError

    def g(self, duel: Duel) -> Tensor:
        raise NotImplementedError

    @property
    def gauges(self) -> tuple[Term, ...]:
        """How the contest stands, from the verdicts that it reads anyway."""
        return tuple(SaysReal(self.weight, self.every, of=side) for side in (self.real, self.fake))


@part
class NonSaturating(Contest):
    """Logistic loss; G maximises log D(G(z)). Goodfellow et al. 2014, section 3.

    `smoothing`: D is told that real images are real with 1 - smoothing. Salimans et al. 2016, section 3.4 (one-sided).
    """

    smoothing: float = 0.0

    def d(self, duel):
        return softplus(-duel.real.score) + self.smoothing * duel.real.score + softplus(duel.fake.score)

    def g(self, duel):
        return softplus(-duel.fake.score)


@part
class Minimax(NonSaturating):
    """The game as first written: G minimises log(1 - D(G(z))), flat where D is sure. Goodfellow et al. 2014, eq. 1."""

    def g(self, duel):
        return -softplus(duel.fake.score)


@part
class LeastSquares(Contest):
    """Mao et al. 2017 with targets 0 and 1, arXiv:1611.04076, section 3.2; the score is not squashed."""

    def d(self, duel):
        return ((duel.real.score - 1).square() + duel.fake.score.square()) / 2

    def g(self, duel):
        return (duel.fake.score - 1).square() / 2

    @property
    def gauges(self):
        return tuple(MeanScore(self.weight, self.every, of=side) for side in (self.real, self.fake))


@part
class Hinge(Contest):
    """D stops pushing beyond +-1. Lim & Ye 2017; Miyato et al. 2018, eq. 16 and 17."""

    def d(self, duel):
        return relu(1 - duel.real.score) + relu(1 + duel.fake.score)

    def g(self, duel):
        return -duel.fake.score


@part
class Wasserstein(Contest):
    """Arjovsky et al. 2017, eq. 2; needs a Lipschitz D (a penalty or a constraint)."""

    def d(self, duel):
        return duel.fake.score - duel.real.score

    def g(self, duel):
        return -duel.fake.score

    @property
    def gauges(self):
        return tuple(MeanScore(self.weight, self.every, of=side) for side in (self.real, self.fake))


@part
class Relativistic(Contest):
    """Each real image against one fake: which is more real? Jolicoeur-Martineau 2019; Huang et al. 2024, section 2."""

    def d(self, duel):
        return softplus(duel.fake.score - duel.real.score)

    def g(self, duel):
        return softplus(duel.real.score - duel.fake.score)

    @property
    def gauges(self):
        return (Ahead(self.weight, self.every, of=self.real, rival=self.fake),)


@part
class FeatureMatching(NonSaturating):
    """G matches the mean features of real images. Salimans et al. 2016, section 3.1."""

    whole_batch = True
    reads = ("score",)

    def g(self, duel):
        mean = duel.turn.batch_mean
        return (mean(duel.real.features) - mean(duel.fake.features)).square().mean()


# --- penalties -------------------------------------------------------------------------------------------------------


def input_gradient(verdict) -> Tensor:
    """d score / d image, flat [N, C*H*W], differentiable again."""
    score = per_image(verdict.score).sum()
    return torch.autograd.grad(score, verdict.x, create_graph=True)[0].flatten(1)


@part
class SlopePenalty(Term):
    """A penalty on the slope of the score at some images."""

    at: Judged = REAL
    reads = ("score",)

    @property
    def traced(self):
        return (self.at,)


@part
class R1(SlopePenalty):
    """|dD/dx|^2 / 2 at real images. Mescheder et al. 2018, eq. 9. At fakes, R1(at=FAKE), it is their R2."""

    def __call__(self, turn):
        return input_gradient(turn[self.at]).square().sum(1) / 2


@part
class GradientPenalty(SlopePenalty):
    """(|dD/dx| - 1)^2 between real and fake. Gulrajani et al. 2017, eq. 3."""

    weight: float | Schedule = 10.0
    at: Judged = Judged("D", Mixed(REAL.of, FAKE.of))

    def __call__(self, turn):
        return (input_gradient(turn[self.at]).norm(dim=1) - 1).square()


# --- labels and codes ------------------------------------------------------------------------------------------------


@part
class Classify(Term):
    """Cross-entropy with labels int64 [N] (-1 counts 0) or with class probabilities [N,K]."""

    of: Cell = REAL
    label: Cell = Given("y")
    smoothing: float = 0.0
    reads = ("logits",)

    def __call__(self, turn):
        logits, label = turn[self.of].logits, turn[self.label]
        if label.ndim == 2:
            return cross_entropy(logits, label, reduction="none", label_smoothing=self.smoothing)
        return cross_entropy(logits, label, ignore_index=-1, reduction="none", label_smoothing=self.smoothing)


@part
class GuessSliders(Term):
    """-log N(sliders; mean, variance) of the judge's guess, up to a constant. Chen et al. 2016, section 6."""

    of: Judged = FAKE
    sliders: Sliders = Sliders()
    reads = ("guess",)

    def __call__(self, turn):
        mean, log_var = turn[self.of].guess.chunk(2, dim=1)
        return ((turn[self.sliders] - mean).square() * (-log_var).exp() + log_var).sum(1) / 2


@part
class Entropy(Term):
    """How unsure the classes are, in nats: D is to be sure of real images. Dai et al. 2017, arXiv:1705.09783."""

    of: Judged = REAL
    reads = ("logits",)

    def __call__(self, turn):
        logs = turn[self.of].logits.log_softmax(1)
        return -(logs.exp() * logs).sum(1)


@part
class Information(Term):
    """Minus what an image tells about its class, in nats: H(class | image) - H(class) over the batch. D is to be sure
    of each image, and to use all classes. Krause, Perona & Gomes 2010 (NIPS 23); Hu et al. 2017, arXiv:1702.08720.
    """

    of: Judged = REAL
    reads = ("logits",)
    whole_batch = True

    def __call__(self, turn):
        logs = turn[self.of].logits.log_softmax(1)
        shares = logs.exp().mean(0)
        return torch.xlogy(shares, shares).sum() - (logs.exp() * logs).sum(1).mean()


@part
class PullAway(Term):
    """Mean squared cosine between features of different fakes, so that they spread. Zhao et al. 2017, section 2.4."""

    of: Cell = Features(FAKE)
    whole_batch = True

    def __call__(self, turn):
        h = normalize(turn[self.of], dim=1)
        n = len(h)
        return ((h @ h.T).square().sum() - n) / (n * (n - 1))


# --- reconstructions -------------------------------------------------------------------------------------------------


@part
class L1(Term):
    """Mean absolute difference of two images, in [0,2]."""

    made: Cell = FAKE.of
    target: Cell = Given("x")

    def __call__(self, turn):
        return (turn[self.made] - turn[self.target]).abs().flatten(1).mean(1)


@part
class SquaredError(Term):
    """-log N(target; made, deviation^2) up to a constant: a VAE's first term. Kingma & Welling 2014, eq. 10."""

    made: Cell = FAKE.of
    target: Cell = Given("x")
    deviation: float = 1.0

    def __call__(self, turn):
        return (turn[self.made] - turn[self.target]).square().flatten(1).sum(1) / (2 * self.deviation**2)


@part
class KL(Term):
    """KL(N(mean, variance) || N(0, 1)) of [N, 2Z] = (mean, log variance). Kingma & Welling 2014, appendix B."""

    of: Cell = Made("E", Given())

    def __call__(self, turn):
        mean, log_var = turn[self.of].chunk(2, dim=1)
        return (mean.square() + log_var.exp() - 1 - log_var).sum(1) / 2


# --- weights ---------------------------------------------------------------------------------------------------------


@part
class Orthogonal(Term):
    """Off-diagonal products of the filters of each matrix or kernel, squared. Brock et al. 2019, section 3.1."""

    weight: float | Schedule = 1e-4
    of: Weights = Weights("G")

    def __call__(self, turn):
        rows = [w.flatten(1) for w in turn[self.of].values() if w.ndim > 1]
        products = [w @ w.T if len(w) <= w.shape[1] else w.T @ w for w in rows]
        return torch.stack([p.square().sum() - p.diagonal().square().sum() for p in products]).sum()


@part
class HistoricalAverage(Term):
    """Squared distance of the weights to their own average. Salimans et al. 2016, section 3.3.

    The player's exponential average stands for their arithmetic mean over all of training.
    """

    weight: float | Schedule = 1e-2
    of: Weights = Weights("G")
    mean: Weights = Weights("G", averaged=True)

    def __call__(self, turn):
        mean = turn[self.mean]
        return torch.stack([(w - mean[name]).square().sum() for name, w in turn[self.of].items()]).sum()


# --- gauges: measured, not minimised ---------------------------------------------------------------------------------


@part
class SaysReal(Term):
    """1 where D calls an image real, else 0."""

    of: Judged = REAL
    reads = ("score",)

    def __call__(self, turn):
        score = turn[self.of].score
        return per_image((score > 0).to(score.dtype))


@part
class MeanScore(Term):
    """D's score."""

    of: Judged = REAL
    reads = ("score",)

    def __call__(self, turn):
        return per_image(turn[self.of].score)


@part
class Ahead(Term):
    """1 where D puts a real image above the fake beside it, else 0."""

    of: Judged = REAL
    rival: Judged = FAKE
    reads = ("score",)

    def __call__(self, turn):
        score = turn[self.of].score
        return per_image((score > turn[self.rival].score).to(score.dtype))


@part
class Sign(Term):
    """+1 where D calls real images real, else -1: r_t of Karras et al. 2020, eq. 1, ADA's gauge of overfitting.

    `rival`: where D puts them above these fakes, for scores that mean nothing alone.
    """

    of: Judged = REAL
    rival: Judged | None = None
    reads = ("score",)

    def __call__(self, turn):
        score = turn[self.of].score
        return per_image((score - turn[self.rival].score if self.rival else score).sign())


@part
class Right(Term):
    """1 where the most likely class is the label, else 0; unlabelled images count 0."""

    of: Judged = REAL
    label: Cell = Given("y")
    reads = ("logits",)

    def __call__(self, turn):
        logits = turn[self.of].logits
        return (logits.argmax(1) == turn[self.label]).to(logits.dtype)
