"""What the classifiers that train a network share: the network, its steps, views, pools of images and the fit itself.

`cnn`, `consistency` and `semi-gan` differ in the terms of their recipe only: same network, same optimiser, same number
of steps, same labelled images in them. So what unlabelled images add is consistency - cnn, and what the game adds is
semi-gan - consistency.
"""

import math
import time
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from .. import keyed_random
from ..devices import choose_precision, keep_memory, torch_threads
from ..games.builders import Recipe
from ..games.curve_names import curve_names
from ..games.losses import Classify
from ..games.nodes import Batch, Discriminated, Node
from ..games.players import AdamW, Discriminator, DiscriminatorNet, Player
from ..games.schedules import Linear
from ..games.training import Data, State, new_state, training
from ..games.views import Strong, Weak, view_numbers, viewed
from ..images import to_unit
from ..nets.classifiers import SmallCNN
from ..nets.layers import DataSpec, channels_last, parameters
from .base import Classifier

CHUNK = 512  # images judged at a time
POINTS = 100  # of a training curve
LABELLED = Batch("x", "labelled")
CLASS = Batch("y", "labelled")


@dataclass(frozen=True)
class Plan:
    """How long and on how much a network trains; the same for every method on the same images and labels."""

    steps: int
    labelled: int  # labelled images a step
    ratio: int  # unlabelled images for each of them, where a method uses any

    @property
    def unlabelled(self) -> int:
        return self.labelled * self.ratio


