"""The base class of losses, and the measures that are monitored and not minimised.

Each is called with the context of a step and returns one number per image, [N].
"""

from typing import ClassVar

from torch import Tensor

from ..records import record
from .nodes import FAKE, REAL, Batch, Discriminated, GeneratorInput, Node, StepContext
from .schedules import Schedule, scheduled


@record(was="Term")
class Loss:
    """Base of what is minimised, and of what is only monitored.

    `title`: what its curve is called, without the player. `share`: its values are shares in [0,1].
    `compares_real_and_fake`: curves of its values for real and for generated images belong in one picture. `reads`:
    the tensors that it takes from discriminator outputs. `needs_vectors`: it compares features [N,F], not maps.
    """

    weight: float | Schedule = 1.0
    every: int = 1

    title: ClassVar[str] = ""
    share: ClassVar[bool] = False
    compares_real_and_fake: ClassVar[bool] = False
    whole_batch: ClassVar[bool] = False
    reads: ClassVar[tuple[str, ...]] = ()
    needs_vectors: ClassVar[bool] = False

    def __call__(self, context: StepContext) -> Tensor:
        raise NotImplementedError

    def scale(self, progress: float) -> float:
        """Return what its mean is multiplied by."""
        return self.every * scheduled(self.weight, progress)

    def input_gradients(self) -> tuple[Discriminated, ...]:
        """Return the discriminator outputs by whose images it differentiates."""
        return ()

    def code_input(self) -> GeneratorInput | None:
        """Return the code that it asks a head for, if it asks for one."""
        return None

    def detail(self) -> str:
        """Return a word that tells its curve from those of the same class in a log, if it needs one."""
        return ""

    def curve_title(self) -> str:
        """Return what its curve is called, without the player."""
        return self.title or type(self).__name__


def mean_over_patches(values: Tensor) -> Tensor:
    """Return [N] from one number per patch, [N,P]; what is [N] already, or one number for the batch, stays."""
    return values.flatten(1).mean(1) if values.ndim > 1 else values


@record(was="SaysReal")
class FractionReal(Loss):
    """1 where D calls an image real (a score above 0), else 0."""

    of: Discriminated = REAL

    title = "called real by the discriminator"
    share = True
    compares_real_and_fake = True
    reads = ("score",)

    def __call__(self, context: StepContext) -> Tensor:
        score = context[self.of].score
        return mean_over_patches((score > 0).to(score.dtype))


@record
class MeanScore(Loss):
    """D's score."""

    of: Discriminated = REAL

    title = "score by the discriminator"
    compares_real_and_fake = True
    reads = ("score",)

    def __call__(self, context: StepContext) -> Tensor:
        return mean_over_patches(context[self.of].score)


@record(was="Ahead")
class PairAccuracy(Loss):
    """1 where D puts a real image above the fake beside it, else 0."""

    of: Discriminated = REAL
    rival: Discriminated = FAKE

    title = "real put above generated"
    share = True
    reads = ("score",)

    def __call__(self, context: StepContext) -> Tensor:
        score = context[self.of].score
        return mean_over_patches((score > context[self.rival].score).to(score.dtype))


@record
class Sign(Loss):
    """+1 where D calls real images real, else -1: r_t of Karras et al. 2020, eq. 1, ADA's measure of overfitting.

    `rival`: +1 where D puts them above these fakes instead, for relative scores.
    """

    of: Discriminated = REAL
    rival: Discriminated | None = None

    title = "how sure it is of real images"
    reads = ("score",)

    def __call__(self, context: StepContext) -> Tensor:
        score = context[self.of].score
        return mean_over_patches((score - context[self.rival].score if self.rival else score).sign())


@record(was="Right")
class Accuracy(Loss):
    """1 where the most likely class is the label, else 0; unlabelled images count 0."""

    of: Discriminated = REAL
    label: Node[Tensor] = Batch("y")

    title = "class named correctly"
    share = True
    reads = ("logits",)

    def __call__(self, context: StepContext) -> Tensor:
        logits = context[self.of].logits
        return (logits.argmax(1) == context[self.label]).to(logits.dtype)
