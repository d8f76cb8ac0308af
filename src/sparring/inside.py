"""Look inside a trained generator: between its images, along its classes, codes and directions, and beside real ones.

Most pictures are strips, uint8 [rows, steps, H, W, C]: one thing changes along a row, all else stays. Image i depends
on (seed, i) only. `sheet` lays strips out as one picture, `frames` makes them a film.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from .health import Eye
from .images import grid, load_image
from .nets.resnet import ResNetGenerator
from .players import Generator
from .sample import Latents, Sampler

LIMITS = (0.3, 0.5, 0.75, 1.0, 1.5, 2.0)  # of truncated noise
REACH = 3.0  # how far a strip follows a direction: noise beyond it is rare
CHUNK = 2**23  # pixels of training images that are compared at a time
REFERENCE = 256  # training images that the scale of features is measured on


# --- strips ----------------------------------------------------------------------------------------------------------


def changed(sampler: Sampler, points: Latents, steps: int, change: Callable[[Latents, Tensor], Latents]) -> np.ndarray:
    """A row for each point: `steps` copies, changed by change(points, t) with t [N,1] from 0 to 1 along a row."""
    t = torch.linspace(0, 1, steps, device=points.z.device).repeat(len(points))[:, None]
    made = sampler.render(change(points[repeated(torch.arange(len(points)), steps)], t))
    return made.reshape(len(points), steps, *made.shape[1:])


def repeated(x: Tensor, times: int) -> Tensor:
    return x.repeat_interleave(times, 0)


def interpolation(
    sampler: Sampler, rows: int = 8, steps: int = 9, *, seed: int = 0, labels=None, codes=None
) -> np.ndarray:
    """Row r leads from image 2r to image 2r + 1; class, code and sliders stay those of the first.

    `labels`, `codes`: int [rows]; without them rows take classes and codes in turn.
    """
    index = torch.arange(rows)
    chosen = {"labels": index % max(1, len(sampler.classes)) if labels is None else labels}
    chosen |= {"codes": index % max(1, sampler.spec.codes) if codes is None else codes}
    a, b = (sampler.latents(2 * index + end, seed=seed, **chosen) for end in (0, 1))
    end = repeated(b.z, steps)
    return changed(sampler, a, steps, lambda points, t: replace(points, z=slerp(points.z, end, t)))


def slerp(a: Tensor, b: Tensor, t: Tensor | float) -> Tensor:
    """From a [N,Z] to b [N,Z] on the arc between them; t in [0,1], [N,1] or one number. White 2016, arXiv:1609.04468.

    Normal noise of many dimensions lies near a sphere of radius sqrt(Z). The straight line between two points cuts
    through it, to noise that is too short and that the generator never saw. Here angle and length change evenly.
    """
    length_a, length_b = a.norm(dim=1, keepdim=True), b.norm(dim=1, keepdim=True)
    u, v = a / length_a, b / length_b
    angle = (u * v).sum(1, keepdim=True).clamp(-1, 1).acos()
    arc = torch.sin((1 - t) * angle) * u + torch.sin(t * angle) * v
    between = torch.where(angle.sin() > 1e-4, arc / angle.sin().clamp_min(1e-4), u.lerp(v, torch.as_tensor(t)))
    return between * (length_a + t * (length_b - length_a))


def walk(sampler: Sampler, a: int, b: int, rows: int = 6, steps: int = 9, *, seed: int = 0) -> np.ndarray:
    """From class a to class b at fixed noise, a row for each: the one-hot labels are mixed linearly."""
    sampler.takes(labels=True)
    start, end = (sampler.latents(rows, seed=seed, labels=torch.full((rows,), label)) for label in (a, b))
    there = repeated(end.classes, steps)
    return changed(sampler, start, steps, lambda points, t: replace(points, classes=points.classes.lerp(there, t)))


def by_class(sampler: Sampler, columns: int = 10, *, seed: int = 0, truncation: float | None = None) -> np.ndarray:
    """A row for each class, all of the same noise: what a column shares is not the class."""
    sampler.takes(labels=True)
    return by(sampler, "labels", len(sampler.classes), columns, seed=seed, truncation=truncation)


def by_code(sampler: Sampler, columns: int = 10, *, seed: int = 0, truncation: float | None = None) -> np.ndarray:
    """A row for each code, all of the same noise and sliders. Chen et al. 2016, figure 2."""
    sampler.takes(codes=True)
    return by(sampler, "codes", sampler.spec.codes, columns, seed=seed, truncation=truncation)


def by(sampler: Sampler, what: str, count: int, columns: int, **settings) -> np.ndarray:
    rows = [sampler.latents(columns, **{what: torch.full((columns,), k)}, **settings) for k in range(count)]
    return np.stack([sampler.render(row) for row in rows])


def by_slider(sampler: Sampler, rows: int = 4, steps: int = 9, *, seed: int = 0) -> np.ndarray:
    """`rows` strips for each slider in turn, from -1 to 1; the other sliders stay. Chen et al. 2016, figure 2."""
    sampler.takes(sliders=True)
    count = sampler.spec.sliders
    moving = one_hot(torch.arange(count).repeat_interleave(rows * steps), count).bool()

    def moved(points: Latents, t: Tensor) -> Latents:
        return replace(points, sliders=torch.where(moving.to(t.device), 2 * t - 1, points.sliders))

    return changed(sampler, sampler.latents(torch.arange(rows).repeat(count), seed=seed), steps, moved)


def truncations(
    sampler: Sampler, limits: Sequence[float | None] = (*LIMITS, None), columns: int = 10, *, seed: int = 0, **chosen
) -> np.ndarray:
    """A row for each limit of the noise (None: unlimited): the same images, from typical to various.

    Brock et al. 2019, section 3.1: a low limit makes better and more alike images. `chosen`: labels or codes [columns].
    """
    return np.stack([sampler.draw(columns, truncation=limit, seed=seed, **chosen) for limit in limits])


# --- directions that nobody named ------------------------------------------------------------------------------------


def directions(G: nn.Module, spec: Generator) -> tuple[Tensor, Tensor]:
    """(values [Z], directions [Z,Z], one a row), the strongest first. SeFa: Shen & Zhou 2021, arXiv:2007.06600.

    The unit vectors n of noise whose A n is longest, A the weights of the layer that reads noise: the eigenvectors of
    A^T A. Where several layers read it (BigGAN), A is all of them one above the other.
    """
    A = readers(G, spec)
    values, vectors = torch.linalg.eigh(A.T @ A)
    vectors = vectors.flip(1).T
    largest = vectors.abs().argmax(1, keepdim=True)
    return values.flip(0).clamp_min(0), vectors * vectors.gather(1, largest).sign()  # a sign that is always the same


@torch.no_grad()
def readers(G: nn.Module, spec: Generator) -> Tensor:
    """float64 [outputs, Z]: every weight that multiplies the noise itself."""
    training, body = G.training, G.get_submodule("body")
    G.eval()  # weights under spectral norm move when they are read in training
    if isinstance(body, ResNetGenerator) and body.layered:
        first, piece = body.pieces[:2]
        read = [(body.first.weight, 0)]
        for number, up in enumerate(body.ups):
            layers = [layer for layer in up.modules() if isinstance(layer, nn.Linear)]  # scales and shifts of its norms
            read += [(layer.weight[:, :piece], first + number * piece) for layer in layers]
    else:
        layer = next(m for m in body.modules() if isinstance(m, nn.Linear))
        read = [(layer.weight[:, : spec.z], 0)]
    blocks = []
    for weight, start in read:
        blocks.append(weight.new_zeros(len(weight), spec.z, dtype=torch.float64))
        blocks[-1][:, start : start + weight.shape[1]] = weight
    G.train(training)
    return torch.cat(blocks)


def direction_strips(
    sampler: Sampler, count: int = 6, steps: int = 9, *, seed: int = 0, reach: float = REACH, **chosen
) -> np.ndarray:
    """One image moved along each of the strongest directions, from -reach to reach; in the middle it is unchanged."""
    found = directions(sampler.G, sampler.spec)[1][:count].float()
    ways = repeated(found, steps)
    start = sampler.latents(1, seed=seed, **chosen)[[0] * len(found)]
    return changed(sampler, start, steps, lambda points, t: replace(points, z=points.z + reach * (2 * t - 1) * ways))


# --- beside real images ----------------------------------------------------------------------------------------------


def nearest(
    images: np.ndarray, training: np.ndarray, count: int = 3, *, by: str = "features", but: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(index int64 [N,count], distance [N,count]) of the nearest of `training` uint8 [M,H,W,C] to each image [N,H,W,C].

    Exact, over a few training images at a time. `by`: "pixels", or "features": small pixels and what fixed random
    filters see, so that an image moved by a pixel stays near. `but`: int [N], the row that each image is itself.
    """
    eye = Eye(as_float(training[evenly(len(training), REFERENCE)])) if by == "features" else lambda x: x.flatten(1)
    x, step = eye(as_float(images)), max(1, CHUNK // training[0].size)
    best, where = torch.full((len(x), 0), torch.inf), torch.zeros(len(x), 0, dtype=torch.long)
    for start in range(0, len(training), step):
        rows = eye(as_float(training[start : start + step]))
        far = torch.cdist(x, rows, compute_mode="donot_use_mm_for_euclid_dist")
        index = torch.arange(start, start + len(rows)).expand(len(x), -1)
        if but is not None:
            far = far.masked_fill(index == torch.as_tensor(but)[:, None], torch.inf)
        far, index = torch.cat([best, far], 1), torch.cat([where, index], 1)
        order = far.sort(dim=1, stable=True).indices[:, :count]
        best, where = far.gather(1, order), index.gather(1, order)
    return where.numpy(), best.numpy()


def closeness(images: np.ndarray, training: np.ndarray, *, sample: int = 256) -> float:
    """Median distance of images to the nearest training image, over that of training images to the nearest other one.

    About 1: as near as real images are to each other; near 0: copies. Real images that occur twice do not count.
    """
    rows = evenly(len(training), sample)
    _, real = nearest(training[rows], training, 1, but=rows)
    _, made = nearest(images, training, 1)
    real = real[real > 0]
    return float(np.median(made) / np.median(real)) if len(real) else float("nan")


def evenly(count: int, most: int) -> np.ndarray:
    """At most `most` of range(count), evenly spaced."""
    return np.linspace(0, count - 1, min(most, count)).astype(int)


def as_float(images: np.ndarray) -> Tensor:
    """uint8 [N,H,W,C] -> float32 [N,C,H,W] in [-1,1]."""
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float().div(127.5).sub(1)


# --- pictures and films ----------------------------------------------------------------------------------------------


def sheet(strips: np.ndarray) -> np.ndarray:
    """One picture uint8 [H',W',C], a row for each strip."""
    return grid(strips.reshape(-1, *strips.shape[2:]), columns=strips.shape[1])


def frames(strips: np.ndarray) -> np.ndarray:
    """A film uint8 [T,H',W',C] of all strips at once, there and back."""
    there = [grid(strips[:, step]) for step in range(strips.shape[1])]
    return np.stack(there + there[-2:0:-1])


def training_frames(folder: Path | str) -> np.ndarray:
    """A film uint8 [T,H',W',C] of what fixed latents became in a run, from its samples/*.png; empty without any."""
    shown = [load_image(path) for path in sorted(Path(folder).glob("samples/images-*.png"))]
    shown = [picture for picture in shown if picture.shape == shown[-1].shape]
    return np.stack(shown) if shown else np.zeros((0, 1, 1, 1), np.uint8)