def plan_for(images: np.ndarray, labels: np.ndarray, length: int | None) -> Plan:
    """The plan for uint8 images [N,H,W,C] and labels [N], -1 unlabelled. `length`: images of the whole set to show.

    Ours, from measurements on 1,500 to 60,000 images: steps grow more slowly than images, so that more images are seen
    more often in all and less often each, but fewer than 400 are too few beyond tiny images; a batch is a sixteenth of
    a small set and 256 of a large one; of a few labels 32 a step are enough, of many a step takes more, up to as many
    as unlabelled ones.
    """
    n, known = len(images), int((labels >= 0).sum())
    batch = between(64, 2 ** math.floor(math.log2(max(n / 16, 1))), 256)
    labelled = between(32, 2 ** math.floor(math.log2(max(known / 16, 1))), batch)
    fewest = 400 if min(images.shape[1:3]) >= 16 else 150
    steps = math.ceil(length / batch) if length else max(fewest, round(2.0 * n**0.6))
    return Plan(max(1, steps), labelled, batch // labelled)


def between(low: int, value: int, high: int) -> int:
    return max(low, min(value, high))


@dataclass(frozen=True)
class Start:
    """What is known before the first step, beside images and labels."""

    code_params: np.ndarray | None = None  # class probabilities [N,K] of all images, where they can be believed
    accuracy: float | None = None  # of the graph they come from, on labelled images that were hidden from it
    made: tuple[np.ndarray, np.ndarray] | None = None  # generated images uint8 [M,H,W,C] and their classes int64 [M]

    @property
    def prior(self) -> tuple[float, ...]:
        """Class shares, as the graph sees them; () where it is not believed."""
        return () if self.code_params is None else tuple(round(float(share), 4) for share in self.code_params.mean(0))


@dataclass(frozen=True)
class Look:
    """How the images may be seen anew without becoming images of something else."""

    light: float = 0.0
    colour: float = 0.0
    hole: float = 0.0
    flip: bool = False

    def weak(self, of: Node) -> Weak:
        return Weak(of, flip=self.flip)

    def strong(self, of: Node) -> Strong:
        return Strong(of, light=self.light, colour=self.colour, hole=self.hole, flip=self.flip)


def look_for(images: np.ndarray) -> Look:
    """Colour images are taken for photographs: colours and a hole vary as well, and left may be right. Grey ones keep
    their sides, since of digits, letters and parts the mirror image may be another class.
    """
    return Look(light=0.4, colour=0.4, hole=0.4, flip=True) if images.shape[3] == 3 else Look(light=0.4)


@dataclass(eq=False, repr=False, kw_only=True)
class NetworkClassifier(Classifier):
    """Base of the classifiers that train a network.

    `images`: the length of training, as images of the whole set that a step-by-step learner from all of them would
    see; None chooses by the size of the data. `steps`: of the optimiser, instead. `minutes`: a cap on the time of
    training; where it binds, training is shorter, not cut off, and `record_["shortened"]` says so. `threads`: of the
    processor, None leaves torch's number. `precision`: "fp32", "bf16", or "auto" for bf16 where the processor has
    units for it. `net`: the trunk.

    The fitted network: `judge_` and `facts_` (parts), `weights_` (name -> array).
    """

    images: int | None = None
    steps: int | None = None
    minutes: float | None = None
    threads: int | None = None
    precision: str = "auto"
    net: SmallCNN = SmallCNN()

    # What a method writes.

    def start(self, images: np.ndarray, labels: np.ndarray, seed: int) -> Start:
        """What is found out about the images before the first step."""
        return Start()

    def recipe(self, plan: Plan, look: Look, start: Start) -> Recipe:
        """The game; its judge "D" is the classifier."""
        raise NotImplementedError

    # The fit.

    def learn(self, images: np.ndarray, labels: np.ndarray) -> None:
        with torch_threads(self.threads):
            self.train(images, labels, self.seed())

    def steps_within(self, images: np.ndarray, labels: np.ndarray) -> int:
        """How many of the planned steps fit into `minutes` here, by a short trial; labels int64, -1 unlabelled.

        Methods that are to be compared take the fewest that any of them can afford (`steps`), and so the same.
        """
        with torch_threads(self.threads):
            plan, start = plan_for(images, labels, self.images), Start()
            data_spec = DataSpec.of(images, int(labels.max()) + 1)
            recipe, data = self.recipe(plan, look_for(images), start), pools(images, labels, start)
            return affordable(recipe, data_spec, data, plan.steps, self.minutes, choose_precision(self.precision))

    def train(self, images: np.ndarray, labels: np.ndarray, seed: int) -> State:
        """Plays the method's recipe; keeps the averaged classifier and writes the record."""
        begin = time.perf_counter()
        plan, look = plan_for(images, labels, self.images), look_for(images)
        start = self.start(images, labels, seed)
        data = pools(images, labels, start)
        data_spec = DataSpec.of(images, len(self.classes_))
        recipe, precision = self.recipe(plan, look, start), choose_precision(self.precision)
        prepared = time.perf_counter()
        steps = self.steps or affordable(recipe, data_spec, data, plan.steps, self.minutes, precision)
        state, curves = play(recipe, data_spec, data, steps, seed=seed, precision=precision)
        self.keep(state, data, look, seed)
        self.record_ |= {
            "steps": steps,
            "shortened": steps < plan.steps,
            "planned": plan.steps,
            "images_a_step": {"labelled": plan.labelled, "unlabelled": plan.unlabelled},
            "parameters": parameters(state.nets["D"]),
            "precision": precision,
            "recipe": repr(recipe),
            "curves": curves,
            "skipped": state.skipped,
            "seconds": {
                "prepare": round(prepared - begin, 3),
                "train": round(time.perf_counter() - prepared, 3),
            },
        }
        return state

    def keep(self, state: State, data: Data, look: Look, seed: int) -> None:
        """The averaged classifier, its batch norm measured anew on training images, as arrays."""
        net = cast(DiscriminatorNet, state.best("D"))
        measure_norms(net, data.get("all", data["labelled"])["x"], look, seed)
        self.judge_, self.facts_ = net.spec, state.data_spec
        self.weights_ = {name: value.numpy().copy() for name, value in net.state_dict().items()}
        vars(self).pop("_network", None)

    # Prediction.

    def network(self) -> DiscriminatorNet:
        """The fitted classifier as a module in eval mode."""
        if "_network" not in vars(self):
            net = self.judge_.build(self.facts_)
            net.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in self.weights_.items()})
            self._network = channels_last(net).eval()
        return self._network

    def judge(self, images: np.ndarray) -> np.ndarray:
        with torch_threads(self.threads), torch.inference_mode():
            parts = [self.network()(to_unit(chunk)).logits.softmax(1) for chunk in chunks(torch.from_numpy(images))]
        return torch.cat(parts).numpy()

    def __getstate__(self) -> dict[str, Any]:
        state: Any = super().__getstate__()
        return {name: value for name, value in state.items() if name != "_network"}


