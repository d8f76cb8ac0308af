"""Where the discriminator of a training run looks: what gives drawn images away, what makes real ones look real."""

import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from scipy.special import expit
from torch import Tensor

from ..data import load
from ..errors import FileFormatError, UsageError
from ..games.players import Discriminator, DiscriminatorNet
from ..images import to_unit
from ..nets.layers import ImageTies
from ..records import OnProgress, Progress, no_progress
from ..runs.folder import Run, open_generator
from ..runs.pools import used
from .heat import network_heat
from .maps import occlusion
from .methods import maps_named
from .records import FORMAT, Explained, ExplainedList
from .results import Explanation, Explanations, HeatMap
from .saving import explanations_folder, save_explanations
from .sentences import place_sentence
from .verdicts import FORGETFUL, checked, heat_map

Labels = int | np.ndarray | None  # one class for all images, one for each, or none
DRAWN, REAL = "drawn", "real"
COMPARED = 256  # images of each kind, by which scores are measured
METHOD = "discriminator"


def explain_run(
    run: Run | str | Path,
    *,
    by: Sequence[str] = (),
    data: object = None,
    count: int = 8,
    checks: bool = True,
    out: str | Path | None = None,
    seed: int = 0,
    progress: OnProgress = no_progress,
) -> Explanations:
    """Return where a run's discriminator looks: in drawn images what gives them away, in real ones what looks real.

    data: the images that the run learned from, without which only drawn ones are shown; `count` of each kind. by,
    checks, out: as of `explain`. Raises FileFormatError for a folder without a checkpoint, UsageError for a
    discriminator that does not look at single images, or an unknown map.
    """
    folder = None if out is None else explanations_folder(out, data)
    rows = maps_named(tuple(by))
    run = run if isinstance(run, Run) else Run.read(run)
    looked = LookingDiscriminator.of(run)
    forgot = [looked.forgetful(seed + number) for number in range(FORGETFUL if checks else 0)]
    kinds = shown_images(run, data, seed)
    scores = {kind: looked.scores(images, labels) for kind, (images, labels) in kinds.items()}
    middle = float(np.mean([found.mean() for found in scores.values()]))
    spread = max(float(np.mean([found.std() for found in scores.values()])), 1e-9)
    found: list[Explanation] = []
    for kind, (images, labels) in kinds.items():
        for i, image in enumerate(images[:count]):
            progress(Progress("images", len(found), count * len(kinds), f"looking at {kind} image {i}"))
            label = None if labels is None else int(labels[i])
            maps = [heat_map(row, looked.heat(row.name, image, label, kind)) for row in rows]
            if checks:
                sure = Certainty(looked, kind, label, middle, spread)
                others = [[one.heat(row.name, image, label, kind) for one in forgot] for row in rows]
                maps = [
                    checked(m, other, sure, image, seed, what="its certainty")
                    for m, other in zip(maps, others, strict=True)
                ]
            found.append(explained_image(f"{kind} image {i}", kind, image, maps, scores, float(scores[kind][i])))
    listed = ExplainedList(
        format=FORMAT,
        model=str(run.folder),
        method=METHOD,
        title=f"The discriminator of {run.settings.recipe_name}",
        created=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        classes=(REAL, DRAWN),
        images=tuple(one.said for one in found),
    )
    made = Explanations(listed, tuple(found))
    return made if folder is None else save_explanations(made, folder)


def explained_image(
    name: str, kind: str, image: np.ndarray, maps: list[HeatMap], scores: dict[str, np.ndarray], score: float
) -> Explanation:
    """Return an explanation with its words: the score beside those of the other images, and where it comes from."""
    compared = [f"{100 * np.mean(others < score):.0f} % of {len(others)} {other} images have a lower one"
                for other, others in scores.items()]  # fmt: skip
    what = "What speaks for real is shown." if kind == REAL else "What gives it away is shown."
    words = [f"The discriminator's score is {score:.3g}: {' and '.join(compared)}. {what}"]
    verdicts = tuple(found.verdict for found in maps)
    said = Explained(image=name, label=kind, confidence=None, about=kind, share=None, maps=verdicts)
    return Explanation(replace(said, sentences=(*words, *map(place_sentence, verdicts))), image, tuple(maps))


