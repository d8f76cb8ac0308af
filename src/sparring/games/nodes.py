"""Cells: what a term can read. A cell says how something is computed; a turn computes it once, when first read.

    Batch("x")                         real images
    Output("G", Noise())               fakes;  Output("G", (Noise(), Labels()))  fakes of given classes
    Discriminated("D", Batch("x"))     what D says of the real images
    Features(REAL)                     the features that it read that from
    Discriminated("D", Weak(Batch()), averaged=True)    what D's weight average, a teacher, says of changed images

Nodes are values: two losses that name the same node share one computation, and what no loss names is never computed.
"""

from ..records import record


@record(was="Cell")
class Node:
    """Called with a turn, returns a tensor or a verdict of N images."""


@record(was="Given")
class Batch(Node):
    """A field of a pool of the data; `ratio` images for each image of the batch. Pools shuffle on their own."""

    field: str = "x"
    pool: str = "all"
    ratio: int = 1

    def __call__(self, context):
        return context.given(self.field, self.pool, self.ratio)


@record
class Noise(Node):
    """Standard normal [N, dim]."""

    dim: int = 64

    def __call__(self, context):
        return context.normal(self, context.size, self.dim)


@record
class Labels(Node):
    """Classes drawn from the labels of a pool, int64 [N]: fakes come in the proportions of the real images."""

    pool: str = "labelled"

    def __call__(self, context):
        y = context.data[self.pool]["y"]
        return y[(context.uniform(self, context.size) * len(y)).long()]


@record
class Code(Node):
    """One of `values` codes, each as likely, int64 [N]: a class that nobody named. Chen et al. 2016, section 6."""

    values: int = 10

    def __call__(self, context):
        return (context.uniform(self, context.size) * self.values).long()


@record(was="Sliders")
class ContinuousCode(Node):
    """Continuous codes, uniform in [-1,1), [N, dim]. Chen et al. 2016, section 6."""

    dim: int = 2

    def __call__(self, context):
        return (2 * context.uniform(self, context.size, self.dim) - 1).to(context.dtype)


@record(was="Made")
class Output(Node):
    """What network `by` makes of one cell or several; `averaged`: its weight average instead."""

    by: str
    of: Node | tuple
    averaged: bool = False

    def __call__(self, context):
        inputs = self.of if isinstance(self.of, tuple) else (self.of,)
        return context.run(self, *(context[node] for node in inputs))


@record(was="Judged", renamed={"condition": "about"})
class Discriminated(Node):
    """The output of discriminator `by` for images; `condition`: their labels, or the images they were made from."""

    by: str = "D"
    of: Node = Batch()
    condition: Node | None = None
    averaged: bool = False

    def __call__(self, context):
        x = context[self.of]
        if self in context.traced and not x.requires_grad:
            x = x.detach().requires_grad_()  # a penalty of this move differentiates by x
        return context.run(self, x, context[self.condition] if self.condition else None)


@record
class Features(Node):
    """What a verdict was read from, [N,F]."""

    of: Discriminated

    def __call__(self, context):
        return context[self.of].features


@record(was="Guessed")
class PseudoLabel(Node):
    """The class probabilities of a verdict, [N,K], as a target: nothing is learnt through them."""

    of: Discriminated

    def __call__(self, context):
        return context[self.of].logits.detach().softmax(1)


@record(was="Mixed")
class Interpolated(Node):
    """A point drawn uniformly between two images. Gulrajani et al. 2017, algorithm 1."""

    a: Node
    b: Node

    def __call__(self, context):
        a, b = context[self.a], context[self.b]
        return a.lerp(b, context.uniform(self, len(a), 1, 1, 1).to(a.dtype))


@record(was="Sampled")
class Reparameterised(Node):
    """mean + deviation * noise, from [N, 2Z] = (mean, log variance). Kingma & Welling 2014, section 2.4."""

    of: Node

    def __call__(self, context):
        mean, log_var = context[self.of].chunk(2, dim=1)
        return mean + (log_var / 2).exp() * context.normal(self, *mean.shape)


@record(was="Remembered")
class Buffer(Node):
    """What judge `by` remembers under `name` (a buffer that a gauge drives): a tensor, the same for all images."""

    by: str
    name: str

    def __call__(self, context):
        return context.buffer(self.by, self.name)


@record
class Weights(Node):
    """The parameters of network `by`, or of its weight average: name -> tensor, the same for all images."""

    by: str
    averaged: bool = False

    def __call__(self, context):
        return context.weights(self.by, self.averaged)


REAL = Discriminated("D", Batch("x"))
FAKE = Discriminated("D", Output("G", Noise()))
