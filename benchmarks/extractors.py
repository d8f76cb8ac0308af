"""Which extractor sees what, on real images: the evidence for how `own` looks, with and without labels.

    python benchmarks/extractors.py cifar10 --images 10000 --repeats 8

`own` learns from some training images. Then, in every repeat, 2,000 other training images are compared with 2,000
others again, of which a share was spoilt, by kernel distance. The number in the table is the mean distance of the
spoilt images less that of clean ones, in standard deviations of the latter: above 2 a single comparison mostly sees
it. `learned from` compares with images that `own` learned from: that should be 0.
"""

import argparse
import os
import tempfile
import time

import numpy as np
from PIL import Image, ImageFilter
from scoring import real_images

from sparring.features import Extractor, handmade, own
from sparring.metrics import kernel_distance

COUNT, SHARE = 2000, 0.2


def some(x: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return random.permutation(len(x))[: round(SHARE * len(x))]


def blurred(x: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A share of images under a Gaussian of deviation 1 pixel."""
    for i in some(x, random):
        picture = Image.fromarray(x[i].squeeze()).filter(ImageFilter.GaussianBlur(1))
        x[i] = np.asarray(picture).reshape(x[i].shape)
    return x


def noisy(x: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """... with noise of deviation 15 of 255."""
    i = some(x, random)
    x[i] = np.clip(np.rint(x[i] + random.normal(0, 15, x[i].shape)), 0, 255)
    return x


def copied(x: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """... that are copies of 20 images."""
    i = some(x, random)
    x[i] = x[random.integers(0, 20, len(i))]
    return x


def coarse(x: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """... at half the size, blown up."""
    i, (height, width) = some(x, random), x.shape[1:3]
    small = x[i].reshape(len(i), height // 2, 2, width // 2, 2, -1).mean((2, 4))
    x[i] = np.rint(small).repeat(2, 1).repeat(2, 2)
    return x


def tinted(x: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """... with 15 % more of the first channel and less of the last."""
    i = some(x, random)
    x[i] = np.clip(x[i] * np.linspace(1.15, 0.85, x.shape[3]), 0, 255)
    return x


SPOILT = {"blur": blurred, "noise": noisy, "copies": copied, "coarse": coarse, "tint": tinted}


def power(extractor: Extractor, name: str, learned_from: np.ndarray, repeats: int) -> dict[str, float]:
    """Kernel distances of spoilt images less those of clean ones, in standard deviations of those."""
    real = real_images(name)
    rest = np.setdiff1d(np.arange(len(real.x)), learned_from)
    found: dict[str, list[float]] = {}
    for repeat in range(repeats):
        random = np.random.default_rng(repeat)
        order = random.permutation(rest)
        reference, others = extractor.features(real.x[order[:COUNT]]), order[COUNT : 2 * COUNT]
        but = order[COUNT:][real.y[order[COUNT:]] != repeat % (real.y.max() + 1)][:COUNT]
        sets = {"clean": real.x[others], "dropped class": real.x[but]}
        sets["learned from"] = real.x[random.permutation(learned_from)[:COUNT]]
        sets |= {kind: spoil(real.x[others].copy(), random) for kind, spoil in SPOILT.items()}
        for kind, images in sets.items():
            found.setdefault(kind, []).append(kernel_distance(reference, extractor.features(images)).value)
    clean = found.pop("clean")
    return {kind: (np.mean(values) - np.mean(clean)) / np.std(clean, ddof=1) for kind, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=("mnist", "cifar10"))
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=8)
    options = parser.parse_args()
    real = real_images(options.data)
    chosen = real.some(options.images, "extractors", test=False)
    x, y = real.x[chosen], real.y[chosen]
    few = np.where(np.arange(len(y)) < 200, y, -1)
    made = {"pixels": lambda: handmade("pixels"), "hog": lambda: handmade("hog"), "own, all labels": lambda: own(x, y),
            "own, no labels": lambda: own(x), "own, 200 labels": lambda: own(x, few)}  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SPARRING_CACHE"] = folder
        for name, make in made.items():
            begin = time.perf_counter(), time.process_time()
            extractor = make()
            seconds = time.perf_counter() - begin[0], time.process_time() - begin[1]
            row = power(extractor, options.data, chosen, options.repeats)
            print(f"{name} {extractor.hash}: {seconds[0]:.0f} s ({seconds[1]:.0f} s of processor), right "
                  f"{extractor.accuracy} of {extractor.accuracy_of}", flush=True)  # fmt: skip
            print("   ", {kind: round(float(value), 1) for kind, value in row.items()}, flush=True)


if __name__ == "__main__":
    main()
