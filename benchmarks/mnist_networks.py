"""MNIST with 10 labels a class: test error of the network classifiers over label draws.

    python benchmarks/mnist_networks.py ../shared/data/mnist.npz --jobs 2

Appends one JSON line per fit to benchmarks/results/mnist_networks.jsonl, so it can be stopped and continued: the same
command does only what is missing. Prints mean and each error, and seconds. All 60,000 training images are the pool;
the test images are judged once per fit, by a network that was trained to its planned end.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

METHODS = ("cnn", "consistency", "semi-gan")
RESULTS = Path(__file__).parent / "results" / "mnist_networks.jsonl"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="mnist.npz with x_train, y_train, x_test, y_test")
    parser.add_argument("--methods", nargs="+", default=METHODS, help="names of the table of methods")
    parser.add_argument("--draws", type=int, default=6)
    parser.add_argument("--labels", type=int, default=10, help="labels of each class")
    parser.add_argument("--jobs", type=int, default=1, help="fits at a time, one thread each")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--one", nargs=2, metavar=("METHOD", "DRAW"), help="a single fit, in this process")
    options = parser.parse_args()
    if options.one:
        fit(options, options.one[0], int(options.one[1]))
        return
    run(options)
    table(options)


def run(options) -> None:
    """The missing fits, each in a process of its own, `jobs` at a time."""
    options.out.parent.mkdir(parents=True, exist_ok=True)
    done = {(row["method"], row["draw"], row["labels"]) for row in rows(options.out)}
    wanted = [(method, draw) for draw in range(options.draws) for method in options.methods]
    todo = [(method, draw) for method, draw in wanted if (method, draw, options.labels) not in done]
    running: list[subprocess.Popen] = []
    try:
        while todo or running:
            while todo and len(running) < options.jobs:
                running.append(start(options, *todo.pop(0)))
            time.sleep(1)
            failed = [p.args for p in running if p.poll() not in (None, 0)]
            if failed:
                sys.exit(f"a fit failed: {failed[0]}")
            running = [p for p in running if p.poll() is None]
    finally:
        for process in running:
            process.terminate()


def start(options, method: str, draw: int) -> subprocess.Popen:
    command = [sys.executable, __file__, str(options.data), "--labels", str(options.labels), "--out", str(options.out)]
    return subprocess.Popen(
        [*command, "--one", method, str(draw)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
    )


def fit(options, method: str, draw: int) -> None:
    """One fit and its look at the test images; a line of the results."""
    import numpy as np
    import torch

    from sparring.classify import METHODS as TABLE
    from sparring.data import label_draw

    torch.set_num_threads(1)
    with np.load(options.data) as data:
        x, y, x_test, y_test = (data[name] for name in ("x_train", "y_train", "x_test", "y_test"))
    labels = label_draw(y, options.labels, seed=0, repeat=draw)
    wall, cpu = time.perf_counter(), time.process_time()
    classifier = TABLE[method].make(random_state=draw, threads=1).fit(x, labels)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    p = classifier.predict_proba(x_test)
    row = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "method": method,
        "labels": options.labels,
        "draw": draw,
        "error": round(100 * float((classifier.classes_[p.argmax(1)] != y_test).mean()), 3),
        "nll": round(float(-np.log(np.maximum(p[np.arange(len(p)), y_test], 1e-7)).mean()), 4),
        "seconds": round(wall, 1),
        "cpu_seconds": round(cpu, 1),
        "record": {
            key: classifier.record_[key]
            for key in ("steps", "images_a_step", "parameters", "precision", "graph")
            if key in classifier.record_
        },
        "torch": torch.__version__,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, one thread",
    }
    with options.out.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    print(f"{method} draw {draw}: {row['error']:.2f} % in {row['seconds']:.0f} s", flush=True)


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def table(options) -> None:
    print(f"\nMNIST, {options.labels} labels a class, test error in %, seconds of a fit with one thread")
    for method in options.methods:
        mine = [row for row in rows(options.out) if row["method"] == method and row["labels"] == options.labels]
        mine = sorted(mine, key=lambda row: row["draw"])[: options.draws]
        if mine:
            errors, seconds = [row["error"] for row in mine], sorted(row["seconds"] for row in mine)
            each = " ".join(f"{error:.2f}" for error in errors)
            print(
                f"{method:12} mean {sum(errors) / len(errors):.2f}  each {each}  "
                f"seconds median {seconds[len(seconds) // 2]:.0f} max {seconds[-1]:.0f}"
            )


if __name__ == "__main__":
    main()
