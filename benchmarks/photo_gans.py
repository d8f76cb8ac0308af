"""Generators of photographs after the same processor seconds: does a pretrained network help in minutes on a CPU?

    python benchmarks/photo_gans.py --pack packed                       # once, where the data are: packed/cifar.npz ...
    python benchmarks/photo_gans.py r3gan r3gan-class ... --data packed/cifar.npz packed/clothes.npz --seeds 1 2 3
        --seconds 600 --cores 16 --out results
    python benchmarks/photo_gans.py r3gan-class@190000 ... --device cuda --cores 8 --out explored
    python benchmarks/photo_gans.py --teach --data packed/cifar.npz --out results     # generators that --keep left
    python benchmarks/photo_gans.py --table --out results

A job is a recipe (or one of WAYS, what was tried), a data set and a seed. Each runs as a process of its own on one core
and stops after so many processor seconds of training, measuring not counted; with NAME@IMAGES after so many images.
Schedules follow the time left at the speed so far. Jobs are measured at each of --marks (shares of the seconds) and at
the end: a line of results.jsonl and a picture each, so that a run that is cut off leaves what it has. Scores: kernel
distance x 1000 to real test images (or with --tuning to training images) in features of our own extractor, which
learned from the same training images and lies in the data's file, and the accuracy on real test images of the
package's `cnn` that saw 5,000 generated images only.
"""

import argparse
import io
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import photo_projected as projected
import torch
from photo_projected import Projected
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, softplus

from sparring import files, keyed_random, metrics
from sparring.classifiers import METHODS
from sparring.data import load, split
from sparring.devices import keep_memory
from sparring.features import pretrained
from sparring.features.learned import by_labels, learned, own_extractor, trained
from sparring.games.augment import TrackedBuffer
from sparring.games.builders import Recipe
from sparring.games.constraints import NoConstraint, SpectralNorm
from sparring.games.heads import Classes, Projection, ProjectionAndClasses
from sparring.games.losses import R1, AdversarialLoss, Classify, Hinge, Relativistic
from sparring.games.measures import Loss, MeanScore
from sparring.games.nodes import Discriminated, Node, StepContext
from sparring.games.players import Adam, Discriminator, Generator, Player
from sparring.games.recipes import RECIPES, labelled, pair_y, real_y, smooth, their_y
from sparring.games.schedules import Cosine, Schedule, Window
from sparring.games.training import Data, State, new_state, settle_norms, training
from sparring.images import grid, save_png, to_uint8
from sparring.nets.classifiers import SmallCNN
from sparring.nets.dcgan import DCGAN
from sparring.nets.efficientnet import enlarged
from sparring.nets.layers import Architecture, DataSpec, normal_weights
from sparring.nets.resnet import ConditionedNorm
from sparring.records import no_progress, record
from sparring.runs.defaults import FEW, with_augment

SAMPLES, HALFWAY, SHOWN = 5000, 2000, 80
REPLAN = 0.1  # of the seconds: how often the images that fit are counted anew
SPECS = {"cifar": ("cifar10", None), "clothes": ("clothes.zip", 64)}

# --- what was tried --------------------------------------------------------------------------------------------------


@record
class LayeredDCGAN(DCGAN):
    """DCGAN whose generator is told the label in every batch norm too, by a scale and a shift for each class.

    Dumoulin et al. 2017, arXiv:1610.07629, section 2.2, as in Miyato & Koyama 2018.
    """

    def generator(self, data_spec: DataSpec, z: int, condition: int = 0) -> nn.Module:
        return LayeredGenerator(super().generator(data_spec, z, condition), condition)


class LayeredGenerator(nn.Module):
    """See LayeredDCGAN: the layers of a DCGAN generator, its norms replaced."""

    def __init__(self, layers: nn.Module, condition: int):
        super().__init__()
        self.layers, self.condition = nn.ModuleList(layers.children()), condition
        for number, layer in enumerate(self.layers):
            if isinstance(layer, nn.BatchNorm2d):
                self.layers[number] = normal_weights(ConditionedNorm(layer.num_features, condition))

    def forward(self, x: Tensor) -> Tensor:
        label = x[:, x.shape[1] - self.condition :]
        for layer in self.layers:
            x = layer(x, label) if isinstance(layer, ConditionedNorm) else layer(x)
        return x


@record
class ClassMatching(Loss):
    """Kernel distance of fakes to real images of their class in D's own features: of means, after Salimans et al. 2016,
    section 3.1, but unbiased, and within classes.
    """

    real: Discriminated = real_y
    fake: Discriminated = pair_y
    label: Node[Tensor] = their_y

    title = "distance of class means in its features"
    whole_batch = True

    def __call__(self, context: StepContext) -> Tensor:
        y, real, fake = context[self.label], context[self.real].features.detach(), context[self.fake].features
        mean, scale = real.mean(0), real.std(0)
        scale = (scale + 0.3 * scale.mean()) * real.shape[1] ** 0.5
        a, b = (real - mean) / scale, (fake - mean) / scale
        same = (y[:, None] == y[None, :]).to(b.dtype)
        others = same - torch.eye(len(y), device=y.device, dtype=b.dtype)
        return (b @ b.T * others).sum() / others.sum().clamp(min=1) - 2 * (a @ b.T * same).sum() / same.sum()


