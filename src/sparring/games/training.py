"""The state, a turn, and the one loop. Nothing here knows a method."""

import copy
import math
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.utils import get_total_norm
from torch.optim.swa_utils import get_ema_multi_avg_fn

from .. import keyed_random
from ..errors import DataError, Diverged, UsageError, suggestion
from ..images import to_unit
from ..nets.layers import DataSpec
from ..records import walk
from .builders import Recipe
from .constraints import SpectralNorm
from .losses import InputGradientPenalty, at
from .nodes import Batch, Labels
from .players import Player

Data = dict[str, dict[str, Tensor]]

AGREE = 100  # rounds after which processes compare their weights


@dataclass(frozen=True)
class Relief:
    """What was made easier than the recipe has it, after training had to go back."""

    rate: float = 1.0  # times every learning rate
    penalty: float = 1.0  # times every penalty on slopes
    fp32: bool = False  # whatever precision was asked for


@dataclass
class State:
    """Everything that training changes, and therefore what a checkpoint holds; `facts` to rebuild it."""

    data_spec: DataSpec
    nets: dict[str, Any]
    averages: dict[str, Any]  # of the networks whose player keeps an average
    optimisers: dict[str, torch.optim.Optimizer]
    round: int = 0
    skipped: int = 0  # moves refused because something was not finite
    attempt: int = 0  # how often training went back; part of what chance is keyed by
    extra: int = 0  # rounds given beside those asked for, in place of some that were lost
    relief: Relief = Relief()
    gradients: dict[str, Tensor] = field(default_factory=dict)  # largest norm of each player's moves of a round

    def best(self, name: str) -> Any:
        """The weight average of a network, or the network itself where none is kept."""
        return self.averages.get(name, self.nets[name])


def new_state(
    recipe: Recipe, data_spec: DataSpec, *, seed: int = 0, dtype: torch.dtype = torch.float32, device: str = "cpu"
) -> State:
    """Fresh networks, keyed by (seed, network name): a network more changes no other."""
    nets = {}
    for spec in recipe.nets.values():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(keyed_random.key(seed, spec.name))
            net = spec.build(data_spec)
        nets[spec.name] = net.to(device=device, dtype=dtype, memory_format=torch.channels_last)
    averages = {
        name: copy.deepcopy(nets[name]).eval().requires_grad_(False)
        for player in recipe.players
        if player.average is not None
        for name in player.owns
    }
    optimisers = {
        player.name: player.optim.build([p for name in player.owns for p in nets[name].parameters()])
        for player in recipe.players
    }
    return State(data_spec, nets, averages, optimisers)


@dataclass(frozen=True)
class Split:
    """How a batch is spread: over processes (this is `rank` of `ranks`), and over `micro` batches in each."""

    rank: int = 0
    ranks: int = 1
    micro: int = 1

    def shards(self, batch: int) -> list[tuple[int, int]]:
        """The (start, stop) global image indices of this process's micro-batches."""
        size = batch // (self.ranks * self.micro)
        return [(i * size, (i + 1) * size) for i in range(self.rank * self.micro, (self.rank + 1) * self.micro)]

    def mean_(self, tensors: list[Tensor]) -> None:
        """Averages over processes in place, in one message."""
        if self.ranks > 1:
            flat = torch.cat([t.flatten() for t in tensors])
            dist.all_reduce(flat)
            for t, mean in zip(tensors, flat.div_(self.ranks).split([t.numel() for t in tensors]), strict=True):
                t.copy_(mean.view_as(t))

    def agree(self, state: "State") -> None:
        """Raises Diverged, in every process, where one has other weights than the first."""
        if self.ranks > 1:
            mine = torch.stack([bits(p) for net in state.nets.values() for p in net.parameters()])
            theirs = [torch.empty_like(mine) for _ in range(self.ranks)]
            dist.all_gather(theirs, mine)
            if others := [rank for rank, sums in enumerate(theirs) if not torch.equal(sums, theirs[0])]:
                raise Diverged(
                    "processes-disagree",
                    f"process {others[0]} of {self.ranks} has other weights than process 0 at round {state.round}",
                    fix="go on from the last checkpoint; if it happens again, look for a faulty machine",
                )


