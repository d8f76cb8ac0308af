"""Made-up but consistent studies for the report's tests: a summary.json and the pictures it names.

Every number is computed from simulated predictions, so that tables, figures and sentences agree with each other. All
methods meet the same hard and easy images, as in a real study, so differences are paired.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sparring import stats
from sparring.records import to_json
from sparring.stats import Bin, Difference, Interval, RepeatedInterval
from sparring.study.advice import advise
from sparring.study.analysis import ABLATIONS
from sparring.study.records import (
    FORMAT,
    Ablation,
    ArmScore,
    ClassRecall,
    Comparison,
    ConfusionCounts,
    DuplicateCounts,
    FailedFit,
    FitSeconds,
    GameCurves,
    GateRow,
    HeldOutPart,
    LabelBudget,
    MethodEntry,
    Mistake,
    Recommendation,
    ReliabilityBins,
    StudyData,
    StudyMachine,
    Summary,
    TieGroups,
    UnmeasuredArm,
)

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


MACHINE = StudyMachine("AMD EPYC 9V74", 2, 15.6, "cpu", precision="fp32", threads=1, jobs=2)


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
    (folder / "summary.json").write_text(json.dumps(to_json(summary, kinds=False), indent=1))
    _draw_pictures(folder, summary)
    return folder


def make_summary(*, methods, budgets, classes, repeats, test, failed, name, seed) -> Summary:
    names = tuple(str(c) for c in (range(classes) if isinstance(classes, int) else classes))
    truth, easy = _truth(len(names), test, seed)
    arms = {}
    for m in methods:
        for b, budget in enumerate(budgets):
            if (m, budget) not in failed:
                arms[m, budget] = [
                    _probabilities(m, b / max(1, len(budgets) - 1), truth, easy, len(names), seed, r)
                    for r in range(repeats)
                ]
    accuracy = {arm: [float(np.mean(p.argmax(1) == truth)) for p in runs] for arm, runs in arms.items()}
    pairs = _pairs(arms, truth, methods, budgets)
    summary = Summary(
        format=FORMAT,
        created="2026-11-20T23:40:00+00:00",
        command=f"sparring compare {name} --labels {','.join(budgets)} --repeats {repeats}",
        name=name,
        sparring="0.1.0",
        versions={"sparring": "0.1.0", "python": "3.11.2", "torch": "2.13.0", "scikit-learn": "1.9.1"},
        machine=MACHINE,
        data=_data(names, truth, name),
        test=HeldOutPart(test, looks=1),
        repeats=repeats,
        seed=seed,
        fingerprint="0123456789abcdef",
        minutes_each=None,
        budgets=tuple(LabelBudget(b, _labels(b, len(names), test)) for b in budgets),
        methods=tuple(MethodEntry(m, METHODS[m][0], METHODS[m][2], METHODS[m][1], METHODS[m][3]) for m in methods),
        scores=tuple(_score(m, b, runs, truth, seed) for (m, b), runs in arms.items()),
        unmeasured=tuple(UnmeasuredArm(m, b, repeats) for m in methods for b in budgets if (m, b) in failed),
        errors=tuple(
            FailedFit(m, b, r, "fit-failed", "the loss was never finite") for m, b in failed for r in range(repeats)
        ),
        pairs=pairs,
        tie_groups=_tie_groups(accuracy, pairs, methods, budgets),
        per_class=tuple(row for arm, runs in arms.items() for row in _recalls(arm, runs, truth, names)),
        confusion=tuple(_confusion(arm, runs, truth, len(names)) for arm, runs in arms.items()),
        reliability=tuple(_reliability(arm, runs, truth) for arm, runs in arms.items()),
        games=tuple(_game(m, b, seed) for m, b in arms if m in GAMES),
        gates=tuple(_gate(b, r, seed) for m, b in arms if m == "gan-augment" for r in range(repeats)),
        notes=(),
        ablations=tuple(_ablations(pairs)),
        covers="Intervals and verdicts speak about new draws of the labelled images. Not about other data.",
        recommendation=Recommendation(None, None, ""),
        verdict="",
        mistakes=(),
    )
    recommendation, verdict = advise(summary)
    best = recommendation.method, recommendation.budget
    return replace(
        summary,
        recommendation=replace(recommendation, model="model"),
        verdict=verdict,
        mistakes=_mistakes(*best, arms, truth, names),
    )


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


def _interval(each: Sequence[float]) -> Interval:
    """Mean and t interval of independent values."""
    mean, n = float(np.mean(each)), len(each)
    half = stats.t_quantile(n - 1) * float(np.std(each, ddof=1)) / math.sqrt(n) if n > 1 else 0.0
    return Interval(mean, mean - half, mean + half)


def _score(method, budget, runs, truth, seed) -> ArmScore:
    right = np.stack([p.argmax(1) == truth for p in runs])
    own = [p[np.arange(len(truth)), truth] for p in runs]
    seconds = METHODS[method][6] * np.random.default_rng([seed, len(method)]).uniform(0.9, 1.3, len(runs))
    balanced = tuple(float(np.mean([r[truth == c].mean() for c in np.unique(truth)])) for r in right)
    return ArmScore(
        method,
        budget,
        n=len(runs),
        failed=0,
        accuracy=RepeatedInterval(*stats.share_interval(right), tuple(right.mean(1).tolist())),
        balanced_accuracy=RepeatedInterval(*stats.balanced_interval(right, truth, runs[0].shape[1]), balanced),
        ece=_interval([float(abs(p.max(1).mean() - r.mean())) + 0.004 for p, r in zip(runs, right, strict=True)]),
        nll=_interval([float(-np.log(np.maximum(o, 1e-12)).mean()) for o in own]),
        brier=_interval([float(((p - np.eye(p.shape[1])[truth]) ** 2).sum(1).mean()) for p in runs]),
        seconds=FitSeconds(float(np.median(seconds)), tuple(seconds.tolist())),
    )


def _pairs(arms, truth, methods, budgets) -> tuple[Comparison, ...]:
    right = {arm: np.stack([p.argmax(1) == truth for p in runs]) for arm, runs in arms.items()}
    keys = [
        (budget, a, b) for budget in budgets for a, b in combinations([m for m in methods if (m, budget) in arms], 2)
    ]
    family = stats.with_verdicts([stats.paired(right[a, budget], right[b, budget]) for budget, a, b in keys])
    return tuple(
        Comparison(
            budget,
            a,
            b,
            pair.difference,
            n=pair.repeats,
            p=pair.p,
            p_sign_flip=pair.p_sign_flip,
            p_holm=pair.p_holm,
            p_tost=pair.p_tost,
            verdict=pair.verdict,
            sentence=pair.sentence,
        )
        for (budget, a, b), pair in zip(keys, family, strict=True)
    )


def _tie_groups(accuracy, pairs, methods, budgets) -> tuple[TieGroups, ...]:
    won = {(p.budget, p.a, p.b) for p in (*pairs, *(p.reversed() for p in pairs)) if p.verdict == "better"}
    out = []
    for budget in budgets:
        means = {m: float(np.mean(accuracy[m, budget])) for m in methods if (m, budget) in accuracy}
        groups = stats.tie_groups(list(means), means, lambda a, b, at=budget: (at, a, b) in won)
        out.append(TieGroups(budget, tuple(map(tuple, groups))))
    return tuple(out)


def _recalls(arm, runs, truth, names) -> list[ClassRecall]:
    rows = []
    for k, name in enumerate(names):
        of = int((truth == k).sum())
        right = float(np.mean([(p.argmax(1)[truth == k] == k).sum() for p in runs]))
        rows.append(ClassRecall(*arm, name, right, of, *stats.wilson(right, of)))
    return rows


def _confusion(arm, runs, truth, classes) -> ConfusionCounts:
    counts = np.zeros((classes, classes), int)
    for p in runs:
        np.add.at(counts, (truth, p.argmax(1)), 1)
    return ConfusionCounts(*arm, tuple(map(tuple, counts.tolist())))


def _reliability(arm, runs, truth) -> ReliabilityBins:
    confidence = np.concatenate([p.max(1) for p in runs])
    right = np.concatenate([p.argmax(1) == truth for p in runs])
    bins = [
        Bin(float(confidence[part].mean()), float(right[part].mean()), len(part))
        for part in np.array_split(np.argsort(confidence, kind="stable"), 15)
        if len(part)
    ]
    return ReliabilityBins(*arm, tuple(bins))


def _mistakes(method, budget, arms, truth, names) -> tuple[Mistake, ...]:
    if (method, budget) not in arms:
        return ()
    p = arms[method, budget][0]
    said, confidence = p.argmax(1), p.max(1)
    wrong = [i for i in np.argsort(-confidence) if said[i] != truth[i]][:12]
    return tuple(
        Mistake(
            method,
            budget,
            picture=f"pictures/mistake-{n}.png",
            true=names[truth[i]],
            said=names[said[i]],
            confidence=float(confidence[i]),
            wrong_in=1,
            of=len(arms[method, budget]),
            origin=f"test/{names[truth[i]]}/{i:04d}.png",
        )
        for n, i in enumerate(wrong)
    )


def _game(method, budget, seed) -> GameCurves:
    rng = np.random.default_rng([seed, len(budget), len(method)])
    seen = np.linspace(0, 60_000, 40)
    curves = {}
    for k, name in enumerate(GAMES[method]):
        level = 0.5 + 0.3 * np.sin(k) * (1 - np.exp(-seen / 15_000)) + 0.03 * rng.normal(size=len(seen))
        curves[name] = tuple((int(s), float(v)) for s, v in zip(seen, level, strict=True))
    where = f"runs/{method}-{budget}-0"
    note = "60,000 images seen; no collapse, no non-finite step"
    return GameCurves(method, budget, 0, curves, f"{where}/generated.png", f"{where}/real.png", note)


def _gate(budget, repeat, seed) -> GateRow:
    without = float(0.9 + 0.01 * np.random.default_rng([seed, repeat]).normal())
    difference = float(0.012 * np.random.default_rng([seed, repeat, 1]).normal())
    passed = difference > 0.01
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
    )


def _ablations(pairs) -> list[Ablation]:
    out = []
    for kind, what, a, b in ABLATIONS:
        for row in pairs:
            if {row.a, row.b} == {a, b}:
                pair = row if row.a == a else row.reversed()
                found = Difference(*_interval(pair.difference.each), pair.difference.each)
                out.append(Ablation(kind, what, pair.budget, a, b, found, pair.n, pair.p_holm, pair.verdict))
    return out


def _data(names, truth, name) -> StudyData:
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
    _sheet(summary.data.classes[:10], 10, 0.0, rng, folder / "pictures" / "data.png")
    for game in summary.games:
        names = summary.data.classes[:8]
        _sheet(names, 8, 0.0, rng, folder / str(game.real))
        _sheet(names, 8, 60.0, rng, folder / str(game.generated))
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
