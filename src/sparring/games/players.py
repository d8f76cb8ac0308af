"""Who plays: the networks of a recipe as parts (generator, translator, encoder, judge), optimisers, and the player.

A network is called as net(*inputs, draw=...): `draw(n, *shape)` gives uniform numbers in [0, 1), float64 [n, *shape],
keyed by seed, move and image, for whatever a network needs to be random about.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn, optim
from torch.nn.functional import one_hot

from ..nets.dcgan import DCGAN
from ..nets.layers import Facts, Family
from ..nets.unet import UNet
from ..records import part
from .augment import AsIs, Memory
from .constraints import Free
from .heads import Score, Verdict
from .losses import Contest, Linear, Schedule, Term

Draw = Callable[..., Tensor]


class Network(nn.Module):
    """A body, and whatever else belongs to it, called on its inputs and kept under a constraint."""

    def __init__(self, body: nn.Module, constraint: Free = Free(), **others: nn.Module):
        super().__init__()
        self.body, self.constraint = body, constraint
        for name, module in others.items():
            self.add_module(name, module)
        constraint.prepare(self)

    def forward(self, x: Tensor, draw: Draw | None = None):
        return self.body(x)

    def settle(self, means: dict[Term, Tensor]) -> None:
        """After a move of its own. `means`: term or gauge -> its mean over the batch."""
        self.constraint.enforce(self)


@part
class Generator:
    """Noise [N,z], then labels [N], a code [N], sliders [N,S] if it takes them -> images [N,C,H,W] in [-1,1].

    Labels and codes enter as one-hot vectors beside the noise (Mirza & Osindero 2014, section 3.1). An embedding as
    large as the noise made G ignore the noise: all images of a class were alike.
    """

    name: str = "G"
    net: Family = DCGAN()
    z: int = 64
    labels: bool = False
    codes: int = 0
    sliders: int = 0
    constraint: Free = Free()

    ties_images = False

    @property
    def inputs(self) -> int:
        return 1 + self.labels + bool(self.codes) + bool(self.sliders)

    def build(self, facts: Facts) -> nn.Module:
        counts = [facts.classes] * self.labels + [self.codes] * bool(self.codes)
        return GeneratorNet(self.net.generator(facts, self.z, sum(counts) + self.sliders), counts, self.constraint)


class GeneratorNet(Network):
    def __init__(self, body: nn.Module, counts: list[int], constraint: Free):
        super().__init__(body, constraint)
        self.counts = counts

    def forward(self, z: Tensor, *about: Tensor, draw: Draw | None = None) -> Tensor:
        classes = [one_hot(y, count).to(z.dtype) for y, count in zip(about, self.counts, strict=False)]
        return self.body(torch.cat([z, *classes, *about[len(self.counts) :]], 1) if about else z)


@part
class Translator:
    """A source image [N,C,H,W] -> an image of the same shape, whose range is [-1,1] by training alone.

    (A tanh would give no gradient where all is black or white, and images of strokes start by becoming all black.)

    `mask`: the source has one more channel, 1 where something is missing; what is not missing stays as it is.
    `residual`: the network makes the difference to the source, as for sharpening.
    """

    name: str = "G"
    net: Family = UNet()
    mask: bool = False
    residual: bool = False

    ties_images = False

    def build(self, facts: Facts) -> nn.Module:
        return TranslatorNet(self.net.translator(facts, facts.channels + self.mask), self)


class TranslatorNet(Network):
    def __init__(self, body: nn.Module, spec: Translator):
        super().__init__(body)
        self.spec = spec

    def forward(self, source: Tensor, draw: Draw | None = None) -> Tensor:
        made = self.body(source)
        made = source[:, : made.shape[1]] + made if self.spec.residual else made
        return torch.where(source[:, -1:] > 0, made, source[:, :-1]) if self.spec.mask else made


@part
class Encoder:
    """Images, then their labels [N] if it takes them -> [N, outputs]. A VAE asks for 2z: mean and log variance."""

    name: str = "E"
    net: Family = DCGAN()
    outputs: int = 128
    labels: bool = False

    @property
    def inputs(self) -> int:
        return 1 + self.labels

    def build(self, facts: Facts) -> nn.Module:
        trunk, features = self.net.trunk(facts, facts.channels)
        classes = facts.classes if self.labels else 0
        return EncoderNet(trunk, nn.Linear(features + classes, self.outputs), classes)


class EncoderNet(Network):
    last: nn.Module

    def __init__(self, body: nn.Module, last: nn.Module, classes: int):
        super().__init__(body, last=last)
        self.classes = classes

    def forward(self, x: Tensor, y: Tensor | None = None, draw: Draw | None = None) -> Tensor:
        h = self.body(x)
        return self.last(h if y is None else torch.cat([h, one_hot(y, self.classes).to(h.dtype)], 1))


@part
class Judge:
    """Discriminator or classifier: augmentation, trunk and head -> Verdict.

    `source`: it also sees the image that a translator started from, with its `mask` if there is one.
    """

    name: str = "D"
    net: Family = DCGAN()
    head: Score = Score()
    memories: tuple[Memory, ...] = ()
    augment: AsIs = AsIs()
    constraint: Free = Free()
    source: bool = False
    mask: bool = False

    @property
    def remembers(self) -> tuple[Memory, ...]:
        return (*self.memories, *self.augment.memories)

    @property
    def gauges(self) -> tuple[Term, ...]:
        return tuple(memory.gauge for memory in self.remembers)

    def build(self, facts: Facts) -> nn.Module:
        return JudgeNet(self, facts)


class JudgeNet(Network):
    head: nn.ModuleDict

    def __init__(self, spec: Judge, facts: Facts):
        trunk, features = spec.net.trunk(facts, facts.channels * (1 + spec.source) + spec.mask)
        super().__init__(trunk, spec.constraint, head=spec.head.build(features, facts.classes))
        self.spec = spec
        for memory in spec.remembers:
            self.register_buffer(f"memory_{memory.name}", memory.initial(facts))

    def forward(self, x: Tensor, about: Tensor | None = None, draw: Draw | None = None) -> Verdict:
        seen = x if draw is None or not self.training else self.seen(x, draw)
        h = self.body(torch.cat([seen, about], 1) if self.spec.source and about is not None else seen)
        h = h.float() if h.dtype == torch.bfloat16 else h
        with torch.autocast(x.device.type, enabled=False):  # scores and logits want more digits than bf16 has
            return Verdict(x, h, **self.spec.head.read(self.head, h, about))

    def seen(self, x: Tensor, draw: Draw) -> Tensor:
        augment = self.spec.augment
        if not augment.numbers:
            return x
        p = getattr(self, "memory_p", None)
        with torch.autocast(x.device.type, enabled=False):  # bf16 cannot tell one pixel's place from the next
            return augment.see(x, draw(len(x), augment.numbers), p)

    def settle(self, means: dict[Term, Tensor]) -> None:
        super().settle(means)
        for memory in self.spec.remembers:
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
class RMSprop:
    """Tieleman & Hinton 2012: Adam without momentum. What the first Wasserstein GAN was trained with."""

    lr: float | Schedule = 5e-5
    decay: float = 0.99

    def build(self, params: list) -> optim.Optimizer:
        return optim.RMSprop(params, lr=1.0, alpha=self.decay)


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


Optimiser = Adam | AdamW | RMSprop | SGD


@part
class Player:
    """Networks with one optimiser. In its turn only their parameters move, `steps` times, down the sum of its terms."""

    name: str
    nets: tuple
    terms: tuple
    optim: Optimiser = Adam()
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
