"""What known patients are worth to a classifier, and whether `--group` keeps them out: planted patients on photographs.

Of two classes of photographs 60 "patients" are made, 19 images each, all of one class. All images of a patient have
the same tint and the same coloured mark in the same place, which have nothing to do with the class: faint ones (colours
of 75 to 100 %, a mark of a sixth of a side) or strong ones (`--strong`: 30 to 100 %, two fifths of a side). 30 patients
are the data; the other 30 are new. The features of the built-in network are
computed once; for each seed the data are split, with and without groups, a regression is chosen by cross-validation and
fitted on the training part, and its accuracy is measured three times: by that cross-validation, on the test part, and
on the new patients.

    python benchmarks/planted_patients.py path/to/cifar10 path/to/clothes.zip [--seeds 10] [--strong]
"""

import argparse
from dataclasses import replace

import numpy as np

from sparring import load
from sparring.classifiers.probe import C_VALUES, directions, regression
from sparring.classifiers.selection import balanced_accuracy, choose, stratified_folds
from sparring.data import ImageSet, label_draw, split
from sparring.features.pretrained import imagenet
from sparring.stats import share_interval

PATIENTS, EACH = 60, 19
CLASSES = {"cifar10": ("cat", "dog"), "clothes": ("longsleeve", "t-shirt")}  # that are often confused


def planted(source: ImageSet, names: tuple[str, str], *, strong: bool, seed: int = 0) -> ImageSet:
    """Return patients of two classes, 30 of the data and then 30 new ones, with their tints and marks."""
    random, chosen = np.random.default_rng(seed), []
    count = PATIENTS // 2 * EACH
    for name in names:
        of_class = np.flatnonzero(source.labels == source.classes.index(name))
        chosen.append(random.permutation(of_class)[:count].reshape(-1, EACH))
    who = np.arange(PATIENTS)  # patients of both classes in turn
    index = np.stack(chosen, 1).reshape(PATIENTS, EACH).ravel()
    pixels, patient = source.images[index].astype(np.float32), np.repeat(who, EACH)
    height, width = pixels.shape[1:3]
    tint = random.uniform(0.3 if strong else 0.75, 1.0, (PATIENTS, 3))
    pixels *= tint[patient][:, None, None]
    side = round(min(height, width) * (2 / 5 if strong else 1 / 6))
    for p in who.tolist():
        y, x = (int(random.integers(0, most - side)) for most in (height, width))
        pixels[patient == p, y : y + side, x : x + side] = random.integers(0, 256, 3)
    return ImageSet(
        images=pixels.clip(0, 255).astype(np.uint8),
        labels=(patient % 2).astype(np.int64),
        classes=names,
        origins=tuple(f"P{p}/{i}.png" for i, p in enumerate(patient.tolist())),
        parts=np.full(len(patient), "", "<U5"),
        name="patients",
        groups=np.array([f"P{p}" for p in patient]),
    )


def measured(images: ImageSet, x: np.ndarray, fresh: np.ndarray, y_fresh: np.ndarray, seed: int) -> tuple[float, ...]:
    """Return the accuracy in cross-validation, on the test part and on new patients, whether the interval of the second
    holds the third, how wide it is, and how many patients of the test part are in training."""
    made = split(images, seed=seed)
    y, groups = images.labels, None if images.groups is None else images.clusters
    train, test = made.train, made.test

    def held_out(strength: float, seen: np.ndarray, held: np.ndarray) -> np.ndarray:
        weights, offset = regression(x[train][seen], y[train][seen], strength, tolerance=1e-3)
        return x[train][held] @ weights + offset

    of_train = None if groups is None else groups[train]
    chosen = choose(y[train], C_VALUES, held_out, seed=seed, temperature=1.0, groups=of_train)
    weights, offset = regression(x[train], y[train], chosen.settings)
    right = (x[test] @ weights + offset).argmax(1) == y[test]
    new = balanced_accuracy((fresh @ weights + offset).argmax(1), y_fresh)
    interval = share_interval(right[None], None if groups is None else groups[test])
    owners = [origin.split("/")[0] for origin in images.origins]
    shared = {owners[i] for i in train.tolist()} & {owners[i] for i in test.tolist()}
    if groups is not None:
        without_leaks(images, train, seed)
    found = chosen.measured.accuracy or np.nan, right.mean(), new, interval.low <= new <= interval.high
    return *map(float, found), interval.high - interval.low, len(shared)


def without_leaks(images: ImageSet, train: np.ndarray, seed: int) -> None:
    """Fail where a patient is on both sides of a fold, or gives two labels of a draw before another gave one."""
    owner, y = images.clusters[train], images.labels[train]
    for most in (2, 5):
        folds = stratified_folds(y, seed, most, owner)
        assert folds and all(not {*owner[seen]} & {*owner[held]} for seen, held in folds)
    drawn = label_draw(y, 5, seed=seed, repeat=0, groups=owner)
    assert len({*owner[drawn >= 0]}) == 10


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", nargs="+")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--strong", action="store_true")
    options = parser.parse_args()
    heads = ("images", "--group", "cross-validation", "test part", "new patients", "interval holds new", "its width",
             "patients on both sides")  # fmt: skip
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for path in options.data:
        name = next(name for name in CLASSES if name in path)
        source = load(path, size=112) if name == "clothes" else load(path)
        whole = planted(source, CLASSES[name], strong=options.strong)
        x = directions(imagenet(device="cpu"), whole.images)
        half = PATIENTS // 2 * EACH
        known = whole.take(np.arange(half))
        for how, images in (("none", replace(known, groups=None)), ("patient", known)):
            rows = [measured(images, x[:half], x[half:], whole.labels[half:], seed) for seed in range(options.seeds)]
            cross, test, new, holds, width, shared = np.mean(rows, 0).tolist()
            spread = np.std([row[1] for row in rows], ddof=1)
            shown = f"{100 * test:.1f} % (deviation {100 * spread:.1f})"
            cells = (name, how, f"{100 * cross:.1f} %", shown, f"{100 * new:.1f} %", f"{100 * holds:.0f} %",
                     f"{100 * width:.0f} points", f"{shared:.1f}")  # fmt: skip
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
