"""Training monitor: what is recorded each round, what is checked every tick, and which setting a rollback changes.

Every round leaves a few numbers on the device. At a tick, every so many rounds, they are read, a few images from fixed
noise are drawn, and each signal (signals.py) returns a finding or nothing. A hard finding leads to a rollback at once,
a soft one when it comes twice in a row or when two of different families agree. Nothing here changes a network, uses
torch's random state or writes a file: driver.py and rollback.py do what is decided here.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from .. import keyed_random
from ..files import JsonObject
from ..games.augment import NoAugment
from ..games.builders import Recipe
from ..games.losses import AdversarialLoss, InputGradientPenalty
from ..games.measures import FractionReal
from ..games.nodes import Batch, Labels, Output
from ..games.players import Discriminator, Generator, Player
from ..games.training import Data, Relief, ShardContext, Sharding, State, Step
from ..images import to_unit
from ..nets.layers import DataSpec
from ..records import walk
from .signals import (
    ONCE_NAMED,
    Finding,
    Probe,
    RandomFeatures,
    augmentation_leaks,
    class_lost,
    collapsed,
    copies_found,
    diversity,
    exploding,
    looks_augmented,
    nearest_distances,
    not_finite,
    off_colour,
    off_colours,
    one_sided,
    overfitting,
)

# rounds in which only numbers that are not finite count: G and D have to find their feet
GRACE = 300
# log gradient norms that are remembered
NORMS = 500
# Late in a run: after this share of it, and this many rounds. A G that has not been good by then is at fault.
LATE, LATE_ROUNDS = 0.25, 2000
# Share of a run before which leaks are not looked for: samples of a young G look odd, as augmented images do.
LEAK_LATE = 0.75
# weight of the newest value in running means over ticks
CALM = 0.3
# decay per round of the average of D's right calls
SLOW = 0.99
# Fixed samples stand still when they change less than this from tick to tick (in halves of a pixel's range), so many
# times in a row.
STILL, STILL_TICKS = 0.002, 5
# share of real images of a class that the probe must name right to be believed
PROBE = 0.6
# samples at a tick, or so many of each class, of so many classes
LOOK = 128
PER_CLASS, CLASSES = 16, 16
# training images for comparison, and for the search for copies
REFERENCES, NEIGHBOURS = 2048, 10_000
# ticks: a copy of the state is made so often, and is good once as many more were healthy
WINDOW = 5
# ticks for which learning rates stay halved
EASED = 10
# rounds between two ticks at most
MOST_ROUNDS = 5000
# share of a run that is added at most for the rounds that were lost
EXTRA = 0.25


def tick_rounds(rounds: int) -> int:
    """Return the rounds of a tick: a hundredth of a run, or 50 where that is more, if they are at most a twentieth.

    Never more than MOST_ROUNDS: a run that is to end by time may have any number of rounds before it.
    """
    return min(MOST_ROUNDS, max(1, rounds // 100, min(50, rounds // 20)))


def to_float(x: Tensor) -> Tensor:
    """Return float32 [N,C,H,W] in [-1,1] for uint8 [N,H,W,C] or float [N,C,H,W]."""
    return to_unit(x) if x.dtype == torch.uint8 else x.float()


def chosen_rows(count: int, most: int, *key: object) -> Tensor:
    """At most `most` of range(count), ascending."""
    return keyed_random.order(keyed_random.key(*key), count)[:most].sort().values


class SampleCheck:
    """The check of samples: images from fixed noise against training images, once per tick."""

    def __init__(
        self, recipe: Recipe, spec: Generator, data_spec: DataSpec, data: Data, classes: tuple[str, ...], seed: int
    ):
        pool = data["all"] if "all" in data else next(p for p in data.values() if "x" in p)
        self.spec, self.names = spec, classes
        rows = chosen_rows(len(pool["x"]), REFERENCES, seed, "reference").to(pool["x"].device)
        x, y = to_float(pool["x"][rows]), pool["y"][rows] if "y" in pool else None
        self.reals, self.features = x, RandomFeatures(x)
        features = self.features(x)
        self.real_spread = diversity(features[:512])
        self.labels = self.inputs(data_spec, x.device)
        self.real_spreads, self.believed, self.probe = {}, {}, None
        if self.labels is not None and y is not None:
            self.learn_classes(features, y, self.labels.unique().tolist(), data_spec.classes)
        near = chosen_rows(len(pool["x"]), NEIGHBOURS, seed, "neighbours").to(pool["x"].device)
        self.neighbours = torch.cat([self.features(to_float(part)) for part in pool["x"][near].split(1024)])
        among = torch.cdist(self.neighbours[:256], self.neighbours)
        self.real_distance = among.masked_fill(among < 0.02, math.inf).amin(1).median().item()
        discriminators = [
            s for s in recipe.nets.values() if isinstance(s, Discriminator) and type(s.augment) is not NoAugment
        ]
        self.discriminator = discriminators[0] if discriminators else None

    def inputs(self, data_spec: DataSpec, device) -> Tensor | None:
        """Set what G is fed, the same at every tick; return the labels."""
        spec = self.spec
        shown = chosen_rows(data_spec.classes, CLASSES, "shown") if spec.labels else None
        n = LOOK if shown is None else PER_CLASS * len(shown)
        index = torch.arange(n, device=device)
        labels = None if shown is None else shown.to(device).repeat_interleave(PER_CLASS)
        self.fed = [keyed_random.normal(keyed_random.key("watch", spec.name), index, spec.z).float()]
        self.fed += [labels] if labels is not None else []
        self.fed += [index % spec.codes] if spec.codes else []
        self.fed += (
            [2 * keyed_random.uniform(keyed_random.key("sliders"), index, spec.continuous).float() - 1]
            if spec.continuous
            else []
        )
        return labels

    def learn_classes(self, features: Tensor, y: Tensor, shown: list[int], classes: int) -> None:
        known = y >= 0
        features, y = features[known], y[known]
        for k in shown:
            if (y == k).sum() >= PER_CLASS:
                self.real_spreads[k] = diversity(features[y == k][:64])
        if len(y) >= 2 * PER_CLASS:
            half = Probe(features[::2], y[::2], classes).recall(features[1::2], y[1::2])
            self.believed = {k: half[k].item() for k in self.real_spreads if half[k] >= PROBE}
            self.probe = Probe(features, y, classes)

    @torch.no_grad()
    def draw(self, state: State) -> Tensor:
        """Return images of G as it is now, not of its average: a fault shows late there."""
        G, first = state.nets[self.spec.name], next(state.nets[self.spec.name].parameters())
        return G(*(v.to(first.dtype) if v.is_floating_point() else v for v in self.fed)).float()

    def look(self, state: State, record: "MonitorState", progress: float, full: bool) -> Iterator[Finding | None]:
        """Yield the findings of one tick; of the expensive signals only when `full`."""
        late = progress > LATE and record.age > LATE_ROUNDS
        fakes = self.draw(state)
        if not fakes.isfinite().all():
            yield Finding("not finite", "numbers", "samples are not finite", hard=True)
            return
        yield self.standing_still(fakes, record)
        if record.age < GRACE:
            return
        off = off_colour(fakes, self.reals)
        yield off_colours(off, record.reach("colour", float(off <= 1)), late)
        features = self.features(fakes)
        ratio = diversity(features) / max(self.real_spread, 1e-9)
        yield collapsed(ratio, record.reach("diversity", min(ratio, 1.0)), late)
        for k, real in self.real_spreads.items():
            own = features[self.labels == k]
            ratio = diversity(own) / max(real, 1e-9)
            best = record.reach(f"diversity {k}", min(ratio, 1.0))
            yield collapsed(record.mean(f"diversity {k}"), best, late, self.names[k])
        yield from self.classes(features, record)
        if full:
            yield copies_found(nearest_distances(features[:64], self.neighbours).median().item(), self.real_distance)
            if late and progress > LEAK_LATE and off <= 1 and self.discriminator is not None:
                record.reach("leak", self.augmented_look(state, features, self.discriminator))
                yield augmentation_leaks(record.mean("leak"))

    def classes(self, features: Tensor, record: "MonitorState") -> Iterator[Finding | None]:
        """Yield classes that samples lost, once nearly all samples are named right: before, classes come and go."""
        if self.probe is None or not self.believed:
            return
        right = (self.probe(features) == self.labels).float()
        if record.reach("named right", right.mean().item()) > ONCE_NAMED:
            for k in self.believed:
                best = record.reach(f"right {k}", right[self.labels == k].mean().item())
                yield class_lost(
                    record.mean(f"right {k}"), best, self.names[k]
                )  # of few samples: their mean over ticks

    def standing_still(self, fakes: Tensor, record: "MonitorState") -> Finding | None:
        """Return a finding where samples from the same noise do not change any more."""
        now = adaptive_avg_pool2d(fakes[:: max(1, len(fakes) // 16)][:16], (4, 4)).flatten().tolist()
        before = record.seen or [math.inf] * len(now)
        change = math.sqrt(sum((a - b) ** 2 for a, b in zip(now, before, strict=True)) / len(now))
        record.seen, record.still = now, record.still + 1 if change < STILL else 0
        if record.still >= STILL_TICKS and record.age >= GRACE:
            return Finding("frozen samples", self.spec.name, "samples do not change any more")
        return None

    def augmented_look(self, state: State, features: Tensor, discriminator: Discriminator) -> float:
        """Return how much the samples look like real images as the discriminator sees them: augmented."""
        augment, x = discriminator.augment, self.reals[:512]
        index = torch.arange(len(x), device=x.device)
        p = state.nets[discriminator.name].augment_probability
        seen = augment.apply(x, keyed_random.uniform(keyed_random.key("leak"), index, augment.numbers).float(), p)
        noise = keyed_random.normal(keyed_random.key("odd"), index, *x.shape[1:]).float()
        odd = torch.cat(
            [(x + x.roll(1, 0)) / 2, (x + 0.5 * noise).clamp(-1, 1), x.lerp(x.roll(1, 0), 0.3) + 0.2 * noise]
        )
        return looks_augmented(features, self.features(x), self.features(seen), self.features(odd))


# --- a discriminator on held-out images -----------------------------------------------------------------------------


def held_out_loss(recipe: Recipe, held: Data) -> tuple[Player, AdversarialLoss] | None:
    """Return the first adversarial loss of a player's own discriminator whose pools all have held-out images."""
    for player in recipe.players:
        for loss in player.adversarial_losses:
            if pools_of(loss) <= held.keys():
                return player, loss
    return None