@record
class Followed(TrackedBuffer):
    """The exponential average of a measure."""

    decay: float = 0.99

    def initial(self, data_spec: DataSpec) -> Tensor:
        return torch.zeros(())

    def update(self, buffer: Tensor, mean: Tensor) -> None:
        buffer.lerp_(mean, 1 - self.decay)


@record
class LeCam(Loss):
    """Squared distance of D's scores of real images to its average score of fakes, and the other way round.

    Tseng et al. 2021, arXiv:2104.03310, eq. 4.
    """

    real: Discriminated = real_y
    fake: Discriminated = pair_y

    title = "distance to the other average"
    reads = ("score",)

    def __call__(self, context: StepContext) -> Tensor:
        real, fake = context.buffer("D", "real"), context.buffer("D", "fake")
        return (context[self.real].score - fake).square() + (context[self.fake].score - real).square()


FOLLOWED = (Followed("real", MeanScore(of=real_y)), Followed("fake", MeanScore(of=pair_y)))


# One pass for both players: the gradient of D's loss is turned around on its way to G (Ganin et al. 2016,
# arXiv:1505.07818, section 3.2), and scaled for each pair to be that of G's own loss.


@record
class Turned(Node[Tensor]):
    """Images whose gradient is multiplied by what `OnePass` says of each, and added to what it says."""

    of: Node[Tensor] = pair_y.of

    def __call__(self, context: StepContext) -> Tensor:
        x, said = context[self.of], []
        turned = _Turn.apply(x, said)
        turned.said = said
        return turned


class _Turn(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, said):
        ctx.said = said
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad):
        factor, more = ctx.said
        return more - grad * factor.view(-1, *[1] * (grad.ndim - 1)).to(grad.dtype), None


@record
class Detached(Node[Tensor]):
    """Images without their graph."""

    of: Node[Tensor] = pair_y.of

    def __call__(self, context: StepContext) -> Tensor:
        return context[self.of].detach()


turned_y = Discriminated("D", Turned(), their_y)
detached_y = Discriminated("D", Detached(), their_y)


@record
class OnePass(Relativistic):
    """The game of Relativistic for both players in one pass: the gradient that reaches G is that of softplus(r - f) and
    `classes` times that of D's doubt about the class that was asked for.
    """

    real: Discriminated = real_y
    fake: Discriminated = turned_y
    most: float = 1e4  # times as much as D's own gradient
    classes: float = 0.0
    label: Node[Tensor] = their_y

    def __call__(self, context: StepContext) -> Tensor:
        lead = context[self.real].score - context[self.fake].score
        images, more = context[self.fake.of], torch.zeros(())
        if self.classes:
            doubt = self.classes * cross_entropy(context[self.fake].logits, context[self.label])
            (more,) = torch.autograd.grad(doubt, images, retain_graph=True)
        images.said.extend((lead.detach().exp().clamp(max=self.most), more))
        return softplus(-lead)


def one_pass(
    *,
    lazy: int = 4,
    batch: int = 16,
    lr: float | Schedule = Cosine(1e-3, 1e-4),
    net: Architecture = smooth,
    generator: Architecture = DCGAN(),
    average: float = 0.999,
    classes: float = 0.0,
) -> Recipe:
    """r3gan-class as one player of both networks; `classes`: weight of an auxiliary classifier's loss for G."""
    gamma = Cosine(1.0, 0.1)
    losses = (OnePass(classes=classes), R1(gamma, every=lazy, at=real_y), R1(gamma, every=lazy, at=detached_y))
    losses += (Classify(of=real_y, label=their_y),) if classes else ()
    head = ProjectionAndClasses() if classes else Projection()
    nets = (Discriminator(net=net, head=head), Generator(net=generator, labels=True))
    return Recipe("ours", (Player("DG", nets, losses, Adam(lr, (0.0, 0.99)), average=average),), batch)


