"""Made-up but consistent studies for the report's tests: a summary.json and the pictures it names.

Every number is computed from simulated predictions, so that tables, figures and sentences agree with each other. All
methods meet the same hard and easy images, as in a real study, so differences are paired.
"""

import json
import math
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sparring import stats
from sparring.study.advice import advise

METHODS = {  # name: title, family, what, cites, skill at few labels, skill at many, seconds
    "majority": ("Most frequent class", "floor", "always says the most frequent class", (), -99.0, -99.0, 0.001),
    "logistic": (
        "Logistic regression",
        "traditional",
        "edge histograms of the picture (HOG) and a linear classifier",
        ("Dalal & Triggs 2005, doi:10.1109/CVPR.2005.177",),
        1.2,
        2.3,
        0.4,
    ),
    "svm": (
        "Support vector machine",
        "traditional",
        "edge histograms of the picture (HOG) and a support vector machine",
        ("Dalal & Triggs 2005, doi:10.1109/CVPR.2005.177", "Cortes & Vapnik 1995, doi:10.1007/BF00994018"),
        1.3,
        2.9,
        0.7,
    ),
    "spreading": (
        "Label spreading",
        "traditional",
        "passes the labels on between pictures that look alike, unlabelled ones included",
        ("Zhou et al. 2004, Learning with local and global consistency",),
        2.6,
        3.2,
        1.1,
    ),
    "cnn": (
        "Convolutional network",
        "network",
        "a small modern network on the labelled pictures, with augmentation",
        ("He et al. 2016, arXiv:1512.03385",),
        1.7,
        3.3,
        9.0,
    ),
    "consistency": (
        "Network with unlabelled pictures",
        "network",
        "the same network; it must give two views of an unlabelled picture the same answer",
        ("Sohn et al. 2020, arXiv:2001.07685", "Wang et al. 2023, arXiv:2205.07246"),
        2.9,
        3.7,
        17.0,
    ),
    "semi-gan": (
        "Network that also judges generated pictures",
        "gan",
        "the same network, unlabelled pictures included, trained against a generator as well",
        ("Salimans et al. 2016, arXiv:1606.03498",),
        3.0,
        3.65,
        31.0,
    ),
    "gan-augment": (
        "Network with generated pictures",
        "gan",
        "the network of cnn with extra pictures drawn by a GAN, used only if they help",
        ("Mirza & Osindero 2014, arXiv:1411.1784",),
        1.75,
        3.3,
        26.0,
    ),
}
GAMES = {
    "semi-gan": (
        "D/Classify/labelled",
        "D/TeacherMatching",
        "D/FractionReal/real",
        "D/FractionReal/fake",
        "G/TeacherMatching",
    ),
    "gan-augment": ("D/NonSaturating", "D/FractionReal/real", "D/FractionReal/fake", "G/NonSaturating", "mine"),
}


MACHINE = {
    "cpu": "AMD EPYC 9V74",
    "cores": 2,
    "memory_gib": 15.6,
    "device": "cpu",
    "precision": "fp32",
    "threads": 1,
    "jobs": 2,
}


def study_folder(
    folder: Path,
    *,
    methods: Sequence[str] = tuple(METHODS),
    budgets: Sequence[str] = ("5", "20"),
    classes: Sequence[str] | int = 10,
    repeats: int = 6,
    test: int = 360,
    failed: Sequence[tuple[str, str]] = (),
    name: str = "digits",
    seed: int = 0,
) -> Path:
    """Writes summary.json and its pictures into `folder`; `failed` arms (method, budget) have no score, only errors."""
    summary = make_summary(
        methods=methods,
        budgets=budgets,
        classes=classes,
        repeats=repeats,
        test=test,
        failed=failed,
        name=name,
        seed=seed,
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "summary.json").write_text(json.dumps(summary, indent=1))
    _draw_pictures(folder, summary)
    return folder


