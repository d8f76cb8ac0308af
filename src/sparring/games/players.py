"""Players: the networks of a recipe (generator, translator, encoder, discriminator), optimisers, and who owns which.

A network is called as net(*inputs, draw=...): `draw(n, *shape)` returns uniform numbers in [0, 1), float64 [n, *shape],
keyed by seed, step and image, for whatever is random inside a network.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar

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
from .losses import AdversarialLoss
from .measures import Loss
from .schedules import Linear, Schedule

Draw = Callable[..., Tensor]


class Network(nn.Module):
    """Base of all networks of a recipe: a body and further modules, kept under a constraint."""

    def __init__(self, body: nn.Module, constraint: NoConstraint = NoConstraint(), **others: nn.Module):
        super().__init__()
        self.body, self.constraint = body, constraint
        for name, module in others.items():
            self.add_module(name, module)
        constraint.prepare(self)

    @property
    def augment_probability(self) -> Tensor | None:
        """ADA's p, a tensor that may be changed in place; None without ADA."""
        return self._buffers.get("memory_p")

    def after_step(self, means: Mapping[Loss, Tensor]) -> None:
        """Change what follows from a step of its own. `means`: loss or measure -> its mean over the batch."""
        self.constraint.enforce(self)


@record(renamed={"continuous": "sliders"})
class Generator:
    """Noise [N,z], then labels [N], a code [N], continuous codes [N,S] if it takes them -> images [N,C,H,W] in [-1,1].

    Labels and codes enter as one-hot vectors beside the noise (Mirza & Osindero 2014, section 3.1). With an embedding
    as large as the noise, G ignored the noise: all images of a class were the same.
    """

    name: str = "G"
    net: Architecture = DCGAN()
    z: int = 64
    labels: bool = False
    codes: int = 0
    continuous: int = 0
    constraint: NoConstraint = NoConstraint()

    architecture_method: ClassVar[str] = "generator"

    @property
    def inputs(self) -> int:
        """How many tensors the network is called with."""
        return 1 + self.labels + bool(self.codes) + bool(self.continuous)

    def build(self, data_spec: DataSpec) -> "GeneratorNet":
        counts = [data_spec.classes] * self.labels + [self.codes] * bool(self.codes)
        body = self.net.generator(data_spec, self.z, sum(counts) + self.continuous)
        return GeneratorNet(body, counts, self.constraint)


class GeneratorNet(Network):
    """See Generator. `counts`: how many classes the labels have, and the code, as far as it takes them."""

    def __init__(self, body: nn.Module, counts: list[int], constraint: NoConstraint):
        super().__init__(body, constraint)
        self.counts = counts

    def forward(self, z: Tensor, *condition: Tensor, draw: Draw | None = None) -> Tensor:
        classes = [one_hot(y, count).to(z.dtype) for y, count in zip(condition, self.counts, strict=False)]
        return self.body(torch.cat([z, *classes, *condition[len(self.counts) :]], 1) if condition else z)


@record
class Translator:
    """A source image [N,C,H,W] -> an image of the same shape, whose range is [-1,1] by training alone.

    `mask`: the source has one more channel, 1 where something is missing; what is not missing stays as it is.
    `residual`: the network computes the difference to the source, as for sharpening.
    """

    # No tanh at the end: it has no gradient where an image is all black or all white, and while a translator learns
    # to draw strokes, its first images are all black.

    name: str = "G"
    net: Architecture = UNet()
    mask: bool = False
    residual: bool = False

    architecture_method: ClassVar[str] = "translator"

    @property
    def inputs(self) -> int:
        return 1

    def build(self, data_spec: DataSpec) -> "TranslatorNet":
        return TranslatorNet(self.net.translator(data_spec, data_spec.channels + self.mask), self)


class TranslatorNet(Network):
    """See Translator."""

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

    architecture_method: ClassVar[str] = "trunk"

    @property
    def inputs(self) -> int:
        return 1 + self.labels

    def build(self, data_spec: DataSpec) -> "EncoderNet":
        trunk, features = self.net.trunk(data_spec, data_spec.channels)
        classes = data_spec.classes if self.labels else 0
        return EncoderNet(trunk, nn.Linear(features + classes, self.outputs), classes)


class EncoderNet(Network):
    """See Encoder."""

    last: nn.Module

    def __init__(self, body: nn.Module, last: nn.Module, classes: int):
        super().__init__(body, last=last)
        self.classes = classes

    def forward(self, x: Tensor, y: Tensor | None = None, draw: Draw | None = None) -> Tensor:
        h = self.body(x)
        return self.last(h if y is None else torch.cat([h, one_hot(y, self.classes).to(h.dtype)], 1))


@record(was="Judge", renamed={"buffers": "memories"})
class Discriminator:
    """Discriminator or classifier: augmentation, trunk and head -> DiscriminatorOutput.

    `source`: it is also given the image that a translator started from, with its `mask` if there is one.
    """

    name: str = "D"
    net: Architecture = DCGAN()
    head: Score = Score()
    buffers: tuple[TrackedBuffer, ...] = ()
    augment: NoAugment = NoAugment()
    constraint: NoConstraint = NoConstraint()
    source: bool = False
    mask: bool = False

    architecture_method: ClassVar[str] = "trunk"

    @property
    def tracked_buffers(self) -> tuple[TrackedBuffer, ...]:
        """Its own buffers, then those of its augmentation."""
        return (*self.buffers, *self.augment.buffers)

    @property
    def monitored(self) -> tuple[Loss, ...]:
        """The measures that its tracked buffers follow."""
        return tuple(buffer.reading for buffer in self.tracked_buffers)

    def build(self, data_spec: DataSpec) -> "DiscriminatorNet":
        return DiscriminatorNet(self, data_spec)


