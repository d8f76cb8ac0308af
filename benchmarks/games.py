"""Every recipe on real images for the same time: how good are its samples?

    python benchmarks/games.py mlp dcgan cgan [--seeds 0 1 2] [--seconds 200] [--train-on-generated]
    python benchmarks/games.py --table

The real images are in $SPARRING_DATA (mnist.npz, cifar10/, magnetic-tile.zip), or in ../shared/data. Recipes that
generate run on MNIST at 28x28 (or --data cifar10, tiles), `pix2pix` and `cyclegan` on MNIST digits and their outlines,
the other translators on CIFAR-10. A recipe trains from default settings for `--seconds`: images/s are measured in a
trial first, and the number of images, on which schedules depend, is set to what fits. Seconds are of the processor, of
training alone; on several threads or a GPU of the clock. Each run is one line of --results; --table writes the medians
of all lines.
"""

import argparse
import copy
import json
import math
import os
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from games_table import LINES, write_table
from scipy.ndimage import grey_dilation
from scoring import (
    CACHE,
    CHUNK,
    FILES,
    Extractor,
    Real,
    extractor,
    parsed,
    real_images,
    samples,
    scores,
    to_uint8,
    to_unit,
)

from sparring import files, games, metrics
from sparring.classifiers import METHODS
from sparring.data import label_draw
from sparring.errors import pick
from sparring.games.builders import Recipe
from sparring.games.degradations import mean_filled
from sparring.games.nodes import Batch, Discriminated, Noise, Output, Reparameterised
from sparring.games.players import Discriminator, Encoder, Generator, Translator
from sparring.games.training import Data, ShardContext, Sharding, State, Step, fastest_precision, new_state, training
from sparring.images import grid, save_png
from sparring.nets.layers import DataSpec
from sparring.records import walk
from sparring.runs.defaults import with_augment
from sparring.runs.folder import Run

TRIAL, LATE = 8.0, 1.25  # seconds of the trial; a run is cut off at so many times its budget


# --- training --------------------------------------------------------------------------------------------------------


class Clock:
    """Seconds of the processor for one thread, else of the wall; a GPU is waited for."""

    def __init__(self, device: str):
        self.cuda = device != "cpu"
        self.now = time.process_time if not self.cuda and torch.get_num_threads() == 1 else time.perf_counter

    def __call__(self) -> float:
        if self.cuda:
            torch.cuda.synchronize()
        return self.now()


def speed(recipe: Recipe, data_spec: DataSpec, data: Data, seconds: float, *, device: str, precision: str) -> float:
    """Images per second in a trial whose weights are thrown away; its first two rounds do not count."""
    clock, state, start = Clock(device), new_state(recipe, data_spec, seed=1, device=device), 0.0
    for _ in training(recipe, state, data, images=10**9, precision=precision):
        if state.round == 2:
            start = clock()
        if state.round % 4 == 0 and clock() - start > min(TRIAL, seconds / 8):
            break
    return (state.round - 2) * recipe.batch / (clock() - start)


def trained(
    recipe: Recipe, data_spec: DataSpec, data: Data, *, seconds: float, seed: int, device: str, precision: str
) -> tuple[State, dict[str, Any]]:
    """The state after so many seconds of training, and what there is to say about them."""
    images = int(seconds * speed(recipe, data_spec, data, seconds, device=device, precision=precision))
    clock, state, latest = Clock(device), new_state(recipe, data_spec, seed=seed, device=device), deque(maxlen=100)
    start, wall = clock(), time.perf_counter()
    for _, means in training(recipe, state, data, images=images, seed=seed, precision=precision):
        latest.append(means)
        if state.round % 20 == 0 and clock() - start > LATE * seconds:
            break
    took = clock() - start
    seen = state.round * recipe.batch
    return state, {
        "seconds": round(took, 1),
        "wall": round(time.perf_counter() - wall, 1),
        "images": seen,
        "planned": images,
        "images_per_second": round(seen / took, 1),
        "skipped": state.skipped,
        "gauges": monitored(latest),
    }