def make_summary(*, methods, budgets, classes, repeats, test, failed, name, seed) -> dict:
    names = [str(c) for c in (range(classes) if isinstance(classes, int) else classes)]
    truth, easy = _truth(len(names), test, seed)
    arms = {}
    for b, budget in enumerate(budgets):
        for m in methods:
            if (m, budget) not in failed:
                arms[m, budget] = [
                    _probabilities(m, b / max(1, len(budgets) - 1), truth, easy, len(names), seed, r)
                    for r in range(repeats)
                ]
    accuracy = {arm: [float(np.mean(p.argmax(1) == truth)) for p in runs] for arm, runs in arms.items()}
    pairs = _pairs(arms, truth, methods, budgets)
    tables = {
        "budgets": [{"budget": b, "labels": _labels(b, len(names), test)} for b in budgets],
        "methods": [
            {"name": m, "title": METHODS[m][0], "what": METHODS[m][2], "family": METHODS[m][1], "cites": METHODS[m][3]}
            for m in methods
        ],
        "scores": [
            _score(m, b, arms.get((m, b)), truth, seed, failed=repeats * ((m, b) in failed))
            for m in methods
            for b in budgets
        ],
        "errors": [
            {"method": m, "budget": b, "repeat": r, "id": "fit-failed", "reason": "the loss was never finite"}
            for m, b in failed
            for r in range(repeats)
        ],
        "pairs": pairs,
        "tie_groups": _tie_groups(accuracy, pairs, methods, budgets),
        "per_class": [row for arm, runs in arms.items() for row in _recalls(arm, runs, truth, names)],
        "confusion": [_confusion(arm, runs, truth, len(names)) for arm, runs in arms.items()],
        "reliability": [_reliability(arm, runs, truth) for arm, runs in arms.items()],
        "games": [_game(m, b, seed) for m, b in arms if m in GAMES],
        "gates": [_gate(b, r, seed) for m, b in arms if m == "gan-augment" for r in range(repeats)],
        "notes": [],
        "ablations": _ablations(pairs),
        "covers": "Intervals and verdicts speak about new draws of the labelled images. Not about other data.",
    }
    summary = {
        "format": 1,
        "created": "2026-11-20T23:40:00+00:00",
        "command": f"sparring compare {name} --labels {','.join(budgets)} --repeats {repeats}",
        "name": name,
        "sparring": "0.1.0",
        "versions": {"sparring": "0.1.0", "python": "3.11.2", "torch": "2.13.0", "scikit-learn": "1.9.1"},
        "machine": MACHINE,
        "data": _data(names, truth, name),
        "test": {"images": test, "looks": 1},
        "repeats": repeats,
        "seed": seed,
        "minutes_each": None,
    } | tables
    summary["recommendation"], summary["verdict"] = advise(summary)
    best, budget = (summary["recommendation"][key] for key in ("method", "budget"))
    summary["recommendation"]["model"] = "model"
    return summary | {"mistakes": _mistakes(best, budget, arms, truth, names)}


def _labels(budget: str, classes: int, test: int) -> int:
    return test * 4 if budget == "all" else int(budget) * classes


