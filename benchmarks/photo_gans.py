"""Generators of photographs after the same processor seconds: does a pretrained network help in minutes on a CPU?

    python benchmarks/photo_gans.py --pack packed                       # once, where the data are: packed/cifar.npz ...
    python benchmarks/photo_gans.py r3gan r3gan-class ... --data packed/cifar.npz packed/clothes.npz --seeds 1 2 3
        --seconds 600 --cores 16 --out results
    python benchmarks/photo_gans.py r3gan-class@190000 ... --device cuda --cores 8 --out explored
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
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from sparring import files, keyed_random, metrics
from sparring.classifiers import METHODS
from sparring.data import load, split
from sparring.devices import keep_memory
from sparring.features.learned import by_labels, learned, own_extractor, trained
from sparring.games.builders import Recipe
from sparring.games.constraints import NoConstraint, SpectralNorm
from sparring.games.heads import Projection
from sparring.games.losses import R1, AdversarialLoss, Hinge, Relativistic
from sparring.games.measures import Loss
from sparring.games.nodes import Discriminated, Node, StepContext
from sparring.games.players import Adam, Discriminator, Generator, Player
from sparring.games.recipes import RECIPES, labelled, pair_y, real_y, smooth, their_y
from sparring.games.schedules import Cosine, Schedule, Window
from sparring.games.training import Data, State, new_state, training
from sparring.images import grid, save_png, to_uint8
from sparring.nets import projected
from sparring.nets.dcgan import DCGAN
from sparring.nets.efficientnet import enlarged
from sparring.nets.layers import Architecture, DataSpec
from sparring.nets.projected import Projected
from sparring.records import no_progress, record
from sparring.runs.defaults import with_augment

SAMPLES, HALFWAY, SHOWN = 5000, 2000, 80
REPLAN = 0.1  # of the seconds: how often the images that fit are counted anew
SPECS = {"cifar": ("cifar10", None), "clothes": ("clothes.zip", 64)}

# --- what was tried --------------------------------------------------------------------------------------------------


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
) -> Recipe:
    """r3gan-class with changes; `lazy`: penalties in every so-many-th step; `second`: a discriminator more."""
    gamma = Cosine(penalty, penalty / 10)
    game = Relativistic(real=real_y, fake=pair_y)
    nets, d, g = (), (), ()
    if ours:
        nets = (Discriminator(net=net, head=Projection()),)
        d, g = (game, R1(gamma, every=lazy, at=real_y), R1(gamma, every=lazy, at=pair_y)), (game,)
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
        "thin": by_class(net=DCGAN(width=48, batchnorm=False), generator=DCGAN(width=48)),
        "thin-D": by_class(net=DCGAN(width=48, batchnorm=False)),
        "wide-G": by_class(generator=DCGAN(width=96)),
        "projected32": by_class(ours=False, second=frozen(), lr=slow),
        "projected64": by_class(ours=False, second=frozen(enlarged=2.0), lr=slow),
        "projected64-fast": by_class(ours=False, second=frozen(enlarged=2.0), lr=fast),
        "projected64-unmixed": by_class(ours=False, second=frozen(enlarged=2.0, mixed=False), lr=slow),
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


def part_of(arrays: dict[str, np.ndarray], part: str) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [N,H,W,3] and labels of "train" or "test"; images may lie there as they are (x_train)."""
    y = arrays[f"y_{part}"].astype(np.int64)
    if f"x_{part}" in arrays:
        return arrays[f"x_{part}"], y
    data = arrays[f"x_{part}_webp"].tobytes()
    ends = np.cumsum(arrays[f"x_{part}_sizes"])
    starts = ends - arrays[f"x_{part}_sizes"]
    read = (Image.open(io.BytesIO(data[a:b])).convert("RGB") for a, b in zip(starts, ends, strict=True))
    return np.stack([np.asarray(image) for image in read]), y


# --- a job -----------------------------------------------------------------------------------------------------------