def bits(p: Tensor) -> Tensor:
    """The sum of a tensor's bits, read as integers: equal where all bits are."""
    return p.detach().contiguous().view(torch.int64 if p.element_size() == 8 else torch.int32).sum(dtype=torch.int64)


class AcrossProcesses(torch.autograd.Function):
    """The mean over processes, differentiable."""

    @staticmethod
    def forward(ctx, x, split):
        ctx.split, mean = split, x.clone()
        split.mean_([mean])
        return mean

    @staticmethod
    def backward(ctx, grad):
        grad = grad.clone()
        ctx.split.mean_([grad])
        return grad, None


@dataclass(frozen=True)
class Step:
    """One step of one player's optimiser. What is drawn in it is keyed by (seed, player, number) and image index."""

    player: Player
    number: int
    progress: float
    batch: int
    seed: int | tuple
    precision: str = "fp32"
    relief: Relief = Relief()

    @cached_property
    def losses(self) -> tuple:
        """The terms that count in this move."""
        return tuple(t for t in self.player.losses if self._counts(t))

    @property
    def monitored(self) -> tuple:
        """The gauges that are read in this move: like a term, one may rest."""
        return tuple(t for t in self.player.measured if self._counts(t))

    def _counts(self, loss) -> bool:
        return self.number % loss.every == 0 and self.scale(loss) != 0

    def scale(self, loss) -> float:
        return loss.scale(self.progress) * (self.relief.penalty if isinstance(loss, InputGradientPenalty) else 1.0)


class StepContext:
    """A move as seen from one shard of its batch: turn[cell] is computed once, when first read."""

    def __init__(self, step: Step, state: State, data: Data, split: Split, shard: tuple[int, int]):
        self.nets, self.averages, self.data_spec = state.nets, state.averages, state.data_spec
        self.stream, self.number, self.batch = (step.seed, step.player.name), step.number, step.batch
        self.data, self.split, self.movers = data, split, step.player.owns
        self.traced = frozenset(node for loss in step.losses for node in loss.traced)
        self.start, self.stop = shard
        self.size, self.memo = self.stop - self.start, {}
        first = next(next(iter(state.nets.values())).parameters())
        self.dtype, self.device = first.dtype, first.device

    def __getitem__(self, node):
        if node not in self.memo:
            self.memo[node] = node(self)
        return self.memo[node]

    def indices(self, n: int) -> Tensor:
        """Global indices of n images, a multiple of the shard."""
        ratio = n // self.size
        return torch.arange(self.start * ratio, self.stop * ratio, device=self.device)

    def uniform(self, purpose, n: int, *shape: int) -> Tensor:
        """float64 [n, *shape] below 1: rounded to float32 it could be 1, and a class drawn from it would not exist."""
        return keyed_random.uniform(keyed_random.key(*self.stream, self.number, purpose), self.indices(n), *shape)

    def normal(self, purpose, n: int, *shape: int) -> Tensor:
        return keyed_random.normal(keyed_random.key(*self.stream, self.number, purpose), self.indices(n), *shape).to(
            self.dtype
        )

    def given(self, field: str, pool: str, ratio: int) -> Tensor:
        """A field of these images. uint8 [N,H,W,C] becomes float [N,C,H,W] in [-1,1], channels last in memory."""
        values = self.data[pool][field]
        positions = self.number * self.batch * ratio + self.indices(self.size * ratio).cpu()
        x = values[keyed_random.rows((*self.stream, pool), positions, len(values)).to(values.device)]
        if x.dtype == torch.uint8:
            return to_unit(x, self.dtype)
        return x.to(self.dtype) if x.is_floating_point() else x

    def run(self, node, *inputs):
        net = (self.averages if node.averaged else self.nets)[node.by]
        out = net(*inputs, draw=partial(self.uniform, node))
        return out.float() if isinstance(out, Tensor) and out.dtype == torch.bfloat16 else out

    def buffer(self, by: str, name: str) -> Tensor:
        return getattr(self.nets[by], f"memory_{name}")

    def weights(self, by: str, averaged: bool) -> dict[str, Tensor]:
        return dict((self.averages if averaged else self.nets)[by].named_parameters())

    def batch_mean(self, x: Tensor) -> Tensor:
        """Mean over the images of the whole batch, all processes."""
        mean = x.mean(0)
        return AcrossProcesses.apply(mean, self.split) if self.split.ranks > 1 else mean  # type: ignore[no-any-return]