def by_class(
    *,
    lazy: int = 1,
    batch: int = 64,
    lr: float | Schedule = Cosine(1e-3, 1e-4),
    penalty: float = 1.0,
    net: Architecture = smooth,
    generator: Architecture = DCGAN(),
    average: float = 0.999,
    beta: float = 0.99,
    ours: bool = True,
    second: tuple[Discriminator, AdversarialLoss] | None = None,
    classes: float | Schedule = 0.0,
    learned: float = 1.0,
    matching: float = 0.0,
    judge: float = 0.0,
    lecam: float = 0.0,
    start: float = 0.0,
) -> Recipe:
    """r3gan-class with changes; `lazy`: penalties in every so-many-th step; `second`: a discriminator more.

    `classes`: weight for G of D's auxiliary classifier, which itself learns from real images with weight `learned`.
    `matching`: weight for G of the distance of class means in D's features. `judge`: weight for G of a classifier C of
    its own, which learns from the same real images beside the game. `start`: the game begins after so much of training;
    until then D learns classes alone.
    """
    gamma = Cosine(penalty, penalty / 10)
    game = Relativistic(Window(start=start) if start else 1.0, real=real_y, fake=pair_y)
    nets, d, g = (), (), ()
    if ours:
        head = ProjectionAndClasses() if classes else Projection()
        nets = (Discriminator(net=net, head=head, buffers=FOLLOWED if lecam else ()),)
        d, g = (game, R1(gamma, every=lazy, at=real_y), R1(gamma, every=lazy, at=pair_y)), (game,)
    if classes:
        d, g = (*d, Classify(learned, of=real_y, label=their_y)), (*g, Classify(classes, of=pair_y, label=their_y))
    if lecam:
        d = (*d, LeCam(lecam))
    if matching:
        g = (*g, ClassMatching(matching))
    if judge:
        nets = (*nets, Discriminator("C", SmallCNN(), Classes()))
        d = (*d, Classify(of=Discriminated("C", labelled), label=their_y))
        g = (*g, Classify(judge, of=Discriminated("C", pair_y.of), label=their_y))
    if second:
        nets, d, g = (*nets, second[0]), (*d, second[1]), (*g, second[1])
    adam = Adam(lr, (0.0, beta))
    made = Generator(net=generator, labels=True)
    return Recipe("ours", (Player("D", nets, d, adam), Player("G", (made,), g, adam, average=average)), batch)


def frozen(
    kind: type[AdversarialLoss] = Hinge, weight: float | Schedule = 1.0, *, norm: bool = True, **settings
) -> tuple[Discriminator, AdversarialLoss]:
    """A class-conditional discriminator F on frozen features, and its loss."""
    constraint = SpectralNorm() if norm else NoConstraint()
    spec = Discriminator("F", Projected(**settings), Projection(), constraint=constraint)
    return spec, kind(weight, real=Discriminated("F", labelled, their_y), fake=Discriminated("F", pair_y.of, their_y))


@record
class KernelMatching(Loss):
    """Kernel distance of fakes to the real images beside them, among images of a class, in frozen features; unbiased.

    A cubic kernel of the means of four depths, each feature scaled by the real images of the batch. Gretton et al. 2012
    (JMLR 13), eq. 3; that G lowers it in features of a pretrained network is near Santos et al. 2019, arXiv:1904.02762.
    """

    made: Node[Tensor] = pair_y.of
    target: Node[Tensor] = labelled
    label: Node[Tensor] = their_y
    times: float = 1.0

    title = "kernel distance in frozen features"
    whole_batch = True

    def __call__(self, context: StepContext) -> Tensor:
        y = context[self.label]
        with torch.no_grad():
            real = self.features(context[self.target])
            mean, scale = real.mean(0), real.std(0)
            scale = scale + 0.3 * scale.mean()
        a, b = (real - mean) / scale, (self.features(context[self.made]) - mean) / scale
        same = (y[:, None] == y[None, :]).to(b.dtype)
        others = same - torch.eye(len(y), device=y.device, dtype=b.dtype)
        kernel = [(u @ v.T / b.shape[1] + 1) ** 3 for u, v in ((b, b), (a, b))]
        return (kernel[0] * others).sum() / others.sum().clamp(min=1) - 2 * (kernel[1] * same).sum() / same.sum()

    def features(self, x: Tensor) -> Tensor:
        size = projected.size_seen(DataSpec.of(x.permute(0, 2, 3, 1)), self.times)
        return torch.cat([m.float().mean((2, 3)) for m in projected.frozen_maps(enlarged(x, size))], 1)


def matched(recipe: Recipe, loss: Loss) -> Recipe:
    """The same recipe with one loss more for G."""
    *others, G = recipe.players
    return replace(recipe, players=(*others, replace(G, losses=(*G.losses, loss))))


