"""What a fit leaves for reports, as typed records that go to JSON and back: choices, curves, the gate's numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

Curves = dict[str, list[list[float | None]]]  # name -> [[images seen, mean since the last point], ...]
_JSON_NAMES = {"with_generated": "with"}  # field -> its name in files, where that is a word of Python


@dataclass(frozen=True)
class CrossValidation:
    """What was measured on held-out labels.

    `accuracy`: of the chosen settings, classes weighted alike; None where a class has too few labels to hold one out.
    `table`: {"settings", "log_loss", "accuracy"} of all settings.
    """

    accuracy: float | None
    table: list[dict[str, Any]]


@dataclass(frozen=True)
class GraphCheck:
    """Label spreading over the neighbour graph, asked before a network trains.

    `accuracy`: on hidden labels. `believed`: whether its labels teach the network. `class_shares`: as it sees them, []
    where it is not believed.
    """

    accuracy: float | None
    believed: bool
    class_shares: list[float]


@dataclass(frozen=True)
class Gate:
    """Whether generated images were used, and the test on held-out labels that decided it.

    `without`, `with_generated`: balanced accuracy of networks that learned without and with them. `difference`: its
    mean, and `low` to `high` its 95 % interval. All are None where no label could be held out.
    """

    passed: bool
    without: float | None
    with_generated: float | None
    difference: float | None
    low: float | None
    high: float | None
    sentence: str


@dataclass(frozen=True)
class GANFit:
    """A GAN that was trained inside a fit: `steps`, the `images` that it learned from, its `recipe` as Python."""

    steps: int
    images: int
    recipe: str


@dataclass(frozen=True)
class FitRecord:
    """What one fit did; None where a method has nothing to say.

    `labels`, `unlabelled`: images with and without a label. `seconds`: by phase, such as "fit" (wall) and "fit_cpu".
    `chosen`: settings by name. Of networks: `planned` steps, the `steps` that were taken, whether `minutes` shortened
    them, images a step, `parameters` (a count), `recipe` as Python, `curves`, and the steps that were `skipped` because
    they were not finite.
    """

    labels: int = 0
    unlabelled: int = 0
    chosen: dict[str, Any] | None = None
    cross_validation: CrossValidation | None = None
    graph: GraphCheck | None = None
    gan: GANFit | None = None
    gan_curves: Curves | None = None
    gate: Gate | None = None
    steps: int | None = None
    shortened: bool | None = None
    planned: int | None = None
    images_a_step: dict[str, int] | None = None
    parameters: int | None = None
    precision: str | None = None
    recipe: str | None = None
    curves: Curves | None = None
    skipped: int | None = None
    seconds: dict[str, float] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the fields that are set."""
        return {name: value for name, value in _plain(self).items() if value is not None}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "FitRecord":
        """Return the record that `to_json` wrote. Raises TypeError or ValueError for anything else."""
        parts: dict[str, Any] = {"cross_validation": CrossValidation, "graph": GraphCheck, "gan": GANFit, "gate": Gate}
        back = {written: name for name, written in _JSON_NAMES.items()}
        read: dict[str, Any] = dict(data)
        for name in parts.keys() & read.keys():
            found: dict[str, Any] = read[name]
            read[name] = parts[name](**{back.get(key, key): value for key, value in found.items()})
        return cls(**read)


def _plain(value: Any) -> Any:
    if not is_dataclass(value):
        return value
    return {_JSON_NAMES.get(f.name, f.name): _plain(getattr(value, f.name)) for f in fields(value)}