class Measures:
    """The real images, our extractor's features of them, and what is measured of a generator."""

    def __init__(self, path: Path, tuning: bool):
        with np.load(path) as opened:
            arrays = dict(opened)
        self.x, self.y = part_of(arrays, "train")
        self.test_x, self.test_y = part_of(arrays, "test")
        self.classes = int(self.y.max()) + 1
        weights = {name.partition("/")[2]: value for name, value in arrays.items() if name.startswith("extractor/")}
        names = tuple(map(str, range(self.classes)))
        self.extractor = own_extractor(weights, self.x.shape[1:], names, "cpu")
        pick = np.random.default_rng(0).permutation
        real = self.x[pick(len(self.x))[:SAMPLES]] if tuning else self.test_x[pick(len(self.test_x))[:SAMPLES]]
        self.real = self.seen(real)[0]
        self.labels = self.y[pick(len(self.y))[:SAMPLES]] if len(self.y) >= SAMPLES else np.resize(self.y, SAMPLES)

    def seen(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Features and the classes named; nothing is kept in the cache."""
        parts = [self.extractor.compute(x[i : i + 500]) for i in range(0, len(x), 500)]
        named = np.concatenate([part[1] for part in parts if part[1] is not None]).argmax(1)
        return np.concatenate([part[0] for part in parts]), named

    def of(self, state: State, recipe: Recipe, last: bool) -> tuple[dict, np.ndarray]:
        labels = self.labels if last else self.labels[:HALFWAY]
        made = self.drawn(state, recipe, labels, 0)
        features, named = self.seen(made)
        few = slice(0, HALFWAY)
        kernel, near = metrics.kernel_distance(self.real, features), metrics.neighbours(self.real[few], features[few])
        row = {"kernel_x1000": 1000 * kernel.value, "kernel_x1000_error": 1000 * kernel.error}
        row |= {name: value.value for name, value in near._asdict().items()}
        row["colour"] = [round(v, 1) for v in made.mean((0, 1, 2)).tolist()]
        if recipe.generator is not None and recipe.generator.labels:
            row["fidelity"] = float((named == labels).mean())
            if last:
                learner = METHODS["cnn"].make(random_state=0, threads=1).fit(made, labels)
                row["train_on_generated"] = float((learner.predict(self.test_x) == self.test_y).mean())
        shown = np.arange(SHOWN) // 8 % self.classes
        return row, grid(self.drawn(state, recipe, shown, 1), columns=8)

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
    recipe: Recipe, state: State, data: Data, *, seed: int, seconds: float, images: int, device: str, marks: list[float]
) -> Iterator[tuple[float, bool]]:
    """Train; yield (seconds spent, whether it is over) at the marks and at the end. `images`: 0 for what fits."""
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
            planned = seen + max(0, round((seconds - spent) * seen / spent))
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
        projected.imagenet_weights = lambda: load_file(options.weights)
    way, _, images = options.names[0].partition("@")
    path, seed = options.data[0], options.seeds[0]
    measures = Measures(path, options.tuning)
    recipe, _ = with_augment(WAYS[way], "auto", len(measures.x))
    device = torch.device(options.device)
    pool = {"x": torch.from_numpy(measures.x).to(device), "y": torch.from_numpy(measures.y).to(device)}
    data: Data = {name: pool for name in ("all", "labelled") if name in recipe.pools}
    state = new_state(recipe, DataSpec.of(measures.x, measures.classes), seed=seed, device=options.device)
    found = rounds(
        recipe, state, data, seed=seed, seconds=options.seconds, images=int(images or 0), device=options.device,
        marks=list(options.marks),
    )  # fmt: skip
    begun = time.perf_counter()
    for spent, last in found:
        row, picture = measures.of(state, recipe, last)
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


# --- many jobs -------------------------------------------------------------------------------------------------------


def run_all(options: argparse.Namespace) -> None:
    """Run every job as a process on a core of its own, the first seed of everything first."""
    waiting = [(n, d, s) for s in options.seeds for d in options.data for n in options.names]
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
    parser.add_argument("names", nargs="*", help="recipes or WAYS, with @IMAGES for a fixed number of images")
    parser.add_argument("--data", type=Path, nargs="+", default=[])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--marks", type=float, nargs="*", default=[1 / 3, 2 / 3])
    parser.add_argument("--cores", type=int, default=16)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--tuning", action="store_true", help="score against training images")
    parser.add_argument("--out", type=Path, default=Path("photo_gans"))
    parser.add_argument("--one", action="store_true", help="run the one job here")
    parser.add_argument("--pack", type=Path, help="write the data sets there")
    parser.add_argument("--weights", type=Path, help="of the pretrained network, as safetensors, without its package")
    parser.add_argument("--few", type=int, help="with --pack: so many training images")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.pack:
        for name in SPECS:
            pack(name, options.pack, options.few)
    elif options.one:
        job(options)
    elif options.names:
        run_all(options)
    if options.table:
        print(table(files.read_lines(options.out / "results.jsonl")))


if __name__ == "__main__":
    main()
