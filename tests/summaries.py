"""Made-up but consistent studies for the report's tests: a summary.json and the pictures it names.

Every number is computed from simulated predictions, so that tables, figures and sentences agree with each other. All
methods meet the same hard and easy images, as in a real study, so differences are paired.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sparring.classifiers.fit_record import GateTrial
from sparring.records import to_json
from sparring.study import analysis
from sparring.study.ablations import ablations, starts_of, unclean
from sparring.study.advice import advise
from sparring.study.records import (
    STUDY_FORMAT,
    DuplicateCounts,
    FailedFit,
    FitNotes,
    GameCurves,
    GateRow,
    HeldOutPart,
    LabelBudget,
    MethodEntry,
    Mistake,
    Recommendation,
    StudyData,
    StudyMachine,
    UnmeasuredArm,
)
from sparring.study.summary import Summary

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
    "probe": (
        "Logistic regression on pretrained features",
        "pretrained",
        "features of a network that learned from ImageNet, and a linear classifier",
        ("Tan & Le 2019, arXiv:1905.11946",),
        2.4,
        3.3,
        0.6,
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
    "finetune": (
        "Pretrained network",
        "network",
        "a network that learned from ImageNet, trained on the labelled pictures",
        ("Kornblith et al. 2019, arXiv:1805.08974",),
        2.6,
        3.6,
        22.0,
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
    "ensemble": (
        "The best few together",
        "ensemble",
        "the mean of the methods that are best on held-out labels",
        (),
        3.1,
        3.8,
        60.0,
    ),
}
LITE = "efficientnet-lite0"
PRETRAINED = {  # what came from ImageNet, and the trunk
    "probe": (f"{LITE}: features", None),
    "finetune": (f"{LITE}: trunk", LITE),
    "ensemble": (f"{LITE}: trunk of a member", None),
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


MACHINE = StudyMachine("AMD EPYC 9V74", 2, 15.6, "cpu", "fp32", 1, 2)


def study_folder(folder: Path, **study) -> Path:
    """Write summary.json and its pictures into `folder`, and return it. Arguments are those of `make_summary`."""
    summary = make_summary(**study)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "summary.json").write_text(json.dumps(to_json(summary, kinds=False), indent=1))
    _draw_pictures(folder, summary)
    return folder


def make_summary(
    *,
    methods: Sequence[str] = tuple(METHODS),
    budgets: Sequence[str] = ("5", "20"),
    classes: Sequence[str] | int = 10,
    repeats: int = 6,
    test: int = 360,
    failed: Sequence[tuple[str, str]] = (),
    name: str = "digits",
    seed: int = 0,
) -> Summary:
    """Return the summary of a simulated study; `failed` arms (method, budget) have no score, only errors."""
    names = tuple(str(c) for c in (range(classes) if isinstance(classes, int) else classes))
    truth, easy = _truth(len(names), test, seed)
    arms = {}
    for m in methods:
        for b, budget in enumerate(budgets):
            if (m, budget) not in failed:
                proba = np.stack([_probabilities(m, b / max(1, len(budgets) - 1), truth, easy, len(names), seed, r)
                                  for r in range(repeats)])  # fmt: skip
                seconds = METHODS[m][6] * np.random.default_rng([seed, len(m)]).uniform(0.9, 1.3, repeats)
                notes = FitNotes(**dict(zip(("pretrained", "trunk"), PRETRAINED.get(m, (None, None)), strict=True)))
                rows: list = [SimpleNamespace(repeat=r, seconds=float(seconds[r]), notes=notes) for r in range(repeats)]
                arms[m, budget] = analysis.Arm.of(m, budget, rows, proba, truth)
    pairs = analysis.comparisons(arms, budgets, methods)
    starts = starts_of({place: arm.rows for place, arm in arms.items()})
    summary = Summary(
        format=STUDY_FORMAT,
        created="2026-11-20T23:40:00+00:00",
        command=f"sparring compare {name} --labels {','.join(budgets)} --repeats {repeats}",
        name=name,
        sparring="0.1.0",
        versions={"sparring": "0.1.0", "python": "3.11.2", "torch": "2.13.0", "scikit-learn": "1.9.1"},
        machine=MACHINE,
        data=_data(names, truth, name),
        test=HeldOutPart(test, 1),
        repeats=repeats,
        seed=seed,
        fingerprint="0123456789abcdef",
        minutes_each=None,
        budgets=tuple(LabelBudget(b, test * 4 if b == "all" else int(b) * len(names)) for b in budgets),
        methods=tuple(_method_entry(m) for m in methods),
        scores=tuple(analysis.score(arm, truth, len(names)) for arm in arms.values()),
        unmeasured=tuple(UnmeasuredArm(m, b, repeats) for m, b in failed),
        errors=tuple(FailedFit(m, b, r, "fit-failed", "the loss was never finite")
                     for m, b in failed for r in range(repeats)),
        pairs=pairs,
        tie_groups=analysis.tie_groups_of(arms, pairs, budgets),
        per_class=tuple(row for arm in arms.values() for row in analysis.recalled(arm, truth, names)),
        confusion=tuple(analysis.confused(arm, truth, len(names)) for arm in arms.values()),
        reliability=tuple(map(analysis.reliability, arms.values())),
        games=tuple(_game(m, b, seed) for m, b in arms if m in GAMES),
        gates=tuple(_gate(b, r, seed) for m, b in arms if m == "gan-augment" for r in range(repeats)),
        notes=(),
        ablations=tuple(ablations(pairs, starts)),
        unclean=tuple(unclean(starts)),
        pretrained=LITE if any(m in PRETRAINED for m in methods) else "none",
        covers="Intervals and verdicts speak about new draws of the labelled images. Not about other data.",
        recommendation=Recommendation(None, None, ""),
        verdict="",
        mistakes=(),
    )  # fmt: skip
    advice, verdict = advise(summary)
    mistakes = _mistakes(arms[advice.method, advice.budget], truth, names) if advice.method and advice.budget else ()
    return replace(summary, recommendation=replace(advice, model="model"), verdict=verdict, mistakes=mistakes)


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


def _method_entry(name: str) -> MethodEntry:
    title, family, what, cites, *_ = METHODS[name]
    return MethodEntry(name, title, what, family, cites)


def _mistakes(arm: analysis.Arm, truth: np.ndarray, names: Sequence[str]) -> tuple[Mistake, ...]:
    p = arm.summed / len(arm.rows)
    said, confidence = p.argmax(1), p.max(1)
    wrong = [i for i in np.argsort(-confidence).tolist() if said[i] != truth[i]][:12]
    return tuple(
        Mistake(
            method=arm.method,
            budget=arm.budget,
            picture=f"pictures/mistake-{n}.png",
            true=names[int(truth[i])],
            said=names[int(said[i])],
            confidence=float(confidence[i]),
            wrong_in=1,
            of=len(arm.rows),
            origin=f"test/{names[int(truth[i])]}/{i:04d}.png",
        )
        for n, i in enumerate(wrong)
    )


def _game(method: str, budget: str, seed: int) -> GameCurves:
    rng = np.random.default_rng([seed, len(budget), len(method)])
    seen = np.linspace(0, 60_000, 40)
    curves = {}
    for k, name in enumerate(GAMES[method]):
        level = 0.5 + 0.3 * np.sin(k) * (1 - np.exp(-seen / 15_000)) + 0.03 * rng.normal(size=len(seen))
        curves[name] = tuple((int(s), float(v)) for s, v in zip(seen, level, strict=True))
    where = f"runs/{method}-{budget}-0"
    note = "60,000 images seen; no collapse, no non-finite step"
    return GameCurves(method, budget, 0, curves, f"{where}/generated.png", f"{where}/real.png", note)


def _gate(budget: str, repeat: int, seed: int) -> GateRow:
    without = float(0.9 + 0.01 * np.random.default_rng([seed, repeat]).normal())
    difference = float(0.012 * np.random.default_rng([seed, repeat, 1]).normal())
    passed = difference > 0.01
    tried = (
        ("nothing", 0.0, 0.0),
        ("duplicates", 1.0, 0.002),
        ("generated", 0.25, difference),
        ("generated", 0.5, 0.0),
    )
    return GateRow(
        passed=passed,
        without=without,
        with_=without + difference,
        difference=difference,
        low=difference - 0.01,
        high=difference + 0.01,
        sentence="generated images were used" if passed else "generated images did not help and were left out",
        method="gan-augment",
        budget=budget,
        repeat=repeat,
        trials=tuple(GateTrial(extra, share, without + d, d, d - 0.01, d + 0.01) for extra, share, d in tried),
    )


def _data(names: tuple[str, ...], truth: np.ndarray, name: str) -> StudyData:
    test = {c: int((truth == k).sum()) for k, c in enumerate(names)}
    return StudyData(
        name=name,
        source=f"{name} (embedded)",
        layout="arrays",
        images=5 * len(truth),
        classes=names,
        shape=(16, 16, 1),
        unlabelled=120,
        size_rule="all images are 16 x 16 already",
        warnings=(),
        counts={"train": {c: 4 * n for c, n in test.items()}, "test": test},
        bad_files=(("photos/broken.png", "truncated: 12 of 340 rows"), ("photos/notes.png", "text, not an image")),
        bad_files_count=2,
        duplicates=DuplicateCounts(exact=4, near=7, across=2, moved=2),
        split="0.2 of each class, seed 0",
        contact_sheet="pictures/data.png",
    )


def _draw_pictures(folder: Path, summary: Summary) -> None:
    rng = np.random.default_rng(0)
    _sheet(summary.data.classes[:10], 10, 0.0, rng, folder / "pictures/data.png")
    for game in summary.games:
        _sheet(summary.data.classes[:8], 8, 0.0, rng, folder / (game.real or ""))
        _sheet(summary.data.classes[:8], 8, 60.0, rng, folder / (game.generated or ""))
    for mistake in summary.mistakes:
        _sheet([mistake.true], 1, 30.0, rng, folder / mistake.picture, side=28)


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
