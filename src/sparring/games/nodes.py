"""Cells: what a term can read. A cell says how something is computed; a turn computes it once, when first read.

    Given("x")                     real images         Made("G", Noise())                    fakes
    Judged("D", Given("x"))        D's verdict         Made("G", (Noise(), Labels()))        fakes of given classes
    Features(REAL)                 what D saw in them  Judged("D", Weak(Given()), averaged=True)   a teacher's verdict

Cells are values: two terms that name the same cell share one computation, and what no term names is never computed.
"""

from ..records import part


@part
class Cell:
    """Called with a turn, returns a tensor or a verdict of N images."""


@part
class Given(Cell):
    """A field of a pool of the data; `ratio` images for each image of the batch. Pools shuffle on their own."""

    field: str = "x"
    pool: str = "all"
    ratio: int = 1

    def __call__(self, turn):
        return turn.given(self.field, self.pool, self.ratio)


@part
class Noise(Cell):
    """Standard normal [N, dim]."""

    dim: int = 64

    def __call__(self, turn):
        return turn.normal(self, turn.size, self.dim)


@part
class Labels(Cell):
    """Classes drawn from the labels of a pool, int64 [N]: fakes come in the proportions of the real images."""

    pool: str = "labelled"

    def __call__(self, turn):
        y = turn.data[self.pool]["y"]
        return y[(turn.uniform(self, turn.size) * len(y)).long()]


@part
class Code(Cell):
    """One of `values` codes, each as likely, int64 [N]: a class that nobody named. Chen et al. 2016, section 6."""

    values: int = 10

    def __call__(self, turn):
        return (turn.uniform(self, turn.size) * self.values).long()


@part
class Sliders(Cell):
    """Continuous codes, uniform in [-1,1), [N, dim]. Chen et al. 2016, section 6."""

    dim: int = 2

    def __call__(self, turn):
        return (2 * turn.uniform(self, turn.size, self.dim) - 1).to(turn.dtype)


@part
class Made(Cell):
    """What network `by` makes of one cell or several; `averaged`: its weight average instead."""

    by: str
    of: Cell | tuple
    averaged: bool = False

    def __call__(self, turn):
        inputs = self.of if isinstance(self.of, tuple) else (self.of,)
        return turn.run(self, *(turn[cell] for cell in inputs))


@part
class Judged(Cell):
    """The verdict of judge `by` on images, `about` a condition such as their labels."""

    by: str = "D"
    of: Cell = Given()
    about: Cell | None = None
    averaged: bool = False

    def __call__(self, turn):
        x = turn[self.of]
        if self in turn.traced and not x.requires_grad:
            x = x.detach().requires_grad_()  # a penalty of this move differentiates by x
        return turn.run(self, x, turn[self.about] if self.about else None)


@part
class Features(Cell):
    """What a verdict was read from, [N,F]."""

    of: Judged

    def __call__(self, turn):
        return turn[self.of].features


@part
class Guessed(Cell):
    """The class probabilities of a verdict, [N,K], as a target: nothing is learnt through them."""

    of: Judged

    def __call__(self, turn):
        return turn[self.of].logits.detach().softmax(1)


@part
class Mixed(Cell):
    """A point drawn uniformly between two images. Gulrajani et al. 2017, algorithm 1."""

    a: Cell
    b: Cell

    def __call__(self, turn):
        a, b = turn[self.a], turn[self.b]
        return a.lerp(b, turn.uniform(self, len(a), 1, 1, 1).to(a.dtype))


@part
class Sampled(Cell):
    """mean + deviation * noise, from [N, 2Z] = (mean, log variance). Kingma & Welling 2014, section 2.4."""

    of: Cell

    def __call__(self, turn):
        mean, log_var = turn[self.of].chunk(2, dim=1)
        return mean + (log_var / 2).exp() * turn.normal(self, *mean.shape)


@part
class Remembered(Cell):
    """What judge `by` remembers under `name` (a buffer that a gauge drives): a tensor, the same for all images."""

    by: str
    name: str

    def __call__(self, turn):
        return turn.remembered(self.by, self.name)


@part
class Weights(Cell):
    """The parameters of network `by`, or of its weight average: name -> tensor, the same for all images."""

    by: str
    averaged: bool = False

    def __call__(self, turn):
        return turn.weights(self.by, self.averaged)


REAL = Judged("D", Given("x"))
FAKE = Judged("D", Made("G", Noise()))
