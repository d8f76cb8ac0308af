"""`sparring data --audit` on planted faults: does it find them, and in what time?

    python benchmarks/audit.py DATA --out DIR [--images 5000] [--cleanlab FILE.npz]

DATA is a folder with cifar10/ and clothes.zip. Planted in a folder of each: 5 % wrong labels, 2 % images of the other
data set, one class brightened by 60 grey levels, 1 % blurred and 1 % darkened images. The audit is the command that a
user types, on an empty cache. For cleanlab: `--cleanlab FILE.npz` writes features and held-out probabilities; then, in
an environment with cleanlab, `python benchmarks/audit.py --compare FILE.npz` prints the same rows for it.
"""

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

FLIPS, STRANGERS, BLURRED, DARK = 0.05, 0.02, 0.01, 0.01
BRIGHTER = 60


def source(data: Path, name: str, images: int) -> tuple[list[np.ndarray], np.ndarray, tuple[str, ...]]:
    """Return images uint8 [H,W,3], labels [N] and class names of the training part, in random order."""
    from sparring import load

    found = load(str(data / {"cifar10": "cifar10", "clothes": "clothes.zip"}[name]))
    train = np.flatnonzero((found.parts == "train") & found.labelled)
    chosen = np.random.default_rng(0).permutation(train)[:images]
    return [found.images[i] for i in chosen], found.labels[chosen], found.classes


def planted(data: Path, name: str, images: int, out: Path) -> dict[str, str]:
    """Write a folder with planted faults and return file -> fault."""
    from PIL import Image, ImageFilter

    x, labels, classes = source(data, name, images)
    strangers = source(data, "clothes" if name == "cifar10" else "cifar10", int(STRANGERS * len(x)))[0]
    rng, faults = np.random.default_rng(1), {}
    shutil.rmtree(out, ignore_errors=True)
    for i, (image, label) in enumerate(zip(x, labels.tolist(), strict=True)):
        picture, kind, file = Image.fromarray(image), label, f"{i:05d}.png"
        u = rng.random()
        if u < FLIPS:
            faults[file], kind = "flip", (label + int(rng.integers(1, len(classes)))) % len(classes)
        elif u < FLIPS + STRANGERS and strangers:
            faults[file] = "stranger"
            picture = Image.fromarray(strangers.pop()).resize(picture.size)
        elif u < FLIPS + STRANGERS + BLURRED:
            faults[file], picture = "blurred", picture.filter(ImageFilter.GaussianBlur(max(picture.size) / 24))
        elif u < FLIPS + STRANGERS + BLURRED + DARK:
            faults[file], picture = "dark", Image.fromarray((np.asarray(picture) * 0.12).astype(np.uint8))
        elif label == 0:
            picture = Image.fromarray(np.clip(np.asarray(picture).astype(int) + BRIGHTER, 0, 255).astype(np.uint8))
        (out / classes[kind]).mkdir(parents=True, exist_ok=True)
        picture.save(out / classes[kind] / file)
    return faults


def measured(name: str, folder: Path, faults: dict[str, str], out: Path) -> dict[str, object]:
    """Audit a folder as a user does, and return how many faults are found."""
    cache = out / "cache"
    shutil.rmtree(cache, ignore_errors=True)
    shutil.rmtree(out / f"{name}-audit", ignore_errors=True)
    start = time.monotonic()
    command = [sys.executable, "-m", "sparring", "data", str(folder), "--audit", "--out", str(out / f"{name}-audit")]
    subprocess.run(command, check=True, env=os.environ | {"SPARRING_CACHE": str(cache)}, capture_output=True)
    seconds = time.monotonic() - start
    with (out / f"{name}-audit" / "audit.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    audit = json.loads((out / f"{name}-audit" / "audit.json").read_text())
    return {
        "data": name,
        "images": len(rows),
        "seconds": round(seconds),
        **found(rows, faults, "flip", "label"),
        **found(sorted(rows, key=lambda row: -float(row["unusual"])), faults, "stranger", "unusual"),
        **found(rows, faults, "blurred", "blurred"),
        **found(rows, faults, "dark", "dark"),
        "shortcuts": [f"{s['measure']} tells {s['group']} ({s['right']:.0%})" for s in audit["shortcuts"]],
    }


def found(rows: list[dict[str, str]], faults: dict[str, str], fault: str, kind: str) -> dict[str, object]:
    """Return the share of planted faults in the first tenth of the rows, and of those that are named so: recall, right.

    A darkened image that shows nothing any more counts as dark.
    """
    names = [Path(row["file"]).name for row in rows]
    wanted = {name for name, what in faults.items() if what == fault}
    kinds = {kind, "empty"} if kind == "dark" else {kind}
    named = {name for name, row in zip(names, rows, strict=True) if kinds & set(row["found"].split("; "))}
    first = {"in the first 10 %": share(wanted & set(names[: len(names) // 10]), wanted)}
    hits = {"named": share(wanted & named, wanted), "of those named": share(wanted & named, named)}
    return {fault: ({**first, **hits} if kind in ("label", "unusual") else hits)}


def share(part: set[str], whole: set[str]) -> float | None:
    return round(len(part) / len(whole), 3) if whole else None


def for_cleanlab(folder: Path, faults: dict[str, str], file: Path) -> None:
    """Write features, labels, held-out probabilities and faults of a folder."""
    from sparring import load
    from sparring.classifiers.described import described
    from sparring.study.audit.label_errors import held_out_probabilities

    images = load(str(folder))
    x = described(images.images, "efficientnet-lite0", "cpu")[1]
    proba = held_out_probabilities(x, images.labels, groups=images.clusters)
    what = [faults.get(Path(origin).name, "") for origin in images.origins]
    np.savez(file, x=x, labels=images.labels, proba=proba, faults=np.array(what))


def compare(file: Path) -> None:
    """Print what cleanlab's Datalab finds by the same features and probabilities."""
    from cleanlab import Datalab

    with np.load(file) as given:
        x, labels, proba, faults = (given[name] for name in ("x", "labels", "proba", "faults"))
    lab = Datalab(data={"label": labels}, label_name="label", verbosity=0)
    lab.find_issues(features=x, pred_probs=proba, issue_types={"label": {}, "outlier": {}})
    for issue, fault in (("label", "flip"), ("outlier", "stranger")):
        table = lab.get_issues(issue)
        order = np.argsort(table[f"{issue}_score"].to_numpy(), kind="stable")[: len(labels) // 10]
        wanted, named = faults == fault, table[f"is_{issue}_issue"].to_numpy()
        row = {"in the first 10 %": wanted[order].sum() / wanted.sum(), "named": named[wanted].mean()}
        print(file.name, fault, row | {"of those named": wanted[named].mean() if named.any() else None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--only", nargs="+", default=["cifar10", "clothes"])
    parser.add_argument("--cleanlab", action="store_true", help="write OUT/NAME.npz for --compare")
    parser.add_argument("--compare", type=Path)
    options = parser.parse_args()
    if options.compare:
        compare(options.compare)
        return
    for name in options.only:
        folder = options.out / name
        faults = planted(options.data, name, options.images, folder)
        row = measured(name, folder, faults, options.out)
        print(json.dumps(row), flush=True)
        if options.cleanlab:
            for_cleanlab(folder, faults, options.out / f"{name}.npz")


if __name__ == "__main__":
    main()
