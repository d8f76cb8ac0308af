"""Which modes of a known distribution does each recipe find? Eight Gaussians on a ring, 25 on a grid, stacked MNIST.

    python benchmarks/modes.py [RECIPE...] [--tasks ring grid stacked] [--seeds 0 1 2] [--seconds 100] [--table]

Ring and grid (Srivastava et al. 2017, section 5.1) are images of one pixel and two channels; every network is replaced
by a fully connected one of three layers of 128, noise is two numbers, everything else is the recipe's own. Recipes that
differ in their networks only are then the same, and run once. To lie within [-1,1] the points are a fifth of the
paper's size; D sees them in the paper's, and penalties are reckoned in it. Stacked MNIST (section 5.2; Metz et al.
2017): three digits as the colours of an image, 1,000 modes, named by our own classifier, digit by digit; the recipe's
own networks. Each run is one line of --results; --table writes medians of all lines.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from games import device_name, kind_of, plain, trained
from scoring import extractor, parsed, real_images, samples
from torch import Tensor, nn

from sparring import files, games, keyed_random
from sparring.errors import UsageError, pick
from sparring.games.builders import Recipe
from sparring.games.losses import R1, GradientPenalty
from sparring.games.nodes import Batch, Labels, Noise
from sparring.games.players import Generator
from sparring.games.schedules import Cosine
from sparring.games.training import Data, State, fastest_precision
from sparring.metrics import Modes, gaussian_modes, mode_coverage
from sparring.nets.layers import Architecture, DataSpec
from sparring.nets.mlp import MLP
from sparring.records import record, walk

LINES = Path(__file__).parent / "results" / "modes.jsonl"
TRAINING = 60_000  # points or images
NOISE = 2  # numbers, for points
SIZE = 0.2  # of ring and grid; the paper's grid has a spacing of 2, ours of 0.4


# --- tasks -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Gaussians:
    """A mixture of equal parts in the plane."""

    centres: np.ndarray  # [modes,2]
    deviation: float
    data_spec = DataSpec(2, 1, 1)
    samples = 10_000

    @property
    def modes(self) -> int:
        return len(self.centres)

    def data(self, seed: int, device: str) -> Data:
        key, index = keyed_random.key("points", seed), torch.arange(TRAINING)
        centre = torch.from_numpy(self.centres)[keyed_random.bits(key, index, 1)[:, 0] % self.modes]
        points = centre + self.deviation * keyed_random.normal(keyed_random.key(key), index, 2)
        return {"all": {"x": points.float()[:, :, None, None].to(device)}}

    def adapted(self, recipe: Recipe) -> Recipe:
        return rebuilt(recipe)  # type: ignore[no-any-return]

    def judged(self, state: State, recipe: Recipe, count: int) -> Modes:
        return gaussian_modes(points(state, recipe, count), self.centres, self.deviation)


def rebuilt(value: Any) -> Any:
    """A recipe, or a part of one, for points: connected networks, noise of two numbers, weights of penalties."""
    if isinstance(value, tuple):
        return tuple(rebuilt(inner) for inner in value)
    if not is_dataclass(value) or isinstance(value, type):
        return value
    if isinstance(value, Architecture) and not hasattr(value, "net"):
        return Plane()
    value = replace(value, **{f.name: rebuilt(getattr(value, f.name)) for f in fields(value) if f.init})  # type: ignore
    if isinstance(value, Generator):
        return replace(value, z=NOISE)
    if isinstance(value, Noise):
        return replace(value, dim=NOISE)
    if isinstance(value, R1):
        weight = value.weight
        return replace(value, weight=SIZE**2 * weight if isinstance(weight, float) else scaled(weight))
    if isinstance(value, GradientPenalty):  # a D of slope 1 has values that are smaller by SIZE
        return replace(value, weight=SIZE * value.weight)  # type: ignore[operator]
    return value


def scaled(weight: Any) -> Cosine:
    return Cosine(SIZE**2 * weight.start, SIZE**2 * weight.end)


@record
class Plane(MLP):
    """Fully connected; its trunk sees points in the paper's units."""

    widths: tuple = (128, 128, 128)

    def trunk(self, data_spec: DataSpec, channels: int) -> tuple[nn.Module, int]:
        trunk, features = super().trunk(data_spec, channels)
        return nn.Sequential(Times(1 / SIZE), trunk), features