def shown_images(run: Run, data: object, seed: int) -> dict[str, tuple[np.ndarray, np.ndarray | None]]:
    """Return drawn images and real ones, uint8 [N,H,W,C], with their labels int64 [N] where the run has classes."""
    sampler = open_generator(run)
    labels = np.arange(COMPARED) % len(sampler.classes) if sampler.spec.labels else None
    found = {DRAWN: (sampler.draw(COMPARED, labels=labels, seed=seed), labels)}
    if data is None:
        return found
    spec = run.data_spec
    real = load(data, size=(spec.height, spec.width))
    real = real.take(used(real))
    order, known = np.random.default_rng(seed).permutation(len(real)), None
    if labels is not None:
        names = {name: k for k, name in enumerate(sampler.classes)}
        order = np.array([i for i in order if real.labels[i] >= 0 and real.classes[real.labels[i]] in names], np.int64)
        known = np.array([names[real.classes[real.labels[i]]] for i in order[:COMPARED]], np.int64)
    images = real.images[order[:COMPARED]]
    if images.shape[3] != spec.channels or not len(images):
        what = f"{real.name} has other images or classes than those that {run.folder} learned from"
        raise UsageError("other-images", what, fix="name the images that it was trained on")
    return found | {REAL: (images, known)}


class LookingDiscriminator:
    """A discriminator whose score is taken apart. `labels`: whether it is told the class of an image."""

    def __init__(self, net: DiscriminatorNet, labels: bool):
        self.net, self.labels = net, labels

    @classmethod
    def of(cls, run: Run) -> "LookingDiscriminator":
        """Return the discriminator of the newest checkpoint. Raises FileFormatError, or UsageError for one that does
        not look at single images, or gives no score."""
        nets = [s for s in run.recipe.nets.values() if isinstance(s, Discriminator) and "score" in s.head.gives]
        spec = next((s for s in nets if not s.source and s.net.image_ties != ImageTies.MINIBATCH), None)
        if spec is None:
            raise UsageError(
                "no-discriminator",
                f"{run.folder} has no discriminator that scores images one by one",
                fix="name a run of another recipe, such as dcgan",
            )
        found = run.newest()
        if found is None:
            raise FileFormatError("no-checkpoint", f"{run.folder} has no checkpoint yet", fix="go on with its training")
        net = found[0].best(spec.name)
        assert isinstance(net, DiscriminatorNet)
        return cls(net.eval().requires_grad_(False), spec.head.wants_label)

    def forgetful(self, seed: int) -> "LookingDiscriminator":
        """Return one with each tensor of weights shuffled."""
        twin, rng = copy.deepcopy(self.net), np.random.default_rng(seed)
        with torch.no_grad():
            for p in twin.parameters():
                order = torch.from_numpy(rng.permutation(p.numel()))
                p.copy_(p.flatten()[order.to(p.device)].reshape(p.shape))
        return LookingDiscriminator(twin, self.labels)

    def score(self, x: Tensor, labels: Labels = None) -> Tensor:
        """Return the score [N] of images [N,C,H,W] in [-1,1], the mean over patches where it scores these."""
        y = None
        if self.labels and labels is not None:
            y = torch.as_tensor(labels, device=x.device).expand(len(x))
        return self.net(x, y).score.reshape(len(x), -1).mean(1)

    @torch.no_grad()
    def scores(self, images: np.ndarray, labels: Labels) -> np.ndarray:
        """Return float64 [N]: the scores of uint8 images [N,H,W,C] of the class, or classes [N]."""
        device = next(self.net.parameters()).device
        each = None if labels is None else np.broadcast_to(labels, len(images)).copy()
        parts = []
        for start in range(0, len(images), 64):
            here = slice(start, start + 64)
            x = to_unit(torch.tensor(images[here]).to(device))
            parts.append(self.score(x, None if each is None else each[here]))
        return torch.cat(parts).double().cpu().numpy()

    def heat(self, by: str, image: np.ndarray, label: Labels, kind: str) -> np.ndarray:
        """Return float32 [H,W]: what each place of an image uint8 [H,W,C] adds to its looking real, or drawn."""
        sign = 1 if kind == REAL else -1
        if by == "occlusion":
            return occlusion(lambda images: sign * self.scores(images, label), image)
        x = to_unit(torch.tensor(image[None])).to(next(self.net.parameters()).device)
        return network_heat(by, self.net, lambda x: sign * self.score(x, label), x, (image.shape[0], image.shape[1]))


@dataclass(frozen=True)
class Certainty:
    """How surely images are of a kind, float64 [N] from 0 to 1, by where the scores of both kinds lie."""

    looked: LookingDiscriminator
    kind: str
    label: Labels
    middle: float
    spread: float

    def __call__(self, images: np.ndarray) -> np.ndarray:
        away = (self.looked.scores(images, self.label) - self.middle) / self.spread
        return expit(away if self.kind == REAL else -away)
