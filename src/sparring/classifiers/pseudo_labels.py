"""Pseudo-labels: what a teacher says of unlabelled images, brought into line and believed where it is sure enough.

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
from ..games.nodes import Buffer, Discriminated, Node, StepContext
from ..games.players import TrackedBuffer
from ..nets.layers import DataSpec
from ..records import record


@record
class Apart(Discriminated):
    """A verdict that leaves no trace in batch norm's running statistics: those are of the real, unlabelled images."""

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
    """A gauge: the teacher's class probabilities and the largest of them, [N,K+1]."""

    of: Discriminated = Discriminated()
    reads = ("logits",)

    def __call__(self, context: StepContext) -> Tensor:
        p = context[self.of].logits.softmax(1)
        return torch.cat([p, p.amax(1, keepdim=True)], 1)


@record
class Running(TrackedBuffer):
    """A running mean [K+1] of a Belief, starting from no opinion: every number is 1/K."""

    decay: float = 0.99

    def initial(self, data_spec: DataSpec) -> Tensor:
        return torch.full((data_spec.classes + 1,), 1 / data_spec.classes)

    def update(self, buffer: Tensor, mean: Tensor) -> None:
        buffer.lerp_(mean.to(buffer), 1 - self.decay)


@record
class Agree(Loss):
    """The student agrees, on a strong view, with what the teacher says of a weak one, where it is sure enough.

    `belief`: the running mean [K+1] of the teacher's probabilities and largest probability. `prior`: the class shares
    that the teacher's are brought to, or () to leave them. `threshold`: a fixed one, eq. 4 of FixMatch; 0 adapts it:
    the mean largest probability times how often this class is said, relative to the most frequent (FreeMatch, eq. 8).
    Counts 0 where unsure.
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
        sure, code_params = aligned(p, shares, self.prior).max(1)
        limit = self.threshold or belief[-1] * (shares / shares.max())[code_params]
        return (sure >= limit) * cross_entropy(context[self.student].logits, code_params, reduction="none")


def aligned(p: Tensor, shares: Tensor, prior: tuple) -> Tensor:
    """Probabilities [N,K], their running mean brought from `shares` [K] to `prior` (() leaves them); rows sum to 1."""
    if not prior:
        return p
    p = p * (torch.tensor(prior, dtype=p.dtype, device=p.device) / shares)
    return p / p.sum(1, keepdim=True)