def monitored(latest: Iterable[dict]) -> dict[str, float]:
    """Means of the terms and gauges of each player over the last rounds."""
    found: dict[str, list[float]] = {}
    for means in latest:
        names: set[str] = set()
        for (player, loss), mean in means.items():
            name = f"{player}/{type(loss).__name__}"
            if isinstance(of := getattr(loss, "of", None), Discriminated):
                name += "/fake" if any(isinstance(node, Output) for node in walk(of)) else "/real"
            while name in names:
                name += "+"
            names.add(name)
            if mean.numel() == 1:
                found.setdefault(name, []).append(float(mean))
    return {name: round(float(np.mean(values)), 4) for name, values in found.items()}


# --- what a recipe does, and the images it does it with --------------------------------------------------------------


def kind_of(recipe: Recipe) -> str:
    specs = recipe.nets.values()
    if any(isinstance(spec, Translator) for spec in specs):
        return "translation"
    if not any(isinstance(spec, Generator) for spec in specs):
        return "classification"
    drawn = any(isinstance(node, Noise | Reparameterised) for node in walk(recipe))
    return "generation" if drawn else "reconstruction"


def usual_data(recipe: Recipe) -> str:
    return "cifar10" if kind_of(recipe) == "translation" and not recipe.pools & {"pairs", "a", "b"} else "mnist"