def tried() -> dict[str, Recipe]:
    late = Window(0.1, start=0.3)
    fast, slow = Cosine(1e-3, 1e-4), 2e-4
    ways = {f"lazy{n}": by_class(lazy=n) for n in (2, 4, 8)}
    ways |= {f"lazy{n}-b32": by_class(lazy=n, batch=32) for n in (2, 4)}
    ways |= {
        "b32": by_class(batch=32),
        "lazy2-b16": by_class(lazy=2, batch=16),
        "lazy4-b16": by_class(lazy=4, batch=16),
        "lazy8-b16": by_class(lazy=8, batch=16),
        "lazy4-b8": by_class(lazy=4, batch=8, lr=Cosine(5e-4, 5e-5)),
        "lazy4-b16-rate-half": by_class(lazy=4, batch=16, lr=Cosine(5e-4, 5e-5)),
        "lazy4-b16-rate2": by_class(lazy=4, batch=16, lr=Cosine(2e-3, 1e-4)),
        "lazy4-b16-to0": by_class(lazy=4, batch=16, lr=Cosine(1e-3, 1e-5)),
        "lazy4-b16-penalty-third": by_class(lazy=4, batch=16, penalty=0.3),
        "lazy4-b16-penalty3": by_class(lazy=4, batch=16, penalty=3.0),
        "lazy4-b16-second64-late": by_class(lazy=4, batch=16, second=frozen(weight=late, enlarged=2.0)),
        "lazy4-b16-wide": by_class(lazy=4, batch=16, net=DCGAN(width=96, batchnorm=False), generator=DCGAN(width=96)),
        "lazy4-b16-wide-G": by_class(lazy=4, batch=16, generator=DCGAN(width=96)),
        "lazy4-b16-thin-D": by_class(lazy=4, batch=16, net=DCGAN(width=48, batchnorm=False)),
        "lazy4-b16-matched64": matched(by_class(lazy=4, batch=16), KernelMatching(0.1, times=2.0)),
        "lazy4-b32-matched64": matched(by_class(lazy=4, batch=32), KernelMatching(0.1, times=2.0)),
        "lazy4-b32-second64-late": by_class(lazy=4, batch=32, second=frozen(weight=late, enlarged=2.0)),
        "b16": by_class(batch=16),
        "rate2": by_class(lr=Cosine(2e-3, 1e-4)),
        "rate-half": by_class(lr=Cosine(5e-4, 5e-5)),
        "rate2-b32": by_class(batch=32, lr=Cosine(2e-3, 1e-4)),
        "penalty-tenth": by_class(penalty=0.1),
        "penalty-third": by_class(penalty=0.3),
        "penalty-third-lazy2": by_class(penalty=0.3, lazy=2),
        "penalty3": by_class(penalty=3.0),
        "ema0.995": by_class(average=0.995),
        "beta0.9": by_class(beta=0.9),
        "lazy4-penalty-third": by_class(lazy=4, penalty=0.3),
        "lazy4-penalty-tenth": by_class(lazy=4, penalty=0.1),
        "lazy4-rate2": by_class(lazy=4, lr=Cosine(2e-3, 1e-4)),
        "lazy4-thin": by_class(lazy=4, net=DCGAN(width=48, batchnorm=False), generator=DCGAN(width=48)),
        "lazy4-b32-penalty-third": by_class(lazy=4, batch=32, penalty=0.3),
        "lazy4-second64-0.1": by_class(lazy=4, second=frozen(weight=0.1, enlarged=2.0)),
        "lazy4-second64-late": by_class(lazy=4, second=frozen(weight=late, enlarged=2.0)),
        "lazy4-second64-pairs": by_class(lazy=4, second=frozen(Relativistic, 0.1, enlarged=2.0)),
        "thin48": by_class(net=DCGAN(width=48, batchnorm=False), generator=DCGAN(width=48)),
        "thin-D": by_class(net=DCGAN(width=48, batchnorm=False)),
        "wide-G": by_class(generator=DCGAN(width=96)),
        "projected32": by_class(ours=False, second=frozen(), lr=slow),
        "projected64": by_class(ours=False, second=frozen(enlarged=2.0), lr=slow),
        "projected64-fast": by_class(ours=False, second=frozen(enlarged=2.0), lr=fast),
        "projected64-unmixed": by_class(ours=False, second=frozen(enlarged=2.0, mixed=False), lr=slow),
    }
    thin, layered = DCGAN(width=32, batchnorm=False), LayeredDCGAN()
    b16 = partial(by_class, lazy=4, batch=16)
    ways |= {
        "ema0.995-b16": b16(average=0.995),
        "layered": b16(generator=layered),
        "layered-thin-D": b16(generator=layered, net=thin),
        "layered-thin": b16(generator=LayeredDCGAN(width=32), net=thin),
        "layered-rate2": b16(generator=layered, lr=Cosine(2e-3, 1e-4)),
        "layered-ema0.995": b16(generator=layered, average=0.995),
        "classes0.1": b16(classes=0.1),
        "classes0.3": b16(classes=0.3),
        "classes1": b16(classes=1.0),
        "layered-classes0.1": b16(generator=layered, classes=0.1),
        "layered-classes0.3": b16(generator=layered, classes=0.3),
        "layered-classes1": b16(generator=layered, classes=1.0),
        "layered-judge0.3": b16(generator=layered, judge=0.3),
        "layered-classes0.3-start": b16(generator=layered, classes=Window(0.3, start=0.1), start=0.1),
        "layered-lecam0.1": b16(generator=layered, lecam=0.1),
        "layered-lecam0.01": b16(generator=layered, lecam=0.01),
        "matching1": b16(matching=1.0),
        "layered-matching1": b16(generator=layered, matching=1.0),
        "layered-b8": by_class(lazy=4, batch=8, generator=layered),
        "layered-lazy8": by_class(lazy=8, batch=16, generator=layered),
        "thin": b16(generator=DCGAN(width=32), net=thin),
        "one-pass": one_pass(),
        "one-pass-layered": one_pass(generator=layered),
        "one-pass-classes0.3": one_pass(classes=0.3),
        "one-pass-classes0.3-ema0.995": one_pass(classes=0.3, average=0.995),
    }
    named = partial(b16, classes=0.3)
    ways |= {
        "classes0.3-ema0.995": named(average=0.995),
        "classes0.3-rate2": named(lr=Cosine(2e-3, 1e-4)),
        "classes0.3-rate2-ema0.995": named(lr=Cosine(2e-3, 1e-4), average=0.995),
        "classes0.3-thin-D": named(net=thin),
        "classes0.3-thin": named(net=thin, generator=DCGAN(width=32)),
        **{f"classes0.3-thin{w}": named(net=DCGAN(w, batchnorm=False), generator=DCGAN(w)) for w in (16, 24, 48)},
        "classes0.3-thin-b32": by_class(lazy=4, batch=32, classes=0.3, net=thin, generator=DCGAN(width=32)),
        "classes0.3-wide-G": named(generator=DCGAN(width=96)),
        "classes0.3-b8": by_class(lazy=4, batch=8, classes=0.3),
        "classes0.3-b32": by_class(lazy=4, batch=32, classes=0.3),
        "classes0.3-lazy8": by_class(lazy=8, batch=16, classes=0.3),
        "classes0.3-lecam0.1": named(lecam=0.1),
        "classes0.3-matching1": named(matching=1.0),
        "classes0.3-start": b16(classes=Window(0.3, start=0.1), start=0.1),
        "classes0.3-penalty-third": named(penalty=0.3),
        "classes0.3-judge0.3": named(judge=0.3),
        "judge0.3": b16(judge=0.3),
        "classes0.3-beta0.9": named(beta=0.9),
    }
    for weight in (0.03, 0.1, 0.3):
        ways[f"second32-{weight}"] = by_class(second=frozen(weight=weight))
        ways[f"second64-{weight}"] = by_class(second=frozen(weight=weight, enlarged=2.0))
        ways[f"second64-pairs-{weight}"] = by_class(second=frozen(Relativistic, weight, enlarged=2.0))
    ways |= {
        "lazy4-matched32-0.3": matched(by_class(lazy=4), KernelMatching(0.3)),
        "lazy4-matched64-0.1": matched(by_class(lazy=4), KernelMatching(0.1, times=2.0)),
        "lazy4-matched64-1": matched(by_class(lazy=4), KernelMatching(1.0, times=2.0)),
        "second64-late": by_class(second=frozen(weight=late, enlarged=2.0)),
        "second64-unmixed": by_class(second=frozen(weight=0.1, enlarged=2.0, mixed=False)),
        "second64-lazy2": by_class(lazy=2, second=frozen(weight=0.1, enlarged=2.0)),
    }
    return ways