def training(
    recipe: Recipe,
    state: State,
    data: Data,
    *,
    images: int,
    seed: int = 0,
    precision: str = "fp32",
    split: Split = Split(),
) -> Iterator[tuple[State, dict]]:
    """Trains until `images` have been seen, yielding (state, means) after every round of recipe.batch images.

    `data`: pool -> field -> tensor, e.g. {"all": {"x": uint8 [N,H,W,C], "y": int64 [N]}}, on the device of the
    networks. `means`: (player, term) -> mean over the batch, before its weight. `precision`: "fp32", or "bf16" for
    the insides of networks. The global random state is neither read nor changed. Raises UsageError or DataError where
    recipe and data do not fit, Diverged where the weights of several processes are not the same.
    """
    check(recipe, data, split)
    rounds = math.ceil(images / recipe.batch)
    while (done := state.round - state.extra) < rounds:
        means, relief = {}, state.relief
        key = (seed, state.attempt) if state.attempt else seed
        for player in recipe.players:
            for turn_step in range(player.steps):
                number = state.round * player.steps + turn_step
                now = "fp32" if relief.fp32 else precision
                step = Step(player, number, done / rounds, recipe.batch, key, now, relief)
                means |= {(player.name, loss): mean for loss, mean in make(step, state, data, split).items()}
        state.round += 1
        if state.round % AGREE == 0:
            split.agree(state)
        yield state, means


def make(step: Step, state: State, data: Data, split: Split) -> dict:
    """Makes a move and returns term -> mean. Leaves no trace but a count if anything is not finite."""
    if not step.losses:
        return {}
    player, optimiser = step.player, state.optimisers[step.player.name]
    for name, net in state.nets.items():
        net.train().requires_grad_(name in player.owns)  # hence no graph where nothing moves
    buffers = [b for net in state.nets.values() for b in net.buffers()]
    before = [b.clone() for b in buffers]

    optimiser.zero_grad()
    means: dict = {}
    for shard in split.shards(step.batch):
        context = StepContext(step, state, data, split, shard)
        with autocast(context.device, step.precision):
            values = {loss: loss(context).mean(0) for loss in step.losses}
            with torch.no_grad():
                values |= {reading: reading(context).mean(0) for reading in step.monitored}
        total = torch.stack([step.scale(loss) * values[loss] for loss in step.losses]).sum()
        (total / split.micro).backward()
        means = {loss: means.get(loss, 0) + value.detach() / split.micro for loss, value in values.items()}

    gradients = [p.grad for name in player.owns for p in state.nets[name].parameters() if p.grad is not None]
    split.mean_([*gradients, *means.values()])
    norm = get_total_norm(gradients)
    first = step.number % player.steps == 0
    state.gradients[player.name] = norm if first else torch.maximum(norm, state.gradients[player.name])
    size = norm + torch.stack([m.sum() for m in means.values()]).sum()
    if size.isfinite():  # the same answer in every process
        for group in optimiser.param_groups:
            group["lr"] = at(player.optim.lr, step.progress) * step.relief.rate
        optimiser.step()
        settle(step, state, means)
    else:
        for b, old in zip(buffers, before, strict=True):
            b.copy_(old)
        state.skipped += 1
    return means


