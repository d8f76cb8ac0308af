"""What the classifiers that train a network share: the network, its steps, views, pools of images and the fit itself.

`cnn`, `consistency` and `semi-gan` differ only in the losses of their recipe. Network, optimiser, number of steps and
the labelled images of a step are the same. So `consistency` - `cnn` is what unlabelled images add, and `semi-gan` -
`consistency` is what the game adds.
"""

import copy
import math
import time
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from sklearn.base import clone
from torch import nn

from .. import keyed_random
from ..data.notes import size_words
from ..devices import choose_device, choose_precision, device_name, keep_memory, torch_threads
from ..errors import MachineError
from ..features import shrunk
from ..features.preprocessing import antialiased
from ..features.pretrained import BUILT_IN
from ..games.builders import Recipe
from ..games.curve_names import curve_names
from ..games.losses import Classify
from ..games.nodes import Batch, Discriminated
from ..games.players import AdamW, Discriminator, DiscriminatorNet, Player
from ..games.schedules import Linear
from ..games.training import Data, State, autocast, new_state, training
from ..games.views import view_numbers, viewed
from ..images import to_unit
from ..nets.classifiers import DeepCNN, SmallCNN
from ..nets.efficientnet import EfficientNetLite0, seen_at
from ..nets.layers import Architecture, DataSpec, channels_last, parameters
from ..nets.loading import filled
from .base import Classifier
from .fit_record import Curves, FitRecord
from .looks import Look, look_for
from .warm_start import SMALLEST, WarmStart

BATCH_OF_PREDICTION = 512  # images
TRAINED_AT = 160  # pixels, at most, of the shorter side at which the pretrained network trains
FROZEN = 2  # of its seven stages: they see edges and colours, and would take a fifth of a step
PRETRAINED = EfficientNetLite0(largest=TRAINED_AT, frozen=FROZEN)
LEARNED = 0.6  # share of what it learned in the final weights; the rest are those that it started from
WARM_STEPS = 400  # steps that it takes on a CPU; after fewer of them it stays nearer to its start
RATES = {SmallCNN: Linear(4e-3), DeepCNN: Linear(2e-3), EfficientNetLite0: Linear(5e-4, ramp=0.05)}  # learning rates
CURVE_POINTS = 100
TRIAL_SECONDS = 4.0  # of the steps that tell how long a fit will take
LABELLED = Batch("x", "labelled")
CLASS = Batch("y", "labelled")


@dataclass(frozen=True)
class Plan:
    """How long a network trains, and on what; the same for every method on the same images and labels.

    `labelled` images a step, and `ratio` unlabelled ones for each of them where a method uses any.
    """

    steps: int
    labelled: int
    ratio: int

    @property
    def unlabelled(self) -> int:
        return self.labelled * self.ratio


