"""What generated images are worth beside copies of real ones, and from which conditional GAN.

    python benchmarks/gan_augment.py [digits:20 mnist:10 cifar10:20 tiles:20 clothes:20] [--draws 3]

Two GANs learn from the same images for the same seconds: `cgan` and `r3gan-class`, thin as in `gan-augment`. Networks
learn for half of the steps of a fit, as in the gate: from the labelled images, from as many copies of real images
beside them, and from generated images at three shares. All are scored on other training images. Writes
results/gan_augment.md.
"""

import argparse
import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path

if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from few_labels import balanced, draw

from sparring.classifiers import gan_augment
from sparring.classifiers.fit_record import FitRecord
from sparring.classifiers.gate import SHARES
from sparring.features import shrunk
from sparring.games.recipes import RECIPES

RESULTS = Path(__file__).parent / "results" / "gan_augment.md"
BATCH = RECIPES["r3gan-class"].batch
HEAD = """# Generated images beside copies of real ones

Written by `python benchmarks/gan_augment.py`. Balanced accuracy in %, mean over draws of labels (each draw), on other
training images. All networks of a line take the same number of steps. Copies: of the images that the GAN learned from,
with the labels that it was given. Share: weight of the generated images beside the real ones.

"""


def arms(x: np.ndarray, y: np.ndarray, held_x: np.ndarray, held_y: np.ndarray, seed: int) -> dict[str, float]:
    """Return the balanced accuracy of each way of training, and the seconds of each GAN."""
    x, found = shrunk(x), {}
    method = gan_augment.GANAugmentClassifier(random_state=seed, threads=1)
    method.classes_, method.record_ = np.arange(y.max() + 1), FitRecord()
    lessons = gan_augment.gan_lessons(x, y, seed)
    found["images the GAN learned from"] = len(lessons[0])

    def accuracy(beside: gan_augment.Beside) -> float:
        trial = method._trial(x, y, beside, seed, None)
        return balanced(trial._predict_proba(held_x).argmax(1), held_y)

    found["real alone"] = accuracy(gan_augment.NOTHING_BESIDE)
    seconds = None
    for name in ("cgan", "r3gan-class"):
        if seconds is not None:  # as many steps as fit into the seconds of the first
            method.gan_images, start = 40 * BATCH, time.process_time()
            method._generated(lessons, seed, name)
            method.gan_images = BATCH * round(40 * seconds / (time.process_time() - start))
        start = time.process_time()
        fakes = method._generated(lessons, seed, name)
        method.gan_images, seconds = None, time.process_time() - start
        found[f"{name}, s"] = round(seconds, 1)
        if "copies" not in found:
            found["copies"] = accuracy((gan_augment.copies_like(lessons, fakes[1], seed), 1.0))
        for share in SHARES:
            found[f"{name} {share:g}"] = accuracy((fakes, share))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="*", default=["digits:20", "mnist:10", "cifar10:20", "tiles:20", "clothes:20"])
    parser.add_argument("--draws", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for place in options.data:
        name, labels = place.split(":")
        each = []
        for seed in range(options.draws):
            each.append(arms(*draw(name, int(labels), seed), seed))
            print(place, seed, json.dumps(each[-1]), flush=True)
        rows.append((place, each))
        write(rows)


def write(rows: list[tuple[str, list[dict[str, float]]]]) -> None:
    columns = list(rows[0][1][0])
    lines = [f"| data: labels a class | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for place, each in rows:
        cells = [" ".join(f"{found[column]:.1f}" for found in each) for column in columns]
        means = [
            f"**{np.mean([found[column] for found in each]):.1f}** ({cell})"
            for column, cell in zip(columns, cells, strict=True)
        ]
        lines.append(f"| {place} | {' | '.join(means)} |")
    foot = f"\n{datetime.now(UTC):%Y-%m-%d}, AMD EPYC, one thread, {len(rows[0][1])} draws.\n"
    RESULTS.write_text(HEAD + "\n".join(lines) + "\n" + foot)


if __name__ == "__main__":
    main()
