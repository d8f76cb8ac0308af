"""MNIST with a few labels: test error and cost of the traditional methods, draw by draw.

    python benchmarks/mnist_traditional.py PATH/mnist.npz [--labels 10] [--draws 6] [--out benchmarks/results/...md]

The pool are the 60,000 training images, of which each draw labels so many a class at random; test images are seen only
when the fit is over. The first fit of `spreading` builds the graph, which depends on the images alone; the later ones
find it in the cache, as they do in a study.
"""

import argparse
import os
import platform
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import scipy
import sklearn
import torch

from sparring.classifiers import METHODS
from sparring.data import label_draw

NAMES = ("majority", "logistic", "svm", "spreading")


def measured(name: str, file: dict[str, np.ndarray], labels: int, draw: int) -> dict:
    """Error in percent, log-loss, and seconds of one fit and one prediction."""
    hidden = label_draw(file["y_train"], labels, seed=0, repeat=draw)
    begin = time.perf_counter(), time.process_time()
    estimator = METHODS[name].make(random_state=draw).fit(file["x_train"], hidden)
    middle = time.perf_counter(), time.process_time()
    proba = estimator.predict_proba(file["x_test"])
    end = time.process_time()
    truth = file["y_test"]
    return {
        "error": 100 * float((estimator.classes_[proba.argmax(1)] != truth).mean()),
        "loss": float(-np.log(np.maximum(proba[np.arange(len(truth)), truth], 1e-12)).mean()),
        "fit": middle[1] - begin[1],
        "wall": middle[0] - begin[0],
        "predict": end - middle[1],
        "chosen": estimator.record_.chosen or {},
    }


def row(name: str, runs: list[dict]) -> str:
    errors = " ".join(f"{run['error']:.2f}" for run in runs)
    fits = f"{runs[0]['fit']:.1f}, {np.median([run['fit'] for run in runs[1:] or runs]):.1f}"
    spread = np.std([run["error"] for run in runs], ddof=1) if len(runs) > 1 else 0.0
    return (
        f"| `{name}` | {errors} | **{np.mean([run['error'] for run in runs]):.2f}** | {spread:.2f} "
        f"| {np.mean([run['loss'] for run in runs]):.3f} | {fits} | {runs[0]['wall']:.0f} | {runs[0]['predict']:.1f} |"
    )


def machine() -> str:
    listed = subprocess.run(["lscpu"], capture_output=True, text=True, check=False).stdout
    told = {line.split(":")[0].strip(): line.split(":", 1)[1].strip() for line in listed.splitlines() if ":" in line}
    flags = [flag for flag in ("amx_bf16", "avx512_bf16") if flag in told.get("Flags", "")]
    model = told.get("Model name", platform.processor())
    return f"{os.cpu_count()} cores of {model}, {', '.join(flags) or 'no bf16 units'}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--labels", type=int, default=10)
    parser.add_argument("--draws", type=int, default=6)
    parser.add_argument("--methods", default=",".join(NAMES))
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    with np.load(given.file) as opened:
        file = {name: opened[name] for name in ("x_train", "y_train", "x_test", "y_test")}
    file["y_train"], file["y_test"] = file["y_train"].astype(np.int64), file["y_test"].astype(np.int64)
    methods = given.methods.split(",")
    runs = {name: [] for name in methods}
    for draw in range(given.draws):
        for name in methods:
            runs[name].append(measured(name, file, given.labels, draw))
            last = runs[name][-1]
            print(f"draw {draw} {name}: {last['error']:.2f} % {last['fit']:.1f} s {last['chosen']}", flush=True)
    command = f"OMP_NUM_THREADS={os.environ['OMP_NUM_THREADS']} python benchmarks/mnist_traditional.py mnist.npz"
    text = f"""# MNIST, {given.labels} labels a class: traditional methods

{date.today().isoformat()}. `{command} --labels {given.labels} --draws {given.draws}`
on {machine()}; {os.environ["OMP_NUM_THREADS"]} thread. Python {platform.python_version()}, torch {torch.__version__},
scikit-learn {sklearn.__version__}, scipy {scipy.__version__}, numpy {np.__version__}.
Error on the 10,000 test images in %, one number a label draw; the pool are the 60,000 training images.

Fits are in CPU seconds, the first one and the median of the others; prediction of all test images likewise, the first.

| method | error by draw | mean | SD | log-loss | fit, s | first fit, wall s | predict, s |
|---|---|---|---|---|---|---|---|
{chr(10).join(row(name, runs[name]) for name in methods)}
"""
    print(text)
    if given.out:
        given.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
