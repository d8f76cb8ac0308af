"""What generated images are worth beside copies of real ones, and from which conditional GAN.

    python benchmarks/gan_augment.py [digits:20 mnist:10 cifar10:20 tiles:20 clothes:20] [--draws 3]

GANs learn from the same images for the same seconds: `cgan`, `r3gan-class` and its quick form. Networks learn for
half of the steps of a fit, as in the gate: from the labelled images, from as many copies of real images beside
them, and from generated images at three shares. All are scored on other training images. Writes
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
GANS = ("cgan", "r3gan-class", "r3gan-class-quick")
HEAD = """# Generated images beside copies of real ones

Written by `python benchmarks/gan_augment.py`. Balanced accuracy in %, mean over draws of labels (each draw), on
other training images, by data set and labels a class. All networks of a column take the same number of steps.
Copies: of the images that the GAN learned from, with the labels that it was given. Share: weight of the generated
images beside the real ones.

"""


def arms(x: np.ndarray, y: np.ndarray, held_x: np.ndarray, held_y: np.ndarray, seed: int) -> dict[str, float]:
    """Return the balanced accuracy of each way of training, and the seconds of each GAN."""
    x, found = shrunk(x), {}
    method = gan_augment.GANAugmentClassifier(random_state=seed, threads=1)
    method.classes_, method.record_ = np.arange(y.max() + 1), FitRecord()
    lessons = gan_augment.gan_lessons(x, y, seed)
    found["images the GAN learned from"] = len(lessons[0])

    def accuracy(beside: gan_augment.Beside) -> float:
        trial = method._trial(x, y, np.arange(len(x)), beside, seed, None)
        return balanced(trial._predict_proba(held_x).argmax(1), held_y)

    found["real alone"] = accuracy(gan_augment.NOTHING_BESIDE)
    seconds = None
    for name in GANS:
        if seconds is not None:  # as many steps as fit into the seconds of the first
            batch, start = RECIPES[name].batch, time.process_time()
            method.gan_images = 40 * batch
            method._generated(lessons, seed, name)
            method.gan_images = batch * round(40 * seconds / (time.process_time() - start))
        start = time.process_time()
        fakes = method._generated(lessons, seed, name)
        method.gan_images, seconds = None, seconds or time.process_time() - start
        found[f"{name}, s"] = round(time.process_time() - start, 1)
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
    """Write what is measured so far: a column for each data set, a row for each way of training."""
    lines = [f"| | {' | '.join(place for place, _ in rows)} |", "|---" * (len(rows) + 1) + "|"]
    for what in rows[0][1][0]:
        values = [[found[what] for found in each] for _, each in rows]
        cells = [f"**{np.mean(each):.1f}** ({' '.join(f'{value:.1f}' for value in each)})" for each in values]
        lines.append(f"| {what} | {' | '.join(cells)} |")
    foot = f"\n{datetime.now(UTC):%Y-%m-%d}, AMD EPYC, one thread, {len(rows[0][1])} draws of labels a class.\n"
    RESULTS.write_text(HEAD + "\n".join(lines) + "\n" + foot)


if __name__ == "__main__":
    main()
