"""What the benchmarks of games share: real images, our own extractor, samples of a trained generator, their scores.

The extractor is the small classifier of this package, trained on the real training images with a fixed seed. It is
kept outside the repository, so that every score of a table comes from the same one; its hash stands in each row. Its
features are divided by one number, so that their mean square over real training images is 1: a polynomial kernel is
not indifferent to scale.
"""

import argparse
import hashlib
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from sparring import images, keyed_random, metrics
from sparring.data import load, split
from sparring.devices import choose_device
from sparring.games.builders import Recipe
from sparring.games.heads import Classes
from sparring.games.losses import Classify
from sparring.games.nodes import Batch, Discriminated
from sparring.games.players import AdamW, Discriminator, Player
from sparring.games.schedules import Linear
from sparring.games.training import new_state, training
from sparring.games.views import Weak
from sparring.images import to_uint8
from sparring.nets.classifiers import SmallCNN
from sparring.nets.layers import DataSpec

DATA = Path(os.environ.get("SPARRING_DATA") or Path(__file__).parents[2] / "shared" / "data")
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sparring-benchmarks"
FILES = {"mnist": "mnist.npz", "cifar10": "cifar10", "tiles": "magnetic-tile.zip/images"}
SHOWN = {
    "mnist": 400_000,
    "cifar10": 300_000,
    "tiles": 60_000,
}  # images the extractor learns from, repeats counted
CHUNK = 250


@dataclass(frozen=True, eq=False)
class Real:
    """uint8 [N,H,W,C] and int64 [N]."""

    name: str
    x: np.ndarray
    y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray

    @property
    def data_spec(self) -> DataSpec:
        return DataSpec(self.x.shape[3], self.x.shape[1], self.x.shape[2], int(self.y.max()) + 1)

    def some(self, count: int, key: str = "scores", *, test: bool = True) -> np.ndarray:
        """Numbers of `count` images at random, the same ones always."""
        return keyed_random.order(keyed_random.key(key), len(self.test_x if test else self.x))[:count].numpy()


@cache
def real_images(name: str) -> Real:
    """Tiles are made 64x64, and half of them are the test part."""
    found = load(str(DATA / FILES[name]), size=64 if name == "tiles" else None)
    if name == "tiles":
        parts = split(found, test=0.5)
        train, test = parts.train, parts.test
    else:
        train, test = (np.flatnonzero(found.parts == part) for part in ("train", "test"))
    return Real(name, found.images[train], found.labels[train], found.images[test], found.labels[test])


def to_unit(x: np.ndarray, device: Any = "cpu") -> torch.Tensor:
    """uint8 [N,H,W,C] -> float [N,C,H,W] in [-1,1]."""
    return images.to_unit(torch.from_numpy(x).to(device))