def pools_of(adversarial: AdversarialLoss) -> set[str]:
    return {
        p.pool for side in (adversarial.real, adversarial.fake) for p in walk(side) if isinstance(p, (Batch, Labels))
    }


class HeldOutCheck:
    """A discriminator's scores of some training images, of held-out images, and of generated ones."""

    def __init__(self, player: Player, adversarial: AdversarialLoss, data: Data, held: Data, seed: int):
        self.player, self.adversarial, self.held, self.seed = player, adversarial, held, seed
        self.count = min(len(values) for pool in pools_of(adversarial) for values in held[pool].values())
        self.trained = {pool: {} for pool in pools_of(adversarial)}
        for pool, fields in self.trained.items():
            rows = chosen_rows(len(data[pool]["x"]), len(held[pool]["x"]), seed, "trained").to(data[pool]["x"].device)
            fields |= {name: values[rows] for name, values in data[pool].items()}

    @torch.no_grad()
    def look(self, state: State) -> tuple[float, float]:
        """Return the share of the training images, and of the held-out images, that is called real."""
        adversarial = self.adversarial
        step = Step(self.player, 0, 0.0, self.count, (self.seed, "watch"))
        known, new = (
            ShardContext(step, state, pools, Sharding(), (0, self.count)) for pools in (self.trained, self.held)
        )
        trained, held = known[adversarial.real].score, new[adversarial.real].score
        line = 0.0
        if not any(isinstance(reading, FractionReal) for reading in adversarial.monitored):  # a score without a zero
            line = ((trained.mean() + known[adversarial.fake].score.mean()) / 2).item()
        return (trained > line).float().mean().item(), (held > line).float().mean().item()


