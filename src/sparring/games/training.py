"""The state, a step, and the one training loop. No method is mentioned here: recipes tell them apart."""

import copy
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.nn.utils import get_total_norm
from torch.optim.swa_utils import get_ema_multi_avg_fn

from .. import keyed_random
from ..errors import DataError, Diverged, UsageError, suggestion
from ..images import to_unit
from ..nets.layers import DataSpec, channels_last
from ..records import walk
from .builders import Recipe
from .heads import DiscriminatorOutput
from .losses import InputGradientPenalty
from .measures import Loss
from .nodes import Batch, Labels, Node, OfNetwork, Output, Purpose, T
from .players import DiscriminatorNet, Generator, Network, Player, constraint_of
from .schedules import scheduled

Data = dict[str, dict[str, Tensor]]
StepMeans = dict[tuple[str, Loss], Tensor]  # (player, loss or measure) -> its mean over the batch

SETTLING, SETTLING_BATCH = 32, 128  # batches, and images of each, from which statistics are taken at the end
COMPARE_ROUNDS = 100  # rounds after which processes compare their weights


@dataclass(frozen=True)
class Relief:
    """What is gentler than in the recipe, after training had to go back to an earlier state.

    `rate`: factor of every learning rate. `penalty`: factor of every penalty on input gradients. `fp32`: whatever
    precision was asked for.
    """

    rate: float = 1.0
    penalty: float = 1.0
    fp32: bool = False


@dataclass
class State:
    """Everything that training changes, and therefore what a checkpoint holds; `data_spec` to build it again.

    `averages`: weight averages of the networks whose player keeps one. `skipped`: steps that were refused because
    something was not finite. `attempt`: how often training went back to an earlier state; random numbers are keyed by
    it. `extra`: rounds beside those asked for, in place of some that were lost. `gradients`: the largest gradient norm
    of each player's steps in the last round.
    """

    data_spec: DataSpec
    nets: dict[str, Network]
    averages: dict[str, Network]
    optimisers: dict[str, torch.optim.Optimizer]
    round: int = 0
    skipped: int = 0
    attempt: int = 0
    extra: int = 0
    relief: Relief = Relief()
    gradients: dict[str, Tensor] = field(default_factory=dict)

    def best(self, name: str) -> Network:
        """Return the weight average of a network, or the network itself where none is kept."""
        return self.averages.get(name, self.nets[name])


def new_state(
    recipe: Recipe, data_spec: DataSpec, *, seed: int = 0, dtype: torch.dtype = torch.float32, device: str = "cpu"
) -> State:
    """Return fresh networks, keyed by (seed, network name): one network more changes no other."""
    nets: dict[str, Network] = {}
    for spec in recipe.nets.values():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(keyed_random.key(seed, spec.name))
            net = spec.build(data_spec)
        nets[spec.name] = channels_last(net, device, dtype)
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


# --- a batch over processes and micro-batches ------------------------------------------------------------------------


@dataclass(frozen=True)
class Sharding:
    """How a batch is spread: over processes (this is `rank` of `ranks`), and over `micro` batches in each.

    With several ranks, `torch.distributed` must have been initialised, as by torchrun. `sparring train` does not start
    several processes yet: they are for loops of your own.
    """

    rank: int = 0
    ranks: int = 1
    micro: int = 1

    def shards(self, batch: int) -> list[tuple[int, int]]:
        """Return the (start, stop) indices in the whole batch of this process's micro-batches."""
        size = batch // (self.ranks * self.micro)
        return [(i * size, (i + 1) * size) for i in range(self.rank * self.micro, (self.rank + 1) * self.micro)]

    def mean_(self, tensors: list[Tensor]) -> None:
        """Replace tensors by their means over processes, in one message."""
        if self.ranks > 1:
            flat = torch.cat([t.flatten() for t in tensors])
            dist.all_reduce(flat)
            for t, mean in zip(tensors, flat.div_(self.ranks).split([t.numel() for t in tensors]), strict=True):
                t.copy_(mean.view_as(t))

    def check_same_weights(self, state: State) -> None:
        """Raise Diverged, in every process, if one has other weights than the first."""
        if self.ranks > 1:
            mine = torch.stack([bit_sum(p) for net in state.nets.values() for p in net.parameters()])
            theirs = [torch.empty_like(mine) for _ in range(self.ranks)]
            dist.all_gather(theirs, mine)
            if others := [rank for rank, sums in enumerate(theirs) if not torch.equal(sums, theirs[0])]:
                raise Diverged(
                    "processes-disagree",
                    f"process {others[0]} of {self.ranks} has other weights than process 0 at round {state.round}",
                    fix="go on from the last checkpoint; if it happens again, look for a faulty machine",
                )