class Times(nn.Module):
    def __init__(self, factor: float):
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x


@torch.no_grad()
def points(state: State, recipe: Recipe, count: int) -> np.ndarray:
    """float [count,2] of the weight average."""
    spec = next(s for s in recipe.nets.values() if isinstance(s, Generator))
    G = state.best(spec.name).eval()
    return samples(G, spec, count, np.zeros(count, np.int64), pixels=False).x.reshape(count, 2)


def ring() -> Gaussians:
    angle = 2 * np.pi * np.arange(8) / 8
    return Gaussians(0.75 * np.stack([np.cos(angle), np.sin(angle)], 1), 0.0075)


def square() -> Gaussians:
    side = 0.4 * (np.arange(5) - 2)
    return Gaussians(np.stack(np.meshgrid(side, side), -1).reshape(-1, 2), 0.01)


@dataclass(frozen=True)
class Stacked:
    """Three digits as red, green and blue."""

    cache: Path
    device: str
    data_spec = DataSpec(3, 28, 28)
    modes = 1000
    samples = 26_000

    def data(self, seed: int, device: str) -> Data:
        x = real_images("mnist").x
        at = keyed_random.bits(keyed_random.key("stacked", seed), torch.arange(TRAINING), 3).numpy() % len(x)
        return {"all": {"x": torch.from_numpy(np.concatenate([x[at[:, c]] for c in range(3)], 3)).to(device)}}

    def adapted(self, recipe: Recipe) -> Recipe:
        return recipe

    def judged(self, state: State, recipe: Recipe, count: int) -> Modes:
        discriminator = extractor(real_images("mnist"), folder=self.cache, device=self.device)
        spec = next(s for s in recipe.nets.values() if isinstance(s, Generator))
        x = samples(state.best(spec.name), spec, count, np.zeros(count, np.int64)).x
        digits = [discriminator.judged(np.ascontiguousarray(x[..., c : c + 1]))[1] for c in range(3)]
        return mode_coverage(digits[0] * 100 + digits[1] * 10 + digits[2], self.modes)


def unfit(recipe: Recipe) -> str:
    """Why a recipe is left out, or nothing."""
    if kind_of(recipe) != "generation":
        return "does not generate"
    labelled = any(isinstance(c, Labels) or (isinstance(c, Batch) and c.field == "y") for c in walk(recipe))
    return "needs labels" if labelled else ""


def fitting(names: list[str], task: Gaussians | Stacked) -> Iterator[tuple[str, Recipe]]:
    """(name, recipe) for each that is different from those before."""
    seen: dict[Recipe, str] = {}
    for name in names:
        recipe: Recipe = pick(games.RECIPES, name, "recipe")
        why = unfit(recipe)
        try:
            adapted = recipe if why else replace(task.adapted(recipe), source="")
        except UsageError as error:
            adapted, why = recipe, error.problem
        if not why and adapted in seen:
            why = f"the same as {seen[adapted]} without its networks"
        if why:
            print(f"{name}: left out, it {why}" if not why.startswith("the same") else f"{name}: {why}", flush=True)
        else:
            seen[adapted] = name
            yield name, adapted


# --- the command -----------------------------------------------------------------------------------------------------


