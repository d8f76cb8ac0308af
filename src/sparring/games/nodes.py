"""Nodes: what a loss can read. A node says how something is computed; a step computes it once, when first read.

    Batch("x")                         real images
    Output("G", Noise())               fakes;  Output("G", (Noise(), Labels()))  fakes of given classes
    Discriminated("D", Batch("x"))     the output of D for the real images
    Features(REAL)                     the features that this output was computed from
    Discriminated("D", Weak(Batch()), averaged=True)    the output of D's weight average, a teacher, for changed images

Nodes are values: two losses that name the same node share one computation, and what no loss names is never computed.
"""

from collections.abc import Mapping
from typing import ClassVar, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

from ..records import record
from .heads import DiscriminatorOutput

T = TypeVar("T")
Purpose = object  # a node, a string or a number, by which random numbers are keyed


@record(was="Cell")
class Node(Generic[T]):
    """Something that a step can compute: a tensor, the output of a discriminator, or weights."""

    def __call__(self, context: "StepContext") -> T:
        raise NotImplementedError


class OfNetwork(Node[T]):
    """A node that calls a network of the recipe: `by` is its name, `averaged` says to call its weight average."""

    by: str
    averaged: bool


class GeneratorInput(Node[Tensor]):
    """A node that draws what a generator is fed.

    `size_field`: the field of the node that holds the size; `generator_field` and `head_field`: the fields of Generator
    and of Codes that must hold the same size.
    """

    size_field: ClassVar[str]
    generator_field: ClassVar[str]
    head_field: ClassVar[str] = ""


class StepContext(Protocol):
    """What nodes, losses and discriminators can read during a step: a part of its batch (a shard), and the networks.

    `context[node]` returns what the node computes, computed once. A batch is spread over processes and micro-batches;
    nothing that is read here but `size` and `batch_mean` depends on how. `size`: the number of images in this part, N.
    `dtype`: of the networks' weights, and of everything that they are fed. `trained`: the names of the networks whose
    parameters this step changes. `input_gradients`: the nodes by whose images a loss of this step differentiates.
    `nets`: the networks of the recipe by name. `data`: the whole data, pool -> field -> tensor.
    """

    size: int
    dtype: torch.dtype
    trained: tuple[str, ...]
    input_gradients: frozenset[Node[DiscriminatorOutput]]
    nets: Mapping[str, nn.Module]
    data: Mapping[str, Mapping[str, Tensor]]

    def __getitem__(self, node: Node[T]) -> T:
        """Return what the node computes; the second time without computing it again."""
        ...

    def batch(self, field: str, pool: str, ratio: int) -> Tensor:
        """Return a field of the next `ratio * size` rows of a pool, in shuffled order.

        Images are returned as float [N,C,H,W] in [-1,1], labels as int64 [N].
        """
        ...

    def uniform(self, purpose: Purpose, n: int, *shape: int) -> Tensor:
        """Return float64 [n, *shape] in [0,1), keyed by seed, player, step, purpose and the index of the image."""
        ...

    def normal(self, purpose: Purpose, n: int, *shape: int) -> Tensor:
        """Return standard normal numbers [n, *shape] in `dtype`, keyed as `uniform`."""
        ...

    def run(self, node: OfNetwork[T], *inputs: Tensor | None) -> T:
        """Return the output of the node's network, or of its weight average, for these inputs."""
        ...

    def buffer(self, by: str, name: str) -> Tensor:
        """Return the tracked buffer `name` of discriminator `by`."""
        ...

    def weights(self, by: str, averaged: bool) -> dict[str, Tensor]:
        """Return the parameters of network `by`, or of its weight average, by name."""
        ...

    def batch_mean(self, x: Tensor) -> Tensor:
        """Return the mean of x [N, ...] over the images of the whole batch, in all processes; differentiable."""
        ...


# --- what is given and what is drawn ---------------------------------------------------------------------------------


@record(was="Given")
class Batch(Node[Tensor]):
    """A field of the next images of a pool; `ratio` images for each image of the batch. Each pool has its own order."""

    field: str = "x"
    pool: str = "all"
    ratio: int = 1

    def __call__(self, context: StepContext) -> Tensor:
        return context.batch(self.field, self.pool, self.ratio)


@record
class Noise(GeneratorInput):
    """Standard normal [N, dim]."""

    size_field = "dim"
    generator_field = "z"

    dim: int = 64

    def __call__(self, context: StepContext) -> Tensor:
        return context.normal(self, context.size, self.dim)


