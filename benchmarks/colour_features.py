"""`logistic` and `svm` before and after a change of their features: accuracy and time on the same draws of labels.

    python benchmarks/colour_features.py BEFORE AFTER DATA [--sets cifar clothes tiles mnist] [--draws 6]

BEFORE and AFTER are checkouts (folders that hold src/sparring), DATA the folder with cifar10/, clothes.zip,
magnetic-tile.zip and mnist.npz. Only training parts are used: 8,000 random images of CIFAR-10 and MNIST, all others.
Of each draw so many a class are labelled, of the others at most 2,500 are named. Accuracy is balanced for tiles and
clothes, whose classes are uneven. Writes benchmarks/results/colour_features.md.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).parent / "results" / "colour_features.md"
COUNTS = {"cifar": (4, 20, 40, 200), "clothes": (5, 20), "tiles": (5, 20), "mnist": (10, 100)}
SOURCES = {
    "cifar": "cifar10",
    "clothes": "clothes.zip/train",
    "tiles": "magnetic-tile.zip/images",
    "mnist": "mnist.npz",
}
METHODS = ("logistic", "svm")
POOL, NAMED = 8000, 2500


def images_of(name: str, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return images uint8 [N,H,W,C] and labels int64 [N] of the training part."""
    from sparring.data import load

    if name == "mnist":
        with np.load(folder / "mnist.npz") as file:
            x, y = file["x_train"][..., None], file["y_train"].astype(np.int64)
    else:
        loaded = load(folder / SOURCES[name])
        x, y = loaded.images, loaded.labels
        if name == "cifar":
            train = np.array([str(origin).startswith("train") for origin in loaded.origins])
            x, y = x[train], y[train]
    kept = np.random.default_rng(0).permutation(len(x))[:POOL]
    return x[kept], y[kept]


def measured(name: str, method: str, count: int, draw: int, x: np.ndarray, y: np.ndarray) -> dict:
    from sparring.classifiers import METHODS as TABLE
    from sparring.features.cache import CACHE

    CACHE.clear()
    rng = np.random.default_rng(draw)
    labelled = np.concatenate([rng.permutation(np.flatnonzero(y == k))[:count] for k in range(y.max() + 1)])
    others = rng.permutation(np.setdiff1d(np.arange(len(y)), labelled))[:NAMED]
    start = time.process_time()
    made = TABLE[method].make(random_state=draw).fit(x[labelled], y[labelled])
    seconds = time.process_time() - start
    proba = made.predict_proba(x[others])
    right, truth = proba.argmax(1) == y[others], y[others]
    if name in ("tiles", "clothes"):
        accuracy = np.mean([right[truth == k].mean() for k in np.unique(truth)])
    else:
        accuracy = right.mean()
    loss = -np.log(np.clip(proba[np.arange(len(truth)), truth], 1e-12, 1)).mean()
    return {
        "set": name, "method": method, "count": count, "draw": draw, "accuracy": float(accuracy), "loss": float(loss),
        "seconds": seconds, "chosen": made.record_.chosen["features"],
    }  # fmt: skip


def run_one(arrays: Path, name: str, counts: list[int], draws: int) -> None:
    """Print one row of JSON for each fit of the checkout that PYTHONPATH names."""
    with np.load(arrays) as file:
        x, y = file["x"], file["y"]
    for count in counts:
        for draw in range(draws):
            for method in METHODS:
                print(json.dumps(measured(name, method, count, draw, x, y)), flush=True)


def rows_of(checkout: Path, name: str, options: argparse.Namespace, arrays: Path) -> list[dict]:
    counts = [count for count in COUNTS[name] if count <= options.most]
    environment = os.environ | {"PYTHONPATH": str(checkout / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, "--one", arrays, name, str(options.draws), *map(str, counts)]
    found = subprocess.run(list(map(str, command)), check=False, env=environment, capture_output=True, text=True)
    if found.returncode:
        raise SystemExit(found.stderr)
    return [json.loads(line) for line in found.stdout.splitlines()]


def line(name: str, count: int, method: str, before: list[dict], after: list[dict]) -> str:
    def values(rows: list[dict], key: str) -> np.ndarray:
        kept = [row for row in rows if (row["set"], row["count"], row["method"]) == (name, count, method)]
        return np.array([row[key] for row in sorted(kept, key=lambda row: row["draw"])])

    old, new = (100 * values(rows, "accuracy") for rows in (before, after))
    error = (new - old).std(ddof=1) / np.sqrt(len(new))
    losses = [f"{values(rows, 'loss').mean():.3f}" for rows in (before, after)]
    seconds = [f"{values(rows, 'seconds').mean():.2f}" for rows in (before, after)]
    names, often = np.unique(values(after, "chosen"), return_counts=True)
    chosen = ", ".join(f"{names[i]} {often[i]}x" for i in np.argsort(-often))
    cells = [
        name, str(count), f"`{method}`", f"{old.mean():.1f}", f"{new.mean():.1f}",
        f"{(new - old).mean():+.1f} +- {error:.1f}", *losses, *seconds, chosen,
    ]  # fmt: skip
    return "| " + " | ".join(cells) + " |\n"


COLUMNS = (
    "data", "labels a class", "method", "before %", "after %", "difference +- standard error", "log-loss before",
    "after", "seconds of a fit before", "after", "chosen",
)  # fmt: skip
HEAD = """# Colour and texture in `logistic` and `svm`

Written by `python benchmarks/colour_features.py BEFORE AFTER DATA`. The same draws of labels before and after; training
parts only. Accuracy is the mean recall of the classes for clothes and tiles. Seconds are processor time of one fit on
labelled images alone, features included, one thread. "Chosen": the features that cross-validation took.

"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", nargs="+", default=list(COUNTS))
    parser.add_argument("--draws", type=int, default=6)
    parser.add_argument("--most", type=int, default=10**6, help="labels a class")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    lines = []
    for name in options.sets:
        arrays = Path(f"{name}-arrays.npz").absolute()
        try:
            x, y = images_of(name, options.data)
            np.savez(arrays, x=x, y=y)
            before, after = (rows_of(path, name, options, arrays) for path in (options.before, options.after))
        finally:
            arrays.unlink(missing_ok=True)
        for count in dict.fromkeys(row["count"] for row in after):
            for method in METHODS:
                lines.append(line(name, count, method, before, after))
                print(lines[-1], end="", flush=True)
    about = f"\n{datetime.now(UTC):%Y-%m-%d}, {options.draws} draws, one thread.\n"
    heads = f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}\n"
    options.out.write_text(HEAD + heads + "".join(lines) + about, encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        run_one(Path(sys.argv[2]), sys.argv[3], [int(n) for n in sys.argv[5:]], int(sys.argv[4]))
    else:
        main()
