"""Who plays: the networks of a recipe as parts (generator, encoder, judge), their optimisers, and the player.

A network is called as net(*inputs, draw=...): `draw(n, *shape)` gives uniform numbers in [0, 1), float64 [n, *shape],
keyed by seed, move and image, for whatever a network needs to be random about.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn, optim
from torch.nn.functional import one_hot

from .heads import Score, Verdict
from .nets.dcgan import DCGAN
from .nets.layers import Facts, Family
from .objective import Contest, Linear, Schedule, Term
from .parts import part

Draw = Callable[..., Tensor]


@part
class Memory:
    """Something a judge remembers between moves: a buffer that follows the mean of a gauge. Part of its state."""

    name: str
    gauge: Term

    def initial(self, facts: Facts) -> Tensor:
        raise NotImplementedError

    def update(self, buffer: Tensor, mean: Tensor) -> None:
        """Changes `buffer` in place; `mean` is the gauge's mean over the batch."""
        raise NotImplementedError


class Network(nn.Module):
    """A body called on its inputs, joined side by side."""

    def __init__(self, body: nn.Module):
        super().__init__()
        self.body = body

    def forward(self, x: Tensor, draw: Draw | None = None):
        return self.body(x)

    def settle(self, means: dict[Term, Tensor]) -> None:
        """After a move of its own. `means`: term or gauge -> its mean over the batch."""


@part
class Generator:
    """Noise [N,z], then labels [N] if it takes them -> images [N,C,H,W] in [-1,1].

    Labels enter as one-hot vectors beside the noise (Mirza & Osindero 2014, section 3.1). An embedding as large as the
    noise made G ignore the noise: all images of a class were alike.
    """

    name: str = "G"
    net: Family = DCGAN()
    z: int = 64
    labels: bool = False

    ties_images = False

    @property
    def inputs(self) -> int:
        return 1 + self.labels

    def build(self, facts: Facts) -> nn.Module:
        classes = facts.classes if self.labels else 0
        return GeneratorNet(self.net.generator(facts, self.z + classes), classes)


class GeneratorNet(Network):
    def __init__(self, body: nn.Module, classes: int):
        super().__init__(body)
        self.classes = classes

    def forward(self, z: Tensor, y: Tensor | None = None, draw: Draw | None = None) -> Tensor:
        return self.body(z if y is None else torch.cat([z, one_hot(y, self.classes).to(z.dtype)], 1))


@part
class Encoder:
    """Images -> [N, outputs]. A VAE asks for 2z outputs: mean and log variance."""

    name: str = "E"
    net: Family = DCGAN()
    outputs: int = 128

    def build(self, facts: Facts) -> nn.Module:
        trunk, features = self.net.trunk(facts, facts.channels)
        return Network(nn.Sequential(trunk, nn.Linear(features, self.outputs)))


@part
class Judge:
    """Discriminator or classifier: trunk and head -> Verdict."""

    name: str = "D"
    net: Family = DCGAN()
    head: Score = Score()
    memories: tuple[Memory, ...] = ()

    @property
    def gauges(self) -> tuple[Term, ...]:
        return tuple(memory.gauge for memory in self.memories)

    def build(self, facts: Facts) -> nn.Module:
        return JudgeNet(self, facts)


class JudgeNet(Network):
    def __init__(self, spec: Judge, facts: Facts):
        trunk, features = spec.net.trunk(facts, facts.channels)
        super().__init__(trunk)
        self.spec = spec
        self.head = spec.head.build(features, facts.classes)
        for memory in spec.memories:
            self.register_buffer(f"memory_{memory.name}", memory.initial(facts))

    def forward(self, x: Tensor, about: Tensor | None = None, draw: Draw | None = None) -> Verdict:
        h = self.body(x)
        h = h.float() if h.dtype == torch.bfloat16 else h
        with torch.autocast(x.device.type, enabled=False):  # scores and logits want more digits than bf16 has
            return Verdict(x, h, **self.spec.head.read(self.head, h, about))

    def settle(self, means: dict[Term, Tensor]) -> None:
        for memory in self.spec.memories:
            if memory.gauge in means:  # else it rests
                memory.update(getattr(self, f"memory_{memory.name}"), means[memory.gauge])


# --- optimisers; the loop sets the learning rate at every move -------------------------------------------------------


@part
class Adam:
    """Kingma & Ba 2015."""

    lr: float | Schedule = 2e-4
    betas: tuple = (0.5, 0.999)

    def build(self, params: list) -> optim.Optimizer:
        return optim.Adam(params, lr=1.0, betas=self.betas, fused=fused(params))


@part
class AdamW:
    """Adam with decoupled weight decay, on matrices and kernels only. Loshchilov & Hutter 2019."""

    lr: float | Schedule = Linear(4e-3)
    betas: tuple = (0.9, 0.99)
    decay: float = 0.01

    def build(self, params: list) -> optim.Optimizer:
        groups = [
            {"params": [p for p in params if p.ndim > 1], "weight_decay": self.decay},
            {"params": [p for p in params if p.ndim <= 1], "weight_decay": 0.0},
        ]
        return optim.AdamW([g for g in groups if g["params"]], lr=1.0, betas=self.betas, fused=fused(params))


@part
class SGD:
    """With Nesterov momentum."""

    lr: float | Schedule = 0.03
    momentum: float = 0.9

    def build(self, params: list) -> optim.Optimizer:
        return optim.SGD(params, lr=1.0, momentum=self.momentum, nesterov=self.momentum > 0)


def fused(params: list) -> bool:
    """One kernel for all parameters, where there is one."""
    return all(p.device.type in ("cpu", "cuda") and p.dtype == torch.float32 for p in params)


@part
class Player:
    """Networks with one optimiser. In its turn only their parameters move, `steps` times, down the sum of its terms."""

    name: str
    nets: tuple
    terms: tuple
    optim: Adam | AdamW | SGD = Adam()
    steps: int = 1
    average: float | None = None  # decay of the weight averages of its networks, if it keeps any
    gauges: tuple = ()  # terms that are measured and not minimised

    @property
    def owns(self) -> tuple[str, ...]:
        return tuple(spec.name for spec in self.nets)

    @property
    def measured(self) -> tuple[Term, ...]:
        """Its gauges, those that its judges remember by, and those of the contests in which its judges move."""
        judges = [spec for spec in self.nets if isinstance(spec, Judge)]
        contests = [t for t in self.terms if isinstance(t, Contest) and t.real.by in self.owns]
        asked = [gauge for source in (*judges, *contests) for gauge in source.gauges]
        return tuple(dict.fromkeys((*self.gauges, *asked)))