def measured(name: str, recipe: Recipe, task: Gaussians | Stacked, seed: int, options) -> dict:
    precision, data = options.precision, task.data(seed, options.device)
    if precision == "auto":
        precision = (
            fastest_precision(recipe, task.data_spec, device=options.device) if task.data_spec.height > 1 else "fp32"
        )
    how = {"seconds": options.seconds, "seed": seed, "device": options.device, "precision": precision}
    state, about = trained(recipe, task.data_spec, data, **how)
    count = options.samples or task.samples
    found = task.judged(state, recipe, count)
    row = {"recipe": name, "modes": task.modes, "seed": seed, "budget": options.seconds, "dtype": precision, **about}
    row |= {"device": device_name(options.device), "threads": options.threads, "samples": count, **found._asdict()}
    return row | {"date": time.strftime("%Y-%m-%d")}


HEAD = """# Modes found

Written by `python benchmarks/modes.py --table` from modes.jsonl. Median (lowest to highest) over seeds, of samples of
the weight average. Good: within 3 standard deviations of a centre; a mode is found if one good sample is in it; KL is
from the good samples' modes to equal shares, in nats. Seconds are of training alone. Ring and grid: every network
replaced by a fully connected one of three layers of 128, noise of two numbers. Stacked MNIST: a mode is what a
classifier names the digits."""
TITLES = {"ring": "8 Gaussians on a ring", "grid": "25 Gaussians on a grid", "stacked": "Stacked MNIST, 1,000 modes"}


def table(lines: list[dict]) -> str:
    last = {(*setting(line), line["recipe"], line["seed"]): line for line in lines}
    groups: dict[tuple, dict[str, list[dict]]] = {}
    for line in last.values():
        groups.setdefault(setting(line), {}).setdefault(line["recipe"], []).append(line)
    blocks = [HEAD]
    for (task, budget, device), of in sorted(
        groups.items(), key=lambda item: (list(TITLES).index(item[0][0]), item[0])
    ):
        one = next(iter(of.values()))[-1]
        blocks.append(f"## {TITLES[task]}, {budget:g} s\n\n{one['date']}, {device}, {one['samples']:,} samples.")
        heads = ["recipe", "seeds", "images, k", f"modes of {one['modes']:,}", "good, %", "KL", "skipped moves"]
        rows = [[f"`{name}`", str(len(runs)), *nodes(runs)] for name, runs in of.items()]
        blocks.append("\n".join("| " + " | ".join(row) + " |" for row in (heads, ["---"] * len(heads), *rows)))
    return "\n\n".join(blocks) + "\n"


def setting(line: dict) -> tuple:
    return line["task"], line["budget"], line["device"]


def nodes(runs: list[dict]) -> Iterator[str]:
    for name, times, places in (
        ("images", 0.001, 0),
        ("covered", 1, 0),
        ("share", 100, 1),
        ("divergence", 1, 3),
        ("skipped", 1, 0),
    ):
        values = [times * run[name] for run in runs if run[name] is not None] or [float("nan")]
        low, middle, high = (f"{v:,.{places}f}" for v in (min(values), statistics.median(values), max(values)))
        yield middle if low == high else f"{middle} ({low} to {high})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", help="names of the table; all that need no labels when left out")
    parser.add_argument("--tasks", nargs="+", choices=list(TITLES), default=["ring", "grid"])
    options = parsed(parser, seconds=100.0, results=LINES)
    lines = files.read_lines(options.results)
    have = {(line["task"], line["recipe"], line["seed"], line["budget"]) for line in lines}
    made = {"ring": ring, "grid": square, "stacked": lambda: Stacked(options.cache, options.device)}
    for name in [] if options.table and not options.recipes else options.tasks:
        task = made[name]()
        for recipe_name, recipe in fitting(options.recipes or list(games.RECIPES), task):
            for seed in options.seeds:
                if (name, recipe_name, seed, options.seconds) in have and not options.again:
                    continue
                row = {"task": name} | plain(measured(recipe_name, recipe, task, seed, options))
                files.append_line(options.results, row)
                print(json.dumps(row), flush=True)
    lines = files.read_lines(options.results)
    if lines:
        text = table(lines)
        options.results.with_suffix(".md").write_text(text, encoding="utf-8")
        print(text)


if __name__ == "__main__":
    main()
