"""Use a trained generator: draw images, of given classes if it takes labels; keep it as a model folder.

Image i of a drawing depends on (key, i) only, so 10 images are the first 10 of 1,000, and a picture can be made again.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load as tensors_from_bytes
from safetensors.torch import save as tensors_to_bytes
from torch import nn

from . import draws, files
from .errors import FileFormatError, UsageError, pick
from .images import grid, save_png
from .nets.layers import Facts
from .parts import from_json, to_json
from .players import Generator

FORMAT = 1


@torch.no_grad()
def draw(
    G: nn.Module,
    spec: Generator,
    count: int,
    *,
    labels: np.ndarray | None = None,
    key: str | int = 0,
    first: int = 0,
    batch: int = 256,
) -> np.ndarray:
    """`count` images, uint8 [count,H,W,C]: numbers `first`, first + 1, ... of the drawing `key`.

    `labels`: int [count], for a generator that takes labels.
    """
    device, training = next(G.parameters()).device, G.training
    G.eval()
    out = []
    for start in range(0, count, batch):
        index = torch.arange(start, min(start + batch, count), device=device)
        z = draws.normal(draws.key("draw", key), index + first, spec.z).float()
        about = (torch.as_tensor(labels, device=device)[index],) if labels is not None and spec.labels else ()
        x = G(z, *about)
        out.append(x.add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu())
    G.train(training)
    return torch.cat(out).numpy() if out else np.zeros((0, 0, 0, 1), np.uint8)


@dataclass
class Sampler:
    """A generator with what is needed to use it."""

    G: nn.Module
    spec: Generator
    facts: Facts
    classes: tuple[str, ...]

    def draw(self, count: int, *, labels: np.ndarray | None = None, seed: int = 0, first: int = 0) -> np.ndarray:
        """uint8 [count,H,W,C]. Without `labels` a generator that takes them goes through the classes in turn."""
        if count < 1:
            raise UsageError("count", f"cannot draw {count} images", fix="ask for 1 image or more")
        if labels is None and self.spec.labels:
            labels = (np.arange(count) + first) % max(1, len(self.classes))
        if labels is not None and not self.spec.labels:
            raise UsageError(
                "no-labels",
                "this generator was trained without labels, so it cannot draw a given class",
                fix="train one that takes labels, such as cgan",
            )
        return draw(self.G, self.spec, count, labels=labels, key=seed, first=first)

    def label(self, name: str) -> int:
        """The number of a class, by its name."""
        return pick({c: i for i, c in enumerate(self.classes)}, name, "class")


def save_generator(G: nn.Module, spec: Generator, facts: Facts, classes: tuple[str, ...], folder: Path, **about: Any):
    """Writes a model folder: config.json, model.safetensors, README.md. Returns the folder."""
    data = tensors_to_bytes({name: t.detach().contiguous().cpu() for name, t in G.state_dict().items()})
    config = {
        "format": FORMAT,
        "kind": "generator",
        "generator": to_json(spec),
        "facts": to_json(facts),
        "classes": list(classes),
        "sha256": hashlib.sha256(data).hexdigest(),
        **about,
    }
    card = f"""# A generator of {facts.height}x{facts.width} images

Trained with `{about.get("recipe_name", "")}` ({about.get("source", "")}) on {about.get("images", 0):,} images.
Classes: {", ".join(classes) or "none"}.

    sparring sample {folder.parent} -n 64 --grid samples.png

What it draws is made up. Mark it as generated wherever you show it, and never use it to test a classifier.
"""
    with files.folder_aside(folder) as aside:
        (aside / "model.safetensors").write_bytes(data)
        files.write_json(aside / "config.json", config)
        files.write_text(aside / "README.md", card)
    return folder


def load_generator(folder: Path | str) -> Sampler:
    """A generator from a model folder. Raises FileFormatError when it is not one, or damaged."""
    folder = Path(folder)
    config = files.read_json(folder / "config.json")
    if not isinstance(config, dict) or config.get("kind") != "generator":
        raise FileFormatError(
            "not-a-generator", f"{folder} holds no generator", fix="pass a run that `sparring train` wrote"
        )
    try:
        data = (folder / "model.safetensors").read_bytes()
    except OSError as error:
        raise FileFormatError("bad-model", f"cannot read {folder}: {error}", fix="train it again") from error
    if hashlib.sha256(data).hexdigest() != config["sha256"]:
        raise FileFormatError("bad-model", f"{folder}/model.safetensors is damaged", fix="train it again")
    spec, facts = from_json(config["generator"]), from_json(config["facts"])
    G = spec.build(facts)
    G.load_state_dict(tensors_from_bytes(data))
    return Sampler(G.eval(), spec, facts, tuple(config["classes"]))


def per_class(sampler: Sampler, count: int, *, seed: int = 0) -> Iterator[tuple[str, np.ndarray]]:
    """(class name, uint8 [count,H,W,C]) for every class."""
    for label, name in enumerate(sampler.classes):
        yield name, sampler.draw(count, labels=np.full(count, label), seed=seed, first=label * count)


def save_samples(images: np.ndarray, folder: Path | str, *, start: int = 0) -> list[Path]:
    """One PNG per image, marked as generated."""
    folder = files.make_folder(folder)
    paths = [folder / f"{start + i:05d}.png" for i in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        save_png(path, image, generated=True)
    return paths


def save_grid(images: np.ndarray, path: Path | str, *, columns: int | None = None) -> Path:
    """One picture of all images, marked as generated."""
    path = Path(path)
    files.make_folder(path.parent)
    save_png(path, grid(images, columns=columns), generated=True)
    return path