def pools(recipe: Recipe, real: Real, device: str, *, labels: int | None = None, test: bool = False) -> Data:
    """What the recipe reads; of so many `labels` a class, or all. "pairs": outlines and their images; "a" images, "b"
    outlines, of different images in training. In a test `truth` is the other side."""
    x, y = (real.test_x, real.test_y) if test else (real.x, real.y)
    data: dict[str, dict[str, Any]] = {"all": {"x": x, "y": y}, "labelled": {"x": x, "y": y}}
    if labels and not test:
        known = label_draw(y, labels, seed=0, repeat=0) >= 0
        data["labelled"] = {"x": x[known], "y": y[known]}
    if recipe.pools & {"pairs", "a", "b"}:
        lines, half = outlines(x), slice(None) if test else slice(0, len(x) // 2)
        rest = slice(None) if test else slice(len(x) // 2, None)
        data["pairs"] = {"source": lines, "x": x, "y": y}
        data["a"] = {"x": x[half], "truth": lines[half]}
        data["b"] = {"x": lines[rest], "truth": x[rest]}
    return {
        pool: {name: torch.from_numpy(np.ascontiguousarray(values)).to(device) for name, values in fields.items()}
        for pool, fields in data.items()
        if pool in recipe.pools
    }


def outlines(x: np.ndarray) -> np.ndarray:
    """uint8 [N,H,W,C]: what a dilation by one pixel adds."""
    return grey_dilation(x, size=(1, 3, 3, 1)) - x


# --- measuring -------------------------------------------------------------------------------------------------------


def generation(state: State, recipe: Recipe, real: Real, discriminator: Extractor, options) -> tuple[dict, np.ndarray]:
    """Scores of samples of the weight average, and a grid."""
    count, spec = options.samples, next(s for s in recipe.nets.values() if isinstance(s, Generator))
    labels = real.y[real.some(count, "labels", test=False)]  # in the proportions of the real images
    G = state.best(spec.name)
    start = time.perf_counter()
    made = samples(G, spec, count, labels)
    seconds = time.perf_counter() - start
    there, _ = discriminator.judged(real.test_x[real.some(count)])
    features, named = discriminator.judged(made.x)
    row = scores(there, features) | {"samples": count, "samples_per_second": round(count / seconds, 1)}
    row["classes_named"] = np.bincount(named, minlength=real.data_spec.classes).tolist()
    if made.y is not None:
        row["fidelity"] = float((named == made.y).mean())
        row["class_diversity"] = class_diversity(discriminator, features, made.y, real)
        if options.train_on_generated:
            row |= train_on_generated(made.x, made.y, real, options)
    if made.codes is not None:
        row |= code_purity(state, real, made.codes, named)
    shown = samples(G, spec, 80, np.arange(80) // 8 % real.data_spec.classes, seed=1)
    return row, grid(in_rows(shown.x, shown.codes), columns=8)


def in_rows(x: np.ndarray, codes: np.ndarray | None) -> np.ndarray:
    """80 images: a row of 8 for each class or code; 64 of a generator without."""
    return x if codes is None else x[np.argsort(codes, kind="stable")]


def class_diversity(discriminator: Extractor, features: np.ndarray, y: np.ndarray, real: Real) -> float:
    """Diversity within the least diverse class: 1 as real images of it, 0 all alike."""
    at = real.some(len(y))
    there, truth = discriminator.judged(real.test_x[at])[0], real.test_y[at]
    return min(metrics.diversity(there[truth == k], features[y == k]).value for k in np.unique(y))


def train_on_generated(x: np.ndarray, y: np.ndarray, real: Real, options) -> dict[str, float]:
    """Accuracy on real test images of the package's `cnn` that has seen generated images only."""
    start = time.process_time()
    learner = METHODS["cnn"].make(random_state=0, threads=options.threads).fit(x, y)
    right = float((learner.predict(real.test_x) == real.test_y).mean())
    return {"train_on_generated": right, "train_on_generated_seconds": round(time.process_time() - start, 1)}


@torch.no_grad()
def code_purity(state: State, real: Real, codes: np.ndarray, named: np.ndarray) -> dict[str, float]:
    """Do codes follow classes? Of fakes by the extractor's names, of real test images by the code that D reads.

    D's batch norm, if any, has seen real images and fakes in turn, and its averages are of both: for real images they
    are measured anew, on training images.
    """
    D = copy.deepcopy(state.best("D"))
    device = next(D.parameters()).device
    norms = [m for m in D.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # plain means over all batches
    D.train()
    at = real.some(5000 if norms else 0, test=False)
    for start in range(0, len(at), CHUNK):
        D(to_unit(real.x[at[start : start + CHUNK]], device))
    D.eval()
    parts = [D(to_unit(real.test_x[i : i + CHUNK], device)).logits.argmax(1) for i in range(0, len(real.test_x), CHUNK)]
    read = torch.cat(parts).cpu().numpy()
    return {
        "purity_real": metrics.purity(read, real.test_y),
        "purity_real_one_to_one": metrics.purity(read, real.test_y, one_to_one=True),
        "purity_fake": metrics.purity(codes, named),
        "purity_fake_one_to_one": metrics.purity(codes, named, one_to_one=True),
    }


@torch.no_grad()
def reconstruction(
    state: State, recipe: Recipe, real: Real, discriminator: Extractor, options
) -> tuple[dict, np.ndarray]:
    """An autoencoder's answer to test images: it has no distribution to draw from."""
    encoder = next(s for s in recipe.nets.values() if isinstance(s, Encoder))
    spec = next(s for s in recipe.nets.values() if isinstance(s, Generator))
    E, G = state.best(encoder.name).eval(), state.best(spec.name).eval()
    device, at = next(G.parameters()).device, real.some(options.samples)
    x = real.test_x[at]
    made = np.concatenate([to_uint8(G(E(to_unit(x[i : i + CHUNK], device)))) for i in range(0, len(x), CHUNK)])
    mean = np.broadcast_to(real.x.mean(0, keepdims=True).round().astype(np.uint8), x.shape)
    row = {"note": "no samples: reconstructions of test images; the baseline is the mean image"}
    return row | compared(made, np.ascontiguousarray(mean), x, x, discriminator), pairs_grid(x, made)


def classification(state: State, recipe: Recipe, real: Real, discriminator: Extractor, options) -> tuple[dict, None]:
    return {"note": "no generator"}, None


@torch.no_grad()
def accuracy(state: State, recipe: Recipe, real: Real) -> dict[str, float]:
    """Of a judge that names classes, on the test images."""
    spec = next((s for s in recipe.nets.values() if isinstance(s, Discriminator) and "logits" in s.head.gives), None)
    if spec is None or spec.head.wants_label or "guess" in spec.head.gives:
        return {}
    D, x = state.best(spec.name).eval(), real.test_x
    device = next(D.parameters()).device
    named = [
        D(to_unit(x[i : i + CHUNK], device)).logits[:, : real.data_spec.classes].argmax(1)
        for i in range(0, len(x), CHUNK)
    ]
    return {"accuracy": float((torch.cat(named).cpu().numpy() == real.test_y).mean())}


@torch.no_grad()
def translation(state: State, recipe: Recipe, real: Real, discriminator: Extractor, options) -> tuple[dict, np.ndarray]:
    """Test images through each translator, beside the trivial answer."""
    device = str(next(iter(state.nets.values())).parameters().__next__().device)
    data, row, shown = pools(recipe, real, device, test=True), {}, []
    translators = [s for s in recipe.nets.values() if isinstance(s, Translator)]
    for spec in translators:
        source, truth = ends(recipe, spec)
        player = next(p for p in recipe.players if spec.name in p.owns)
        G, parts = state.best(spec.name).eval(), []
        for number in range(min(options.samples, len(real.test_x) // 2) // CHUNK):
            context = ShardContext(Step(player, number, 1.0, CHUNK, 0), state, data, Sharding(), (0, CHUNK))
            seen, wanted = context[source], context[truth]
            plain = seen[:, : wanted.shape[1]]
            plain = mean_filled(plain, seen[:, -1:]) if spec.mask else plain
            parts.append([to_uint8(t) for t in (G(seen), plain, wanted)])
        made, plain, wanted = (np.concatenate(column) for column in zip(*parts, strict=True))
        others = outlines(real.test_x) if "truth" in str(truth) and source.pool == "a" else real.test_x  # type: ignore
        found = compared(made, plain, wanted, others[real.some(len(made), "others")], discriminator)
        row |= found if len(translators) == 1 else {f"{spec.name}: {name}": value for name, value in found.items()}
        shown.append(pairs_grid(plain, made, wanted))
    return row, np.concatenate(shown)


def ends(recipe: Recipe, spec: Translator) -> tuple[Any, Batch]:
    """The cell that a translator starts from, and the image that it should make of it."""
    nodes = (node for node in walk(recipe) if isinstance(node, Output) and node.by == spec.name)
    source: Any = next(node.of for node in nodes if not any(isinstance(inner, Output) for inner in walk(node.of)))
    given = next(node for node in walk(source) if isinstance(node, Batch))
    if given.field == "source":
        return source, Batch("x", given.pool)
    return source, Batch("truth", given.pool) if given.pool in ("a", "b") else given


def compared(
    made: np.ndarray, plain: np.ndarray, truth: np.ndarray, others: np.ndarray, discriminator: Extractor
) -> dict:
    """Pixels against the truth, features against other real images; of what was made, and of the trivial answer."""
    there, _ = discriminator.judged(others)
    row: dict[str, float] = {"samples": len(made)}
    for name, images in (("", made), ("baseline_", plain)):
        kernel = metrics.kernel_distance(there, discriminator.judged(images)[0])
        row[f"{name}psnr"] = float(np.minimum(metrics.psnr(images, truth), 100).mean())
        row[f"{name}ssim"] = float(metrics.ssim(images, truth).mean())
        row[f"{name}kernel_x1000"] = 1000 * kernel.value
        row[f"{name}kernel_x1000_error"] = 1000 * kernel.error
    return row


def pairs_grid(*columns: np.ndarray) -> np.ndarray:
    """Eight rows of twelve at most: each image beside what became of it."""
    each = 12 // len(columns)
    return grid(np.stack([c[: 8 * each] for c in columns], 1).reshape(-1, *columns[0].shape[1:]), columns=12)


MEASURES = {
    "generation": generation,
    "reconstruction": reconstruction,
    "classification": classification,
    "translation": translation,
}


# --- the command -----------------------------------------------------------------------------------------------------


def measured(name: str, seed: int, options) -> dict[str, Any]:
    """One line of the results."""
    recipe: Recipe = pick(games.RECIPES, name, "recipe")
    real = real_images(options.data or usual_data(recipe))
    recipe, augmented = with_augment(recipe, "auto", len(real.x))  # of few images, as `sparring train` does
    discriminator = extractor(real, folder=options.cache, device=options.device)
    row = {"recipe": name, "kind": kind_of(recipe), "data": real.name, "seed": seed, "budget": options.seconds}
    row |= {"device": device_name(options.device), "threads": options.threads, "extractor": discriminator.hash}
    row |= {"labels": options.labels} if options.labels else {}
    row |= {"augment": augmented} if augmented else {}
    if options.run:
        run = Run.read(options.run)
        state, rest = run.newest(device=options.device) or (None, {})
        recipe, about = run.recipe, {"seconds": rest["seconds"], "images": state.round * run.recipe.batch}
        about |= {"skipped": state.skipped, "images_per_second": round(about["images"] / about["seconds"], 1)}
        about |= {"seed": run.settings.seed, "dtype": run.settings.precision}
    else:
        precision = options.precision
        if precision == "auto":
            precision = fastest_precision(recipe, real.data_spec, device=options.device)
        data = pools(recipe, real, options.device, labels=options.labels)
        state, about = trained(
            recipe, real.data_spec, data, seconds=options.seconds, seed=seed, device=options.device, precision=precision
        )
        about["dtype"] = precision
    row |= about
    found, picture = MEASURES[row["kind"]](state, recipe, real, discriminator, options)
    row |= found | accuracy(state, recipe, real) | {"date": time.strftime("%Y-%m-%d")}
    if picture is not None:
        path = options.pictures / f"{name}-{real.name}-{row['seed']}.png"
        files.make_folder(path.parent)
        row["picture"] = save_png(path, picture, generated=True).name
    return row


def plain(value: Any) -> Any:
    """For JSON: five decimals, and nothing for what is not finite."""
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, float | np.floating):
        return round(float(value), 5) if math.isfinite(value) else None
    return value


def floor(name: str, options) -> dict[str, Any]:
    """The scores of real training images against real test images, and what the classifier learns from as many."""
    real = real_images(name)
    discriminator = extractor(real, folder=options.cache, device=options.device)
    at = real.some(options.samples, test=False)
    there, here = discriminator.judged(real.test_x[real.some(options.samples)])[0], discriminator.judged(real.x[at])[0]
    row = {"recipe": "real images", "kind": "floor", "data": name, "seed": 0, "extractor": discriminator.hash}
    row |= scores(there, here) | {"samples": options.samples, "accuracy": discriminator.accuracy}
    if options.train_on_generated:
        row |= train_on_generated(real.x[at], real.y[at], real, options)
    return row


def device_name(device: str) -> str:
    if device != "cpu":
        return torch.cuda.get_device_name()
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "CPU")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", help="names of the table, `all`, or `floor` for real images")
    parser.add_argument("--data", choices=list(FILES), help="instead of the recipe's usual one")
    parser.add_argument("--labels", type=int, help="of each class, for recipes that read labels; all when left out")
    parser.add_argument("--train-on-generated", action="store_true")
    parser.add_argument("--run", type=Path, help="measure this run folder instead of training")
    parser.add_argument("--pictures", type=Path, default=CACHE / "games")
    options = parsed(parser, seconds=200.0, results=LINES)
    options.samples = options.samples or 5000
    names = list(games.RECIPES) if options.recipes == ["all"] else options.recipes
    known = files.read_lines(options.results)
    have = {
        (line["recipe"], line["seed"], line["data"], line.get("budget", options.seconds), line.get("labels"))
        for line in known
    }
    for seed in options.seeds:
        for name in names:
            data = options.data or ("mnist" if name == "floor" else usual_data(pick(games.RECIPES, name, "recipe")))
            run = ("real images" if name == "floor" else name, seed, data, options.seconds, options.labels)
            if run in have and not options.again:
                print(f"{name}, seed {seed}, {data}: there already", flush=True)
                continue
            row = plain(floor(data, options) if name == "floor" else measured(name, seed, options))
            files.append_line(options.results, row)
            print(json.dumps(row), flush=True)
    if options.table:
        print(write_table(files.read_lines(options.results), options.results.with_suffix(".md")))


if __name__ == "__main__":
    main()