@record
class Labels(Node[Tensor]):
    """Classes drawn from the labels of a pool, int64 [N]: fakes come in the proportions of the real images."""

    pool: str = "labelled"

    def __call__(self, context: StepContext) -> Tensor:
        y = context.data[self.pool]["y"]
        return y[(context.uniform(self, context.size) * len(y)).long()]


@record
class Code(GeneratorInput):
    """One of `values` codes, all equally likely, int64 [N]: a class without a name. Chen et al. 2016, section 6."""

    size_field = "values"
    generator_field = "codes"
    head_field = "values"

    values: int = 10

    def __call__(self, context: StepContext) -> Tensor:
        return (context.uniform(self, context.size) * self.values).long()


@record(was="Sliders")
class ContinuousCode(GeneratorInput):
    """Continuous codes, uniform in [-1,1), [N, dim]. Chen et al. 2016, section 6."""

    size_field = "dim"
    generator_field = "continuous"
    head_field = "continuous"

    dim: int = 2

    def __call__(self, context: StepContext) -> Tensor:
        return (2 * context.uniform(self, context.size, self.dim) - 1).to(context.dtype)


# --- what networks compute -------------------------------------------------------------------------------------------


@record(was="Made")
class Output(OfNetwork[Tensor]):
    """The output of network `by` for one node or several; `averaged`: of its weight average."""

    by: str
    of: Node[Tensor] | tuple[Node[Tensor], ...]
    averaged: bool = False

    @property
    def inputs(self) -> tuple[Node[Tensor], ...]:
        """What the network is called with."""
        return self.of if isinstance(self.of, tuple) else (self.of,)

    def __call__(self, context: StepContext) -> Tensor:
        return context.run(self, *(context[node] for node in self.inputs))


@record(was="Judged", renamed={"condition": "about"})
class Discriminated(OfNetwork[DiscriminatorOutput]):
    """The output of discriminator `by` for images; `condition`: their labels, or the images they were made from."""

    by: str = "D"
    of: Node[Tensor] = Batch()
    condition: Node[Tensor] | None = None
    averaged: bool = False

    def __call__(self, context: StepContext) -> DiscriminatorOutput:
        x = context[self.of]
        if self in context.input_gradients and not x.requires_grad:
            x = x.detach().requires_grad_()
        return context.run(self, x, context[self.condition] if self.condition else None)


@record
class Features(Node[Tensor]):
    """The features [N,F] of a discriminator output."""

    of: Discriminated

    def __call__(self, context: StepContext) -> Tensor:
        return context[self.of].features


@record(was="Guessed")
class PseudoLabel(Node[Tensor]):
    """The class probabilities [N,K] of a discriminator output as a target: no gradient goes through them."""

    of: Discriminated

    def __call__(self, context: StepContext) -> Tensor:
        return context[self.of].logits.detach().softmax(1)


@record(was="Mixed")
class Interpolated(Node[Tensor]):
    """A point drawn uniformly between two images. Gulrajani et al. 2017, algorithm 1."""

    a: Node[Tensor]
    b: Node[Tensor]

    def __call__(self, context: StepContext) -> Tensor:
        a, b = context[self.a], context[self.b]
        return a.lerp(b, context.uniform(self, len(a), 1, 1, 1).to(a.dtype))


@record(was="Sampled")
class Reparameterised(Node[Tensor]):
    """mean + deviation * noise, from [N, 2Z] = (mean, log variance). Kingma & Welling 2014, section 2.4."""

    of: Node[Tensor]

    def __call__(self, context: StepContext) -> Tensor:
        mean, log_var = context[self.of].chunk(2, dim=1)
        return mean + (log_var / 2).exp() * context.normal(self, *mean.shape)


# --- what networks hold ----------------------------------------------------------------------------------------------


@record(was="Remembered")
class Buffer(Node[Tensor]):
    """The tracked buffer `name` of discriminator `by`: a tensor, the same for all images."""

    by: str
    name: str

    def __call__(self, context: StepContext) -> Tensor:
        return context.buffer(self.by, self.name)


@record
class Weights(Node[dict[str, Tensor]]):
    """The parameters of network `by`, or of its weight average: name -> tensor, the same for all images."""

    by: str
    averaged: bool = False

    def __call__(self, context: StepContext) -> dict[str, Tensor]:
        return context.weights(self.by, self.averaged)


REAL = Discriminated("D", Batch("x"))
FAKE = Discriminated("D", Output("G", Noise()))