# --- the extractor ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Extractor:
    net: nn.Module
    hash: str
    accuracy: float  # on the test images
    scale: float = 1.0

    @torch.no_grad()
    def judged(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Features float32 [N,F] and the class each image is named, int64 [N]."""
        device = next(self.net.parameters()).device
        verdicts = [self.net(to_unit(x[i : i + CHUNK], device)) for i in range(0, len(x), CHUNK)]
        features, named = zip(*((v.features, v.logits.argmax(1)) for v in verdicts), strict=True)
        return torch.cat(features).cpu().numpy() / self.scale, torch.cat(named).cpu().numpy()


@cache
def extractor(real: Real, *, folder: Path = CACHE, device: str = "cpu") -> Extractor:
    """The one in `folder`, or a new one, which is kept there."""
    discriminator, flip = Discriminator("D", SmallCNN(), Classes()), real.name != "mnist"
    learns = Classify(of=Discriminated("D", Weak(Batch("x", "labelled"), flip=flip)), label=Batch("y", "labelled"))
    recipe = Recipe("extractor", (Player("D", (discriminator,), (learns,), AdamW(Linear(4e-3)), average=0.99),), 128)
    name = hashlib.blake2b(f"{recipe!r} {SHOWN[real.name]}".encode(), digest_size=4).hexdigest()
    path = folder / f"extractor-{real.name}-{name}.safetensors"
    net = new_state(recipe, real.data_spec, device=device).averages["D"]
    if not path.exists():
        data = {"labelled": {"x": torch.from_numpy(real.x).to(device), "y": torch.from_numpy(real.y).to(device)}}
        state = new_state(recipe, real.data_spec, device=device)
        for _ in training(recipe, state, data, images=SHOWN[real.name]):
            pass
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({k: v.contiguous().cpu() for k, v in state.averages["D"].state_dict().items()}, path)
    net.load_state_dict(load_file(path))
    found = Extractor(net.eval(), hashlib.blake2b(path.read_bytes(), digest_size=4).hexdigest(), float("nan"))
    accuracy = float((found.judged(real.test_x)[1] == real.test_y).mean())
    print(f"extractor {found.hash} for {real.name}: {100 * accuracy:.2f} % of the test images right", flush=True)
    scale = float(np.sqrt(np.square(found.judged(real.x[real.some(5000, test=False)])[0]).mean()))
    return Extractor(found.net, found.hash, accuracy, scale)


def scores(real: np.ndarray, fake: np.ndarray) -> dict[str, float]:
    """Of features [N,F] and [M,F]."""
    if not np.isfinite(fake).all():
        return {"not_finite": True}
    kernel, near = metrics.kernel_distance(real, fake), metrics.neighbours(real, fake)
    return {
        "kernel_x1000": 1000 * kernel.value,
        "kernel_x1000_error": 1000 * kernel.error,
        "frechet": metrics.frechet_distance(real, fake, influences=False).value,
        **{name: found.value for name, found in near._asdict().items()},
        "diversity": metrics.diversity(real, fake).value,
    }


# --- samples ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Samples:
    x: np.ndarray  # uint8 [N,H,W,C], or as the generator gives it
    y: np.ndarray | None  # the asked-for classes
    codes: np.ndarray | None


@torch.no_grad()
def samples(G: nn.Module, spec: Any, count: int, labels: np.ndarray, *, seed: int = 0, pixels: bool = True) -> Samples:
    """Of a generator; `labels` int64 [count] where it takes labels, codes in turn where it takes codes.

    Without `pixels` x is float [N,C,H,W], as the generator gives it.
    """
    device, codes, parts = next(G.parameters()).device, getattr(spec, "codes", 0), []
    G.eval()
    code = torch.arange(count) % max(1, codes)
    for start in range(0, count, CHUNK):
        index = torch.arange(start, min(start + CHUNK, count), device=device)
        inputs = [keyed_random.normal(keyed_random.key("scores", seed), index, spec.z).float()]
        inputs += [torch.from_numpy(labels).to(device)[index]] if spec.labels else []
        inputs += [code.to(device)[index]] if codes else []
        if continuous := getattr(spec, "sliders", 0):
            inputs.append(2 * keyed_random.uniform(keyed_random.key("sliders", seed), index, continuous).float() - 1)
        parts.append(to_uint8(G(*inputs)) if pixels else G(*inputs).float().cpu().numpy())
    return Samples(np.concatenate(parts), labels if spec.labels else None, code.numpy() if codes else None)


# --- commands --------------------------------------------------------------------------------------------------------


def parsed(parser: argparse.ArgumentParser, *, seconds: float, results: Path) -> argparse.Namespace:
    """With the options of every benchmark that trains games; sets the number of threads."""
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--seconds", type=float, default=seconds, help="of training")
    parser.add_argument("--samples", type=int, help="to score; else as the task has it")
    parser.add_argument("--again", action="store_true", help="also what the results have already")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto", choices=["auto", "fp32", "bf16"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--results", type=Path, default=results)
    parser.add_argument("--cache", type=Path, default=CACHE, help="of extractors")
    parser.add_argument("--table", action="store_true", help="write the table of all lines")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.device = choose_device(options.device)
    return options