WAYS = {**dict(RECIPES), **tried()}


# --- data and extractor in one file ----------------------------------------------------------------------------------


def pack(name: str, folder: Path, few: int | None) -> None:
    """Write NAME.npz: images (as lossless WebP), labels and the weights of the extractor, learned here."""
    source, size = SPECS[name]
    root = Path(os.environ.get("SPARRING_DATA") or Path(__file__).parents[2] / "shared" / "data")
    found = load(str(root / source), size=size)
    train = np.flatnonzero(found.parts == "train")
    rest = np.flatnonzero(found.parts != "train")
    if not len(train) or not len(rest):
        parts = split(found, test=0.2)
        train, rest = parts.train, parts.test
    x, y = found.images[train], found.labels[train].astype(np.int64)
    lesson = by_labels(x, y, len(found.classes), 0)
    net = trained(lesson, 0, "cpu", "bf16", no_progress, None)
    write(folder / f"{name}.npz", (x, y, found.images[rest], found.labels[rest]), learned(lesson, x, net, "cpu"), few)


def write(path: Path, images: tuple[np.ndarray, ...], weights: dict[str, np.ndarray], few: int | None = None) -> None:
    """Write training and test images, at most `few` and a fifth of that, and the weights."""
    x, y, test_x, test_y = images
    if few:
        at, there = (np.random.default_rng(0).permutation(len(a))[:n] for a, n in ((x, few), (test_x, few // 5)))
        x, y, test_x, test_y = x[at], y[at], test_x[there], test_y[there]
    arrays = {f"extractor/{name}": value for name, value in weights.items()} | {"y_train": y, "y_test": test_y}
    for part, values in (("train", x), ("test", test_x)):
        encoded = [webp(image) for image in values]
        arrays[f"x_{part}_webp"] = np.frombuffer(b"".join(encoded), np.uint8)
        arrays[f"x_{part}_sizes"] = np.array([len(data) for data in encoded])
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    print(path, f"{path.stat().st_size / 2**20:.1f} MiB", len(x), len(test_x), flush=True)


def webp(image: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(image).save(out, "webp", lossless=True, quality=60, method=4)
    return out.getvalue()


def groups_at(arrays: dict[str, np.ndarray], part: str) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [N,H,W,3] and labels of "train" or "test", the first arrays["first_PART"] where that is there.

    Images are files, one after another (x_train_webp or x_train_jpeg, with x_train_sizes), or lie there as they are.
    """
    y = arrays[f"y_{part}"].astype(np.int64)
    y = y[: int(arrays.get(f"first_{part}", np.array(len(y))))]
    if f"x_{part}" in arrays:
        return arrays[f"x_{part}"][: len(y)], y
    data = next(arrays[name] for name in (f"x_{part}_webp", f"x_{part}_jpeg") if name in arrays).tobytes()
    sizes = arrays[f"x_{part}_sizes"].astype(np.int64)[: len(y)]
    ends = np.cumsum(sizes)
    read = (Image.open(io.BytesIO(data[a:b])).convert("RGB") for a, b in zip(ends - sizes, ends, strict=True))
    return np.stack([np.asarray(image) for image in read]), y


# --- a job -----------------------------------------------------------------------------------------------------------


class Measures:
    """The real images, our extractor's features of them, and what is measured of a generator."""

    def __init__(self, path: Path, tuning: bool, steps: int | None = None, settled: bool = True):
        self.steps, self.settled = steps, settled
        with np.load(path) as opened:
            arrays = dict(opened)
        if "images" in arrays:  # they lie in another file beside it
            with np.load(path.parent / str(arrays["images"])) as opened:
                arrays |= dict(opened)
        self.x, self.y = groups_at(arrays, "train")
        self.test_x, self.test_y = groups_at(arrays, "test")
        self.classes = int(self.y.max()) + 1
        weights = {n.partition("/")[2]: v for n, v in arrays.items() if n.startswith("extractor/")}
        weights = {n: v.astype(np.float32) if v.dtype == np.float16 else v for n, v in weights.items()}
        names = tuple(map(str, range(self.classes)))
        self.extractor = own_extractor(weights, self.x.shape[1:], names, "cpu")
        pick = np.random.default_rng(0).permutation
        if tuning:  # the network that learns from generated images has not seen these either
            self.test_x, self.test_y = self.x, self.y
        at = pick(len(self.test_x))[:SAMPLES]
        self.test_x, self.test_y = self.test_x[at], self.test_y[at]
        self.real = self.seen(self.test_x)[0]
        self.labels = self.y[pick(len(self.y))[:SAMPLES]] if len(self.y) >= SAMPLES else np.resize(self.y, SAMPLES)

    def seen(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Features and the classes named; nothing is kept in the cache."""
        parts = [self.extractor.compute(x[i : i + 500]) for i in range(0, len(x), 500)]
        named = np.concatenate([part[1] for part in parts if part[1] is not None]).argmax(1)
        return np.concatenate([part[0] for part in parts]), named

    def of(self, state: State, recipe: Recipe, data: Data, last: bool) -> tuple[dict, np.ndarray]:
        """Scores of the averaged generator, and images of every class; `last`: of more images, and as a teacher."""
        labels = self.labels if last else self.labels[:HALFWAY]
        if self.settled:
            settle_norms(recipe, state, data)
        row: dict = {"settled": self.settled}
        made = self.drawn(state, recipe, labels, 0)
        features, named = self.seen(made)
        few = slice(0, HALFWAY)
        kernel, near = metrics.kernel_distance(self.real, features), metrics.neighbours(self.real[few], features[few])
        row |= {"kernel_x1000": 1000 * kernel.value, "kernel_x1000_error": 1000 * kernel.error}
        row |= {name: value.value for name, value in near._asdict().items()}
        row["colour"] = [round(v, 1) for v in made.mean((0, 1, 2)).tolist()]
        if recipe.generator is not None and recipe.generator.labels:
            row["fidelity"] = float((named == labels).mean())
            if last and self.steps != 0:
                row["train_on_generated"] = self.taught(made, labels)
        shown = np.arange(SHOWN) // 8 % self.classes
        return row, grid(self.drawn(state, recipe, shown, 1), columns=8)

    def taught(self, made: np.ndarray, labels: np.ndarray) -> float:
        """The accuracy on real images of a network that learned from generated ones."""
        learner = METHODS["cnn"].make(random_state=0, threads=1, steps=self.steps).fit(made, labels)
        return float((learner.predict(self.test_x) == self.test_y).mean())

    @torch.no_grad()
    def drawn(self, state: State, recipe: Recipe, labels: np.ndarray, seed: int) -> np.ndarray:
        spec = recipe.generator
        assert spec is not None, "recipes that generate"
        G, parts = state.best(spec.name).eval(), []
        device = next(G.parameters()).device
        for start in range(0, len(labels), 250):
            index = torch.arange(start, min(len(labels), start + 250), device=device)
            z = keyed_random.normal(keyed_random.key("photo", seed), index, spec.z).float()
            parts.append(to_uint8(G(z, *([torch.from_numpy(labels).to(device)[index]] if spec.labels else []))))
        return np.concatenate(parts)


def rounds(
    recipe: Recipe,
    state: State,
    data: Data,
    *,
    seed: int,
    seconds: float,
    images: int,
    device: str,
    marks: list[float],
    until: float = math.inf,
) -> Iterator[tuple[float, bool]]:
    """Train; yield (seconds spent, whether it is over) at the marks and at the end. `images`: 0 for what fits.

    `until`: the time by the clock on the wall at which it is over too.
    """
    begun = time.time()
    on_gpu = device != "cpu"
    precision = "bf16"

    def now() -> float:
        if on_gpu:
            torch.cuda.synchronize()
        return time.perf_counter() if on_gpu else time.process_time()

    spent, start = 0.0, now()
    # At first 200 rounds are thought to fit, and soon it is known better.
    planned, check = images or 200 * recipe.batch, 0.02
    while True:
        for _ in training(recipe, state, data, images=planned, seed=seed, precision=precision):
            if state.round % 5 == 0 and spent + now() - start > check * seconds:
                break
        spent, start = spent + now() - start, now()
        seen = state.round * recipe.batch
        if images:
            share = seen / images
            over, check = seen >= images, 1e9 if on_gpu else spent / seconds + REPLAN
        else:
            share, check = spent / seconds, spent / seconds + REPLAN / 2
            clock = time.time()
            left = min(seconds - spent, (until - clock) * spent / (clock - begun))
            planned = seen + max(0, round(left * seen / spent))
            over = planned <= seen
        if marks and share >= marks[0] and not over:
            marks.pop(0)
            yield spent, False
            start = now()
        if over:
            yield spent, True
            return


def job(options: argparse.Namespace) -> None:
    """Train one recipe on one data set with one seed, and measure."""
    torch.set_num_threads(1)
    keep_memory()
    if options.weights:  # a machine without the package that ships them
        pretrained.imagenet_weights = lambda: load_file(options.weights)
    way, _, images = options.names[0].partition("@")
    path, seed = options.data[0], options.seeds[0]
    name, _, augment = way.partition("+")
    measures = Measures(path, options.tuning, options.steps, settled=augment != "before")
    if augment == "before":  # as it was before `auto` learned to wait and norms were settled
        augment = "diffaugment" if len(measures.x) < FEW else "none"
    recipe, _ = with_augment(WAYS[name], augment or "auto", len(measures.x))
    device = torch.device(options.device)
    pool = {"x": torch.from_numpy(measures.x).to(device), "y": torch.from_numpy(measures.y).to(device)}
    data: Data = {name: pool for name in ("all", "labelled") if name in recipe.pools}
    state = new_state(recipe, DataSpec.of(measures.x, measures.classes), seed=seed, device=options.device)
    found = rounds(
        recipe, state, data, seed=seed, seconds=options.seconds, images=int(images or 0), device=options.device,
        marks=list(options.marks), until=options.begun + options.wall,
    )  # fmt: skip
    begun = time.perf_counter()
    for spent, last in found:
        row, picture = measures.of(state, recipe, data, last)
        row = {
            "way": way, "data": path.stem, "seed": seed, "budget": options.seconds, "last": last,
            "seconds": round(spent, 1), "wall": round(time.perf_counter() - begun, 1),
            "images": state.round * recipe.batch, "skipped": state.skipped, "device": options.device,
            "extractor": measures.extractor.hash, "accuracy": measures.extractor.accuracy, "train": len(measures.x),
            "against": "training images" if options.tuning else "test images", **row,
        }  # fmt: skip
        files.append_line(options.out / "results.jsonl", row)
        save_png(options.out / f"{path.stem}-{way}-{seed}-{round(spent)}.png", picture, generated=True)
        print(json.dumps(row), flush=True)
        if last and options.keep and recipe.generator is not None:
            G = state.best(recipe.generator.name)
            half = {k: v.half() if v.is_floating_point() else v for k, v in G.state_dict().items()}
            save_file(
                {k: v.contiguous() for k, v in half.items()}, options.out / f"{path.stem}-{way}-{seed}.safetensors"
            )


def teach(options: argparse.Namespace) -> None:
    """Measure what generators that --keep left teach: 5,000 images of each, and as many as there are real ones."""
    torch.set_num_threads(1)
    for kept in sorted(options.out.glob("*.safetensors")):
        stem, _, rest = kept.stem.partition("-")
        way, _, seed = rest.rpartition("-")
        path = next((path for path in options.data if path.stem == stem), None)
        recipe = WAYS[way.partition("+")[0]]
        if path is None or recipe.generator is None or not recipe.generator.labels:
            continue
        measures = Measures(path, options.tuning)
        state = new_state(recipe, DataSpec.of(measures.x, measures.classes))
        state.best("G").load_state_dict(
            {k: v.float() if v.is_floating_point() else v for k, v in load_file(kept).items()}
        )
        row = {"way": way, "data": stem, "seed": int(seed), "real": len(measures.y)}
        for count in (SAMPLES, len(measures.y)):
            order = np.random.default_rng(0).permutation(len(measures.y))
            labels = np.resize(measures.y[order], count)
            row[f"taught_by_{count}"] = measures.taught(measures.drawn(state, recipe, labels, 0), labels)
        files.append_line(options.out / "taught.jsonl", row)
        print(json.dumps(row), flush=True)


# --- many jobs -------------------------------------------------------------------------------------------------------


def run_all(options: argparse.Namespace) -> None:
    """Run every job as a process on a core of its own, the first seed of everything first."""
    asked = [(n.partition(":")[0], int(n.partition(":")[2] or len(options.seeds))) for n in options.names]
    waiting = [(n, d, s) for i, s in enumerate(options.seeds) for d in options.data for n, most in asked if i < most]
    cores = sorted(os.sched_getaffinity(0))[: options.cores]
    running: dict[int, subprocess.Popen] = {}
    while waiting or running:
        for core in cores:
            if core in running and running[core].poll() is not None:
                del running[core]
            if core not in running and waiting:
                name, data, seed = waiting.pop(0)
                command = ["taskset", "-c", str(core), sys.executable, __file__, name, "--one", "--data", str(data)]
                command += ["--seeds", str(seed), "--seconds", str(options.seconds), "--out", str(options.out)]
                command += ["--device", options.device, "--marks", *map(str, options.marks)]
                command += ["--tuning"] * options.tuning
                command += ["--keep"] * options.keep
                command += ["--wall", str(options.wall), "--begun", str(options.begun)]
                command += [] if options.steps is None else ["--steps", str(options.steps)]
                command += ["--weights", str(options.weights)] if options.weights else []
                log = (options.out / f"{data.stem}-{name}-{seed}.log").open("w")
                running[core] = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        time.sleep(0.5)


def table(lines: list[dict]) -> str:
    """Medians over seeds of the last lines, or of the latest ones of runs that were cut off."""
    latest: dict[tuple, dict] = {}
    for line in lines:
        latest[(line["data"], line["budget"], line["way"], line["seed"])] = line
    groups: dict[tuple, list[dict]] = {}
    for (data, budget, way, _), line in latest.items():
        groups.setdefault((data, budget, way), []).append(line)
    rows = ["| data | budget, s | way | seeds | seconds | images, k | kernel distance x 1000 | recall | coverage | "
            "fidelity, % | train on generated, % |", f"|{' --- |' * 11}"]  # fmt: skip

    def median(group: list[dict], name: str, factor: float = 1.0) -> str:
        values = [factor * line[name] for line in group if line.get(name) is not None]
        if not values:
            return ""
        spread = f" ({min(values):.3g} to {max(values):.3g})" if len(values) > 1 else ""
        return f"{float(np.median(values)):.3g}{spread}"

    order = sorted(groups.items(), key=lambda item: (*item[0][:2], np.median([r["kernel_x1000"] for r in item[1]])))
    for (data, budget, way), group in order:
        cells = [data, f"{budget:g}", f"`{way}`", str(len(group)), median(group, "seconds"),
                 median(group, "images", 1e-3), median(group, "kernel_x1000"), median(group, "recall"),
                 median(group, "coverage"), median(group, "fidelity", 100),
                 median(group, "train_on_generated", 100)]  # fmt: skip
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="recipes or WAYS; +AUGMENT or +before; @IMAGES; :SEEDS")
    parser.add_argument("--data", type=Path, nargs="+", default=[])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--marks", type=float, nargs="*", default=[1 / 3, 2 / 3])
    parser.add_argument("--cores", type=int, default=16)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--tuning", action="store_true", help="score against training images")
    parser.add_argument("--steps", type=int, help="of the network that learns from generated images; 0: none")
    parser.add_argument(
        "--wall", type=float, default=math.inf, help="seconds after the start when training ends, at the latest"
    )
    parser.add_argument("--begun", type=float, default=time.time(), help="the start, by time.time()")
    parser.add_argument("--keep", action="store_true", help="keep the generators too, in half precision")
    parser.add_argument("--out", type=Path, default=Path("photo_gans"))
    parser.add_argument("--one", action="store_true", help="run the one job here")
    parser.add_argument("--pack", type=Path, help="write the data sets there")
    parser.add_argument("--weights", type=Path, help="of the pretrained network, as safetensors, without its package")
    parser.add_argument("--teach", action="store_true", help="measure what kept generators of --out teach")
    parser.add_argument("--few", type=int, help="with --pack: so many training images")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.pack:
        for name in SPECS:
            pack(name, options.pack, options.few)
    elif options.one:
        job(options)
    elif options.teach:
        teach(options)
    elif options.names:
        run_all(options)
    if options.table:
        print(table(files.read_lines(options.out / "results.jsonl")))


if __name__ == "__main__":
    main()
