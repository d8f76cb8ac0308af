"""Photographs and few labels: methods by data set and labels a class, on the data set's own test part.

    python benchmarks/photographs.py DATA --labels 5 20 --methods probe logistic --draws 6 [--balanced] [--random]

DATA: what `sparring data` reads. Where it names a test part, that is what is tested; else a fifth of each class is set
aside, another one in every draw; near duplicates stay on one side, or with --random they may not. Labels are drawn from
the rest, so many of each class; the others are unlabelled. Every method has its defaults. Prints a row of the table in
benchmarks/results/photographs.md for each method and number.
"""

import argparse
import statistics
import time

import numpy as np
from sklearn.model_selection import train_test_split

from sparring.classifiers import METHODS
from sparring.data import ImageSet, load, split
from sparring.devices import device_name


def drawn(labels: np.ndarray, each: str, seed: int) -> np.ndarray:
    """Return labels [N], all but `each` of every class replaced by -1; "all" keeps them."""
    if each == "all":
        return labels
    rng, kept = np.random.default_rng(seed), np.full_like(labels, -1)
    for k in np.unique(labels[labels >= 0]):
        members = rng.permutation(np.flatnonzero(labels == k))[: int(each)]
        kept[members] = k
    return kept


def parts(found: ImageSet, draw: int, random: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of the training and of the test images of a draw."""
    if random:
        known = np.flatnonzero(found.labels >= 0)
        train, test = train_test_split(known, test_size=0.2, random_state=draw, stratify=found.labels[known])
        return np.asarray(train), np.asarray(test)
    made = split(found, seed=draw, test=0.2)
    return made.train, made.test


def accuracy(predicted: np.ndarray, true: np.ndarray, balanced: bool) -> float:
    """Return the share that is right, or the mean of each class's share."""
    right = predicted == true
    return float(np.mean([right[true == k].mean() for k in np.unique(true)]) if balanced else right.mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--name", default="")
    parser.add_argument("--labels", nargs="+", default=["5", "20"])
    parser.add_argument("--methods", nargs="+", default=["probe"])
    parser.add_argument("--draws", type=int, default=6)
    parser.add_argument("--balanced", action="store_true", help="classes count alike")
    parser.add_argument("--random", action="store_true", help="split at random: near duplicates may lie on both sides")
    parser.add_argument("--pretrained", default="efficientnet-lite0")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    found = load(options.data)
    print(f"{len(found):,} images {found.shape}, {device_name(options.device)}")
    for each in options.labels:
        for method in options.methods:
            scores, seconds = [], []
            for draw in range(1 if each == "all" else options.draws):
                train, test = parts(found, draw, options.random)
                made = METHODS[method].make(random_state=draw, pretrained=options.pretrained, device=options.device)
                start = time.perf_counter()
                made.fit(found.images[train], drawn(found.labels[train], each, draw))
                seconds.append(time.perf_counter() - start)
                predicted = made.classes_[made.predict_proba(found.images[test]).argmax(1)]
                scores.append(100 * accuracy(predicted, found.labels[test], options.balanced))
            spread = f" ± {statistics.stdev(scores):.1f}" if len(scores) > 1 else ""
            cells = options.name or found.name, each, method, f"{statistics.mean(scores):.1f}{spread}", len(scores)
            print("|", *(f"{cell} |" for cell in (*cells, f"{statistics.median(seconds):.1f}")), flush=True)


if __name__ == "__main__":
    main()
