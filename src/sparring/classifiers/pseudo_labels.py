"""Pseudo-labels: what a teacher predicts for unlabelled images, aligned and used where it is sure enough.

FixMatch (Sohn et al. 2020, arXiv:2001.07685) with the self-adaptive threshold of FreeMatch (Wang et al. 2023,
arXiv:2205.07246, eq. 4 to 8) and distribution alignment (Berthelot et al. 2020, arXiv:1911.09785, section 3.1).
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ..games.heads import DiscriminatorOutput
from ..games.measures import Loss
from ..games.nodes import Batch, Buffer, Discriminated, Node, StepContext
from ..games.players import TrackedBuffer
from ..nets.layers import DataSpec
from ..records import record

SMALLEST = 1e-6  # of a probability, before its logarithm


@record
class Apart(Discriminated):
    """D's output, computed without changing batch norm's running statistics: those are of real, unlabelled images."""

    def __call__(self, context: StepContext) -> DiscriminatorOutput:
        if self.averaged:
            return super().__call__(context)
        with without_trace(context.nets[self.by]):
            return super().__call__(context)


@contextmanager
def without_trace(net: nn.Module) -> Iterator[None]:
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


@record
class Belief(Loss):
    """Monitored, not minimised: the teacher's class probabilities and the largest of them, [N,K+1]."""

    of: Discriminated = Discriminated()
    reads = ("logits",)

    def __call__(self, context: StepContext) -> Tensor:
        p = context[self.of].logits.softmax(1)
        return torch.cat([p, p.amax(1, keepdim=True)], 1)


@record
class Running(TrackedBuffer):
    """A running mean [K+1] of a Belief; every number is 1/K at first."""

    decay: float = 0.99

    def initial(self, data_spec: DataSpec) -> Tensor:
        return torch.full((data_spec.classes + 1,), 1 / data_spec.classes)

    def update(self, buffer: Tensor, mean: Tensor) -> None:
        buffer.lerp_(mean.to(buffer), 1 - self.decay)


@record
class Agree(Loss):
    """The student's cross-entropy [N] on a strong view, with the teacher's class of a weak view; 0 where it is unsure.

    `belief`: the running mean [K+1] of the teacher's probabilities and largest probability. `prior`: the class shares
    that the teacher's are aligned to, () to leave them. `threshold`: a fixed one (FixMatch, eq. 4); 0 adapts it to the
    mean largest probability times the frequency of the class relative to the most frequent (FreeMatch, eq. 8).
    """

    teacher: Discriminated = Discriminated()
    student: Discriminated = Discriminated()
    belief: Node[Tensor] = Buffer("D", "belief")
    prior: tuple = ()
    threshold: float = 0.95

    title = "two views disagree"
    reads = ("logits",)

    def __call__(self, context: StepContext) -> Tensor:
        p, belief = context[self.teacher].logits.detach().softmax(1), context[self.belief]
        shares = belief[:-1]
        sure, label = aligned(p, shares, self.prior).max(1)
        limit = self.threshold or belief[-1] * (shares / shares.max())[label]
        return (sure >= limit) * cross_entropy(context[self.student].logits, label, reduction="none")


@record
class AgreeWithGuess(Loss):
    """The student's cross-entropy [N] on a strong view, with the class that teacher and first guess name together.

    Their probabilities are multiplied, the guess's to the `power`, and squared: the temperature 0.5 of MixMatch
    (Berthelot et al. 2019, arXiv:1905.02249, eq. 7). So images of which both are unsure count little for any class, and
    no threshold is needed. `belief`, `prior`: as in Agree. `guess`: log-probabilities [N,K].
    """

    teacher: Discriminated = Discriminated()
    student: Discriminated = Discriminated()
    belief: Node[Tensor] = Buffer("D", "belief")
    guess: Node[Tensor] = Batch("guess")
    prior: tuple = ()
    power: float = 0.5

    title = "two views disagree"
    reads = ("logits",)

    def __call__(self, context: StepContext) -> Tensor:
        p = aligned(context[self.teacher].logits.detach().softmax(1), context[self.belief][:-1], self.prior)
        target = (2 * (p.clamp_min(SMALLEST).log() + self.power * context[self.guess])).softmax(1)
        return cross_entropy(context[self.student].logits, target, reduction="none")


def aligned(p: Tensor, shares: Tensor, prior: tuple) -> Tensor:
    """Return probabilities [N,K] with their running mean moved from `shares` [K] to `prior`; () leaves them."""
    if not prior:
        return p
    p = p * (torch.tensor(prior, dtype=p.dtype, device=p.device) / shares)
    return p / p.sum(1, keepdim=True)