def autocast(device: torch.device, precision: str):
    """bf16 inside networks, or nothing."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()


@torch.no_grad()
def settle(step: Step, state: State, means: dict) -> None:
    """What follows a step: networks tidy up, averages follow. Buffers are copied: a mean of unit vectors is not one."""
    decay = min(step.player.average or 0.0, (1 + step.number) / (10 + step.number))  # short memory at first
    for name in step.player.owns:
        net = state.nets[name]
        net.settle(means)
        if name in state.averages:
            average = state.averages[name]
            get_ema_multi_avg_fn(decay)(list(average.parameters()), list(net.parameters()), None)  # type: ignore
            for mean, new in zip(average.buffers(), net.buffers(), strict=True):
                mean.copy_(new)


def check(recipe: Recipe, data: Data, split: Split = Split()) -> None:
    """Refuses what only shows when recipe, data and machine meet."""
    for node in (p for p in walk(recipe) if isinstance(p, (Batch, Labels))):
        field = getattr(node, "field", "y")
        if node.pool not in data:
            raise DataError(
                "data-pool",
                f"the recipe reads {node.pool} images, but the data has {', '.join(data)}{suggestion(node.pool, data)}",
                fix="name the images to start from with --source"
                if node.pool in ("pairs", "a", "b")
                else "choose a recipe that needs none, or add them to the data",
            )
        if field not in data[node.pool]:
            raise DataError(
                "data-field",
                f"the recipe reads {field!r} of the {node.pool} images, which have {', '.join(data[node.pool])}",
                fix="choose a recipe that needs none, or add it to the data",
            )
        values = data[node.pool][field]
        if values.ndim == 4 and values.is_floating_point() and values.numel() and values.abs().max() > 1.01:
            low, high = values.min().item(), values.max().item()
            raise DataError(
                "data-range",
                f"the {node.pool} images run from {low:g} to {high:g}; images of floats run from -1 to 1",
                fix="pass uint8, or divide by 127.5 and subtract 1",
            )
    if recipe.batch % (split.ranks * split.micro):
        raise UsageError(
            "batch-split",
            f"a batch of {recipe.batch} cannot be split over {split.ranks} processes times {split.micro} micro-batches",
            fix="choose numbers whose product divides it",
        )
    whole = [loss for player in recipe.players for loss in player.losses if loss.whole_batch]
    if whole and split.micro > 1:
        raise UsageError(
            "batch-whole",
            f"{type(whole[0]).__name__} needs the whole batch at once, so it cannot be accumulated over "
            f"{split.micro} micro-batches",
            fix="use micro=1, and a smaller batch or more processes",
        )
    iterated = [s.name for s in recipe.nets.values() if isinstance(getattr(s, "constraint", None), SpectralNorm)]
    if iterated and split.micro > 1:
        raise UsageError(
            "batch-spectral",
            f"spectral norm in {iterated[0]} takes a step with every forward pass, so micro-batches would change it",
            fix="use micro=1, and a smaller batch or more processes",
        )


def fastest_precision(recipe: Recipe, data_spec: DataSpec, *, device: str = "cpu", rounds: int = 4) -> str:
    """ "bf16" where a few rounds of this recipe on made-up images run at least 1.1 times faster than "fp32"."""
    n = recipe.batch
    x = (
        torch.arange(n * data_spec.height * data_spec.width * data_spec.channels, device=device)
        .remainder(255)
        .to(torch.uint8)
    )
    y = torch.arange(n, device=device) % max(1, data_spec.classes)
    images = x.view(n, data_spec.height, data_spec.width, data_spec.channels)
    pool = {"x": images, "source": images, "y": y}
    data: Data = {name: dict(pool) for name in recipe.pools}
    now = time.process_time if device == "cpu" else time.perf_counter  # whatever else the machine is doing
    seconds = {}
    for precision in ("fp32", "bf16"):
        state, times = new_state(recipe, data_spec, device=device), []
        start = now()
        for _ in training(recipe, state, data, images=rounds * n, precision=precision):
            if device != "cpu":
                torch.cuda.synchronize()
            times.append(now() - start)
            start = now()
        seconds[precision] = min(times)
    return "bf16" if seconds["fp32"] > 1.1 * seconds["bf16"] else "fp32"
