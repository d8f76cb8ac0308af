"""What `sparring compare` promises, tried on folders of images: its time, its advice, and its word on pure noise.

    python benchmarks/promises.py DATA --out DIR time                the default study of clothes and CIFAR-10
    python benchmarks/promises.py DATA --out DIR regret [--only 3 7] 20 studies of 4 minutes, and their regret
    python benchmarks/promises.py DATA --out DIR noise               20 studies of classes that do not differ
    python benchmarks/promises.py DATA --out DIR advise              today's rules on the studies that are there
    python benchmarks/promises.py DATA --out DIR tables              results/promises.md from what is there

DATA is a folder with mnist.npz, cifar10/, clothes.zip and magnetic-tile.zip. Every study is the command that a user
types, on a folder of class folders. What is there already is not made again.

Regret: every method that the study has fits of at its largest budget is fitted again on the same training images and
the same label draws, three of them, and tested on images that the study never saw. The regret of the advice is the
accuracy of the best of them minus that of the recommended one, in points (balanced accuracy where that leads). The best
is chosen on the same images, so a regret of 0 cannot be expected where methods are equally good.
"""

import argparse
import json
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from joblib import Parallel, delayed
from PIL import Image

from sparring import load
from sparring.classifiers import METHODS
from sparring.data import ImageSet
from sparring.devices import hardware
from sparring.stats import class_weights
from sparring.study import summarise
from sparring.study.plan import Study, seed_of
from sparring.study.prepared import label_draws, split_and_seal
from sparring.study.summary import Summary

RESULTS = Path(__file__).parent / "results" / "promises.md"
DRAWS = 3  # label draws of a fit on which the advice is judged
FEWEST = 5  # images of each class that a drawn folder has


class Advised(NamedTuple):
    """A study whose advice is judged: images drawn from a data set, and --labels (None: the default)."""

    data: str
    images: int
    labels: str | None


STUDIES = (
    Advised("digits", 200, "2"),
    Advised("digits", 797, "5"),
    Advised("digits", 400, None),
    Advised("mnist", 60, None),
    Advised("mnist", 300, "2,10"),
    Advised("mnist", 1000, "20"),
    Advised("mnist", 2000, "5"),
    Advised("mnist", 5000, "100"),
    Advised("cifar10", 60, None),
    Advised("cifar10", 200, None),
    Advised("cifar10", 500, "20"),
    Advised("cifar10", 3000, "5"),
    Advised("cifar10", 5000, "100"),
    Advised("clothes", 60, None),
    Advised("clothes", 200, None),
    Advised("clothes", 600, "10"),
    Advised("clothes", 1500, "20,40"),
    Advised("tiles", 60, None),
    Advised("tiles", 300, None),
    Advised("tiles", 1000, "2,15"),
)


# Folders of images.


