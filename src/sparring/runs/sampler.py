"""Use a trained generator: draw images, of given classes if it takes labels; keep it as a model folder.

Image i of a drawing depends on (key, i) only, so 10 images are the first 10 of 1,000, and a picture can be made again.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from .. import files, keyed_random
from ..artifacts import as_damage, quoted, read_artifact, write_artifact
from ..errors import UsageError, pick
from ..games.players import Generator
from ..images import grid, save_png, to_uint8
from ..nets.layers import DataSpec
from ..nets.loading import checked_spec
from ..records import from_json, to_json
from .checkpoints import network_arrays, read_network
from .own_code import admit, own_code

PIXELS_AT_ONCE = 1 << 20  # of the images that a generator makes in one go: 256 of 64x64


@dataclass(frozen=True)
class Latents:
    """What N images are made from. What a generator does not take has no columns."""

    z: Tensor  # [N,z] noise
    classes: Tensor  # [N,K] one-hot, or shares of several
    codes: Tensor  # [N,C] likewise
    continuous: Tensor  # [N,S] in [-1,1]

    def __len__(self) -> int:
        return len(self.z)

    def __getitem__(self, rows) -> "Latents":
        return Latents(self.z[rows], self.classes[rows], self.codes[rows], self.continuous[rows])

    @property
    def joined(self) -> Tensor:
        """As the generator's body reads them, [N, z + K + C + S]."""
        return torch.cat([self.z, self.classes, self.codes, self.continuous], 1)


def latents(
    G: nn.Module,
    spec: Generator,
    index: Tensor,
    *,
    key: str | int = 0,
    labels: np.ndarray | Tensor | None = None,
    codes: np.ndarray | Tensor | None = None,
    truncation: float | None = None,
) -> Latents:
    """Of the images with these numbers, int64 [N], of the drawing `key`.

    `labels`, `codes`: int [N]; without them an image's number decides, classes and codes in turn. Sliders are uniform.
    """
    z = keyed_random.normal(keyed_random.key("draw", key), index, spec.z)
    z = z if truncation is None else truncated(z, truncation)
    sizes = iter(G.counts)  # type: ignore[arg-type]

    def shares(takes, chosen) -> Tensor:
        size = next(sizes) if takes else 0
        if not size:
            return z.new_zeros(len(index), 0).float()
        chosen = index % size if chosen is None else torch.as_tensor(chosen, device=index.device)
        return one_hot(chosen.long(), size).float()

    continuous = 2 * keyed_random.uniform(keyed_random.key("sliders", key), index, spec.continuous) - 1
    return Latents(z.float(), shares(spec.labels, labels), shares(spec.codes, codes), continuous.float())


def truncated(z: Tensor, limit: float) -> Tensor:
    """Normal noise within +-limit: as if what falls outside were drawn again. Brock et al. 2019, section 3.1.

    The same law without drawing again: z keeps its rank among all values, so an image changes little with the limit.
    """
    low = torch.special.ndtr(z.new_tensor(-limit))
    return torch.special.ndtri(low + torch.special.ndtr(z) * (1 - 2 * low)).clamp(-limit, limit)


@torch.no_grad()
def render(G: nn.Module, points: Latents, *, batch: int = 256) -> np.ndarray:
    """uint8 [N,H,W,C]."""
    training = G.training
    G.eval()
    made = [G.body(part.joined) for part in (points[i : i + batch] for i in range(0, len(points), batch))]  # type: ignore[operator]
    G.train(training)
    return to_uint8(torch.cat(made))


def draw(
    G: nn.Module,
    spec: Generator,
    count: int,
    *,
    labels: np.ndarray | None = None,
    codes: np.ndarray | None = None,
    truncation: float | None = None,
    key: str | int = 0,
    first: int = 0,
    batch: int = 256,
) -> np.ndarray:
    """`count` images, uint8 [count,H,W,C]: numbers `first`, first + 1, ... of the drawing `key`; see `latents`."""
    device = next(G.parameters()).device
    out = []
    for start in range(0, count, batch):
        rows = slice(start, min(start + batch, count))
        index = torch.arange(rows.start, rows.stop, device=device) + first
        chosen = {"labels": None if labels is None else labels[rows], "codes": None if codes is None else codes[rows]}
        out.append(render(G, latents(G, spec, index, key=key, truncation=truncation, **chosen)))
    return np.concatenate(out) if out else np.zeros((0, 0, 0, 1), np.uint8)


