"""Look inside a trained generator: between its images, along its classes, codes and directions, and beside real ones.

Most pictures are strips, uint8 [rows, steps, H, W, C]: one thing changes along a row, all else stays. Image i depends
on (seed, i) only. `sheet` lays strips out as one picture, `frames` makes them a film.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from .. import files
from ..errors import FileFormatError, UsageError
from ..games.players import Generator
from ..images import grid, load_image, save_animation, save_png, to_unit
from ..metrics.copies import median_nearness
from ..nets.resnet import ResNetGenerator
from ..records import OnProgress, no_progress
from .folder import open_generator
from .history import read_settings
from .pools import real_images
from .sampler import Latents, Sampler
from .signals import RandomFeatures

LIMITS = (0.3, 0.5, 0.75, 1.0, 1.5, 2.0)  # of truncated noise
REACH = 3.0  # how far a strip follows a direction: noise beyond it is rare
MOST_ROWS = 20  # classes or codes in one picture
CHUNK = 2**23  # pixels of training images that are compared at a time
REFERENCE = 256  # training images that the scale of features is measured on


# --- strips ----------------------------------------------------------------------------------------------------------


def strips_of(
    sampler: Sampler, points: Latents, steps: int, change: Callable[[Latents, Tensor], Latents]
) -> np.ndarray:
    """A row for each point: `steps` copies, changed by change(points, t) with t [N,1] from 0 to 1 along a row."""
    t = torch.linspace(0, 1, steps, device=points.z.device).repeat(len(points))[:, None]
    made = sampler.render(change(points[repeated(torch.arange(len(points)), steps)], t))
    return made.reshape(len(points), steps, *made.shape[1:])


def repeated(x: Tensor, times: int) -> Tensor:
    return x.repeat_interleave(times, 0)


def interpolation(sampler: Sampler, rows: int = 8, steps: int = 9, *, seed: int = 0, **chosen) -> np.ndarray:
    """Row r leads from image 2r to image 2r + 1; class, code and sliders stay those of the first.

    `chosen`: labels or codes, int [rows], without which rows take them in turn; truncation.
    """
    index = torch.arange(rows)
    chosen = {"labels": index % max(1, len(sampler.classes)), "codes": index % max(1, sampler.spec.codes)} | chosen
    a, b = (sampler.latents(2 * index + end, seed=seed, **chosen) for end in (0, 1))
    end = repeated(b.z, steps)
    return strips_of(sampler, a, steps, lambda points, t: replace(points, z=slerp(points.z, end, t)))


def morph(sampler: Sampler, a: Latents, b: Latents, steps: int = 8) -> np.ndarray:
    """Row r leads from point r of `a` to point r of `b`: noise on the arc between them, all else in a straight line."""
    end = b[repeated(torch.arange(len(b)), steps)]

    def between(points: Latents, t: Tensor) -> Latents:
        others = (getattr(points, name).lerp(getattr(end, name), t) for name in ("classes", "codes", "continuous"))
        return Latents(slerp(points.z, end.z, t), *others)

    return strips_of(sampler, a, steps, between)


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


def class_walk(
    sampler: Sampler,
    a: int | np.ndarray,
    b: int | np.ndarray,
    rows: int = 6,
    steps: int = 9,
    *,
    seed: int = 0,
    **chosen,
) -> np.ndarray:
    """From class a to class b (or [rows]) at fixed noise, a row for each: the one-hot labels are mixed linearly."""
    sampler.takes(labels=True)
    labels = (torch.as_tensor(label).expand(rows) for label in (a, b))
    start, end = (sampler.latents(rows, seed=seed, labels=label, **chosen) for label in labels)
    there = repeated(end.classes, steps)
    return strips_of(sampler, start, steps, lambda points, t: replace(points, classes=points.classes.lerp(there, t)))


def by_class(sampler: Sampler, columns: int = 10, *, most: int = MOST_ROWS, seed: int = 0) -> np.ndarray:
    """A row for each of the first `most` classes, all of the same noise: what a column shares is not the class."""
    sampler.takes(labels=True)
    return rows_of(sampler, "labels", min(most, len(sampler.classes)), columns, seed)


def by_code(sampler: Sampler, columns: int = 10, *, most: int = MOST_ROWS, seed: int = 0) -> np.ndarray:
    """A row for each code, all of the same noise and sliders. Chen et al. 2016, figure 2."""
    sampler.takes(codes=True)
    return rows_of(sampler, "codes", min(most, sampler.spec.codes), columns, seed)


def rows_of(sampler: Sampler, what: str, count: int, columns: int, seed: int) -> np.ndarray:
    rows = [sampler.latents(columns, seed=seed, **{what: torch.full((columns,), k)}) for k in range(count)]
    return np.stack([sampler.render(row) for row in rows])


def by_slider(sampler: Sampler, rows: int = 4, steps: int = 9, *, seed: int = 0) -> np.ndarray:
    """`rows` strips for each slider in turn, from -1 to 1; the other sliders stay. Chen et al. 2016, figure 2."""
    sampler.takes(continuous=True)
    count = sampler.spec.continuous
    moving = one_hot(torch.arange(count).repeat_interleave(rows * steps), count).bool()

    def moved(points: Latents, t: Tensor) -> Latents:
        return replace(points, continuous=torch.where(moving.to(t.device), 2 * t - 1, points.continuous))

    return strips_of(sampler, sampler.latents(torch.arange(rows).repeat(count), seed=seed), steps, moved)


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
    along = repeated(found, steps)
    start = sampler.latents(1, seed=seed, **chosen)[[0] * len(found)]
    return strips_of(sampler, start, steps, lambda points, t: replace(points, z=points.z + reach * (2 * t - 1) * along))


# --- beside real images ----------------------------------------------------------------------------------------------


def nearest_images(
    images: np.ndarray, training: np.ndarray, count: int = 3, *, by: str = "features", but: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(index int64 [N,count], distance [N,count]) of the nearest of `training` uint8 [M,H,W,C] to each image [N,H,W,C].

    Exact, over a few training images at a time. `by`: "pixels", or "features": small pixels and what fixed random
    filters see, so that an image moved by a pixel stays near. `but`: int [N], the row that each image is itself.
    """
    eye = (
        RandomFeatures(to_unit(training[evenly_spaced(len(training), REFERENCE)]))
        if by == "features"
        else lambda x: x.flatten(1)
    )
    x, step = eye(to_unit(images)), max(1, CHUNK // training[0].size)
    best, where = torch.full((len(x), 0), torch.inf), torch.zeros(len(x), 0, dtype=torch.long)
    for start in range(0, len(training), step):
        rows = eye(to_unit(training[start : start + step]))
        far = torch.cdist(x, rows, compute_mode="donot_use_mm_for_euclid_dist")
        index = torch.arange(start, start + len(rows)).expand(len(x), -1)
        if but is not None:
            far = far.masked_fill(index == torch.as_tensor(but)[:, None], torch.inf)
        far, index = torch.cat([best, far], 1), torch.cat([where, index], 1)
        order = far.sort(dim=1, stable=True).indices[:, :count]
        best, where = far.gather(1, order), index.gather(1, order)
    return where.numpy(), best.numpy()


def under(images: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Images [N,H,W,C] as a first row, and under each its others [N,k,H,W,C]."""
    return np.concatenate([images[None], np.swapaxes(others, 0, 1)])


def closeness(images: np.ndarray, training: np.ndarray, *, sample: int = 256) -> float | None:
    """Median distance of images to the nearest training image, over that of training images to the nearest other one.

    About 1: as near as real images are to each other; near 0: copies. Copies of a real image are no others; None where
    there is no other.
    """
    rows = evenly_spaced(len(training), sample)
    _, real = nearest_images(training[rows], training, 5, but=rows)
    others = [found[found > 0][0] for found in real if (found > 0).any()]
    _, made = nearest_images(images, training, 1)
    return median_nearness(made, np.array(others)) if others else None


def evenly_spaced(count: int, most: int) -> np.ndarray:
    """At most `most` of range(count), evenly spaced."""
    return np.linspace(0, count - 1, min(most, count)).astype(int)


# --- pictures and films ----------------------------------------------------------------------------------------------


def strip_sheet(strips: np.ndarray) -> np.ndarray:
    """One picture uint8 [H',W',C], a row for each strip."""
    return grid(strips.reshape(-1, *strips.shape[2:]), columns=strips.shape[1])


def film_frames(strips: np.ndarray, *, gap: int = 2) -> np.ndarray:
    """A film uint8 [T,H',W',C] of all strips at once, there and back. `gap`: pixels between them."""
    there = [grid(strips[:, step], gap=gap) for step in range(strips.shape[1])]
    return np.stack(there + there[-2:0:-1])


def training_frames(folder: Path | str) -> np.ndarray:
    """A film uint8 [T,H',W',C] of what fixed latents became in a run, from its samples/*.png; empty without any."""
    shown = [load_image(path) for path in sorted(Path(folder).glob("samples/images-*.png"))]
    shown = [picture for picture in shown if picture.shape == shown[-1].shape]
    return np.stack(shown) if shown else np.zeros((0, 1, 1, 1), np.uint8)


# --- all of it, as files of a run ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LatentView:
    """One picture with the names of its rows and columns, and what one sees in words."""

    name: str
    title: str
    strips: np.ndarray
    words: str
    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()


def latent_pictures(sampler: Sampler, training: np.ndarray | None = None, *, seed: int = 0) -> Iterator[LatentView]:
    """All that this generator has to show; beside `training` images, uint8 [N,H,W,C], if there are any."""
    if sampler.spec.labels:
        names = sampler.classes[:MOST_ROWS]
        words = "A row for each class; the noise is the same down a column. What a column shares is not the class"
        yield LatentView("classes", "Class by class", by_class(sampler, seed=seed), words, names)
    if sampler.spec.codes:
        found = by_code(sampler, seed=seed)
        words = "A row for each code, which nobody named; the noise is the same down a column"
        yield LatentView("codes", "Codes found without labels", found, words, numbered_labels("code", len(found), 0))
    if sampler.spec.continuous:
        names = tuple(f"slider {k // 3 + 1}" if k % 3 == 0 else "" for k in range(3 * sampler.spec.continuous))
        words = "One image a row, each slider for three of them; only the slider moves, from one end to the other"
        yield LatentView(
            "sliders", "Sliders found without labels", by_slider(sampler, 3, seed=seed), words, names, end_labels()
        )
    words = (
        "Each row leads from one image to another on the arc between their noise. Steps, or jumps to another image, "
    )
    words += "would be a sign of images learnt by heart"
    yield LatentView("interpolation", "From one image to another", interpolation(sampler, 6, seed=seed), words)
    if len(sampler.classes) > 1 and sampler.spec.labels:
        count = len(sampler.classes)
        a = np.arange(min(6, count))
        names = tuple(f"{sampler.classes[k]} \u2192 {sampler.classes[(k + 1) % count]}" for k in a)
        words = "The noise stays and the class changes, a little at each step, to the next one"
        yield LatentView(
            "walk", "From class to class", class_walk(sampler, a, (a + 1) % count, len(a), seed=seed), words, names
        )
    found = direction_strips(sampler, seed=seed)
    words = "One image, moved along the directions of noise that change the first layer most; unchanged in the middle"
    title = "Directions that nobody named"
    yield LatentView(
        "directions", title, found, words, numbered_labels("direction", len(found)), end_labels(f"{REACH:g}", "0")
    )
    names = tuple(f"\u00b1{limit:g}" for limit in LIMITS) + ("no limit",)
    words = (
        "The same images with noise kept within a limit: a low one gives typical, alike images, a high one various ones"
    )
    yield LatentView("truncation", "Typical or various", truncations(sampler, seed=seed), words, names)
    if training is not None:
        yield nearest_view(sampler, training, seed=seed)


def nearest_view(sampler: Sampler, training: np.ndarray, *, seed: int = 0) -> LatentView:
    """Ten samples, and under each the training images nearest to it."""
    made = sampler.draw(10, seed=seed)
    (near, _), (pixels, _) = nearest_images(made, training, 2), nearest_images(made, training, 1, by="pixels")
    strips = np.stack(
        [made, training[near[:, 0]], training[near[:, min(1, near.shape[1] - 1)]], training[pixels[:, 0]]]
    )
    ratio = closeness(sampler.draw(100, seed=seed), training)
    words = (
        f"Under each sample the training images nearest to it. The median of 100 samples is {ratio:.2f} times as far "
    )
    words += "from its nearest training image as these are from each other: near 0 would mean copies"
    names = ("generated", "nearest", "second", "by pixels") if len(training) > 1 else ()
    return LatentView("nearest", "Beside the training images", strips, words, names)


def numbered_labels(what: str, count: int, first: int = 1) -> tuple[str, ...]:
    return tuple(f"{what} {k + first}" for k in range(count))


def end_labels(end: str = "1", middle: str = "", steps: int = 9) -> tuple[str, ...]:
    gap = ("",) * (steps // 2 - 1)
    return (f"\u2212{end}", *gap, middle, *gap, f"+{end}")


def save_views(sampler: Sampler, run: Path, *, training: np.ndarray | None = None, seed: int = 0) -> Path:
    """Writes run/inside/: a PNG for each view, training.webp, and views.json that says what they show."""
    told = []
    with files.atomic_folder(run / "inside") as folder:
        for view in latent_pictures(sampler, training, seed=seed):
            save_png(folder / f"{view.name}.png", strip_sheet(view.strips), generated=True)
            said = {name: value for name, value in vars(view).items() if name != "strips"}
            told.append(said | {"file": f"{view.name}.png", "shape": list(view.strips.shape[:2])})
        film = training_frames(run)
        if len(film) > 1:
            save_animation(folder / "training.webp", film, seconds=0.3, hold=2.0, generated=True)
        files.write_json(folder / "views.json", {"generator": generator_hash(sampler), "views": told})
    return run / "inside"


def look_inside(
    sampler: Sampler, run: Path, nearest: object = None, *, seed: int = 0, progress: OnProgress = no_progress
) -> Path:
    """Write run/inside/ beside the images of the data set `nearest`. Digits are known: they come with sparring.

    Raises UsageError where `run` is no run folder.
    """
    if not (run / "recipe.json").is_file():
        raise UsageError("not-a-run", f"{run} is no run folder", fix="--inside wants what `sparring train` wrote")
    if not nearest and read_settings(run).source == "digits":
        nearest = "digits"
    spec = sampler.data_spec
    shape = spec.height, spec.width, spec.channels
    real = real_images(nearest, shape, progress).images if nearest else None
    return save_views(sampler, run, training=real, seed=seed)


def refresh_views(folder: Path, nearest: object = None) -> None:
    """Write folder/inside/ as the generator is now.

    It stays where it is current, unless `nearest` names a data set. A run has none without a generator that draws, or
    with code of its own, which is not trusted here.
    """
    try:
        sampler = open_generator(folder)
    except (UsageError, FileFormatError) as error:
        if error.id not in ("no-latents", "no-generator", "own-code"):
            raise
        return
    if nearest or not views_are_current(sampler, folder):
        look_inside(sampler, folder, nearest)


def views_are_current(sampler: Sampler, run: Path) -> bool:
    """Whether run/inside shows this generator as it is now."""
    path = run / "inside" / "views.json"
    return path.is_file() and files.read_object(path).get("generator") == generator_hash(sampler)


def generator_hash(sampler: Sampler) -> str:
    """Of the weights."""
    found = hashlib.sha256()
    for name, tensor in sorted(sampler.G.state_dict().items()):
        found.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()
