"""What a fit leaves for reports, as records that go to JSON and back: choices, curves, the gate's numbers."""

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal, TypeAlias

from ..records import read_record, record, to_json
from ..stats import Interval

Curves = Mapping[str, tuple[tuple[float | None, ...], ...]]  # name -> ((images seen, mean since the last), ...)


Json: TypeAlias = str | bool | float | None | list["Json"] | dict[str, "Json"]


@record
class TriedSettings:
    """Settings that cross-validation tried, and the log-loss and balanced accuracy of held-out labels."""

    settings: Any
    log_loss: float
    accuracy: float


@record
class CrossValidation:
    """What was measured on held-out labels.

    `accuracy`: of the chosen settings, classes weighted alike; None where a class has too few labels to hold one out.
    `table`: all settings.
    """

    accuracy: float | None
    table: tuple[TriedSettings, ...]


@record
class GraphCheck:
    """Label spreading over the neighbour graph, asked before a network trains.

    `accuracy`: on hidden labels. `believed`: whether its labels teach the network. `class_shares`: as it sees them, ()
    where it is not believed.
    """

    accuracy: float | None
    believed: bool
    class_shares: tuple[float, ...]


@record
class GateTrial:
    """One way of training that a gate tried on held-out labels.

    `extra`: what there was beside the real images, such as as many copies of them. `share`: the weight of it beside the
    real images, 0 for nothing. `accuracy`: balanced. `difference`: to nothing, its mean, and `low` to `high` its 95 %
    interval; 0 of nothing itself. `images`: held out, on which it was tried: shares that were not the best on the first
    half of them were not tried on the second.
    """

    extra: Literal["nothing", "duplicates", "generated"]
    share: float
    accuracy: float
    difference: float
    low: float
    high: float
    images: int | None = None


@record
class Gate:
    """Whether generated images were used, and the test on held-out labels that decided it.

    `without`, `with_`: balanced accuracy of networks that learned without and with them. `difference`: its mean, and
    `low` to `high` its interval, of 98.3 % where three shares were tried and of 95 % where there was one.
    `over_duplicates`: the same against as many copies of real images; `share`: the best weight of the generated images.
    All are None where no label could be held out, and the last two of an older fit. `trials`: these two and the
    controls, in the order in which a table shows them; () of an older fit.
    """

    passed: bool
    without: float | None
    with_: float | None
    difference: float | None
    low: float | None
    high: float | None
    sentence: str
    share: float | None = field(default=None, kw_only=True)
    over_duplicates: Interval | None = field(default=None, kw_only=True)
    trials: tuple[GateTrial, ...] = field(default=(), kw_only=True)


@record
class GANFit:
    """A GAN that was trained inside a fit: `steps`, the `images` that it learned from, its `recipe` as Python."""

    steps: int
    images: int
    recipe: str


@record
class FitRecord:
    """What one fit did; None where a method has nothing to say.

    `labels`, `unlabelled`: images with and without a label. `size`: height x width at which the method sees images,
    such as "48x64"; None where it looks at none, and of models of version 0.1. `seconds`: by phase, such as "fit" and
    "fit_cpu". `chosen`: settings by name. `device`: the name of the processor or GPU that it was computed on.
    `pretrained`: what came from ImageNet or other images than the user's, None where nothing did. Of networks:
    `planned` steps, the `steps` that were taken, whether `minutes` shortened them, images a step, `parameters` (a
    count), `recipe` as Python, `curves`, the steps that were `skipped` because they were not finite, and `trunk`: the
    pretrained network that training started from, None from scratch.
    """

    labels: int = 0
    unlabelled: int = 0
    size: str | None = None
    chosen: Mapping[str, Any] | None = None
    cross_validation: CrossValidation | None = None
    graph: GraphCheck | None = None
    gan: GANFit | None = None
    gan_curves: Curves | None = None
    gate: Gate | None = None
    steps: int | None = None
    shortened: bool | None = None
    planned: int | None = None
    images_a_step: Mapping[str, int] | None = None
    parameters: int | None = None
    precision: str | None = None
    device: str | None = None
    pretrained: str | None = None
    trunk: str | None = None
    recipe: str | None = None
    curves: Curves | None = None
    skipped: int | None = None
    seconds: Mapping[str, float] | None = None

    def to_json(self) -> dict[str, Json]:
        """Return the fields that are set."""
        return {name: value for name, value in to_json(self, kinds=False).items() if value is not None}

    @staticmethod
    def from_json(data: object) -> "FitRecord":
        """Return the record that `to_json` wrote. Raises FileFormatError for anything else."""
        return read_record(FitRecord, data, name="the record of the fit")
