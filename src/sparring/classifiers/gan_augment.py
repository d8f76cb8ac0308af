"""`cnn` with generated images beside the labelled ones, used only if they pass a test on held-out labels: the gate.

A conditional GAN learns from the labelled images, and from the others with the graph's labels where the graph is
believed. Generated images are training images only: nothing is ever measured on them.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from .. import keyed_random
from ..devices import choose_device, choose_precision, torch_threads
from ..features import shrunk
from ..games.builders import Recipe
from ..games.losses import Classify
from ..games.nodes import Batch, Discriminated
from ..games.players import Adam, Discriminator, Generator
from ..games.recipes import RECIPES
from ..games.training import Data, State
from ..images import to_uint8
from ..nets.dcgan import DCGAN
from ..nets.layers import DataSpec
from ..stats import t_quantile
from . import consistency
from .cnn import CNNClassifier
from .fit_record import FitRecord, GANFit, Gate
from .looks import Look
from .network import Plan, Start, affordable, between, plan_for, play

GATE_FOLDS = 2
NOTHING_HELD = np.array([], np.int64)
SHOWN_OF_CLASS = 8  # images of each class in a picture
TIME_PARTS = 10  # of the minutes: 3 GANs get 2 parts each, the 4 networks of the gate 1 each
GATE_STEPS = 0.5  # share of the steps that each network of the gate trains for

Labelled = tuple[np.ndarray, np.ndarray]  # images uint8 [N,H,W,C] and their classes int64 [N]


@dataclass(eq=False, repr=False, kw_only=True)
class GANAugmentClassifier(CNNClassifier):
    """`cnn`, with images of a conditional GAN as further labelled images if these pass the gate, else `cnn` exactly.

    The gate: the labelled images are halved. For each half, a GAN learns without its images. Then two networks learn
    for the same number of steps, one from the other labelled images, one also from generated ones, and both classify
    that half. Generated images are used if the 95 % interval of the paired difference in balanced accuracy is above 0.
    `share`: weight of the generated images beside the real ones. `gan_images`: the length of the GAN's training, in
    images; None chooses by the size of the data.

    Mirza & Osindero 2014, arXiv:1411.1784 (the GAN); Ravuri & Vinyals 2019, arXiv:1905.10887 (why a gate).
    """

    share: float = 0.5
    gan_images: int | None = None

    def _fit(self, images: np.ndarray, labels: np.ndarray) -> None:
        with torch_threads(self.threads):
            seed, images = self._seed(), shrunk(images)
            gate, fakes = self._gate(images, labels, seed)
            if gate.passed:
                fakes = self._generated(images, labels, seed)
            self._note(gate=gate)
            if fakes is not None:
                self.pictures_ = {
                    "generated": first_of_each_class(*fakes),
                    "real": first_of_each_class(*only_labelled(images, labels)),
                }
            self._fakes = fakes if gate.passed else None
            self._train(images, labels, seed)
            del self._fakes

    def _prepare(self, images: np.ndarray, labels: np.ndarray, seed: int) -> Start:
        return Start(generated=self._fakes)

    def _recipe(self, plan: Plan, look: Look, start: Start) -> Recipe:
        recipe = super()._recipe(plan, look, start)
        if start.generated is None:
            return recipe
        loss = Classify(self.share, of=Discriminated("D", look.strong(Batch("x", "made"))), label=Batch("y", "made"))
        (player,) = recipe.players
        return replace(recipe, players=(replace(player, losses=(*player.losses, loss)),))

    # --- the gate ---

    def _gate(self, images: np.ndarray, labels: np.ndarray, seed: int) -> tuple[Gate, Labelled | None]:
        """Return the gate and the generated images of its last fold."""
        counts = np.bincount(labels[labels >= 0])
        if counts.min() < 2:
            reason = "Generated images were not tried: a class has one labelled image, so none can be held out."
            return Gate(False, None, None, None, None, None, reason), None
        right, fakes = np.zeros((2, len(labels))), None
        for held in gate_folds(labels, min(GATE_FOLDS, int(counts.min())), seed):
            rest = np.ones(len(labels), bool)
            rest[held] = False
            fakes = self._generated(images, labels, seed, held)
            for side, extra in enumerate((None, fakes)):
                trial = self._trial(images[rest], labels[rest], extra, seed)
                right[side, held] = trial._predict_proba(images[held]).argmax(1) == labels[held]
        known = labels >= 0
        return gate_of(right[0, known], right[1, known], labels[known]), fakes

    def _trial(
        self, images: np.ndarray, labels: np.ndarray, fakes: Labelled | None, seed: int
    ) -> "GANAugmentClassifier":
        """Return a network that was trained for a share of the steps, with generated images or without."""
        plan = plan_for(images, labels, self.images)
        trial = type(self)(
            images=math.ceil(GATE_STEPS * plan.steps) * plan.unlabelled,
            steps=None if self.steps is None else math.ceil(GATE_STEPS * self.steps),
            minutes=None if self.minutes is None else self.minutes / TIME_PARTS,
            precision=self.precision,
            device=self.device,
            net=self.net,
            share=self.share,
        )
        trial.classes_, trial.record_, trial._fakes = self.classes_, FitRecord(), fakes
        trial._train(images, labels, seed)
        return trial

    # --- the GAN ---

    def _generated(
        self, images: np.ndarray, labels: np.ndarray, seed: int, held: np.ndarray = NOTHING_HELD
    ) -> Labelled:
        """Return images of a GAN that learned from all of these images but those `held` out, and their classes."""
        x, y = gan_lessons(images, labels, seed, held)
        data_spec, device = DataSpec.of(images, len(self.classes_)), choose_device(self.device)
        data: Data = {"labelled": {"x": torch.from_numpy(x).to(device), "y": torch.from_numpy(y).to(device)}}
        recipe, precision = conditional(data_spec), choose_precision(self.precision, device)
        length = between(300, round(4 * len(x) ** 0.6), 1000)
        length = math.ceil(self.gan_images / recipe.batch) if self.gan_images else length
        minutes = None if self.minutes is None else 2 * self.minutes / TIME_PARTS
        steps = affordable(recipe, data_spec, data, length, minutes, precision=precision, device=device)
        state, curves = play(recipe, data_spec, data, steps, seed=seed, precision=precision, device=device)
        self._note(gan=GANFit(steps, len(x), repr(recipe)), gan_curves=curves)
        each = max(2 * len(x) // data_spec.classes, 64) if len(x) < 4096 else 1024
        generator = recipe.generator
        assert generator is not None  # a conditional GAN has one
        return fakes_of_every_class(state, generator.z, each, seed)


def gan_lessons(images: np.ndarray, labels: np.ndarray, seed: int, held: np.ndarray) -> Labelled:
    """Return what the GAN learns from: labelled images, and the others with the graph's labels if it is believed.

    Images that are `held` out are unlabelled for the graph and nothing for the GAN.
    """
    labels = labels.copy()
    labels[held] = -1
    if (labels < 0).any():
        guess = consistency.ask_graph(images, labels, seed).guess
        if guess is not None:
            labels = np.where(labels >= 0, labels, guess.argmax(1))
    labels[held] = -1
    return only_labelled(images, labels)


def conditional(data_spec: DataSpec) -> Recipe:
    """Return the table's conditional GAN, thinner and with a larger learning rate: a fit trains three."""
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
def fakes_of_every_class(state: State, width: int, each: int, seed: int) -> Labelled:
    """Return `each` images of every class from the averaged generator, whose noise has `width` numbers."""
    G, classes = state.best("G"), state.data_spec.classes
    y = torch.arange(classes).repeat_interleave(each)
    z = keyed_random.normal(keyed_random.key(seed, "made"), torch.arange(len(y)), width).float()
    device = next(G.parameters()).device
    batches = zip(z.to(device).split(512), y.to(device).split(512), strict=True)
    return np.concatenate([to_uint8(G(some_z, some_y)) for some_z, some_y in batches]), y.numpy()


