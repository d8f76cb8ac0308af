"""`cnn` with generated images beside the labelled ones, used only if they prove worth it on held-out labels: the gate.

A conditional GAN learns from the training images and their labels, and from the graph's labels of the others where the
graph is to be believed. Generated images are training images only: nothing is ever judged on them.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from scipy import stats

from .. import keyed_random
from ..devices import choose_precision, torch_threads
from ..games.builders import Recipe
from ..games.losses import Classify
from ..games.nodes import Batch, Discriminated
from ..games.players import Adam, Discriminator, Generator
from ..games.recipes import RECIPES
from ..games.training import State
from ..images import to_uint8
from ..nets.dcgan import DCGAN
from ..nets.layers import DataSpec
from . import consistency
from .cnn import CNN
from .network import Look, Plan, Start, affordable, between, plan_for, play

FOLDS = 2
NONE = np.array([], np.int64)
SHOWN = 8  # images of each class in a picture
TRIALS = 10  # parts of the time: 3 GANs of 2 and 4 networks of the gate of 1
GATE = 0.5  # share of the steps that the classifiers of the gate train for, both of them


@dataclass(eq=False, repr=False, kw_only=True)
class GANAugment(CNN):
    """`cnn`, with images of a conditional GAN as further labelled images if these pass the gate, else `cnn` exactly.

    The gate: the labelled images are halved. For each half, the GAN learns without its images, then two networks learn
    for the same number of steps, from the real labelled images and from these and generated ones; both classify that
    half. Generated images are used if the balanced accuracy with them is better and the lower bound of the paired
    difference's 95 % interval is above 0. `share`: weight of the generated images beside the real ones.
    `gan_images`: the length of the GAN's training, in images; None chooses by the size of the data.

    Mirza & Osindero 2014, arXiv:1411.1784 (the GAN); Ravuri & Vinyals 2019, arXiv:1905.10887 (why a gate).
    """

    share: float = 0.5
    gan_images: int | None = None

    def learn(self, images: np.ndarray, labels: np.ndarray) -> None:
        with torch_threads(self.threads):
            seed = self.seed()
            gate, made = self.gate(images, labels, seed)
            if gate["passed"]:
                made = self.generated(images, labels, seed)
            self.record_["gate"] = gate
            if made is not None:
                self.pictures_ = {"generated": by_class(*made), "real": by_class(*only_labelled(images, labels))}
            self._made = made if gate["passed"] else None
            self.train(images, labels, seed)
            del self._made

    def start(self, images: np.ndarray, labels: np.ndarray, seed: int) -> Start:
        return Start(made=self._made)

    def recipe(self, plan: Plan, look: Look, start: Start) -> Recipe:
        recipe = super().recipe(plan, look, start)
        if start.made is None:
            return recipe
        loss = Classify(self.share, of=Discriminated("D", look.strong(Batch("x", "made"))), label=Batch("y", "made"))
        (player,) = recipe.players
        return replace(recipe, players=(replace(player, losses=(*player.losses, loss)),))

    # The gate.

    def gate(self, images: np.ndarray, labels: np.ndarray, seed: int) -> tuple[dict, tuple | None]:
        """What the gate says, JSON-able, and the generated images of its last fold."""
        counts = np.bincount(labels[labels >= 0])
        if counts.min() < 2:
            sentence = "Generated images were not tried: a class has one labelled image, so none can be held out."
            return refusal(sentence), None
        right, made = np.zeros((2, len(labels))), None
        for held in folds(labels, min(FOLDS, int(counts.min())), seed):
            rest = np.ones(len(labels), bool)
            rest[held] = False
            made = self.generated(images, labels, seed, held)
            for side, extra in enumerate((None, made)):
                trial = self.trial(images[rest], labels[rest], extra, seed)
                right[side, held] = trial.judge(images[held]).argmax(1) == labels[held]
        known = labels >= 0
        return verdict(right[0, known], right[1, known], labels[known]), made

    def trial(self, images: np.ndarray, labels: np.ndarray, made: tuple | None, seed: int) -> "GANAugment":
        """A network trained for part of the steps, with generated images or without."""
        plan = plan_for(images, labels, self.images)
        minutes = None if self.minutes is None else self.minutes / TRIALS
        steps = None if self.steps is None else math.ceil(GATE * self.steps)
        length = math.ceil(GATE * plan.steps) * plan.unlabelled
        trial = type(self)(
            images=length, steps=steps, minutes=minutes, precision=self.precision, net=self.net, share=self.share
        )
        trial.classes_, trial.record_, trial._made = self.classes_, {}, made
        trial.train(images, labels, seed)
        return trial

    # The GAN.

    def generated(
        self, images: np.ndarray, labels: np.ndarray, seed: int, held: np.ndarray = NONE
    ) -> tuple[np.ndarray, np.ndarray]:
        """Images uint8 [M,H,W,C] of a GAN that saw these images but those `held` out, and their classes [M]."""
        x, y = self.taught(images, labels, seed, held)
        data_spec = DataSpec.of(images, len(self.classes_))
        data: dict[str, Any] = {"labelled": {"x": torch.from_numpy(x), "y": torch.from_numpy(y)}}
        recipe = conditional(data_spec)
        length = between(300, round(4 * len(x) ** 0.6), 1000)
        length = math.ceil(self.gan_images / recipe.batch) if self.gan_images else length
        minutes, precision = (
            None if self.minutes is None else 2 * self.minutes / TRIALS,
            choose_precision(self.precision),
        )
        steps = affordable(recipe, data_spec, data, length, minutes, precision)
        state, curves = play(recipe, data_spec, data, steps, seed=seed, precision=precision)
        self.record_ |= {"gan": {"steps": steps, "images": len(x), "recipe": repr(recipe)}, "gan_curves": curves}
        return drawn(state, max(2 * len(x) // data_spec.classes, 64) if len(x) < 4096 else 1024, seed)

    def taught(
        self, images: np.ndarray, labels: np.ndarray, seed: int, held: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """What the GAN learns from: the labelled images, and the others with the graph's labels if it is believed.

        Images that are `held` out are unlabelled for the graph and nothing for the GAN.
        """
        labels = labels.copy()
        labels[held] = -1
        if (labels < 0).any():
            code_params = consistency.ask_graph(images, labels, seed).code_params
            if code_params is not None:
                labels = np.where(labels >= 0, labels, code_params.argmax(1))
        labels[held] = -1
        return only_labelled(images, labels)


def conditional(data_spec: DataSpec) -> Recipe:
    """The table's conditional GAN, thinner and with a larger learning rate: it plays four times in a fit."""
    net = DCGAN(width=16 if min(data_spec.height, data_spec.width) < 16 else 32)
    recipe = RECIPES["cgan"]

    def sized(spec):
        return replace(spec, net=net) if isinstance(spec, Generator | Discriminator) else spec

    players = [
        replace(p, nets=tuple(map(sized, p.nets)), optim=Adam(1e-3, (0.5, 0.99)), average=0.99 if p.average else None)
        for p in recipe.players
    ]
    return replace(recipe, players=tuple(players))


