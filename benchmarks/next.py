"""How many labels `sparring next` saves: its choices against random ones, and against other ways to choose.

    python benchmarks/next.py DATA --out DIR features            features of the images, once
    python benchmarks/next.py DATA --out DIR draws [--only clothes]   20 draws of each data set
    python benchmarks/next.py DATA --out DIR tables              the tables of results/next.md

DATA is a folder with mnist.npz, cifar10/, clothes.zip and magnetic-tile.zip. A draw is 2,000 random training images (of
clothes and tiles 80 % of them): those are chosen from, all others are never seen. Accuracy is that on test images that
no choice ever sees: 2,000 of the data set's own test part, or the tiles that a fifth of each class gives.

`spreading` and `probe` are the methods of sparring on features that were computed once, with neighbours, kernel and
settings as they choose them; `probe` sees the last layer with C = 10. Other ways to choose are those of scikit-activeml
where that is installed (TypiClust, ProbCover, CoreSet, MaxHerding), with their own defaults, on the same features as
ours. Random draws "a class" are stratified, as `sparring compare` draws them: they know the classes beforehand.
"""

import argparse
import json
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.special import softmax

from sparring.classifiers import graph
from sparring.classifiers.probe import of_length, regression
from sparring.classifiers.selection import choose
from sparring.classifiers.spreading import ALPHAS, PRETRAINED_ALPHAS, SHARES_WEIGHT, USUAL_TEMPERATURE, assumed_shares
from sparring.data import label_draw, load
from sparring.features import extract, pretrained_features
from sparring.study.labelling.choosing import Reach, choose_images
from sparring.study.labelling.suggestions import doubt_of

SETS = {"mnist": "mnist.npz", "cifar10": "cifar10", "clothes": "clothes.zip", "tiles": "magnetic-tile.zip/images"}
EDGES = ("mnist",)  # whose images label spreading compares by edges, as it does of grey ones
DRAWS, POOL, TESTED = 20, 2000, 2000
FIRST = (10, 30)  # labels, chosen at once
ROUND, LAST = 20, 160  # labels of each round, and in all
RANDOM = (10, 20, 30, 40, 60, 80, 120, 160, 200)
A_CLASS = 20


class Images(NamedTuple):
    """Features float32 [N,F] of images uint8 [N,H,W,C], labels [N], near-duplicate clusters [N], which are for test."""

    features: np.ndarray
    images: np.ndarray
    labels: np.ndarray
    alike: np.ndarray
    test: np.ndarray