def bit_sum(p: Tensor) -> Tensor:
    """Return the sum of a tensor's bits, read as integers: equal where all bits are."""
    return p.detach().contiguous().view(torch.int64 if p.element_size() == 8 else torch.int32).sum(dtype=torch.int64)


class _ShardingContext(FunctionCtx):
    sharding: Sharding


class _MeanOverProcesses(torch.autograd.Function):
    """The mean over processes, differentiable."""

    @staticmethod
    def forward(ctx: _ShardingContext, x: Tensor, sharding: Sharding) -> Tensor:
        ctx.sharding, mean = sharding, x.clone()
        sharding.mean_([mean])
        return mean

    @staticmethod
    def backward(ctx: _ShardingContext, *grads: Tensor) -> tuple[Tensor, None]:
        grad = grads[0].clone()
        ctx.sharding.mean_([grad])
        return grad, None


# --- a step ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """One step of one player's optimiser. Its random numbers are keyed by (seed, player, number) and image index."""

    player: Player
    number: int
    progress: float
    batch: int
    seed: int | tuple[int | str, ...]
    precision: str = "fp32"
    relief: Relief = Relief()

    @cached_property
    def losses(self) -> tuple[Loss, ...]:
        """The losses that count in this step."""
        return tuple(loss for loss in self.player.losses if self._counts(loss))

    @property
    def monitored(self) -> tuple[Loss, ...]:
        """The measures that are taken in this step."""
        return tuple(loss for loss in self.player.measured if self._counts(loss))

    def _counts(self, loss: Loss) -> bool:
        return self.number % loss.every == 0 and self.scale(loss) != 0

    def scale(self, loss: Loss) -> float:
        """Return what the mean of a loss is multiplied by."""
        factor = self.relief.penalty if isinstance(loss, InputGradientPenalty) else 1.0
        return loss.scale(self.progress) * factor


class ShardContext:
    """The nodes.StepContext of one shard, (start, stop), of the batch of a step."""

    def __init__(self, step: Step, state: State, data: Data, sharding: Sharding, shard: tuple[int, int]):
        self.nets: Mapping[str, nn.Module] = state.nets
        self.data: Mapping[str, Mapping[str, Tensor]] = data
        self.averages = state.averages
        self.stream, self.number, self.batch_size = (step.seed, step.player.name), step.number, step.batch
        self.sharding, self.trained = sharding, step.player.owns
        given = (node for loss in step.losses for node in loss.input_gradients())
        self.input_gradients: frozenset[Node[DiscriminatorOutput]] = frozenset(given)
        self.start, self.stop = shard
        self.size = self.stop - self.start
        self.computed: dict[object, Any] = {}
        first = next(next(iter(state.nets.values())).parameters())
        self.dtype, self.device = first.dtype, first.device

    def __getitem__(self, node: Node[T]) -> T:
        if node not in self.computed:
            self.computed[node] = node(self)
        return self.computed[node]

    def indices(self, n: int) -> Tensor:
        """Return the indices in the whole batch of n images, a multiple of the shard."""
        ratio = n // self.size
        return torch.arange(self.start * ratio, self.stop * ratio, device=self.device)

    def uniform(self, purpose: Purpose, n: int, *shape: int) -> Tensor:
        # float64: rounded to float32 a number could be 1, and a class drawn from it would not exist.
        return keyed_random.uniform(keyed_random.key(*self.stream, self.number, purpose), self.indices(n), *shape)

    def normal(self, purpose: Purpose, n: int, *shape: int) -> Tensor:
        key = keyed_random.key(*self.stream, self.number, purpose)
        return keyed_random.normal(key, self.indices(n), *shape).to(self.dtype)

    def batch(self, field: str, pool: str, ratio: int) -> Tensor:
        values = self.data[pool][field]
        first = self.number * self.batch_size * ratio
        positions = torch.arange(first + self.start * ratio, first + self.stop * ratio)  # on the CPU: nothing waits
        x = values[keyed_random.shuffled((*self.stream, pool), positions, len(values)).to(values.device)]
        if x.dtype == torch.uint8:
            return to_unit(x, self.dtype)
        return x.to(self.dtype) if x.is_floating_point() else x

    def run(self, node: OfNetwork[T], *inputs: Tensor | None) -> T:
        net = (self.averages if node.averaged else self.nets)[node.by]
        out = net(*inputs, draw=partial(self.uniform, node))
        return cast(T, out.float() if isinstance(out, Tensor) and out.dtype == torch.bfloat16 else out)

    def buffer(self, by: str, name: str) -> Tensor:
        return cast(DiscriminatorNet, self.nets[by]).tracked(name)

    def weights(self, by: str, averaged: bool) -> dict[str, Tensor]:
        return dict((self.averages if averaged else self.nets)[by].named_parameters())

    def batch_mean(self, x: Tensor) -> Tensor:
        mean = x.mean(0)
        return cast(Tensor, _MeanOverProcesses.apply(mean, self.sharding)) if self.sharding.ranks > 1 else mean