def arrays(data: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return images and class names of digits, MNIST or CIFAR-10, all of it."""
    if name == "digits":
        found = load("digits")
        return found.images, np.array(found.classes)[found.labels]
    if name == "mnist":
        with np.load(data / "mnist.npz") as found:
            images, labels = (np.concatenate([found[f"{c}_{part}"] for part in ("train", "test")]) for c in "xy")
        return images, labels.astype(str)
    found = load(str(data / "cifar10"))
    return found.images, np.array(found.classes)[found.labels]


def folders(data: Path, name: str, out: Path) -> Path:
    """Write a data set as a folder with all its images, class folders, and return it."""
    folder = out / "data" / name
    if folder.exists():
        return folder
    partial = folder.with_name(f"{name}.part")
    if name in ("clothes", "tiles"):
        archive = zipfile.ZipFile(data / ("clothes.zip" if name == "clothes" else "magnetic-tile.zip"))
        for member in archive.namelist():
            part, *_, kind, file = ("", *member.split("/"))[-3:]
            if file.endswith(".jpg") and part != "masks":
                (partial / kind).mkdir(parents=True, exist_ok=True)
                (partial / kind / file).write_bytes(archive.read(member))
    else:
        for i, (image, label) in enumerate(zip(*arrays(data, name), strict=True)):
            (partial / label).mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.squeeze(image)).save(partial / label / f"{i:05d}.png")
    partial.rename(folder)
    return folder


def drawn(folder: Path, images: int, independent: int, seed: int) -> tuple[list[Path], list[Path]]:
    """Return files for a study and others to judge it on; each class has at least FEWEST in the study."""
    rng = np.random.default_rng(seed)
    files = sorted(folder.glob("*/*"))
    order = [files[i] for i in rng.permutation(len(files))]
    first: list[Path] = []
    for kind in sorted({file.parent.name for file in files}):
        first += [file for file in order if file.parent.name == kind][:FEWEST]
    chosen = first + [file for file in order if file not in set(first)][: images - len(first)]
    rest = [file for file in order if file not in set(chosen)]
    return chosen, rest[:independent]


def linked(files: list[Path], folder: Path) -> Path:
    """Copy files into class folders below a new one."""
    for file in files:
        target = folder / file.parent.name / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())
    return folder


# Studies.


def compare(data: Path | str, out: Path, *options: str) -> dict[str, float | None]:
    """Run a study as a user does; return its seconds, and after how many the page was there."""
    start, page = time.monotonic(), None
    command = [sys.executable, "-m", "sparring", "compare", str(data), "--out", str(out), *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        while process.poll() is None:
            time.sleep(0.2)
            if page is None and (out / "report.html").exists():
                page = time.monotonic() - start
        if process.returncode:
            raise SystemExit(f"{' '.join(command)}: {process.stderr.read().decode() if process.stderr else ''}")
    return {"seconds": time.monotonic() - start, "page": page}


def judged(study: Study, source: ImageSet, others: ImageSet) -> dict[str, dict[str, list[float]]]:
    """Return method -> measure -> value of each draw, of every method with fits at the largest budget of a study."""
    definition = study.definition
    budget = definition.budgets[-1]
    prepared = split_and_seal(source, seed=definition.settings.seed, test=definition.settings.test)
    names = sorted({row.method for row in study.rows().values() if row.budget == budget and row.status == "ok"})
    seed, pretrained = definition.settings.seed, definition.settings.pretrained
    draws = [label_draws(prepared, [budget], seed=seed, repeat=repeat)[budget] for repeat in range(DRAWS)]
    seeds = [seed_of(seed, budget, repeat) for repeat in range(DRAWS)]
    images = prepared.images[prepared.train]
    jobs = [(name, repeat) for name in names for repeat in range(DRAWS)]
    found: list[Any] = list(
        Parallel(n_jobs=2)(
            delayed(tested)(name, images, draws[repeat], seeds[repeat], pretrained, others) for name, repeat in jobs
        )
    )
    return {
        name: {
            measure: [both[i] for (method, _), both in zip(jobs, found, strict=True) if method == name]
            for i, measure in enumerate(("accuracy", "balanced accuracy"))
        }
        for name in names
    }


def tested(
    name: str, images: np.ndarray, labels: np.ndarray, seed: int, pretrained: str, others: ImageSet
) -> tuple[float, float]:
    """Return accuracy and balanced accuracy of a method on other images."""
    estimator = METHODS[name].make(random_state=seed, minutes=None, threads=1, pretrained=pretrained)
    estimator.fit(images, labels)
    right = np.asarray(estimator.classes_)[estimator.predict_proba(others.images).argmax(1)] == others.labels
    return float(right.mean()), float((right * class_weights(others.labels)).mean())


def regret(data: Path, out: Path, number: int) -> None:
    """Make a study and judge its advice; the answer goes to OUT/regret/NUMBER.json."""
    asked = STUDIES[number]
    done = out / "regret" / f"{number:02d}.json"
    if done.exists():
        return
    everything = folders(data, asked.data, out)
    independent = {"clothes": 500, "tiles": 300, "digits": 1000}.get(asked.data, 1500)
    chosen, others = drawn(everything, asked.images, independent, seed=number)
    source = out / "regret" / f"{number:02d}-{asked.data}"
    if not source.exists():
        linked(chosen, source)
        linked(others, source.with_name(f"{source.name}-independent"))
    options = ["--minutes", "4", *(["--labels", asked.labels] if asked.labels else [])]
    folder = source.with_name(f"{source.name}-study")
    times = compare(source, folder, *options)
    summary, study = Summary.read(folder), Study.read(folder)
    images = load(str(source))
    independent_images = load(str(source.with_name(f"{source.name}-independent")), size=images.images.shape[1:3])
    assert independent_images.classes == images.classes
    scores = judged(study, images, independent_images)
    done.write_text(
        json.dumps(
            {
                **asked._asdict(),
                **times,
                "day": time.strftime("%Y-%m-%d"),
                "machine": hardware()["cpu"],
                "independent": len(independent_images),
                "leading": summary.leading,
                "recommended": summary.recommended,
                "verdict": summary.verdict,
                "budget": study.definition.budgets[-1],
                "scores": scores,
            },
            indent=1,
        )
    )
    print(number, asked, regret_of(json.loads(done.read_text())), summary.verdict, flush=True)


def advise_again(out: Path) -> None:
    """Measure and advise again from the rows of the studies that are there; nothing is fitted."""
    for done in sorted((out / "regret").glob("*.json")):
        found = json.loads(done.read_text())
        summary = summarise(done.with_name(f"{done.stem}-{found['data']}-study"))
        found |= {"leading": summary.leading, "recommended": summary.recommended, "verdict": summary.verdict}
        done.write_text(json.dumps(found, indent=1))
        print(done.stem, regret_of(found), summary.verdict, flush=True)


def regret_of(found: dict) -> tuple[float, str]:
    """Return the regret in points, and the best method. Advice of nothing is that of the best guess without images."""
    means = {name: 100 * float(np.mean(each[found["leading"]])) for name, each in found["scores"].items()}
    best = max(means, key=lambda name: means[name])
    return means[best] - means.get(found["recommended"] or "majority", means[best]), best


def noise(out: Path) -> None:
    """Make 20 studies of three classes of 80 images of noise each."""
    for seed in range(20):
        folder = out / "noise" / f"{seed:02d}"
        rng = np.random.default_rng(seed)
        for kind in "abc" if not folder.exists() else "":
            (folder / kind).mkdir(parents=True)
            for i in range(80):
                Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(folder / kind / f"{i:02d}.png")
        study = folder.with_name(f"{folder.name}-study")
        if not (study / "model").exists() and not (study / "report.html").exists():
            compare(folder, study, "--minutes", "1.5", "--seed", str(seed))
        print(seed, Summary.read(study).verdict, flush=True)


def punctual(data: Path, out: Path) -> None:
    """Make the default study of the folders of clothes and of CIFAR-10."""
    for name in ("clothes", "cifar10"):
        study = out / "time" / name
        if not (study / "times.json").exists():
            times = compare(folders(data, name, out), study)
            (study / "times.json").write_text(json.dumps(times))
        print(name, (study / "times.json").read_text(), Summary.read(study).verdict, flush=True)


# Results.


def tables(out: Path) -> str:
    """Return results/promises.md."""
    parts = ["# What `sparring compare` promises", "", f"{hardware()['cpu']}, two cores. `benchmarks/promises.py`.", ""]
    parts += [*time_table(out), *noise_table(out), *regret_table(out)]
    return "\n".join(parts)


def time_table(out: Path) -> list[str]:
    rows = []
    for path in sorted((out / "time").glob("*/times.json")):
        times, summary = json.loads(path.read_text()), Summary.read(path.parent)
        out_of_time = ", ".join(dict.fromkeys(arm.method for arm in summary.short if not arm.repeats)) or "-"
        minutes, page = f"{times['seconds'] / 60:.1f}", f"{times['page']:.0f}"
        cells = path.parent.name, f"{summary.data.images:,}", minutes, page, out_of_time, summary.verdict
        rows.append(f"| {' | '.join(cells)} |")
    head = ["| folder | images | minutes | first page after, s | left out | headline |", "|---|---|---|---|---|---|"]
    return ["## The default study", "", *head, *rows, ""] if rows else []


def noise_table(out: Path) -> list[str]:
    found = [Summary.read(path) for path in sorted((out / "noise").glob("*-study"))]
    said = sum(summary.recommended is None for summary in found)
    title = f"3 classes x 80 images, `--minutes 1.5`, {len(found)} seeds: nothing learned in {said}."
    wrong = [f"- {i}: {s.verdict}" for i, s in enumerate(found) if s.recommended]
    return ["## Pure noise", "", title, "", *wrong, ""] if found else []


def regret_table(out: Path) -> list[str]:
    found = [json.loads(path.read_text()) for path in sorted((out / "regret").glob("*.json"))]
    if not found:
        return []
    each = [regret_of(row)[0] for row in found]
    head = [
        "| images of | images | labels a class | minutes | advice | tested on | advice, % | best, % | regret |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    rows = []
    for row, points in zip(found, each, strict=True):
        best = regret_of(row)[1]
        top = 100 * float(np.mean(row["scores"][best][row["leading"]]))
        rows.append(
            f"| {row['data']} | {row['images']:,} | {row['labels'] or 'default'} | {row['seconds'] / 60:.1f} | "
            f"{row['recommended'] or 'nothing learned'} | {row['independent']:,} | {top - points:.1f} | "
            f"{top:.1f} ({best}) | {points:.1f} |"
        )
    said = (
        f"{len(found)} studies of `--minutes 4`: regret {np.mean(each):.2f} points on average, at most 3 points in "
        f"{sum(p <= 3 for p in each)} of {len(each)}."
    )
    return ["## The advice against the best method, by images that the study never saw", "", said, "", *head, *rows, ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("what", choices=("time", "regret", "noise", "advise", "tables"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", type=int, nargs="+", default=range(len(STUDIES)))
    options = parser.parse_args()
    (options.out / "regret").mkdir(parents=True, exist_ok=True)
    (options.out / "time").mkdir(exist_ok=True)
    if options.what == "regret":
        for number in options.only:
            regret(options.data, options.out, number)
    elif options.what == "advise":
        advise_again(options.out)
    elif options.what == "noise":
        noise(options.out)
    elif options.what == "time":
        punctual(options.data, options.out)
    else:
        RESULTS.write_text(tables(options.out))


if __name__ == "__main__":
    main()