class DiscriminatorNet(Network):
    """See Discriminator. Tracked buffers are called memory_NAME in its state."""

    head: nn.ModuleDict

    def __init__(self, spec: Discriminator, data_spec: DataSpec):
        trunk, features = spec.net.trunk(data_spec, data_spec.channels * (1 + spec.source) + spec.mask)
        super().__init__(trunk, spec.constraint, head=spec.head.build(features, data_spec.classes))
        self.spec = spec
        for buffer in spec.tracked_buffers:
            self.register_buffer(f"memory_{buffer.name}", buffer.initial(data_spec))

    def forward(self, x: Tensor, condition: Tensor | None = None, draw: Draw | None = None) -> DiscriminatorOutput:
        given = x if draw is None or not self.training else self.augmented(x, draw)
        h = self.body(torch.cat([given, condition], 1) if self.spec.source and condition is not None else given)
        h = h.float() if h.dtype == torch.bfloat16 else h
        with torch.autocast(x.device.type, enabled=False):  # scores and logits need more digits than bf16 has
            return DiscriminatorOutput(x, h, self.spec.head.read(self.head, h, condition))

    def augmented(self, x: Tensor, draw: Draw) -> Tensor:
        """Return the images [N,C,H,W] after the augmentation."""
        augment = self.spec.augment
        if not augment.numbers:
            return x
        with torch.autocast(x.device.type, enabled=False):  # bf16 cannot tell the places of neighbouring pixels apart
            return augment.apply(x, draw(len(x), augment.numbers), self.augment_probability)

    def tracked(self, name: str) -> Tensor:
        """Return the tracked buffer of this name, which may be changed in place."""
        return self.get_buffer(f"memory_{name}")

    def after_step(self, means: Mapping[Loss, Tensor]) -> None:
        super().after_step(means)
        for buffer in self.spec.tracked_buffers:
            if buffer.reading in means:  # else it was not computed in this step
                buffer.update(self.tracked(buffer.name), means[buffer.reading])


NetworkSpec = Generator | Translator | Encoder | Discriminator


# --- optimisers; the loop sets the learning rate at every step -------------------------------------------------------


@record
class Adam:
    """Kingma & Ba 2015."""

    lr: float | Schedule = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)

    def build(self, params: list[nn.Parameter]) -> optim.Optimizer:
        return optim.Adam(params, lr=1.0, betas=self.betas, fused=can_be_fused(params))


@record
class AdamW:
    """Adam with decoupled weight decay, on matrices and kernels only. Loshchilov & Hutter 2019."""

    lr: float | Schedule = Linear(4e-3)
    betas: tuple[float, float] = (0.9, 0.99)
    decay: float = 0.01

    def build(self, params: list[nn.Parameter]) -> optim.Optimizer:
        groups = [
            {"params": [p for p in params if p.ndim > 1], "weight_decay": self.decay},
            {"params": [p for p in params if p.ndim <= 1], "weight_decay": 0.0},
        ]
        return optim.AdamW([g for g in groups if g["params"]], lr=1.0, betas=self.betas, fused=can_be_fused(params))


@record
class RMSprop:
    """Tieleman & Hinton 2012: Adam without momentum. What the first Wasserstein GAN was trained with."""

    lr: float | Schedule = 5e-5
    decay: float = 0.99

    def build(self, params: list[nn.Parameter]) -> optim.Optimizer:
        return optim.RMSprop(params, lr=1.0, alpha=self.decay)


@record
class SGD:
    """With Nesterov momentum."""

    lr: float | Schedule = 0.03
    momentum: float = 0.9

    def build(self, params: list[nn.Parameter]) -> optim.Optimizer:
        return optim.SGD(params, lr=1.0, momentum=self.momentum, nesterov=self.momentum > 0)


def can_be_fused(params: list[nn.Parameter]) -> bool:
    """Say whether torch has one kernel for a step of all these parameters."""
    return all(p.device.type in ("cpu", "cuda") and p.dtype == torch.float32 for p in params)


Optimiser = Adam | AdamW | RMSprop | SGD


@record(renamed={"losses": "terms", "monitored": "gauges"})
class Player:
    """Networks with one optimiser. In its steps only their parameters change, to lower the sum of its losses.

    `steps`: of the optimiser in each round. `average`: decay of the weight averages of its networks, if it keeps any.
    `monitored`: losses that are measured in its steps and not minimised.
    """

    name: str
    nets: tuple[NetworkSpec, ...]
    losses: tuple[Loss, ...]
    optim: Optimiser = Adam()
    steps: int = 1
    average: float | None = None
    monitored: tuple[Loss, ...] = ()

    @property
    def owns(self) -> tuple[str, ...]:
        """The names of its networks."""
        return tuple(spec.name for spec in self.nets)

    @property
    def adversarial_losses(self) -> tuple[AdversarialLoss, ...]:
        """The adversarial losses of its own discriminators."""
        return tuple(x for x in self.losses if isinstance(x, AdversarialLoss) and x.real.by in self.owns)

    @property
    def measured(self) -> tuple[Loss, ...]:
        """What is measured in its steps: `monitored`, what tracked buffers follow, and who is ahead."""
        discriminators = [spec for spec in self.nets if isinstance(spec, Discriminator)]
        asked = [reading for source in (*discriminators, *self.adversarial_losses) for reading in source.monitored]
        return tuple(dict.fromkeys((*self.monitored, *asked)))


def networks_of(players: Iterable[Player]) -> dict[str, NetworkSpec]:
    """Return the networks of all players by name."""
    return {spec.name: spec for player in players for spec in player.nets}


def constraint_of(spec: NetworkSpec) -> NoConstraint:
    """Return the constraint that a network is kept under."""
    return spec.constraint if isinstance(spec, Generator | Discriminator) else NoConstraint()