def gate_folds(labels: np.ndarray, count: int, seed: int) -> Iterator[np.ndarray]:
    """Yield the indices of labelled images in `count` folds, every class in each."""
    order = keyed_random.order(keyed_random.key(seed, "gate"), len(labels)).numpy()
    number = np.full(len(labels), -1)
    for label in np.unique(labels[labels >= 0]):
        members = order[labels[order] == label]
        number[members] = np.arange(len(members)) % count
    for fold in range(count):
        yield np.flatnonzero(number == fold)


def gate_of(without: np.ndarray, with_generated: np.ndarray, y: np.ndarray) -> Gate:
    """Return the gate from what two networks got right (1) or wrong (0) [N] of held-out images of classes y [N]."""
    classes, difference = np.unique(y), with_generated - without
    groups = [difference[y == c] for c in classes]
    mean = float(np.mean([g.mean() for g in groups]))
    # The variance of a mean of class means.
    variance = sum(g.var(ddof=1) / len(g) for g in groups if len(g) > 1) / len(classes) ** 2
    half = t_quantile(max(1, len(y) - len(classes))) * math.sqrt(variance)
    low, high = mean - half, mean + half
    passed = low > 0
    before, after = (float(np.mean([right[y == c].mean() for c in classes])) for right in (without, with_generated))
    sentence = (
        f"On {len(y)} held-out labelled images, balanced accuracy was {100 * after:.1f} % with generated images "
        f"and {100 * before:.1f} % without: a difference of {100 * mean:+.1f} points "
        f"({100 * low:+.1f} to {100 * high:+.1f}), so generated images were {'used' if passed else 'not used'}."
    )
    before, after, mean, low, high = (round(value, 5) for value in (before, after, mean, low, high))
    return Gate(passed, before, after, mean, low, high, sentence)


def only_labelled(images: np.ndarray, labels: np.ndarray) -> Labelled:
    return images[labels >= 0], labels[labels >= 0]


def first_of_each_class(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the first images of each class, 8 each where there are as many, class after class."""
    return np.concatenate([images[np.flatnonzero(labels == c)[:SHOWN_OF_CLASS]] for c in np.unique(labels)])