# --- the loop --------------------------------------------------------------------------------------------------------


def training(
    recipe: Recipe,
    state: State,
    data: Data,
    *,
    images: int,
    seed: int = 0,
    precision: str = "fp32",
    sharding: Sharding = Sharding(),
) -> Iterator[tuple[State, StepMeans]]:
    """Train until `images` images were used, yielding (state, means) after every round of recipe.batch images.

    `data`: pool -> field -> tensor, e.g. {"all": {"x": uint8 [N,H,W,C], "y": int64 [N]}}, on the device of the
    networks. `means`: (player, loss) -> mean over the batch, before its weight. `precision`: "fp32", or "bf16" for
    the insides of networks. The global random state is neither read nor changed. Raises UsageError or DataError where
    recipe and data do not fit, Diverged where the weights of several processes are not the same.
    """
    check_trainable(recipe, data, sharding)
    rounds = math.ceil(images / recipe.batch)
    while (done := state.round - state.extra) < rounds:
        means: StepMeans = {}
        relief = state.relief
        key = (seed, state.attempt) if state.attempt else seed
        for player in recipe.players:
            for number in range(state.round * player.steps, (state.round + 1) * player.steps):
                now = "fp32" if relief.fp32 else precision
                step = Step(player, number, done / rounds, recipe.batch, key, now, relief)
                means |= {(player.name, loss): mean for loss, mean in take_step(step, state, data, sharding).items()}
        state.round += 1
        if state.round % COMPARE_ROUNDS == 0:
            sharding.check_same_weights(state)
        yield state, means


def take_step(step: Step, state: State, data: Data, sharding: Sharding) -> dict[Loss, Tensor]:
    """Take a step and return loss -> mean. Changes nothing but a count if anything is not finite."""
    if not step.losses:
        return {}
    player, optimiser = step.player, state.optimisers[step.player.name]
    for name, net in state.nets.items():
        # Networks that do not change need no graph.
        net.train().requires_grad_(name in player.owns)
    buffers = [b for net in state.nets.values() for b in net.buffers()]
    before = [b.clone() for b in buffers]

    optimiser.zero_grad()
    means: dict[Loss, Tensor] = {}
    for shard in sharding.shards(step.batch):
        context = ShardContext(step, state, data, sharding, shard)
        with autocast(context.device, step.precision):
            values = {loss: loss(context).mean(0) for loss in step.losses}
            with torch.no_grad():
                values |= {reading: reading(context).mean(0) for reading in step.monitored}
        total = torch.stack([step.scale(loss) * values[loss] for loss in step.losses]).sum()
        (total / sharding.micro).backward()
        means = {loss: means.get(loss, 0) + value.detach() / sharding.micro for loss, value in values.items()}

    gradients = [p.grad for name in player.owns for p in state.nets[name].parameters() if p.grad is not None]
    sharding.mean_([*gradients, *means.values()])
    norm = get_total_norm(gradients)
    first = step.number % player.steps == 0
    state.gradients[player.name] = norm if first else torch.maximum(norm, state.gradients[player.name])
    size = norm + torch.stack([m.sum() for m in means.values()]).sum()
    if size.isfinite():  # the same answer in every process
        for group in optimiser.param_groups:
            group["lr"] = scheduled(player.optim.lr, step.progress) * step.relief.rate
        optimiser.step()
        after_step(step, state, means)
    else:
        for b, old in zip(buffers, before, strict=True):
            b.copy_(old)
        state.skipped += 1
    return means


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Return the context in which networks compute in this precision."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()


@torch.no_grad()
def after_step(step: Step, state: State, means: dict[Loss, Tensor]) -> None:
    """Let constraints, tracked buffers and weight averages follow a step of the optimiser."""
    decay = min(step.player.average or 0.0, (1 + step.number) / (10 + step.number))  # a shorter average at first
    for name in step.player.owns:
        net = state.nets[name]
        net.after_step(means)
        if name in state.averages:
            average = state.averages[name]
            get_ema_multi_avg_fn(decay)(list(average.parameters()), list(net.parameters()), torch.tensor(0))
            # Buffers are copied: the mean of unit vectors, such as those of spectral norm, is no unit vector.
            for mean, new in zip(average.buffers(), net.buffers(), strict=True):
                mean.copy_(new)