@dataclass
class Sampler:
    """A generator with what is needed to use it."""

    G: nn.Module
    spec: Generator
    data_spec: DataSpec
    classes: tuple[str, ...]

    def draw(
        self,
        count: int,
        *,
        labels: np.ndarray | None = None,
        codes: np.ndarray | None = None,
        truncation: float | None = None,
        seed: int = 0,
        first: int = 0,
    ) -> np.ndarray:
        """uint8 [count,H,W,C]. Without `labels` and `codes` a generator that takes them goes through them in turn."""
        if count < 1:
            raise UsageError("count", f"cannot draw {count} images", fix="ask for 1 image or more")
        self.takes(labels=labels is not None, codes=codes is not None)
        chosen = {"labels": labels, "codes": codes, "truncation": truncation}
        return draw(self.G, self.spec, count, **chosen, key=seed, first=first, batch=self.at_once(256, PIXELS_AT_ONCE))

    def latents(self, index: Tensor | int, *, seed: int = 0, **chosen: Any) -> Latents:
        """Of the images with these numbers (of the first so many, if one number) as `draw` makes them."""
        index = torch.arange(index) if isinstance(index, int) else index
        return latents(self.G, self.spec, index.to(next(self.G.parameters()).device), key=seed, **chosen)

    def render(self, points: Latents) -> np.ndarray:
        """uint8 [N,H,W,C]."""
        return render(self.G, points, batch=self.at_once(256, PIXELS_AT_ONCE))

    def at_once(self, most: int, pixels: int) -> int:
        """How many images have at most so many pixels together: 1 to `most`."""
        return max(1, min(most, pixels // (self.data_spec.height * self.data_spec.width)))

    def takes(self, *, labels: bool = False, codes: bool = False, continuous: bool = False) -> None:
        """Raises UsageError where this generator lacks what is asked for."""
        if labels and not self.spec.labels:
            raise UsageError(
                "no-labels",
                "this generator was trained without labels, so it cannot draw a given class",
                fix="train one that takes labels, such as cgan",
            )
        if (codes and not self.spec.codes) or (continuous and not self.spec.continuous):
            raise UsageError(
                "no-codes",
                f"this generator has no {'codes' if codes else 'sliders'}",
                fix="train one that has, such as infogan",
            )

    def label(self, name: str) -> int:
        """The number of a class, by its name."""
        self.takes(labels=True)
        return pick({c: i for i, c in enumerate(self.classes)}, name, "class")

    def code(self, number: int) -> int:
        """The number of a code if there is one."""
        self.takes(codes=True)
        if not 0 <= number < self.spec.codes:
            last = self.spec.codes - 1
            raise UsageError("no-code", f"there is no code {number}", fix=f"choose one from 0 to {last}")
        return number


def save_generator(
    G: nn.Module, spec: Generator, data_spec: DataSpec, classes: tuple[str, ...], folder: Path, **about: Any
):
    """Writes a model folder and returns it."""
    method, source = (quoted(about.get(name, "")) for name in ("recipe_name", "source"))
    card = f"""# A generator of {data_spec.height}x{data_spec.width} images

Trained with {method} ({source}) on {about.get("images", 0):,} images.
Classes: {", ".join(map(quoted, classes)) or "none"}.

    sparring sample {folder.parent} -n 64 --grid samples.png

What it draws is made up. Mark it as generated wherever you show it, and never use it to test a classifier.
"""
    config = {"generator": to_json(spec), "facts": to_json(data_spec), "classes": list(classes), **about}
    own = own_code(spec)
    config |= {"own": own.to_json()} if own else {}
    return write_artifact(folder, "generator", network_arrays({spec.name: G}), config, card=card)


def load_generator(folder: Path | str, *, trust_code: bool = False) -> Sampler:
    """Return the generator in a model folder. `trust_code`: the run's own Python code may be run.

    Raises FileFormatError when it is not one, or damaged, UsageError when it needs code that is not trusted.
    """
    found = read_artifact(folder, "generator", fix="pass a run that `sparring train` wrote")
    config = found.config
    admit(Path(folder).parent, config.get("own"), trust_code=trust_code)
    with as_damage(folder, "generator"):
        spec, data_spec = from_json(config["generator"]), checked_spec(from_json(config["facts"]))
        if not isinstance(spec, Generator) or any(not key.startswith(f"{spec.name}/") for key in found.tensors):
            raise ValueError("it holds other networks than its generator")
        G = read_network(spec, data_spec, spec.name, found.tensors)
        sampler = Sampler(G, spec, data_spec, class_names(config["classes"], data_spec))
        sampler.draw(1)  # what does not fit together is refused now, not in use
    return sampler


def class_names(given: object, data_spec: DataSpec) -> tuple[str, ...]:
    """Return the names of the classes as a file lists them. Raises ValueError where they are not those of the data."""
    names = [name for name in given if isinstance(name, str)] if isinstance(given, list) else []
    if not isinstance(given, list) or not len({*names}) == len(given) == data_spec.classes:
        raise ValueError(f"the names of {data_spec.classes} classes are {given!r:.60}")
    return tuple(names)


def per_class_samples(sampler: Sampler, count: int, *, seed: int = 0) -> Iterator[tuple[str, np.ndarray]]:
    """(class name, uint8 [count,H,W,C]) for every class. Raises UsageError where the generator takes no labels."""
    sampler.takes(labels=True)
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
