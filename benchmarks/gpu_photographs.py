"""Photographs on one GPU: `consistency` pretrained and from scratch, and `probe`, on a part of CIFAR-10; 8 minutes.

    python benchmarks/gpu_photographs.py DATA.npz --out ROWS.jsonl [--device cuda] [--share 1] [--tiny]

DATA holds x_train_jpeg (the bytes of all files), x_train_sizes (of each), y_train (int64 [N]), and the same of test.
Labels are drawn from the training part, the same number of each class; the other training images are unlabelled. Each
row has its own time limit, is printed, and is added to ROWS.jsonl as soon as it is there. `--tiny`: few images and
steps, to try the script on a CPU.
"""

import argparse
import io
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.torch import load_file, save_file

from sparring.classifiers.base import Classifier
from sparring.classifiers.methods import METHODS
from sparring.devices import device_name
from sparring.files import cache_folder
from sparring.nets.efficientnet import SHA256

# Name, method, labels a class (None: all), pretrained, minutes of training.
ROWS = (
    ("consistency, pretrained", "consistency", 400, "efficientnet-lite0", 1.8),
    ("consistency, pretrained", "consistency", 4, "efficientnet-lite0", 1.8),
    ("probe, all labels", "probe", None, "efficientnet-lite0", 0.5),
    ("consistency, from scratch", "consistency", 400, "none", 2.0),
)


def hidden(labels: np.ndarray, each: int | None, seed: int) -> np.ndarray:
    """Return labels [N], all but `each` of every class replaced by -1."""
    if each is None:
        return labels
    rng, kept = np.random.default_rng(seed), np.full_like(labels, -1)
    for k in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == k))[:each]
        kept[rows] = k
    return kept


def estimator(method: str, pretrained: str, minutes: float, *, device: str, tiny: bool) -> Classifier:
    settings = {"pretrained": pretrained, "minutes": minutes, "device": device, "random_state": 0}
    return METHODS[method].make(**settings, **({"steps": 4} if tiny else {}))


def groups_at(path: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the images uint8 [N,32,32,3] and labels [N] of a part."""
    with np.load(path, allow_pickle=False) as file:
        files, sizes, labels = (file[name] for name in (f"x_{part}_jpeg", f"x_{part}_sizes", f"y_{part}"))
    pieces = np.split(files, np.cumsum(sizes)[:-1])
    return np.stack([np.asarray(Image.open(io.BytesIO(piece.tobytes())).convert("RGB")) for piece in pieces]), labels


def keep_weights(file: Path) -> None:
    """Put the state of a Body, of any precision, where the network looks for it first."""
    os.environ.setdefault("SPARRING_CACHE", tempfile.mkdtemp())
    kept = cache_folder() / "pretrained" / f"efficientnet-lite0-{SHA256[:12]}.safetensors"
    kept.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value.float() for name, value in load_file(file).items()}, kept)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--weights", type=Path, help="lite0.safetensors, where the package of the weights is missing")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--share", type=float, default=1.0, help="of the time limits, where less time is lent")
    parser.add_argument("--only", type=int, nargs="+", default=list(range(len(ROWS))), help="numbers of rows, from 0")
    options = parser.parse_args()
    if options.weights:
        keep_weights(options.weights)
    (x, y), (x_test, y_test) = groups_at(options.data, "train"), groups_at(options.data, "test")
    if options.tiny:
        x, y, x_test, y_test = x[:200], y[:200], x_test[:50], y_test[:50]
    for number in options.only:
        name, method, each, pretrained, minutes = ROWS[number]
        if method not in METHODS:
            print(f"{name}: there is no method {method} yet", flush=True)
            continue
        minutes *= options.share
        labels = hidden(y, min(each, 8) if options.tiny and each else each, seed=0)
        model, start = estimator(method, pretrained, minutes, device=options.device, tiny=options.tiny), time.time()
        try:
            model.fit(x, labels)
            fitted = time.time()
            right = float((model.predict(x_test) == y_test).mean())
        except Exception as error:  # noqa: BLE001 the other rows go on
            row = {"row": name, "error": f"{type(error).__name__}: {error}", "seconds": round(time.time() - start, 1)}
        else:
            record = model.record_
            row = {
                "row": name,
                "labels": int((labels >= 0).sum()),
                "unlabelled": int((labels < 0).sum()),
                "accuracy": round(right, 4),
                "fit_seconds": round(fitted - start, 1),
                "test_seconds": round(time.time() - fitted, 1),
                "minutes_allowed": minutes,
                "share_of_limit": round((fitted - start) / 60 / minutes, 3),
                "steps": record.steps,
                "planned": record.planned,
                "images_a_step": dict(record.images_a_step or {}),
                "trunk": record.trunk,
                "precision": record.precision,
                "device": device_name(options.device),
                "seconds": dict(record.seconds or {}),
            }
        print(json.dumps(row), flush=True)
        with options.out.open("a") as out:
            out.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
