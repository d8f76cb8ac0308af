"""Does a classifier keep what it promises, and does it know what it does not know?

    python benchmarks/doubt.py DATA [--part develop] [--draws 100] [--only coverage|unlike]

DATA is a folder with mnist.npz, cifar10/ and clothes.zip; the digits are built in. Prints the tables of
benchmarks/results/doubt.md.

coverage   Labels are drawn from the training part, a classifier is fitted to them, and its 90 % sets, its threshold for
           90 % precision and its test for unlike images are tried on images that it did not see.
unlike     How well images of unknown classes are told from new ones of the known classes (area under the ROC curve),
           and which shares of both are called unlike.

`--part develop` measures on held-out images of the training parts instead of the test parts. All choices were made so.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

import sparring
from sparring.classifiers import METHODS
from sparring.classifiers.doubt.conformal import COVERAGE, prediction_sets, score_limits, with_best
from sparring.classifiers.doubt.measuring import familiar_images, measure_doubt
from sparring.classifiers.doubt.promises import promise_of
from sparring.classifiers.doubt.unlikeness import REFUSED
from sparring.classifiers.probe import directions
from sparring.data import ImageSet
from sparring.features import imagenet

BUDGETS = (3, 10, 50)
LEARNED, NEW = 2000, 500  # images of which some are labelled, and of those that are asked about


@dataclass(frozen=True, eq=False)
class Task:
    """Images to learn from and new ones."""

    name: str
    learn: ImageSet
    new: ImageSet


def halves(name: str, images: ImageSet, develop: bool) -> Task:
    """Return the training and the test part; to develop, two halves of the training part."""
    train, test = np.flatnonzero(images.parts != "test"), np.flatnonzero(images.parts == "test")
    order = np.random.default_rng(0).permutation
    if develop or not len(test):
        rest = order(train)
        train, test = rest[len(rest) // 2 :], rest[: len(rest) // 2]
    return Task(name, images.take(np.sort(order(train)[:LEARNED])), images.take(np.sort(order(test)[:NEW])))


def tasks(data: Path, develop: bool) -> Iterator[tuple[Task, tuple[str, ...]]]:
    yield halves("digits", sparring.load("digits"), develop), ("spreading",)
    yield halves("MNIST", sparring.load(data / "mnist.npz"), develop), ("spreading",)
    yield halves("clothes", sparring.load(data / "clothes.zip", size=96), develop), ("probe",)


def drawn(labels: np.ndarray, each: int, rng: np.random.Generator) -> np.ndarray:
    """Return labels of which `each` of a class are left, -1 elsewhere."""
    kept = np.full(len(labels), -1)
    for k in np.unique(labels):
        some = rng.permutation(np.flatnonzero(labels == k))[:each]
        kept[some] = k
    return kept


@dataclass
class Draw:
    """What one draw of labels gave; None where nothing was promised."""

    accuracy: float
    covered: float | None = None  # by the sets of the theorem, which may be empty
    covered_shown: float | None = None  # by the sets that are shown, which hold the best class
    size: float | None = None
    covered_by_class: float | None = None
    answered: float = 0.0
    right: float | None = None
    refused: float | None = None


def one_draw(task: Task, method: str, each: int, seed: int) -> Draw:
    rng = np.random.default_rng([seed, each])
    index = np.flatnonzero(drawn(task.learn.labels, each, rng) >= 0)
    imagenet().know_part(task.learn.images, index)
    images = task.learn.take(index)
    model = METHODS[method].make(random_state=seed).fit(images)
    model.doubt_ = measure_doubt(model, images, seed=seed)
    promise = promise_of(model)
    proba, truth, rows = model.predict_proba(task.new.images), task.new.labels, np.arange(len(task.new))
    draw = Draw(float((proba.argmax(1) == truth).mean()))
    if promise.limits is not None:
        sets = prediction_sets(proba, promise.limits)
        shown = with_best(sets, proba)
        draw.covered, draw.size = float(sets[rows, truth].mean()), float(shown.sum(1).mean())
        draw.covered_shown = float(shown[rows, truth].mean())
    held = promise.doubt.held_out
    if held is not None and not np.isnan(limits := score_limits(held.proba, held.labels, per_class=True)).any():
        sets = prediction_sets(proba, limits)
        draw.covered_by_class = float(min(sets[truth == k, k].mean() for k in np.unique(truth)))
    if promise.threshold is not None and promise.threshold.confidence is not None:
        given = proba.max(1) >= promise.threshold.confidence
        draw.answered = float(given.mean())
        draw.right = float((proba.argmax(1) == truth)[given].mean()) if given.any() else None
    if promise.doubt.familiar is not None and promise.judges_unlike:
        features = directions(imagenet(), task.new.images)
        draw.refused = float((promise.doubt.familiar.unlikeness.typical(features) <= REFUSED).mean())
    return draw


def mean(values, digits: int = 1) -> str:
    there = [100 * v for v in values if v is not None]
    return f"{np.mean(there):.{digits}f}" if there else "cannot promise"


def coverage(data: Path, develop: bool, draws: int, budgets: tuple[int, ...]) -> None:
    columns = (
        "data", "method", "labels a class", "accuracy", "90 % sets", "shown sets", "size",
        "worst class, per-class sets",
        "answered", "right of these", "draws with less than 90 % right", "refused as unlike", "seconds",
    )  # fmt: skip
    print(f"| {' | '.join(columns)} |")
    print("|---|---|---|---|---|---|---|---|---|---|---|---|---|")
    for task, methods in tasks(data, develop):
        imagenet().features(task.learn.images)
        for method in methods:
            for each in budgets:
                start = time.perf_counter()
                found = [one_draw(task, method, each, seed) for seed in range(draws)]
                rights = [d.right for d in found if d.right is not None]
                sizes = [d.size for d in found if d.size is not None]
                print(
                    f"| {task.name} | {method} | {each} | {mean([d.accuracy for d in found])} "
                    f"| {mean([d.covered for d in found])} | {mean([d.covered_shown for d in found])} "
                    f"| {np.mean(sizes):.2f} | {mean([d.covered_by_class for d in found])} "
                    f"| {mean([d.answered for d in found])} | {mean(rights)} "
                    f"| {sum(r < COVERAGE for r in rights)} of {len(rights)} | {mean([d.refused for d in found])} "
                    f"| {time.perf_counter() - start:.0f} |",
                    flush=True,
                )


def told_apart(learn: ImageSet, new: np.ndarray, unknown: np.ndarray) -> tuple[float, float, float]:
    """Return the AUROC, and the shares of new images of the classes and of unknown ones that are called unlike."""
    found = familiar_images(learn, list(learn.classes))
    assert found is not None
    both = found.unlikeness.scores(np.concatenate([new, unknown]))
    truth = np.arange(len(both)) >= len(new)
    called = [float((found.unlikeness.typical(x) <= REFUSED).mean()) for x in (new, unknown)]
    return float(roc_auc_score(truth, both)), *called


def unlike(data: Path, develop: bool) -> None:
    encoder = imagenet()
    cifar = sparring.load(data / "cifar10")
    whole = halves("CIFAR-10", cifar, develop)
    whole = replace(whole, learn=sampled(cifar, whole, develop))
    x = directions(encoder, whole.new.images)
    print("\n| known | unknown | labels a class | AUROC | refused of the known | called unlike of the unknown |")
    print("|---|---|---|---|---|---|")
    for each in (10, 50, 250):
        rows = []
        for a in range(0, 10, 2):
            left = (a, a + 1)
            labels = drawn(whole.learn.labels, each, np.random.default_rng(a))
            known = np.flatnonzero((labels >= 0) & ~np.isin(labels, left))
            out = np.isin(whole.new.labels, left)
            rows.append(told_apart(replace(whole.learn, labels=labels).take(known), x[~out], x[out]))
        values = [f"{100 * v:.1f}" for v in np.mean(rows, axis=0)[1:]]
        aurocs = [row[0] for row in rows]
        print(f"| CIFAR-10 without two classes | these two | {each} | {np.mean(aurocs):.3f} "
              f"({min(aurocs):.3f} to {max(aurocs):.3f}) | {values[0]} | {values[1]} |", flush=True)  # fmt: skip
    clothes = halves("clothes", sparring.load(data / "clothes.zip", size=96), develop)
    new = directions(encoder, clothes.new.images)
    strange = fitted(cifar, whole.new, (96, 96))
    unknown = directions(encoder, strange)
    for each in (3, 10, 50):
        rows = []
        for seed in range(5):
            labels = drawn(clothes.learn.labels, each, np.random.default_rng(seed))
            rows.append(told_apart(replace(clothes.learn, labels=labels).take(labels >= 0), new, unknown))
        auroc, *shares = np.mean(rows, axis=0)
        print(
            f"| clothes | CIFAR-10 | {each} | {auroc:.3f} | {100 * shares[0]:.1f} | {100 * shares[1]:.1f} |", flush=True
        )


def sampled(cifar: ImageSet, task: Task, develop: bool) -> ImageSet:
    """Return 4,000 images of the training part, apart from the new ones."""
    train = np.flatnonzero(cifar.parts != "test")
    if develop:
        taken = set(task.new.origins)
        train = np.array([i for i in train.tolist() if cifar.origins[i] not in taken])
    return cifar.take(np.sort(np.random.default_rng(1).permutation(train)[:4000]))


def fitted(images: ImageSet, new: ImageSet, size: tuple[int, int]) -> np.ndarray:
    """Return images as a model of another size sees them."""
    from sparring.images import fit_pixels

    return np.stack([fit_pixels(image, size) for image in new.images[:500]])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--part", choices=["test", "develop"], default="test")
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--budgets", type=int, nargs="+", default=BUDGETS)
    parser.add_argument("--only", choices=["coverage", "unlike"])
    given = parser.parse_args()
    if given.only != "unlike":
        coverage(given.data, given.part == "develop", given.draws, tuple(given.budgets))
    if given.only != "coverage":
        unlike(given.data, given.part == "develop")
