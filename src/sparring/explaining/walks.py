"""What would have to change: the shortest way that a generator knows from an image to one of another class."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from ..classifiers import Classifier
from ..classifiers.image_inputs import images_like
from ..data.arrays import Scale
from ..images import fit_pixels, to_unit
from ..runs.latent_views import slerp
from ..runs.sampler import Latents, Sampler

DRAWN = 512  # images among which a start and an end are looked for
TRIED, HALVINGS, SHOWN = 17, 5, 7  # places on the way, then halvings of the step that changes the class; images shown
FIT_STEPS, RATE = 150, 0.05  # of the search for noise that gives the image
FAR = 25.0  # grey levels: a start that differs so much from the image is another image


@dataclass(frozen=True, eq=False)
class Walk:
    """A way from the generator's nearest image of a class to where the classifier says another one.

    `images` uint8 [S,H,W,C] as the classifier takes them, `shares` float64 [S] of the class that is left. `other`: the
    number of the class at the end, with its `share`. `off`: the mean difference of the start and the image, `changed`:
    of start and end, in grey levels of 255.
    """

    images: np.ndarray
    shares: np.ndarray
    other: int
    share: float
    off: float
    changed: float


def walk_to_another_class(
    sampler: Sampler, model: Classifier, image: np.ndarray, k: int, *, seed: int = 0
) -> Walk | None:
    """Return the walk from an image uint8 [H,W,C] that the model says is of class number k.

    The start is the drawn image of the class that is nearest to it by its pixels, moved nearer by gradients; the end
    the drawn image of another class that is nearest to the start. The noise changes on the arc between them, until the
    model says another class. None where the generator draws no image of the class, or none of another.
    """

    def seen(points: Latents) -> np.ndarray:
        return images_like(sampler.render(points), model.image_shape_, Scale(model.pixel_scale_))

    points = sampler.latents(DRAWN, seed=seed)
    drawn = seen(points)
    named = model.predict_proba(drawn).argmax(1)
    same, others = np.flatnonzero(named == k), np.flatnonzero(named != k)
    if not len(same) or not len(others):
        return None
    near = int(same[differences(drawn[same], image).argmin()])
    start = moved_nearer(sampler, points[near : near + 1], image)
    if model.predict_proba(seen(start)).argmax(1)[0] != k:
        start = points[near : near + 1]
    first = seen(start)[0]
    away = int(others[differences(drawn[others], first).argmin()])
    end = points[away : away + 1]

    def between(t: np.ndarray) -> np.ndarray:
        return seen(on_the_way(start, end, torch.from_numpy(t).float()[:, None]))

    last = first_change(lambda t: model.predict_proba(between(t)).argmax(1) != k)
    images = between(np.linspace(0, last, SHOWN))
    proba = model.predict_proba(images)
    other = int(proba[-1].argmax())
    return Walk(
        images,
        proba[:, k],
        other,
        float(proba[-1, other]),
        float(differences(images[:1], image)[0]),
        float(differences(images[:1], images[-1])[0]),
    )


def differences(images: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Return float64 [N]: the mean absolute differences of images uint8 [N,H,W,C] and an image, in grey levels."""
    return np.abs(images.astype(np.float32) - image.astype(np.float32)).mean((1, 2, 3)).astype(np.float64)


def first_change(changed: Callable[[np.ndarray], np.ndarray]) -> float:
    """Return the smallest t in (0,1] at which changed(t [N]) is true, as far as the places that are tried show.

    It is at 1, and not at 0.
    """
    places = np.linspace(0, 1, TRIED)
    found = int(changed(places)[1:-1].tolist().index(True)) + 1 if changed(places)[1:-1].any() else TRIED - 1
    low, high = places[found - 1], places[found]
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if changed(np.array([middle]))[0] else (middle, high)
    return float(high)


def on_the_way(start: Latents, end: Latents, t: torch.Tensor) -> Latents:
    """Return the latents at t [N,1] from 0 to 1 on the arc from one to another; classes and codes are mixed."""
    first, last = (points[torch.zeros(len(t), dtype=torch.int64)] for points in (start, end))
    t = t.to(start.z.device)
    return Latents(
        slerp(first.z, last.z, t),
        first.classes.lerp(last.classes, t),
        first.codes.lerp(last.codes, t),
        first.continuous.lerp(last.continuous, t),
    )


def moved_nearer(sampler: Sampler, start: Latents, image: np.ndarray) -> Latents:
    """Return latents [1] whose image is nearer to an image uint8 [H,W,C]: the noise follows the squared difference.

    Its length stays what it was, where the generator knows what to draw.
    """
    spec, device = sampler.data_spec, start.z.device
    shape = spec.height, spec.width, spec.channels
    small = images_like(image, shape, Scale.BYTE)[0] if image.shape != shape else fit_pixels(image, shape[:2])
    target, length = to_unit(torch.tensor(small[None])).to(device), start.z.norm()
    z = start.z.clone().requires_grad_()
    optimiser = torch.optim.Adam([z], RATE)
    training = sampler.G.training
    sampler.G.eval()
    for _ in range(FIT_STEPS):
        on_sphere = z * (length / z.norm())
        loss = (sampler.G.body(replace(start, z=on_sphere).joined) - target).square().mean()  # pyright: ignore
        (z.grad,) = torch.autograd.grad(loss, z)
        optimiser.step()
    sampler.G.train(training)
    return replace(start, z=(z * (length / z.norm())).detach())
