"""`cnn` with generated images beside the labelled ones, used only if they pass a test on held-out labels: the gate.

A conditional GAN learns from the labelled images, and from the others with the graph's labels where the graph is
believed. Generated images are training images only: nothing is ever measured on them.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch

from .. import keyed_random
from ..devices import choose_device, choose_precision, torch_threads
from ..features import shrunk
from ..games.builders import Recipe
from ..games.losses import Classify
from ..games.nodes import Batch, Discriminated
from ..games.players import Adam
from ..games.recipes import RECIPES
from ..games.training import Data, State
from ..images import to_uint8
from ..nets.dcgan import DCGAN
from ..nets.layers import DataSpec
from . import consistency
from .cnn import CNNClassifier
from .fit_record import FitRecord, GANFit, Gate
from .gate import DUPLICATES, NOTHING, SHARES, Extra, beats_controls, best_share, gate_of, halves
from .looks import Look
from .network import TRIAL_SECONDS, Plan, Start, affordable, between, plan_for, play, seconds_a_step
from .selection import groups_at

NOTHING_HELD = np.array([], np.int64)
SHOWN_OF_CLASS = 8  # images of each class in a picture
TIME_PARTS = 14  # of the minutes: 3 GANs get 2 parts each, the 8 networks of the gate 1 each
GATE_STEPS = 0.5  # share of the steps that each network of the gate trains for

Labelled = tuple[np.ndarray, np.ndarray]  # images uint8 [N,H,W,C] and their classes int64 [N]
Beside = tuple[Labelled | None, float]  # what is learned beside the real images, and its weight
NOTHING_BESIDE: Beside = None, 0.0


@dataclass(eq=False, repr=False, kw_only=True)
class GANAugmentClassifier(CNNClassifier):
    """`cnn`, with images of a conditional GAN as further labelled images if these pass the gate, else `cnn` exactly.

    The gate: the labelled images are halved. For each half, a GAN learns without its images. Then networks learn for
    the same number of steps from the other labelled images, and classify that half: one from these alone, one also from
    as many copies of the real images that the GAN learned from, and some also from generated images. Generated images
    are used if they are better than both controls by the rules of gate.py.

    `share`: weight of the generated images beside the real ones; None tries 0.25, 0.5 and 1. `gan_images`: the length
    of the GAN's training, in images; None chooses by the size of the data.

    Mirza & Osindero 2014, arXiv:1411.1784 (the GAN); Ravuri & Vinyals 2019, arXiv:1905.10887 (why a gate); Pink 2026,
    PMLR 318:954-961 (why copies).
    """

    share: float | None = None
    gan_images: int | None = None

    _beside = NOTHING_BESIDE  # a fit sets it while it trains

    def _fit(self, images: np.ndarray, labels: np.ndarray) -> None:
        with torch_threads(self.threads):
            seed, images = self._seed(), shrunk(images)
            gate, fakes = self._gate(images, labels, seed)
            if gate.passed:
                fakes = self._generated(gan_lessons(images, labels, seed, groups=self._groups), seed)
            self._note(gate=gate)
            if fakes is not None:
                self.pictures_ = {
                    "generated": first_of_each_class(*fakes),
                    "real": first_of_each_class(*only_labelled(images, labels)),
                }
            self._beside = (fakes, gate.share or 0.0) if gate.passed else NOTHING_BESIDE
            self._train(images, labels, seed)
            del self._beside

    def _prepare(self, images: np.ndarray, labels: np.ndarray, seed: int) -> Start:
        return Start(generated=self._beside[0])

    def _recipe(self, plan: Plan, look: Look, start: Start) -> Recipe:
        recipe = super()._recipe(plan, look, start)
        if start.generated is None:
            return recipe
        view = Discriminated("D", look.strong(Batch("x", "made")))
        loss = Classify(self._beside[1], of=view, label=Batch("y", "made"))
        (player,) = recipe.players
        return replace(recipe, players=(replace(player, losses=(*player.losses, loss)),))

    # --- the gate ---

    def _gate(self, images: np.ndarray, labels: np.ndarray, seed: int) -> tuple[Gate, Labelled | None]:
        """Return the gate and the generated images of the last half that was tried."""
        if np.bincount(labels[labels >= 0]).min() < 2:
            reason = "Generated images were not tried: a class has one labelled image, so none can be held out."
            return Gate(False, None, None, None, None, None, reason), None
        parts = list(halves(labels, seed, self._groups))
        if not parts:
            reason = "Generated images were not tried: the labelled images of a class are of too few groups to halve."
            return Gate(False, None, None, None, None, None, reason), None
        shares = SHARES if self.share is None else (self.share,)
        generated = [Extra("generated", share) for share in shares]
        right = {extra: np.full(len(labels), np.nan) for extra in (NOTHING, DUPLICATES, *generated)}
        tried = [DUPLICATES, NOTHING, *generated]
        fakes, best, steps = None, shares[0], None
        for number, held in enumerate(parts):
            rest = np.setdiff1d(np.arange(len(labels)), held)
            lessons = gan_lessons(images, labels, seed, held, self._groups)
            fakes = self._generated(lessons, seed)
            beside = {"nothing": None, "duplicates": copies_like(lessons, fakes[1], seed), "generated": fakes}
            for extra in tried:
                trial = self._trial(images, labels, rest, (beside[extra.kind], extra.share), seed, steps)
                steps = trial.record_.steps  # the first, with copies, takes longest: all get what it can afford
                right[extra][held] = trial._predict_proba(images[held]).argmax(1) == labels[held]
            if number == 0:
                seen = {extra: values[held] for extra, values in right.items()}
                best = best_share(seen, labels[held])
                if not beats_controls(seen, labels[held], best):
                    break
                tried = [DUPLICATES, NOTHING, Extra("generated", best)]
        known = labels >= 0
        right = {extra: values[known] for extra, values in right.items()}
        return gate_of(right, labels[known], best, groups_at(self._groups, known)), fakes

    def _trial(
        self, images: np.ndarray, labels: np.ndarray, index: np.ndarray, beside: Beside, seed: int, steps: int | None
    ) -> "GANAugmentClassifier":
        """Return a network that was trained on images[index] for `steps`, None for a share of those of the fit."""
        images, labels = images[index], labels[index]
        plan = plan_for(images, labels, self.images)
        if self.steps is not None:
            steps = math.ceil(GATE_STEPS * self.steps)
        trial = type(self)(
            images=math.ceil(GATE_STEPS * plan.steps) * plan.unlabelled,
            steps=steps,
            minutes=None if self.minutes is None else self.minutes / TIME_PARTS,
            precision=self.precision,
            device=self.device,
            net=self.net,
        )
        trial.classes_, trial.record_, trial._beside = self.classes_, FitRecord(), beside
        trial._groups = groups_at(self._groups, index)
        trial._train(images, labels, seed)
        return trial

    def _tried_seconds(self, images: np.ndarray, labels: np.ndarray) -> float:
        """Return the seconds of a fit whose generated images pass the gate: it takes the longest."""
        images = shrunk(images)
        lessons = gan_lessons(images, labels, self._seed())
        recipe, data_spec, data = self._game(lessons, "cgan", int(labels.max()) + 1)
        device = choose_device(self.device)
        precision = choose_precision(self.precision, device)
        each = seconds_a_step(recipe, data_spec, data, precision=precision, device=device, at_most=TRIAL_SECONDS)
        gan = each * self._length(recipe, len(lessons[0]))
        self._beside = lessons, 1.0
        return 3 * gan + (1 + 8 * GATE_STEPS) * super()._tried_seconds(images, labels)

    # --- the GAN ---

    def _game(self, lessons: Labelled, name: str, classes: int) -> tuple[Recipe, DataSpec, Data]:
        """Return the recipe of the GAN, what it learns from, and that in the form of a game."""
        x, y = lessons
        data_spec, device = DataSpec.of(x, classes), choose_device(self.device)
        data: Data = {"labelled": {"x": torch.from_numpy(x).to(device), "y": torch.from_numpy(y).to(device)}}
        return conditional(data_spec, name), data_spec, data

    def _length(self, recipe: Recipe, images: int) -> int:
        """Return how many steps the GAN takes on so many images."""
        if self.gan_images:
            return math.ceil(self.gan_images / recipe.batch)
        return between(300, round(4 * images**0.6), 1000)

    def _generated(self, lessons: Labelled, seed: int, recipe_name: str | None = None) -> Labelled:
        """Return images of a GAN that learned from these, and their classes."""
        x, device = lessons[0], choose_device(self.device)
        recipe, data_spec, data = self._game(lessons, recipe_name or "cgan", len(self.classes_))
        precision, length = choose_precision(self.precision, device), self._length(recipe, len(x))
        minutes = None if self.minutes is None else 2 * self.minutes / TIME_PARTS
        steps = affordable(recipe, data_spec, data, length, minutes, precision=precision, device=device)
        state, curves = play(recipe, data_spec, data, steps, seed=seed, precision=precision, device=device)
        self._note(gan=GANFit(steps, len(x), repr(recipe)), gan_curves=curves)
        each = max(2 * len(x) // data_spec.classes, 64) if len(x) < 4096 else 1024
        generator = recipe.generator
        assert generator is not None  # a conditional GAN has one
        return fakes_of_every_class(state, generator.z, each, seed)


def gan_lessons(
    images: np.ndarray,
    labels: np.ndarray,
    seed: int,
    held: np.ndarray = NOTHING_HELD,
    groups: np.ndarray | None = None,
) -> Labelled:
    """Return what the GAN learns from: labelled images, and the others with the graph's labels if it is believed.

    Images that are `held` out are unlabelled for the graph and nothing for the GAN.
    """
    labels = labels.copy()
    labels[held] = -1
    if (labels < 0).any():
        guess = consistency.ask_graph(images, labels, seed, groups).guess
        if guess is not None:
            labels = np.where(labels >= 0, labels, guess.argmax(1))
    labels[held] = -1
    return only_labelled(images, labels)


def conditional(data_spec: DataSpec, name: str) -> Recipe:
    """Return a conditional GAN of the table, thinner and trained for a short time: a fit trains three."""
    width = 16 if min(data_spec.height, data_spec.width) < 16 else 32
    recipe = RECIPES[name]

    def sized(spec):
        return replace(spec, net=replace(spec.net, width=width)) if isinstance(spec.net, DCGAN) else spec

    players = [
        replace(
            player,
            nets=tuple(map(sized, player.nets)),
            optim=Adam(1e-3, (0.5, 0.99)) if name == "cgan" else player.optim,
            average=0.99 if player.average else None,
        )
        for player in recipe.players
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


def copies_like(lessons: Labelled, wanted: np.ndarray, seed: int) -> Labelled:
    """Return copies of images of the `lessons`, of the classes `wanted` [M], every image of a class equally often."""
    x, y = lessons
    order = keyed_random.order(keyed_random.key(seed, "copies"), len(y)).numpy()
    index = np.empty(len(wanted), np.int64)
    for label in np.unique(wanted):
        members, places = order[y[order] == label], np.flatnonzero(wanted == label)
        index[places] = members[np.arange(len(places)) % len(members)]
    return x[index], wanted


def only_labelled(images: np.ndarray, labels: np.ndarray) -> Labelled:
    return images[labels >= 0], labels[labels >= 0]


def first_of_each_class(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the first images of each class, 8 each where there are as many, class after class."""
    return np.concatenate([images[np.flatnonzero(labels == c)[:SHOWN_OF_CLASS]] for c in np.unique(labels)])
