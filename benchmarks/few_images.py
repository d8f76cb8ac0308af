"""GANs on few images: what showing D changed images is worth, and whether the changes leak into samples.

    python benchmarks/few_images.py [dcgan r3gan] [--images 1000] [--seconds 100] [--seeds 0]

Trains each recipe on a random part of MNIST with --augment none, diffaugment and ada, for the same time. Samples of the
weight average are scored against real test images as in games.py. The leak probe is a small classifier that tells
training images as they are from the same images augmented; it is shown real test images, and samples. A share among
samples well above that among test images means that G has learnt to draw augmented images. Copies: the share of samples
whose nearest training image, in pixels, is nearer than the nearest one of half of the test images; for test images it
is 50 % by definition. Writes results/few_images.md.
"""

import argparse
import json
import os
from datetime import UTC, datetime
from pathlib import Path

if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from games import trained
from scipy.spatial.distance import cdist
from scoring import Real, extractor, real_images, samples, scores, to_uint8, to_unit

from sparring.games.augment import ADA, DiffAugment, NoAugment
from sparring.games.builders import augmented, solo
from sparring.games.heads import Classes
from sparring.games.losses import Classify
from sparring.games.nodes import Batch, Discriminated
from sparring.games.players import AdamW, Discriminator, Generator
from sparring.games.recipes import RECIPES
from sparring.games.schedules import Linear
from sparring.games.training import new_state, training
from sparring.images import grid, save_png
from sparring.nets.classifiers import SmallCNN
from sparring.nets.layers import DataSpec
from sparring.runs.defaults import AUGMENTS

RESULTS = Path(__file__).parent / "results" / "few_images.md"
HEAD = """# GANs on few images

Written by `python benchmarks/few_images.py`. Kernel distance x 1000 of samples to real test images, in features of our
own extractor (as in games.md). Leak: share of samples that a probe takes for augmented, beside its share among real
test images. Near copies: share of samples nearer to a training image than the median test image is (50 % for test
images by definition).

"""
COLUMNS = (
    "recipe", "images", "D sees", "seed", "trained on", "kernel x 1000", "Frechet", "recall", "coverage",
    "leak, samples", "leak, test images", "near copies",
)  # fmt: skip


def changed(x: np.ndarray, augment: NoAugment, seed: int) -> np.ndarray:
    """uint8 images as an augmentation shows them; ADA at the largest probability that it may take."""
    u = torch.rand(len(x), augment.numbers, generator=torch.Generator().manual_seed(seed))
    seen = augment.apply(to_unit(x), u, torch.tensor(0.8))
    return to_uint8(seen)


def probe(x: np.ndarray, augment: NoAugment):
    """A function: images -> share taken for augmented, by a classifier of `x` as it is and augmented."""
    both = np.concatenate([x, changed(x, augment, 0)])
    told = torch.arange(2).repeat_interleave(len(x))
    real = Discriminated("D", Batch("x", "labelled"))
    recipe = solo(
        "probe", (Discriminator(net=SmallCNN(), head=Classes()),), (Classify(of=real, label=Batch("y", "labelled")),),
        AdamW(Linear(4e-3)),
    )  # fmt: skip
    state = new_state(recipe, DataSpec(x.shape[3], x.shape[1], x.shape[2], 2))
    for _ in training(recipe, state, {"labelled": {"x": torch.from_numpy(both), "y": told}}, images=40_000):
        pass
    D = state.best("D").eval()

    @torch.no_grad()
    def share(images: np.ndarray) -> float:
        named = [D(to_unit(images[i : i + 250])).logits.argmax(1) for i in range(0, len(images), 250)]
        return float(torch.cat(named).float().mean())

    return share


def near_copies(made: np.ndarray, test: np.ndarray, train: np.ndarray) -> float:
    flat = lambda x: x.reshape(len(x), -1).astype(np.float32)  # noqa: E731
    nearest = [cdist(flat(x), flat(train)).min(1) for x in (made[:1000], test[:1000])]
    return float((nearest[0] < np.median(nearest[1])).mean())


def measured(name: str, kind: str, seed: int, real: Real, options) -> dict:
    few = real.some(options.images, f"few {seed}", test=False)
    x, y = torch.from_numpy(real.x[few]), torch.from_numpy(real.y[few])
    recipe = RECIPES[name] if kind == "none" else augmented(RECIPES[name], AUGMENTS[kind])
    pool = {"x": x, "y": y}
    state, row = trained(
        recipe, real.data_spec, {"all": pool, "labelled": pool}, seconds=options.seconds, seed=seed, device="cpu",
        precision="bf16",
    )  # fmt: skip
    discriminator = extractor(real)
    spec = next(s for s in recipe.nets.values() if isinstance(s, Generator))
    made = samples(state.best(spec.name), spec, 5000, real.y[real.some(5000, "labels", test=False)]).x
    there, _ = discriminator.judged(real.test_x[real.some(5000)])
    row |= scores(there, discriminator.judged(made)[0]) | {"recipe": name, "augment": kind, "seed": seed}
    shown = {"none": DiffAugment(), "diffaugment": DiffAugment(), "ada": ADA()}[kind]
    share = probe(real.x[few], shown)
    row |= {"leak": share(made), "leak_test": share(real.test_x[:5000])}
    row["copies"] = near_copies(made, real.test_x, real.x[few])
    save_png(options.pictures / f"few-{name}-{kind}-{seed}.png", grid(made[:64], columns=8), generated=True)
    return row


def line(row: dict, images: int) -> str:
    nodes = (
        f"`{row['recipe']}`", f"{images:,}", row["augment"], row["seed"], f"{row['images'] / 1000:.0f}k",
        f"{row['kernel_x1000']:.1f} +- {row['kernel_x1000_error']:.1f}", f"{row['frechet']:.2f}",
        f"{row['recall']:.2f}", f"{row['coverage']:.2f}", f"{100 * row['leak']:.1f} %",
        f"{100 * row['leak_test']:.1f} %", f"{100 * row['copies']:.0f} %",
    )  # fmt: skip
    return "| " + " | ".join(str(node) for node in nodes) + " |\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", default=["dcgan"])
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=100.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--pictures", type=Path, default=Path("few_images"))
    options = parser.parse_args()
    options.pictures.mkdir(parents=True, exist_ok=True)
    real, lines = real_images("mnist"), []
    for seed in options.seeds:
        for name in options.recipes:
            for kind in AUGMENTS:
                row = measured(name, kind, seed, real, options)
                print(json.dumps(row), flush=True)
                lines.append(line(row, options.images))
    about = f"\n{datetime.now(UTC):%Y-%m-%d}, one thread, {options.seconds:g} s of training each.\n"
    heads = f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}\n"
    RESULTS.write_text(HEAD + heads + "".join(lines) + about, encoding="utf-8")


if __name__ == "__main__":
    main()