def plan_for(
    images: np.ndarray, labels: np.ndarray, length: int | None, *, warm: bool = False, gpu: bool = False
) -> Plan:
    """Return the plan for uint8 images [N,H,W,C] and labels [N], -1 unlabelled.

    `warm`: of the pretrained network, whose step is dear and which needs fewer. `gpu`: more steps, of more images.

    `length`: images of the whole set that training shows; None chooses. The rule is ours, from measurements on 1,500 to
    60,000 images.
    """
    # Steps grow more slowly than images: of a larger set more images are shown, each of them less often. Fewer than 400
    # steps are too few beyond tiny images. A batch is a sixteenth of a small set and 256 of a large one. Of few labels
    # 32 a step are enough; of many a step takes more, at most as many as unlabelled images.
    n, known = len(images), int((labels >= 0).sum())
    if warm:
        labelled, ratio, usual = (64, 7, 5 * WARM_STEPS) if gpu else (32, 3, WARM_STEPS)
        return Plan(math.ceil(length / (labelled * ratio)) if length else usual, labelled, ratio)
    batch = between(64, 2 ** math.floor(math.log2(max(n / 16, 1))), 256)
    labelled = between(32, 2 ** math.floor(math.log2(max(known / 16, 1))), batch)
    fewest = 400 if min(images.shape[1:3]) >= 16 else 150
    steps = math.ceil(length / batch) if length else max(fewest, round(2.0 * n**0.6))
    if gpu and not length and n >= 1000 and min(images.shape[1:3]) >= 16:
        steps, labelled, batch = 5 * steps, 64, 448
    return Plan(max(1, steps), labelled, batch // labelled)


def between(low: int, value: int, high: int) -> int:
    return max(low, min(value, high))


@dataclass(frozen=True)
class Start:
    """What is known before the first step, beside images and labels.

    `guess`: class probabilities [N,K] of all images by the neighbour graph, None where it is not believed; `accuracy`:
    of the graph on labelled images that were hidden from it. `generated`: images uint8 [M,H,W,C] and their classes
    int64 [M]. `warm`: where the pretrained network starts from; None trains one from scratch.
    """

    guess: np.ndarray | None = None
    accuracy: float | None = None
    generated: tuple[np.ndarray, np.ndarray] | None = None
    warm: WarmStart | None = None

    @property
    def prior(self) -> tuple[float, ...]:
        """Return class shares, as the graph or the pretrained network sees them; () where neither is believed."""
        guess = self.warm.guess if self.guess is None and self.warm is not None else self.guess
        return () if guess is None else tuple(round(float(share), 4) for share in guess.mean(0))


@dataclass(frozen=True, kw_only=True)
class Training:
    """A training that has not begun: its recipe, data on their device, plan and views."""

    recipe: Recipe
    data_spec: DataSpec
    data: Data
    plan: Plan
    look: Look
    warm: WarmStart | None
    precision: str
    device: str

    def affordable(self, minutes: float | None) -> int:
        """Return how many of the planned steps fit into `minutes`."""
        return affordable(
            self.recipe,
            self.data_spec,
            self.data,
            self.plan.steps,
            minutes,
            precision=self.precision,
            device=self.device,
        )

    def seconds_a_step(self) -> float:
        """Return the seconds that a step takes, by a short trial."""
        return seconds_a_step(
            self.recipe, self.data_spec, self.data, precision=self.precision, device=self.device, at_most=TRIAL_SECONDS
        )


@dataclass(eq=False, repr=False, kw_only=True)
class NetworkClassifier(Classifier):
    """Base of the classifiers that train a network.

    `images`: the length of training, as images of the whole set that a method which learns from all of them would see;
    None chooses by the size of the data. `steps`: of the optimiser, instead. `minutes`: the most that training may
    take; where it binds, training is planned shorter, not cut off, and `record_.shortened` is true. `threads`: of the
    processor, None leaves torch's number. `device`: "cpu", "cuda", or "auto" for the GPU where there is one.
    `precision`: "fp32", "bf16", or "auto" for bf16 on a GPU and where the processor has units for it. `net`: the trunk.

    The fitted network: `discriminator_` and `data_spec_` (records), `weights_` (name -> array).
    """

    images: int | None = None
    steps: int | None = None
    minutes: float | None = None
    threads: int | None = None
    precision: str = "auto"
    device: str = "auto"
    net: Architecture = SmallCNN()

    # --- what a method writes ---

    def _prepare(self, images: np.ndarray, labels: np.ndarray, seed: int) -> Start:
        """Return what is found out about the images, in their own size, before the first step."""
        return Start()

    def _recipe(self, plan: Plan, look: Look, start: Start) -> Recipe:
        """Return the recipe, whose network "D" is the classifier."""
        raise NotImplementedError

    # --- the fit ---

    def _fit(self, images: np.ndarray, labels: np.ndarray) -> None:
        with torch_threads(self.threads):
            self._train(images, labels, self._seed())

    def seconds_for(self, images: np.ndarray, labels: np.ndarray) -> float:
        """Return about how many seconds `fit` takes on this machine where nothing shortens it, by a short trial.

        images uint8 [N,H,W,C], labels int64 [N], -1 unlabelled.
        """
        with torch_threads(self.threads):
            return cast(NetworkClassifier, clone(self))._tried_seconds(images, labels)

    def _tried_seconds(self, images: np.ndarray, labels: np.ndarray) -> float:
        """Return what `seconds_for` says; self is a copy that may be changed."""
        begin = time.perf_counter()
        self.record_ = FitRecord()
        planned = self._planned(images, labels, self._prepare(images, labels, self._seed()))
        prepared = time.perf_counter() - begin
        return prepared + (self.steps or planned.plan.steps) * planned.seconds_a_step()

    def _planned(self, images: np.ndarray, labels: np.ndarray, start: Start) -> "Training":
        """Return the training of the method's recipe, not begun."""
        device = choose_device(self.device)
        warm, gpu = start.warm is not None, device != "cpu"
        images = seen_by(self._trunk(start), images)
        plan = plan_for(images, labels, self.images, warm=warm, gpu=gpu)
        look = look_for(images, labels, groups=self._groups)
        return Training(
            recipe=self._recipe(plan, look, start),
            data_spec=DataSpec.of(images, int(labels.max()) + 1),
            data=training_pools(images, labels, start, device),
            plan=plan,
            look=look,
            warm=start.warm,
            precision=choose_precision(self.precision, device),
            device=device,
        )

    def _trunk(self, start: Start) -> Architecture:
        """Return the trunk: `net`, or the pretrained one; on a GPU the default is a larger network."""
        if start.warm is not None:
            return PRETRAINED
        return DeepCNN() if self.net == SmallCNN() and choose_device(self.device) != "cpu" else self.net

    def _train(self, images: np.ndarray, labels: np.ndarray, seed: int) -> State:
        """Play the method's recipe, keep the averaged classifier, write the record; return the last state."""
        begin = time.perf_counter()
        start = self._prepare(images, labels, seed)
        planned = self._planned(images, labels, start)
        plan, prepared = planned.plan, time.perf_counter()
        steps = self.steps or planned.affordable(self.minutes)
        if self.steps and start.warm is not None:  # a study may have given it the steps of networks from scratch
            steps = min(steps, planned.affordable(self.minutes)) if self.minutes else steps
        state, curves = play(
            planned.recipe,
            planned.data_spec,
            planned.data,
            steps,
            seed=seed,
            precision=planned.precision,
            device=planned.device,
            warm=start.warm,
        )
        self._keep(state, planned.data, planned.look, seed)
        spec = planned.data_spec
        self._note(
            size=size_words((spec.height, spec.width) if start.warm is None else PRETRAINED.seen(spec)),
            steps=steps,
            shortened=steps < plan.steps,
            planned=plan.steps,
            images_a_step={"labelled": plan.labelled, "unlabelled": plan.unlabelled},
            parameters=parameters(state.nets["D"]),
            precision=planned.precision,
            device=device_name(planned.device),
            trunk=None if start.warm is None else BUILT_IN,
            pretrained=None if start.warm is None else f"{BUILT_IN}: trunk, first head and first guess",
            recipe=repr(planned.recipe),
            curves=curves,
            skipped=state.skipped,
            seconds={"prepare": round(prepared - begin, 3), "train": round(time.perf_counter() - prepared, 3)},
        )
        return state

    def _keep(self, state: State, data: Data, look: Look, seed: int) -> None:
        """Keep the averaged classifier as arrays, its batch norm measured anew on training images."""
        net = cast(DiscriminatorNet, state.best("D"))
        measure_norms(net, data.get("all", data["labelled"])["x"], look, seed)
        spec = net.spec
        if isinstance(spec.net, EfficientNetLite0):  # the model needs no other file
            spec = replace(spec, net=replace(spec.net, pretrained=False))
        self.discriminator_, self.data_spec_ = spec, state.data_spec
        self.weights_ = {name: value.cpu().numpy().copy() for name, value in net.state_dict().items()}
        vars(self).pop("_network", None)

    # --- prediction ---

    def _built_network(self) -> DiscriminatorNet:
        """Return the fitted classifier as a module in eval mode."""
        if "_network" not in vars(self):
            net = filled(lambda: self.discriminator_.build(self.data_spec_), self.weights_)
            self._network = channels_last(net, choose_device(self.device)).eval()
        return self._network

    def _predict_proba(self, images: np.ndarray) -> np.ndarray:
        net = self._built_network()  # not in inference mode: explanations ask it for gradients
        with torch_threads(self.threads), torch.inference_mode():
            images = seen_by(self.discriminator_.net, images)
            device = next(net.parameters()).device
            step = 64 if isinstance(self.discriminator_.net, EfficientNetLite0) else BATCH_OF_PREDICTION
            parts = []
            for batch in torch.from_numpy(images).split(step):
                with autocast(device, "bf16" if step == 64 and self.record_.precision == "bf16" else "fp32"):
                    parts.append(net(to_unit(batch.to(device))).logits.softmax(1))
            return torch.cat(parts).cpu().numpy()

    def _restore(self, state: dict[str, object]) -> None:
        former = {"judge_": "discriminator_", "facts_": "data_spec_"}  # their names before version 0.2
        super()._restore({former.get(name, name): value for name, value in state.items()})
        try:
            choose_device(self.device)
        except MachineError:  # it was trained on another machine
            self.device = "auto"

    def __getstate__(self) -> object:
        state = super().__getstate__()
        assert isinstance(state, dict)
        return {name: value for name, value in state.items() if name != "_network"}


def training_pools(images: np.ndarray, labels: np.ndarray, start: Start, device: str = "cpu") -> Data:
    """Return the pools that a recipe reads: "all" images, the "labelled" ones, and "made" ones where there are any.

    They lie on the device, images as bytes.

    Each holds x uint8 [N,H,W,C] and y int64 [N]. Where the graph is believed, "all" also holds `guess`, its most
    probable class; where the pretrained network guessed, the logarithms of its probabilities float32 [N,K].
    """
    x, y = torch.from_numpy(images), torch.from_numpy(labels)
    known = y >= 0
    data = {"all": {"x": x, "y": y}, "labelled": {"x": x[known], "y": y[known]}}
    if start.guess is not None:
        data["all"]["guess"] = torch.from_numpy(start.guess.argmax(1))
    elif start.warm is not None and start.warm.guess is not None:
        data["all"]["guess"] = torch.from_numpy(np.log(start.warm.guess.clip(SMALLEST)))
    if start.generated is not None:
        data["made"] = {"x": torch.from_numpy(start.generated[0]), "y": torch.from_numpy(start.generated[1])}
    return {pool: {name: values.to(device) for name, values in fields.items()} for pool, fields in data.items()}


def supervised(
    look: Look, *, through: type[Discriminated] = Discriminated, weight: float = 1.0, smoothing: float = 0.0
) -> Classify:
    """Return the cross-entropy on strong views of the labelled images; `through`: the node that D sees them by."""
    return Classify(weight, of=through("D", look.strong(LABELLED)), label=CLASS, smoothing=smoothing)


def learner(discriminator: Discriminator, losses: tuple) -> Player:
    """Return the classifier as a player: AdamW, linear to 0 (Loshchilov & Hutter 2019), weight average 0.99."""
    rate = RATES.get(type(discriminator.net), RATES[SmallCNN])
    return Player("D", (discriminator,), losses, AdamW(rate, decay=0.02), average=0.99)


# --- training --------------------------------------------------------------------------------------------------------


def play(
    recipe: Recipe,
    data_spec: DataSpec,
    data: Data,
    steps: int,
    *,
    seed: int,
    precision: str,
    device: str = "cpu",
    warm: WarmStart | None = None,
) -> tuple[State, Curves]:
    """Return the state after `steps` rounds of a recipe, and its curves; `device`: where the data are."""
    keep_memory()
    state = new_state(recipe, data_spec, seed=seed, device=device)
    if warm is not None:
        set_head(state, warm)
    start = copy.deepcopy(state.averages["D"]) if warm is not None else None
    names = curve_names(recipe)
    sums: dict[str, list[torch.Tensor]] = {}
    curves: dict[str, tuple[tuple[float | None, ...], ...]] = {}
    every = max(1, steps // CURVE_POINTS)
    for _, means in training(recipe, state, data, images=steps * recipe.batch, seed=seed, precision=precision):
        for (player, loss), mean in means.items():
            if mean.ndim == 0:
                sums.setdefault(names[player, loss].key, []).append(mean)
        if state.round % every == 0 or state.round == steps:
            for name, values in sums.items():
                value = torch.stack(values).mean().item()
                point = state.round * recipe.batch, round(value, 5) if math.isfinite(value) else None
                curves[name] = (*curves.get(name, ()), point)
            sums = {}
    if start is not None:
        stay_near(state, start, LEARNED * min(1.0, steps / WARM_STEPS))
    return state, curves


@torch.no_grad()
def set_head(state: State, warm: WarmStart) -> None:
    """Start the head of "D" and of its average from the logistic regression."""
    for net in (state.nets["D"], state.averages["D"]):
        layer = cast(nn.Linear, cast(DiscriminatorNet, net).head["classes"])
        layer.weight.copy_(torch.from_numpy(warm.weights.T.copy()))
        layer.bias.copy_(torch.from_numpy(warm.offset))


@torch.no_grad()
def stay_near(state: State, start: nn.Module, share: float) -> None:
    """Set the average of "D" to the mean of itself, which counts `share`, and of what it started from.

    The mean of both is better than either (Wortsman et al. 2022, arXiv:2109.01903): the start knows more images, the
    end these classes. And the first steps of Adam are as long as any, so after few of them the end knows nothing yet.
    """
    for before, now in zip(start.parameters(), state.averages["D"].parameters(), strict=True):
        now.copy_(before.lerp(now, share))


def seen_by(net: Architecture, images: np.ndarray) -> np.ndarray:
    """Return uint8 images [N,H,W,C] as large as a trunk is given them: what it would shrink anyway is shrunk once."""
    if not isinstance(net, EfficientNetLite0):
        return shrunk(images)
    height, width = images.shape[1:3]
    size = seen_at(height, width, net.largest)
    if size[0] >= height:
        return images
    parts = np.array_split(images, max(1, len(images) // 128))
    return np.concatenate([antialiased(part, size, "bilinear").permute(0, 2, 3, 1).numpy() for part in parts])


def affordable(
    recipe: Recipe,
    data_spec: DataSpec,
    data: Data,
    steps: int,
    minutes: float | None,
    *,
    precision: str,
    device: str = "cpu",
) -> int:
    """Return how many of the steps fit into `minutes`, by a trial of 9 rounds spread over a whole training."""
    if minutes is None:
        return steps
    each = seconds_a_step(recipe, data_spec, data, precision=precision, device=device)
    return between(1, int(0.9 * 60 * minutes / each), steps)


def seconds_a_step(
    recipe: Recipe,
    data_spec: DataSpec,
    data: Data,
    *,
    precision: str,
    device: str = "cpu",
    at_most: float = math.inf,
) -> float:
    """Return the mean seconds of a step, by a trial of 9 rounds spread over a whole training, the first left out.

    It ends after `at_most` seconds, once two rounds were made.
    """
    keep_memory()
    times: list[float] = []
    for _ in range(1 if device == "cpu" else 2):  # a GPU loads each kernel when it is first needed
        times = []
        state, start = new_state(recipe, data_spec, device=device), time.perf_counter()
        for _ in training(recipe, state, data, images=9 * recipe.batch, precision=precision):
            times.append(time.perf_counter() - start)
            if len(times) > 1 and sum(times) > at_most:
                break
            start = time.perf_counter()
    return sum(times[1:]) / len(times[1:])


@torch.no_grad()
def measure_norms(net: nn.Module, x: torch.Tensor, look: Look, seed: int, *, images: int = 3000) -> None:
    """Measure the batch norm statistics of averaged weights: means over weak views of training images x."""
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    if not norms:
        return
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # plain means over all batches
    net.train()
    key = keyed_random.key(seed, "batch norm")
    rows = keyed_random.order(key, len(x)).repeat(math.ceil(images / len(x)))[:images]
    view = look.weak(Batch())
    for number, chunk in enumerate(rows.split(BATCH_OF_PREDICTION)):
        index = torch.arange(len(chunk), device=x.device) + number * BATCH_OF_PREDICTION
        u = keyed_random.uniform(key, index, view_numbers(*x.shape[1:3]))
        net(viewed(to_unit(x[chunk.to(x.device)]), u, view))
    for norm in norms:
        norm.momentum = 0.1
    net.eval()