# --- the monitor ----------------------------------------------------------------------------------------------------


@dataclass
class MonitorState:
    """What the monitor remembers: part of every checkpoint, as JSON."""

    # rounds behind the present weights
    age: int = 0
    # readings since the last tick
    pending: dict[str, list[float]] = field(default_factory=dict)
    # log gradient norms by player, newest last
    norms: dict[str, list[float]] = field(default_factory=dict)
    # slow averages of how often D is right, on real and on fake images
    right: dict[str, float] = field(default_factory=dict)
    # running means, and their best
    best: dict[str, list[float]] = field(default_factory=dict)
    # fixed samples at the last tick, small, and for how many ticks they have not changed
    seen: list[float] = field(default_factory=list)
    still: int = 0
    # the sum of each network's weights, and for how many ticks it has been the same
    sums: dict[str, list[float]] = field(default_factory=dict)
    # signals of the last tick
    votes: list[str] = field(default_factory=list)
    # signals that the user was warned of: once each
    warned: list[str] = field(default_factory=list)
    # [round, good], oldest first
    copies: list[list] = field(default_factory=list)
    # steps skipped, as of the last tick
    skipped: int = 0
    eased_until: int = 0
    # why the run was given up
    stopped: str = ""

    @classmethod
    def read(cls, saved: JsonObject) -> "MonitorState":
        """Return the state in a checkpoint, also of versions that called `warned` `told`."""
        return cls(**{"warned" if name == "told" else name: value for name, value in saved.items()})

    def reach(self, name: str, value: float) -> float:
        """Return the best so far of a running mean of this value: a single lucky tick sets no standard."""
        mean, best = self.best.get(name, [value, value])
        mean += CALM * (value - mean)
        self.best[name] = [mean, max(mean, best)]
        return self.best[name][1]

    def mean(self, name: str) -> float:
        """Return the running mean itself."""
        return self.best[name][0]


