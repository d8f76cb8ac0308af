"""kill -9 at five random moments of a `train` and of a `compare`, the same command again: is the result the same?

    python benchmarks/kill.py [--kills 5] [--seed 0]

A run is compared by the bytes of its last checkpoint's tensors, a study by the rows without their times and by the
bytes of every prediction.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

TRAIN = ["train", "digits", "-r", "dcgan", "--images", "60k", "--precision", "fp32"]
COMPARE = ["compare", "digits", "--methods", "logistic,svm,cnn,consistency", "--labels", "5", "--repeats", "6"]
VARY = ("seconds", "cpu_seconds", "predict_seconds", "record", "time", "curves")


def start(command: list[str], out: Path) -> subprocess.Popen:
    words = [sys.executable, "-m", "sparring", *command, "--out", str(out), "--quiet"]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, start_new_session=True)


def whole(command: list[str], out: Path) -> float:
    begin = time.perf_counter()
    if start(command, out).wait():
        raise SystemExit(f"{command[0]} failed")
    return time.perf_counter() - begin


def killed(command: list[str], out: Path, kills: int, seconds: float, moments: random.Random) -> list[float]:
    """Kills the command `kills` times, each after a random part of its time; then lets it end."""
    waits = []
    for _ in range(kills):
        child = start(command, out)
        waits.append(moments.uniform(0.2, 0.9) * seconds / 2)
        time.sleep(waits[-1])
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        else:
            waits[-1] = float("nan")  # it was done before
    whole(command, out)
    return waits


def weights(run: Path) -> bytes:
    return (sorted(run.glob("checkpoints/step-*"))[-1] / "state.safetensors").read_bytes()


def rows(study: Path) -> dict:
    found = {}
    for line in (study / "results.jsonl").read_text().splitlines():
        row = json.loads(line)
        with np.load(study / row["predictions"]) as arrays:
            predictions = {name: arrays[name].tobytes() for name in arrays.files}
        name = (row["method"], row["budget"], row["repeat"])
        found[name] = {k: v for k, v in row.items() if k not in VARY} | {"bytes": predictions}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    moments = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        a, b, c, d = (Path(folder) / name for name in "abcd")
        seconds = whole(TRAIN, a)
        waits = killed(TRAIN, b, options.kills, seconds, moments)
        print(f"train: whole {seconds:.0f} s, killed after {', '.join(f'{w:.1f}' for w in waits)} s:", end=" ")
        print("weights bit-equal" if weights(a) == weights(b) else "WEIGHTS DIFFER")
        seconds = whole(COMPARE, c)
        waits = killed(COMPARE, d, options.kills, seconds, moments)
        print(f"compare: whole {seconds:.0f} s, killed after {', '.join(f'{w:.1f}' for w in waits)} s:", end=" ")
        print(f"{len(rows(c))} rows", "and predictions equal" if rows(c) == rows(d) else "DIFFER")


if __name__ == "__main__":
    main()