def compute(data: Path, out: Path, name: str) -> None:
    """Write the features of a data set's training images (at most 10,000) and test images."""
    found, rng = load(str(data / SETS[name])), np.random.default_rng(0)
    test = found.parts == "test"
    if not test.any():
        test = np.zeros(len(found), bool)
        for k in range(len(found.classes)):
            members = rng.permutation(np.flatnonzero(found.labels == k))
            test[members[: len(members) // 5]] = True
        test |= np.isin(found.duplicates.cluster, found.duplicates.cluster[test])
    kept = np.sort(np.concatenate([rng.permutation(np.flatnonzero(~test))[:10_000],
                                   rng.permutation(np.flatnonzero(test))[:TESTED]]))  # fmt: skip
    part = found.take(kept)
    arrays = {"features": pretrained_features(part.images), "images": part.images, "labels": part.labels,
              "alike": part.duplicates.cluster, "test": test[kept]}  # fmt: skip
    np.savez(out / f"{name}.npz", **arrays)  # pyright: ignore[reportArgumentType]


class Pool:
    """Images to choose from, test images, and the methods on both."""

    def __init__(self, found: Images, chosen: np.ndarray, edges: bool):
        self.labels, self.classes, self.alike = found.labels[chosen], int(found.labels.max()) + 1, found.alike[chosen]
        self.truth = found.labels[found.test]
        self.x, self.test_x = (of_length(found.features[i, :1280], 1.0) for i in (chosen, found.test))
        seen, test_seen = self.x, self.test_x
        if edges:
            seen, test_seen = (extract("hog", found.images[i]) for i in (chosen, found.test))
        mean, directions = graph.principal(seen)
        self.points, test_points = (graph.projected(part, mean, directions) for part in (seen, test_seen))
        count = graph.CANDIDATES if edges else graph.NEIGHBOURS
        index, distance = graph.nearest_by_features(self.points, self.points, count, same=True)
        near, self.near_distance = graph.nearest_by_features(test_points, self.points, count)
        if edges:
            mine, others = (graph.distortable(found.images[i], "hog") for i in (chosen, found.test))
            index, distance = graph.reranked(mine, mine, index)
            near, self.near_distance = graph.reranked(others, mine, near)
        self.near, self.alphas = near, ALPHAS if edges else PRETRAINED_ALPHAS
        self.graph = graph.Graph(mean, directions, self.points, index.astype(np.int32), distance)
        self.S = graph.affinity(self.graph)
        self.reach = Reach(self.S)

    def spread(self, chosen: np.ndarray) -> np.ndarray:
        """Return probabilities [N,K] of all images by label spreading, alpha and temperature chosen on the labels."""
        there, codes = np.unique(self.labels[chosen], return_inverse=True)
        base = assumed_shares(codes)

        def scores(alpha: float, sources: np.ndarray, targets: np.ndarray) -> np.ndarray:
            flow = np.zeros((len(self.labels), len(there)), np.float32)
            flow[chosen[sources], codes[sources]] = 1
            density = graph.spread_labels(self.S, flow, alpha).astype(np.float64) + 1e-12
            density /= density.sum(0)
            return np.log(density[targets] * graph.class_shares(density, base, SHARES_WEIGHT))

        settled = choose(codes, self.alphas, lambda alpha, train, held: scores(alpha, train, chosen[held]), seed=0,
                         temperature=USUAL_TEMPERATURE)  # fmt: skip
        every = scores(settled.settings, np.arange(len(chosen)), np.arange(len(self.labels)))
        found = np.zeros((len(self.labels), self.classes))
        found[:, there] = softmax(every / settled.temperature, axis=1)
        return found

    def accuracies(self, chosen: np.ndarray) -> tuple[float, float, float]:
        """Return the accuracy of spreading and of probe on the test images, and the share of the classes hit."""
        weights = graph.edge_weights(self.near_distance, graph.local_scale(self.near_distance),
                                     self.graph.scale[self.near])  # fmt: skip
        weights /= weights.sum(1, keepdims=True)
        spread = np.einsum("mn,mnk->mk", weights, self.spread(chosen)[self.near]).argmax(1)
        there, codes = np.unique(self.labels[chosen], return_inverse=True)
        probe = np.zeros(len(self.truth), np.int64)
        if len(there) > 1:
            w, offset = regression(self.x[chosen], codes, 10.0)
            probe = (self.test_x @ w + offset).argmax(1)
        hit = len(there) / self.classes
        return float((spread == self.truth).mean()), float((there[probe] == self.truth).mean()), hit

    def next(self, count: int, chosen: np.ndarray, doubts: bool = True) -> np.ndarray:
        """Return what `sparring next` chooses beside the chosen ones."""
        labelled = np.isin(np.arange(len(self.labels)), chosen)
        doubt = doubt_of(self.spread(chosen)) if doubts and len(np.unique(self.labels[chosen])) > 1 else None
        every = np.ones(len(labelled), bool)
        found = choose_images(self.reach, count, labelled=labelled, allowed=every, alike=self.alike, doubt=doubt)
        return found.index


def peers(pool: Pool) -> dict[str, Callable[[int, int], np.ndarray]]:
    """Return the strategies of scikit-activeml by name; none where it is not installed."""
    try:
        from skactiveml.pool import CoreSet, MaxHerding, ProbCover, TypiClust  # pyright: ignore
    except ImportError:
        return {}
    unknown = np.full(len(pool.labels), np.nan)

    def by(strategy: type) -> Callable[[int, int], np.ndarray]:
        def query(count: int, seed: int) -> np.ndarray:
            return strategy(random_state=seed).query(pool.points, unknown, batch_size=count)

        return query

    return {kind.__name__: by(kind) for kind in (TypiClust, ProbCover, CoreSet, MaxHerding)}


def measured(pool: Pool, seed: int) -> Iterator[tuple[str, int, tuple[float, float, float]]]:
    """Yield (way to choose, labels, accuracies) of one draw."""
    rng, none = np.random.default_rng(seed), np.empty(0, np.int64)
    order = rng.permutation(len(pool.labels))
    for count in RANDOM:
        yield "random", count, pool.accuracies(order[:count])
    fewest = int(np.bincount(pool.labels, minlength=pool.classes).min())
    drawn = label_draw(pool.labels, min(A_CLASS, fewest), seed=seed, repeat=0)
    yield "random a class", A_CLASS, pool.accuracies(np.flatnonzero(drawn >= 0))
    for count in FIRST:
        yield "next, at once", count, pool.accuracies(pool.next(count, none))
        for name, query in peers(pool).items():
            yield name, count, pool.accuracies(query(count, seed))
    for name, doubts in (("next", True), ("next, without doubts", False)):
        chosen = none
        while len(chosen) < LAST:
            chosen = np.concatenate([chosen, pool.next(ROUND, chosen, doubts)])
            yield name, len(chosen), pool.accuracies(chosen)


def draws(out: Path, name: str) -> None:
    """Measure what is not there yet; each draw is a line of OUT/NAME.jsonl."""
    saved = np.load(out / f"{name}.npz")
    found = Images(*(saved[field] for field in Images._fields))
    file = out / f"{name}.jsonl"
    done = len(file.read_text().splitlines()) if file.exists() else 0
    train = np.flatnonzero(~found.test)
    for seed in range(done, DRAWS):
        start = time.perf_counter()
        chosen = np.sort(np.random.default_rng(seed).permutation(train)[: min(POOL, len(train) * 4 // 5)])
        rows = list(measured(Pool(found, chosen, name in EDGES), seed))
        with file.open("a") as lines:
            lines.write(json.dumps(rows) + "\n")
        print(name, seed, f"{time.perf_counter() - start:.0f} s", flush=True)


def tables(out: Path) -> None:
    """Print the tables."""
    for name in SETS:
        file = out / f"{name}.jsonl"
        if not file.exists():
            continue
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        found: dict[tuple[str, int], list] = {}
        for line in lines:
            for way, count, scores in line:
                found.setdefault((way, count), []).append(scores)
        print(f"\n{name}: {len(lines)} draws\n\n| chosen by | labels | spreading | probe | classes hit |")
        print("|---|---|---|---|---|")
        for (way, count), scores in found.items():
            means, errors = 100 * np.mean(scores, 0), 100 * np.std(scores, 0, ddof=1) / len(scores) ** 0.5
            cells = [f"{m:.1f} +- {e:.1f}" for m, e in zip(means[:2], errors[:2], strict=True)]
            print(f"| {way} | {count} | {cells[0]} | {cells[1]} | {means[2]:.1f} |")
        for k, method in enumerate(("spreading", "probe")):
            goal = np.mean(found["random a class", A_CLASS], 0)[k]
            for way in ("next", "next, without doubts", "random"):
                enough = [n for (w, n), scores in found.items() if w == way and np.mean(scores, 0)[k] >= goal]
                print(f"{method}: {way} needs {min(enough, default=None)} labels for {100 * goal:.1f} %")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("what", choices=("features", "draws", "tables"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=tuple(SETS))
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    given.out.mkdir(parents=True, exist_ok=True)
    for name in given.only if given.what != "tables" else ():
        compute(given.data, given.out, name) if given.what == "features" else draws(given.out, name)
    if given.what == "tables":
        tables(given.out)


if __name__ == "__main__":
    main()
