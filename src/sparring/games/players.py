"""Who plays: the networks of a recipe as parts (generator, translator, encoder, judge), optimisers, and the player.

A network is called as net(*inputs, draw=...): `draw(n, *shape)` gives uniform numbers in [0, 1), float64 [n, *shape],
keyed by seed, move and image, for whatever a network needs to be random about.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn, optim
from torch.nn.functional import one_hot

from ..nets.dcgan import DCGAN
from ..nets.layers import Architecture, DataSpec
from ..nets.unet import UNet
from ..records import record
from .augment import NoAugment, TrackedBuffer
from .constraints import NoConstraint
from .heads import DiscriminatorOutput, Score
from .losses import AdversarialLoss, Linear, Loss, Schedule

Draw = Callable[..., Tensor]


class Network(nn.Module):
    """A body, and whatever else belongs to it, called on its inputs and kept under a constraint."""

    def __init__(self, body: nn.Module, constraint: NoConstraint = NoConstraint(), **others: nn.Module):
        super().__init__()
        self.body, self.constraint = body, constraint
        for name, module in others.items():
            self.add_module(name, module)
        constraint.prepare(self)

    def forward(self, x: Tensor, draw: Draw | None = None):
        return self.body(x)

    def settle(self, means: dict[Loss, Tensor]) -> None:
        """After a move of its own. `means`: term or gauge -> its mean over the batch."""
        self.constraint.enforce(self)


@record(renamed={"continuous": "sliders"})
class Generator:
    """Noise [N,z], then labels [N], a code [N], continuous codes [N,S] if it takes them -> images [N,C,H,W] in [-1,1].

    Labels and codes enter as one-hot vectors beside the noise (Mirza & Osindero 2014, section 3.1). An embedding as
    large as the noise made G ignore the noise: all images of a class were alike.
    """

    name: str = "G"
    net: Architecture = DCGAN()
    z: int = 64
    labels: bool = False
    codes: int = 0
    continuous: int = 0
    constraint: NoConstraint = NoConstraint()

    ties_images = False

    @property
    def inputs(self) -> int:
        return 1 + self.labels + bool(self.codes) + bool(self.continuous)

    def build(self, data_spec: DataSpec) -> nn.Module:
        counts = [data_spec.classes] * self.labels + [self.codes] * bool(self.codes)
        return GeneratorNet(
            self.net.generator(data_spec, self.z, sum(counts) + self.continuous), counts, self.constraint
        )


class GeneratorNet(Network):
    def __init__(self, body: nn.Module, counts: list[int], constraint: NoConstraint):
        super().__init__(body, constraint)
        self.counts = counts

    def forward(self, z: Tensor, *condition: Tensor, draw: Draw | None = None) -> Tensor:
        classes = [one_hot(y, count).to(z.dtype) for y, count in zip(condition, self.counts, strict=False)]
        return self.body(torch.cat([z, *classes, *condition[len(self.counts) :]], 1) if condition else z)


@record
class Translator:
    """A source image [N,C,H,W] -> an image of the same shape, whose range is [-1,1] by training alone.

    (A tanh would give no gradient where all is black or white, and images of strokes start by becoming all black.)

    `mask`: the source has one more channel, 1 where something is missing; what is not missing stays as it is.
    `residual`: the network makes the difference to the source, as for sharpening.
    """

    name: str = "G"
    net: Architecture = UNet()
    mask: bool = False
    residual: bool = False

    ties_images = False

    def build(self, data_spec: DataSpec) -> nn.Module:
        return TranslatorNet(self.net.translator(data_spec, data_spec.channels + self.mask), self)


class TranslatorNet(Network):
    def __init__(self, body: nn.Module, spec: Translator):
        super().__init__(body)
        self.spec = spec

    def forward(self, source: Tensor, draw: Draw | None = None) -> Tensor:
        made = self.body(source)
        made = source[:, : made.shape[1]] + made if self.spec.residual else made
        return torch.where(source[:, -1:] > 0, made, source[:, :-1]) if self.spec.mask else made


@record
class Encoder:
    """Images, then their labels [N] if it takes them -> [N, outputs]. A VAE asks for 2z: mean and log variance."""

    name: str = "E"
    net: Architecture = DCGAN()
    outputs: int = 128
    labels: bool = False

    @property
    def inputs(self) -> int:
        return 1 + self.labels

    def build(self, data_spec: DataSpec) -> nn.Module:
        trunk, features = self.net.trunk(data_spec, data_spec.channels)
        classes = data_spec.classes if self.labels else 0
        return EncoderNet(trunk, nn.Linear(features + classes, self.outputs), classes)


class EncoderNet(Network):
    last: nn.Module

    def __init__(self, body: nn.Module, last: nn.Module, classes: int):
        super().__init__(body, last=last)
        self.classes = classes

    def forward(self, x: Tensor, y: Tensor | None = None, draw: Draw | None = None) -> Tensor:
        h = self.body(x)
        return self.last(h if y is None else torch.cat([h, one_hot(y, self.classes).to(h.dtype)], 1))


@record(was="Judge", renamed={"buffers": "memories"})
class Discriminator:
    """Discriminator or classifier: augmentation, trunk and head -> Verdict.

    `source`: it also sees the image that a translator started from, with its `mask` if there is one.
    """

    name: str = "D"
    net: Architecture = DCGAN()
    head: Score = Score()
    buffers: tuple[TrackedBuffer, ...] = ()
    augment: NoAugment = NoAugment()
    constraint: NoConstraint = NoConstraint()
    source: bool = False
    mask: bool = False

    @property
    def tracked_buffers(self) -> tuple[TrackedBuffer, ...]:
        return (*self.buffers, *self.augment.buffers)

    @property
    def monitored(self) -> tuple[Loss, ...]:
        return tuple(buffer.reading for buffer in self.tracked_buffers)

    def build(self, data_spec: DataSpec) -> nn.Module:
        return DiscriminatorNet(self, data_spec)


class DiscriminatorNet(Network):
    head: nn.ModuleDict

    def __init__(self, spec: Discriminator, data_spec: DataSpec):
        trunk, features = spec.net.trunk(data_spec, data_spec.channels * (1 + spec.source) + spec.mask)
        super().__init__(trunk, spec.constraint, head=spec.head.build(features, data_spec.classes))
        self.spec = spec
        for buffer in spec.tracked_buffers:
            self.register_buffer(f"memory_{buffer.name}", buffer.initial(data_spec))

    def forward(self, x: Tensor, condition: Tensor | None = None, draw: Draw | None = None) -> DiscriminatorOutput:
        seen = x if draw is None or not self.training else self.seen(x, draw)
        h = self.body(torch.cat([seen, condition], 1) if self.spec.source and condition is not None else seen)
        h = h.float() if h.dtype == torch.bfloat16 else h
        with torch.autocast(x.device.type, enabled=False):  # scores and logits want more digits than bf16 has
            return DiscriminatorOutput(x, h, **self.spec.head.read(self.head, h, condition))

    def seen(self, x: Tensor, draw: Draw) -> Tensor:
        augment = self.spec.augment
        if not augment.numbers:
            return x
        p = getattr(self, "memory_p", None)
        with torch.autocast(x.device.type, enabled=False):  # bf16 cannot tell one pixel's place from the next
            return augment.see(x, draw(len(x), augment.numbers), p)

    def settle(self, means: dict[Loss, Tensor]) -> None:
        super().settle(means)
        for buffer in self.spec.tracked_buffers:
            if buffer.reading in means:  # else it rests
                buffer.update(getattr(self, f"memory_{buffer.name}"), means[buffer.reading])


# --- optimisers; the loop sets the learning rate at every move -------------------------------------------------------


@record
class Adam:
    """Kingma & Ba 2015."""

    lr: float | Schedule = 2e-4
    betas: tuple = (0.5, 0.999)

    def build(self, params: list) -> optim.Optimizer:
        return optim.Adam(params, lr=1.0, betas=self.betas, fused=fused(params))


@record
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


@record
class RMSprop:
    """Tieleman & Hinton 2012: Adam without momentum. What the first Wasserstein GAN was trained with."""

    lr: float | Schedule = 5e-5
    decay: float = 0.99

    def build(self, params: list) -> optim.Optimizer:
        return optim.RMSprop(params, lr=1.0, alpha=self.decay)


@record
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


@record(renamed={"losses": "terms", "monitored": "gauges"})
class Player:
    """Networks with one optimiser. In its turn only their parameters move, `steps` times, down the sum of its terms."""

    name: str
    nets: tuple
    losses: tuple
    optim: Optimiser = Adam()
    steps: int = 1
    average: float | None = None  # decay of the weight averages of its networks, if it keeps any
    monitored: tuple = ()  # terms that are measured and not minimised

    @property
    def owns(self) -> tuple[str, ...]:
        return tuple(spec.name for spec in self.nets)

    @property
    def measured(self) -> tuple[Loss, ...]:
        """Its gauges, those that its judges remember by, and those of the contests in which its judges move."""
        discriminators = [spec for spec in self.nets if isinstance(spec, Discriminator)]
        adversarial_losses = [t for t in self.losses if isinstance(t, AdversarialLoss) and t.real.by in self.owns]
        asked = [reading for source in (*discriminators, *adversarial_losses) for reading in source.monitored]
        return tuple(dict.fromkeys((*self.monitored, *asked)))