class Change(StrEnum):
    """What a rollback changes beside the order of images; the values stand in events.jsonl."""

    NEW_ORDER = "new order of images"
    HALVED_RATES = "learning rates halved"
    DOUBLED_PENALTIES = "penalties doubled"
    MORE_AUGMENTATION = "more augmentation"
    FULL_PRECISION = "full precision"

    def eased(self, relief: Relief) -> Relief:
        """Return this relief with what this change adds to it."""
        if self is Change.HALVED_RATES:
            return replace(relief, rate=0.5)
        if self is Change.DOUBLED_PENALTIES:
            return replace(relief, penalty=2.0)
        return replace(relief, fp32=True) if self is Change.FULL_PRECISION else relief


class Monitor:
    """`note` after every round; `look` at a tick; `next_change` says what to try if a finding is confirmed."""

    def __init__(
        self,
        recipe: Recipe,
        data_spec: DataSpec,
        data: Data,
        held: Data | None = None,
        *,
        rounds: int,
        seed: int = 0,
        precision: str = "fp32",
        classes: tuple[str, ...] = (),
        record: dict | None = None,
    ):
        self.recipe, self.rounds, self.precision = recipe, rounds, precision
        self.tick, self.record = tick_rounds(rounds), MonitorState.read(record or {})
        self.fresh: dict[str, list[Tensor]] = {}
        names = classes or tuple(str(k) for k in range(data_spec.classes))
        spec = recipe.generator
        self.samples = SampleCheck(recipe, spec, data_spec, data, names, seed) if spec else None
        adversarial = held_out_loss(recipe, held) if held else None
        self.held = HeldOutCheck(*adversarial, data, held, seed) if adversarial and held else None

    def note(self, state: State, means: dict) -> None:
        """Keep the readings of a round. Nothing waits for the device."""
        for player, norm in state.gradients.items():
            self.fresh.setdefault(f"gradient {player}", []).append(norm)
        for (_, loss), mean in means.items():
            if isinstance(loss, FractionReal):
                side = "fake" if any(isinstance(p, Output) for p in walk(loss.of)) else "real"
                self.fresh.setdefault(side, []).append(mean)

    def saved(self) -> JsonObject:
        """Return the monitor's state for a checkpoint."""
        for name, values in self.fresh.items():
            known = [v for v in torch.stack(values).double().tolist() if math.isfinite(v)]
            self.record.pending.setdefault(name, []).extend(known)
        self.fresh = {}
        return {**vars(self.record)}

    def due(self, state: State) -> bool:
        return state.round % self.tick == 0

    def look(self, state: State) -> list[Finding]:
        """Return everything that is found at a tick. Networks are left as they were."""
        self.saved()
        record, full = self.record, state.round // self.tick % WINDOW == 0
        record.age += self.tick
        found = [*self.numbers(state), *self.frozen(state)]
        with at_rest(state):
            if self.samples is not None:
                found += self.samples.look(state, record, record.age / self.rounds, full)
            if self.held is not None and record.age >= GRACE:
                for name, share in zip(("known", "new"), self.held.look(state), strict=True):
                    record.reach(name, share)
                found.append(overfitting(record.mean("known"), record.mean("new")))
        if state.relief.rate != 1 and state.round >= record.eased_until:
            state.relief = replace(state.relief, rate=1.0)
        return [f for f in found if f is not None]

    def frozen(self, state: State) -> Iterator[Finding | None]:
        """Yield networks whose weights do not move, though their player trains."""
        for player in self.recipe.players:
            trains = any(loss.scale(self.record.age / self.rounds) for loss in player.losses)
            for name in player.owns if trains else ():
                now = torch.stack([p.detach().double().sum() for p in state.nets[name].parameters()]).sum().item()
                before, ticks = self.record.sums.get(name, [math.nan, 0])
                self.record.sums[name] = [now, ticks + 1 if now == before else 0]
                if now == before and ticks > 0:
                    yield Finding(f"frozen {name}", name, f"the weights of {name} do not move any more")

    def numbers(self, state: State) -> Iterator[Finding | None]:
        """Yield findings in the numbers of the rounds since the last tick."""
        record, pending = self.record, self.record.pending
        record.pending = {}
        steps = self.tick * sum(player.steps for player in self.recipe.players)
        yield not_finite(state.skipped - record.skipped, steps)
        record.skipped = state.skipped
        for player in self.recipe.players:
            norms = pending.get(f"gradient {player.name}", [])
            logs = [math.log(max(v, 1e-30)) for v in norms]
            before = record.norms.get(player.name, [])
            if record.age >= GRACE:
                yield exploding(player.name, logs, before)
            record.norms[player.name] = (before + logs)[-NORMS:]
        for side in ("real", "fake"):
            for real_share in pending.get(side, []):
                right = real_share if side == "real" else 1 - real_share
                record.right[side] = SLOW * record.right.get(side, right) + (1 - SLOW) * right
        if len(record.right) == 2 and record.age >= GRACE:
            real, fake = record.right["real"], record.right["fake"]
            yield one_sided(real, fake, record.reach("right", min(real, fake)))

    def settled(self, state: State, findings: list[Finding]) -> bool:
        """Keep account of the copies after a tick without a rollback; return whether it is time for a new one."""
        votes, record = [f.signal for f in findings if f.acts], self.record
        record.votes = votes
        if votes:
            record.copies = [c for c in record.copies if c[1]]
            return False
        window = WINDOW * self.tick
        copies = [[at, good or state.round - at >= window] for at, good in record.copies]
        record.copies = [c for c in copies if c[1]][-2:] + [c for c in copies if not c[1]]
        if full := state.round // self.tick % WINDOW == 0:
            record.copies.append([state.round, False])
        return full

    def next_change(self, state: State) -> "Change | None":
        """Return what this attempt changes; None when nothing is left to try."""
        changes = [Change.NEW_ORDER, Change.HALVED_RATES]
        if any(isinstance(p, InputGradientPenalty) for p in walk(self.recipe)):
            changes.append(Change.DOUBLED_PENALTIES)
        elif any(net.augment_probability is not None for net in state.nets.values()):
            changes.append(Change.MORE_AUGMENTATION)
        if self.precision != "fp32":
            changes.append(Change.FULL_PRECISION)
        return changes[state.attempt] if state.attempt < len(changes) else None

    def went_back(self, state: State, change: "Change", record: JsonObject) -> None:
        """Go on from a copy: the weights are the copy's already, `record` is this monitor's state as it was then."""
        mine, self.fresh = self.record, {}
        self.record = MonitorState.read(record)
        lost = mine.age - self.record.age
        self.record.copies = [c for c in mine.copies if c[1]]
        self.record.warned, self.record.skipped, self.record.pending = mine.warned, state.skipped, {}
        halved = change is Change.HALVED_RATES
        self.record.eased_until = state.round + EASED * self.tick if halved else mine.eased_until
        state.extra = min(state.extra + lost, int(EXTRA * self.rounds))
        state.attempt, state.relief = state.attempt + 1, change.eased(state.relief)
        if change is Change.MORE_AUGMENTATION:
            for net in state.nets.values():
                if (p := net.augment_probability) is not None:
                    p.copy_(torch.maximum(p, (p.clamp(min=0.0) + 0.2).clamp(max=0.8)))


@contextmanager
def at_rest(state: State):
    """Put networks into evaluation mode for the block: no statistic of theirs follows what they are shown."""
    modes = {name: net.training for name, net in state.nets.items()}
    for net in state.nets.values():
        net.eval()
    try:
        yield
    finally:
        for name, net in state.nets.items():
            net.train(modes[name])