def _truth(classes: int, test: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = np.arange(test) % classes
    truth[: test // 12] = 0  # a class that is more frequent than the others
    truth = np.sort(truth)
    return truth, rng.normal(size=test)


def _probabilities(method, progress, truth, easy, classes, seed, repeat) -> np.ndarray:
    """[T,K] a method's probabilities; an image that is hard for one method tends to be hard for all."""
    skill = METHODS[method][4] * (1 - progress) + METHODS[method][5] * progress
    if skill < -9:
        return np.eye(classes)[np.zeros_like(truth)] * 0.999 + 0.001 / classes
    rng = np.random.default_rng([seed, repeat, sum(map(ord, method)), int(progress * 10)])
    margin = skill + 0.25 * rng.normal() + 1.1 * easy + 0.9 * rng.normal(size=len(truth))
    logits = rng.normal(size=(len(truth), classes)) * 0.6
    rival = (truth * 7 + 3) % classes
    rival = np.where(rival == truth, (truth + 1) % classes, rival)
    logits[np.arange(len(truth)), rival] += 2.0
    logits[np.arange(len(truth)), truth] += 2.0 + 1.6 * margin
    p = np.exp(logits - logits.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)


def _interval(each: list[float]) -> dict:
    mean, low, high = stats.mean_interval(each)
    return {"mean": mean, "low": _finite(low), "high": _finite(high), "each": each}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _score(method, budget, runs, truth, seed, *, failed) -> dict:
    row = {"method": method, "budget": budget, "n": len(runs or []), "failed": failed}
    if not runs:
        nothing = {"mean": None, "low": None, "high": None}
        several = {key: {**nothing, "each": []} for key in ("accuracy", "balanced_accuracy")}
        return (
            row | several | {"ece": nothing, "nll": nothing, "brier": nothing, "seconds": {"median": None, "each": []}}
        )
    right = np.stack([p.argmax(1) == truth for p in runs])
    own = [p[np.arange(len(truth)), truth] for p in runs]
    each = {
        "ece": [float(abs(p.max(1).mean() - r.mean())) + 0.004 for p, r in zip(runs, right, strict=True)],
        "nll": [float(-np.log(np.maximum(o, 1e-12)).mean()) for o in own],
        "brier": [float(((p - np.eye(p.shape[1])[truth]) ** 2).sum(1).mean()) for p in runs],
    }
    seconds = METHODS[method][6] * np.random.default_rng([seed, len(method)]).uniform(0.9, 1.3, len(runs))
    accuracy = stats.share_interval(right)._asdict() | {"each": right.mean(1).tolist()}
    balanced = [float(np.mean([r[truth == c].mean() for c in np.unique(truth)])) for r in right]
    several = stats.balanced_interval(right, truth, runs[0].shape[1])._asdict() | {"each": balanced}
    row |= {"accuracy": accuracy, "balanced_accuracy": several}
    row |= {key: _interval(values) for key, values in each.items()}
    return row | {"seconds": {"median": float(np.median(seconds)), "each": seconds.tolist()}}


def _pairs(arms, truth, methods, budgets) -> list[dict]:
    right = {arm: np.stack([p.argmax(1) == truth for p in runs]) for arm, runs in arms.items()}
    keys = [
        (budget, a, b) for budget in budgets for a, b in combinations([m for m in methods if (m, budget) in arms], 2)
    ]
    family = stats.judged([stats.paired(right[a, budget], right[b, budget]) for budget, a, b in keys])
    return [
        {
            "budget": budget,
            "a": a,
            "b": b,
            "n": pair.repeats,
            "p": pair.p,
            "p_sign_flip": pair.p_sign_flip,
            "p_holm": pair.p_holm,
            "p_tost": pair.p_tost,
        }
        | {"difference": {"mean": pair.mean, "low": pair.low, "high": pair.high, "each": list(pair.each)}}
        | {"verdict": pair.verdict, "sentence": pair.sentence}
        for (budget, a, b), pair in zip(keys, family, strict=True)
    ]


def _tie_groups(accuracy, pairs, methods, budgets) -> list[dict]:
    won = {(p["budget"], p["a"], p["b"]) for p in pairs if p["verdict"] == "better"}
    won |= {(p["budget"], p["b"], p["a"]) for p in pairs if p["verdict"] == "worse"}
    out = []
    for budget in budgets:
        means = {m: float(np.mean(accuracy[m, budget])) for m in methods if (m, budget) in accuracy}
        groups = stats.tie_groups(list(means), means, lambda a, b, at=budget: (at, a, b) in won)
        out.append({"budget": budget, "groups": groups})
    return out


def _recalls(arm, runs, truth, names) -> list[dict]:
    rows = []
    for k, name in enumerate(names):
        of = int((truth == k).sum())
        right = float(np.mean([(p.argmax(1)[truth == k] == k).sum() for p in runs]))
        share, low, high = stats.wilson(right, of)
        rows.append(
            {"method": arm[0], "budget": arm[1], "class": name, "right": right, "of": of, "recall": share}
            | {"low": low, "high": high}
        )
    return rows


def _confusion(arm, runs, truth, classes) -> dict:
    counts = np.zeros((classes, classes), int)
    for p in runs:
        np.add.at(counts, (truth, p.argmax(1)), 1)
    return {"method": arm[0], "budget": arm[1], "counts": counts.tolist()}


def _reliability(arm, runs, truth) -> dict:
    confidence = np.concatenate([p.max(1) for p in runs])
    right = np.concatenate([p.argmax(1) == truth for p in runs])
    bins = [
        {"confidence": float(confidence[part].mean()), "accuracy": float(right[part].mean()), "count": len(part)}
        for part in np.array_split(np.argsort(confidence, kind="stable"), 15)
        if len(part)
    ]
    return {"method": arm[0], "budget": arm[1], "bins": bins}


def _mistakes(method, budget, arms, truth, names) -> list[dict]:
    if (method, budget) not in arms:
        return []
    p = arms[method, budget][0]
    said, confidence = p.argmax(1), p.max(1)
    wrong = [i for i in np.argsort(-confidence) if said[i] != truth[i]][:12]
    return [
        {"method": method, "budget": budget, "picture": f"pictures/mistake-{n}.png", "true": names[truth[i]]}
        | {
            "wrong_in": 1,
            "of": len(arms[method, budget]),
            "said": names[said[i]],
            "confidence": float(confidence[i]),
            "origin": f"test/{names[truth[i]]}/{i:04d}.png",
        }
        for n, i in enumerate(wrong)
    ]


def _game(method, budget, seed) -> dict:
    rng = np.random.default_rng([seed, len(budget), len(method)])
    seen = np.linspace(0, 60_000, 40)
    curves = {}
    for k, name in enumerate(GAMES[method]):
        level = 0.5 + 0.3 * np.sin(k) * (1 - np.exp(-seen / 15_000)) + 0.03 * rng.normal(size=len(seen))
        curves[name] = [[int(s), float(v)] for s, v in zip(seen, level, strict=True)]
    where = f"runs/{method}-{budget}-0"
    return {
        "method": method,
        "budget": budget,
        "repeat": 0,
        "curves": curves,
        "generated": f"{where}/generated.png",
        "real": f"{where}/real.png",
        "note": "60,000 images seen; no collapse, no non-finite step",
    }


def _gate(budget, repeat, seed) -> dict:
    without = 0.9 + 0.01 * np.random.default_rng([seed, repeat]).normal()
    difference = 0.012 * np.random.default_rng([seed, repeat, 1]).normal()
    passed = difference > 0.01
    return {
        "method": "gan-augment",
        "budget": budget,
        "repeat": repeat,
        "passed": bool(passed),
        "without": float(without),
        "with": float(without + difference),
        "difference": float(difference),
        "low": float(difference - 0.01),
        "high": float(difference + 0.01),
        "sentence": "generated images were used" if passed else "generated images did not help and were left out",
    }


def _ablations(pairs) -> list[dict]:
    out = []
    wanted = (
        ("unlabelled images", "consistency", "cnn"),
        ("the GAN", "semi-gan", "consistency"),
        ("generated images", "gan-augment", "cnn"),
    )
    for what, a, b in wanted:
        for row in pairs:
            if {row["a"], row["b"]} == {a, b}:
                sign = 1 if row["a"] == a else -1
                each = [sign * v for v in row["difference"]["each"]]
                verdict = row["verdict"]
                if sign < 0:
                    verdict = {"better": "worse", "worse": "better"}.get(verdict, verdict)
                out.append(
                    {
                        "what": what,
                        "budget": row["budget"],
                        "a": a,
                        "b": b,
                        "n": len(each),
                        "difference": _interval(each),
                    }
                    | {"p_holm": row["p_holm"], "verdict": verdict}
                )
    return out


def _data(names, truth, name) -> dict:
    test = {c: int((truth == k).sum()) for k, c in enumerate(names)}
    return {
        "name": name,
        "source": f"{name} (embedded)",
        "images": 5 * len(truth),
        "classes": names,
        "shape": [16, 16, 1],
        "counts": {"train": {c: 4 * n for c, n in test.items()}, "test": test},
        "unlabelled": 120,
        "bad_files_count": 2,
        "split": "0.2 of each class, seed 0",
        "bad_files": [["photos/broken.png", "truncated: 12 of 340 rows"], ["photos/notes.png", "text, not an image"]],
        "size_rule": "all images are 16 x 16 already",
        "duplicates": {"exact": 4, "near": 7, "across": 2, "moved": 2},
        "contact_sheet": "pictures/data.png",
    }


def _draw_pictures(folder: Path, summary: dict) -> None:
    rng = np.random.default_rng(0)
    _sheet(summary["data"]["classes"][:10], 10, 0.0, rng, folder / summary["data"]["contact_sheet"])
    for game in summary["games"]:
        names = summary["data"]["classes"][:8]
        _sheet(names, 8, 0.0, rng, folder / game["real"])
        _sheet(names, 8, 60.0, rng, folder / game["generated"])
    for mistake in summary["mistakes"]:
        _sheet([mistake["true"]], 1, 30.0, rng, folder / mistake["picture"], side=28)


def _sheet(names: Sequence[str], columns: int, noise: float, rng, path: Path, *, side: int = 24) -> None:
    """A PNG of one row per name: the name's first letter, shifted and noisy."""
    sheet = np.zeros((len(names) * side, columns * side), np.float64)
    for r, name in enumerate(names):
        letter = name[:1] if name[:1].isascii() and name[:1].isprintable() else "#"
        for c in range(columns):
            tile = Image.new("L", (side, side), 20)
            where = tuple(float(v) for v in rng.uniform(2, side / 2.5, 2))
            ImageDraw.Draw(tile).text((where[0], where[1] / 2), letter, fill=230, font=ImageFont.load_default(side / 2))
            sheet[r * side : (r + 1) * side, c * side : (c + 1) * side] = np.asarray(tile)
    sheet += noise * rng.normal(size=sheet.shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(sheet, 0, 255).astype(np.uint8)).save(path)