def pools(images: np.ndarray, labels: np.ndarray, start: Start) -> Data:
    """ "all": every image, "labelled": those with a label; x uint8 [N,H,W,C], y int64 [N]. `guess` in "all": the most
    probable class of the graph, where it is believed. "made": generated images, where there are any."""
    x, y = torch.from_numpy(images), torch.from_numpy(labels)
    known = y >= 0
    data = {"all": {"x": x, "y": y}, "labelled": {"x": x[known], "y": y[known]}}
    if start.code_params is not None:
        data["all"]["guess"] = torch.from_numpy(start.code_params.argmax(1))
    if start.made is not None:
        data["made"] = {"x": torch.from_numpy(start.made[0]), "y": torch.from_numpy(start.made[1])}
    return data


def supervised(
    look: Look, *, judged: type[Discriminated] = Discriminated, weight: float = 1.0, smoothing: float = 0.0
) -> Classify:
    """Cross-entropy on strong views of the labelled images."""
    return Classify(weight, of=judged("D", look.strong(LABELLED)), label=CLASS, smoothing=smoothing)


def learner(judge: Discriminator, losses: tuple, *, lr: float = 4e-3, monitored: tuple = ()) -> Player:
    """The classifier as a player: AdamW, linear to 0 (Loshchilov & Hutter 2019), weight average 0.99."""
    return Player("D", (judge,), losses, AdamW(Linear(lr), decay=0.02), average=0.99, monitored=monitored)


# --- training --------------------------------------------------------------------------------------------------------


def play(
    recipe: Recipe, data_spec: DataSpec, data: Data, steps: int, *, seed: int, precision: str
) -> tuple[State, dict[str, list]]:
    """The state after `steps` rounds of a recipe, and its curves {name: [[images seen, mean since the last], ...]}."""
    keep_memory()
    state = new_state(recipe, data_spec, seed=seed)
    names = curve_names(recipe)
    sums: dict[str, list] = {}
    curves: dict[str, list] = {}
    every = max(1, steps // POINTS)
    for _, means in training(recipe, state, data, images=steps * recipe.batch, seed=seed, precision=precision):
        for (player, loss), mean in means.items():
            if mean.ndim == 0:
                sums.setdefault(names[player, loss].key, []).append(mean)
        if state.round % every == 0 or state.round == steps:
            for name, values in sums.items():
                value = torch.stack(values).mean().item()
                curves.setdefault(name, []).append(
                    [state.round * recipe.batch, round(value, 5) if math.isfinite(value) else None]
                )
            sums = {}
    return state, curves


def affordable(
    recipe: Recipe, data_spec: DataSpec, data: Data, steps: int, minutes: float | None, precision: str
) -> int:
    """How many of the steps fit into `minutes`, from a trial of a few rounds spread over a whole training."""
    if minutes is None:
        return steps
    keep_memory()
    times = []
    state, start = new_state(recipe, data_spec), time.perf_counter()
    for _ in training(recipe, state, data, images=9 * recipe.batch, precision=precision):
        times.append(time.perf_counter() - start)
        start = time.perf_counter()
    each = sum(times[1:]) / len(times[1:])
    return between(1, int(0.9 * 60 * minutes / each), steps)


@torch.no_grad()
def measure_norms(net: nn.Module, x: torch.Tensor, look: Look, seed: int, *, images: int = 3000) -> None:
    """Batch norm's statistics for a network whose weights are an average: means over weak views of training images."""
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # plain means over all batches
    net.train()
    key = keyed_random.key(seed, "batch norm")
    rows = keyed_random.order(key, len(x)).repeat(math.ceil(images / len(x)))[:images]
    view = look.weak(Batch())
    for number, chunk in enumerate(chunks(rows)):
        index = torch.arange(len(chunk)) + number * CHUNK
        u = keyed_random.uniform(key, index, view_numbers(*x.shape[1:3]))
        net(viewed(to_unit(x[chunk]), u, view))
    for norm in norms:
        norm.momentum = 0.1
    net.eval()


def chunks(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return x.split(CHUNK)