# --- after the last step ---------------------------------------------------------------------------------------------


@torch.no_grad()
def settle_norms(recipe: Recipe, state: State, data: Data, *, seed: int = 0) -> None:
    """Give the batch norms of averaged generators the statistics of images that these make themselves.

    While training goes on, averages have the statistics of the network that they follow, which are those of other
    weights; the next step copies them again. Izmailov et al. 2018, arXiv:1803.05407, section 3.2 (for data).
    """
    for player in recipe.players:
        for spec in (spec for spec in player.nets if isinstance(spec, Generator) and spec.name in state.averages):
            net = state.averages[spec.name]
            node = next((n for n in walk(recipe) if isinstance(n, Output) and n.by == spec.name), None)
            norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
            if node is None or not norms or any(isinstance(n, OfNetwork) for n in walk(node.of)):
                continue  # what starts from an image is not judged by what it makes of noise
            momenta = [norm.momentum for norm in norms]
            for norm in norms:
                norm.reset_running_stats()
                norm.momentum = None  # a plain mean
                norm.train()
            for number in range(SETTLING):
                step = Step(player, number, 1.0, SETTLING_BATCH, (seed, "settle"))
                _ = ShardContext(step, state, data, Sharding(), (0, SETTLING_BATCH))[replace(node, averaged=True)]
            for norm, momentum in zip(norms, momenta, strict=True):
                norm.momentum = momentum
                norm.eval()


# --- what only shows when recipe, data and machine meet --------------------------------------------------------------


def check_trainable(recipe: Recipe, data: Data, sharding: Sharding = Sharding()) -> None:
    """Raise DataError where the data lack what the recipe reads, UsageError where its batch cannot be spread so."""
    for node in (p for p in walk(recipe) if isinstance(p, (Batch, Labels))):
        field = node.field if isinstance(node, Batch) else "y"
        if node.pool not in data:
            what = (
                f"the recipe reads {node.pool} images, but the data has {', '.join(data)}{suggestion(node.pool, data)}"
            )
            fix = "choose a recipe that needs none, or add them to the data"
            fix = "name the images to start from with --source" if node.pool in ("pairs", "a", "b") else fix
            raise DataError("data-pool", what, fix=fix)
        if field not in data[node.pool]:
            what = f"the recipe reads {field!r} of the {node.pool} images, which have {', '.join(data[node.pool])}"
            raise DataError("data-field", what, fix="choose a recipe that needs none, or add it to the data")
        values = data[node.pool][field]
        if values.ndim == 4 and values.is_floating_point() and values.numel() and values.abs().max() > 1.01:
            low, high = values.min().item(), values.max().item()
            what = f"the {node.pool} images run from {low:g} to {high:g}; images of floats run from -1 to 1"
            raise DataError("data-range", what, fix="pass uint8, or divide by 127.5 and subtract 1")
    if recipe.batch % (sharding.ranks * sharding.micro):
        ways = f"{sharding.ranks} processes times {sharding.micro} micro-batches"
        what = f"a batch of {recipe.batch} cannot be split over {ways}"
        raise UsageError("batch-split", what, fix="choose numbers whose product divides it")
    fix = "use micro=1, and a smaller batch or more processes"
    whole = [loss for player in recipe.players for loss in player.losses if loss.whole_batch]
    if whole and sharding.micro > 1:
        what = f"{type(whole[0]).__name__} needs the whole batch at once, so it cannot be accumulated over "
        raise UsageError("batch-whole", f"{what}{sharding.micro} micro-batches", fix=fix)
    counting = [name for name, spec in recipe.nets.items() if constraint_of(spec).counts_passes]
    if counting and sharding.micro > 1:
        what = f"spectral norm in {counting[0]} takes a step with every forward pass, so micro-batches would change it"
        raise UsageError("batch-spectral", what, fix=fix)


def fastest_precision(recipe: Recipe, data_spec: DataSpec, *, device: str = "cpu", rounds: int = 4) -> str:
    """Return "bf16" if a few rounds of this recipe on made-up images run at least 1.1 times as fast as in "fp32"."""
    n, shape = recipe.batch, (recipe.batch, data_spec.height, data_spec.width, data_spec.channels)
    images = torch.arange(math.prod(shape), device=device).remainder(255).to(torch.uint8).view(shape)
    y = torch.arange(n, device=device) % max(1, data_spec.classes)
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