@torch.no_grad()
def drawn(state: State, each: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """`each` images of every class from the averaged generator, uint8 [K*each,H,W,C], and their classes."""
    G, classes = state.best("G"), state.data_spec.classes
    y = torch.arange(classes).repeat_interleave(each)
    z = keyed_random.normal(keyed_random.key(seed, "made"), torch.arange(len(y)), 64).float()
    parts = [to_uint8(G(some_z, some_y)) for some_z, some_y in zip(z.split(512), y.split(512), strict=True)]
    return np.concatenate(parts), y.numpy()


def folds(labels: np.ndarray, count: int, seed: int) -> Iterator[np.ndarray]:
    """Indices of labelled images, `count` parts with every class in each."""
    order = keyed_random.order(keyed_random.key(seed, "gate"), len(labels)).numpy()
    number = np.full(len(labels), -1)
    for label in np.unique(labels[labels >= 0]):
        members = order[labels[order] == label]
        number[members] = np.arange(len(members)) % count
    for fold in range(count):
        yield np.flatnonzero(number == fold)


def verdict(without: np.ndarray, with_made: np.ndarray, y: np.ndarray) -> dict:
    """The gate's numbers from right (1) or wrong (0) [N] on the same held-out images of classes y [N].

    Balanced accuracies, and the paired difference with its 95 % t interval, stratified by class: its variance is that
    of a mean of class means.
    """
    classes, difference = np.unique(y), with_made - without
    groups = [difference[y == c] for c in classes]
    mean = float(np.mean([g.mean() for g in groups]))
    variance = sum(g.var(ddof=1) / len(g) for g in groups if len(g) > 1) / len(classes) ** 2
    freedom = max(1, len(y) - len(classes))
    half = float(stats.t.ppf(0.975, freedom) * math.sqrt(variance))
    low, high = mean - half, mean + half
    numbers = [float(np.mean([right[y == c].mean() for c in classes])) for right in (without, with_made)]
    passed = low > 0
    sentence = (
        f"On {len(y)} held-out labelled images, balanced accuracy was {100 * numbers[1]:.1f} % with generated images "
        f"and {100 * numbers[0]:.1f} % without: a difference of {100 * mean:+.1f} points "
        f"({100 * low:+.1f} to {100 * high:+.1f}), so generated images were {'used' if passed else 'not used'}."
    )
    rounded = dict(zip(("without", "with", "difference", "low", "high"), (*numbers, mean, low, high), strict=True))
    return {"passed": passed, **{name: round(value, 5) for name, value in rounded.items()}, "sentence": sentence}


def refusal(sentence: str) -> dict:
    numbers = dict.fromkeys(("without", "with", "difference", "low", "high"))
    return {"passed": False, **numbers, "sentence": sentence}


def only_labelled(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return images[labels >= 0], labels[labels >= 0]


def by_class(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The first images of each class, 8 each where there are as many, class after class."""
    return np.concatenate([images[np.flatnonzero(labels == c)[:SHOWN]] for c in np.unique(labels)])
