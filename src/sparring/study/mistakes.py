"""Every answer and every mistake of a study as tables, the training labels to check, and what their page shows.

predictions.csv  a line for each test image and method at the largest budget
mistakes.csv     a line for each wrong answer of the recommended method, with the training image that is most like it
suspects.csv     a line for each training label that is probably wrong (label_errors)
mistakes.json    what the page mistakes.html shows of these; its pictures lie in pictures/mistakes
"""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from .. import files
from ..classifiers.described import described
from ..data import ImageSet
from ..errors import FileFormatError
from ..images import encode_png
from ..records import to_json
from .analysis import Arm, Arms, six_digits
from .audit.label_errors import FEWEST, CheckedLabels, check_labels
from .audit.small import small
from .fits import WORK, OnStudyProgress
from .mistake_list import (
    LIST,
    LIST_FORMAT,
    MISTAKES,
    PAGE,
    PREDICTIONS,
    SUSPECTS,
    LabelCheck,
    MistakeList,
    Suspect,
)
from .pictures import mistake, wrong_answers
from .plan import Study
from .prepared import Prepared
from .records import Mistake, StudyProgress
from .summary import Summary

SHOWN_MISTAKES, SHOWN_SUSPECTS = 500, 48  # pictures on the page
PICTURES = "pictures/mistakes"
LISTS = (PREDICTIONS, MISTAKES, SUSPECTS, LIST)
MISTAKE_COLUMNS = (
    "file", "truth", "answer", "confidence", "wrong_in", "repeats", "nearest", "nearest_class", "distance"
)  # fmt: skip
SUSPECT_COLUMNS = ("file", "label", "suggested", "confidence", "margin")
PREDICTION_COLUMNS = ("file", "method", "labels", "truth", "answer", "confidence", "right_share")


def write_lists(
    study: Study,
    summary: Summary,
    arms: Arms,
    truth: np.ndarray,
    *,
    images: ImageSet | None,
    prepared: Prepared | None,
    say: OnStudyProgress,
) -> Summary:
    """Write LISTS and the pictures of the page, and return the summary with their counts and names.

    Without images the lists of an older summary stay where it says the same; where not, they are removed.
    """
    if images is None or prepared is None:
        return with_old_lists(study.folder, summary)
    say(StudyProgress("summary", message="looking at mistakes and labels"))
    folder, features = study.folder, study_features(study, prepared)
    origins = [images.origins[i] for i in prepared.train.tolist()]
    arm = arms.get((summary.recommended or "", summary.recommendation.budget or ""))
    wrong = wrong_answers(arm, truth) if arm else np.zeros(0, np.int64)
    near = nearest_labelled(features, wrong, prepared.labels)
    groups, seed = images.clusters[prepared.train], study.definition.settings.seed
    checked = check_labels(features.train, prepared.labels, seed=seed, groups=groups)
    mistakes = tuple(mistakes_of(arm, wrong, near, truth, prepared, origins)) if arm else ()
    suspects = tuple(suspects_of(checked, prepared, origins))
    write_predictions(folder, main_arms(summary, arms), truth, prepared)
    files.write_csv(folder / MISTAKES, MISTAKE_COLUMNS, map(mistake_row, mistakes))
    files.write_csv(folder / SUSPECTS, SUSPECT_COLUMNS, map(suspect_row, suspects))
    draw_list(
        folder, wrong[:SHOWN_MISTAKES], near.index[:SHOWN_MISTAKES], checked.errors.index[:SHOWN_SUSPECTS], prepared
    )
    shown = MistakeList(
        format=LIST_FORMAT,
        method=arm.method if arm else None,
        budget=arm.budget if arm else None,
        wrong=len(mistakes),
        suspected=len(suspects),
        mistakes=mistakes[:SHOWN_MISTAKES],
        suspects=suspects[:SHOWN_SUSPECTS],
        check=label_check(checked, features, prepared),
    )
    files.write_json(folder / LIST, to_json(shown, kinds=False))
    return replace(summary, wrong=len(mistakes) if arm else None, suspects=len(suspects), files=LISTS)


def with_old_lists(folder: Path, summary: Summary) -> Summary:
    """Return the summary with the lists of the one in its folder where the scores are the same; else remove them."""
    with suppress(FileFormatError):
        old = Summary.read(folder)
        if (old.recommended, old.scores) == (summary.recommended, summary.scores):
            return replace(summary, wrong=old.wrong, suspects=old.suspects, files=old.files)
    for name in (*LISTS, PAGE):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / PICTURES, ignore_errors=True)
    return summary


# What is found.


@dataclass(frozen=True, eq=False)
class NearestLabelled:
    """The labelled training image nearest to each of some test images: which, int64 [W], and how far, float64 [W]."""

    index: np.ndarray
    distance: np.ndarray


def nearest_labelled(features: "StudyFeatures", test: np.ndarray, labels: np.ndarray) -> NearestLabelled:
    """Return the nearest labelled training images of test images [W]; labels int64 [N], -1 unlabelled."""
    from ..metrics.nearest import Points, nearest_points

    if not len(test):
        return NearestLabelled(test, np.zeros(0))
    known = np.flatnonzero(labels >= 0)
    queries, points = features.test[test], features.train[known]
    centre, scale = Points.frame(points, queries)
    found = nearest_points(Points(queries, centre, scale), Points(points, centre, scale), k=1)
    return NearestLabelled(known[found.index[:, 0]], np.sqrt(found.squared[:, 0]) / scale)


def mistakes_of(
    arm: Arm,
    wrong: np.ndarray,
    near: NearestLabelled,
    truth: np.ndarray,
    prepared: Prepared,
    origins: Sequence[str],
) -> Iterator[Mistake]:
    """Yield what was said of the test images `wrong` and which training images are nearest; `origins` of these [N]."""
    found = zip(wrong.tolist(), near.index.tolist(), near.distance.tolist(), strict=True)
    for place, (i, j, distance) in enumerate(found):
        yield replace(
            mistake(arm, i, truth, prepared, f"{PICTURES}/{place}.png"),
            nearest=origins[j],
            nearest_class=prepared.classes[prepared.labels[j]],
            nearest_picture=f"{PICTURES}/near-{j}.png",
            distance=six_digits(distance),
        )


def suspects_of(checked: CheckedLabels, prepared: Prepared, origins: Sequence[str]) -> Iterator[Suspect]:
    """Yield the suspected labels of training images, the most suspicious first."""
    names, found = prepared.classes, checked.errors
    each = zip(found.index.tolist(), found.suggested.tolist(), found.confidence, found.margin, strict=True)
    for place, (i, k, confidence, margin) in enumerate(each):
        yield Suspect(
            origin=origins[int(i)],
            label=names[prepared.labels[i]],
            suggested=names[k],
            confidence=six_digits(float(confidence)),
            margin=six_digits(float(margin)),
            picture=f"{PICTURES}/label-{place}.png",
        )


def label_check(checked: CheckedLabels, features: "StudyFeatures", prepared: Prepared) -> LabelCheck:
    few = tuple(prepared.classes[k] for k in checked.left_out)
    labels = int((prepared.labels >= 0).sum())
    return LabelCheck(features.name, labels, checked.checked, six_digits(checked.agreed), FEWEST, few)


# Files.


def mistake_row(m: Mistake) -> tuple[object, ...]:
    return m.origin, m.true, m.said, m.confidence, m.wrong_in, m.of, m.nearest, m.nearest_class, m.distance


def suspect_row(s: Suspect) -> tuple[object, ...]:
    return s.origin, s.label, s.suggested, s.confidence, s.margin


def main_arms(summary: Summary, arms: Arms) -> list[Arm]:
    """Return the arms at the largest budget that has any."""
    budgets = [b.budget for b in summary.budgets if any(budget == b.budget for _, budget in arms)]
    return [arm for arm in arms.values() if arm.budget == budgets[-1]] if budgets else []


def write_predictions(folder: Path, arms: Sequence[Arm], truth: np.ndarray, prepared: Prepared) -> None:
    """Write a line for each test image and arm: the class of the highest mean probability, and how often it was right.

    `labels` is the budget, labels per class or "all"; `right_share` counts the repeats whose own answer was right.
    """
    names = prepared.classes

    def rows() -> Iterator[tuple[object, ...]]:
        for arm in arms:
            mean = arm.summed / len(arm.rows)
            columns = truth, mean.argmax(1), mean.max(1).round(6), arm.right.mean(0).round(6)
            each = zip(prepared.test_origins, *(column.tolist() for column in columns), strict=True)
            for origin, true, said, confidence, right in each:
                yield origin, arm.method, arm.budget, names[true], names[said], confidence, right

    files.write_csv(folder / PREDICTIONS, PREDICTION_COLUMNS, rows())


def draw_list(folder: Path, wrong: np.ndarray, near: np.ndarray, suspected: np.ndarray, prepared: Prepared) -> None:
    """Draw the first test images of `wrong` and training images of `near` and `suspected` into PICTURES, made anew."""
    wrong, near, suspected = wrong[:SHOWN_MISTAKES], near[:SHOWN_MISTAKES], suspected[:SHOWN_SUSPECTS]
    wanted = {f"{place}.png": prepared.test[i] for place, i in enumerate(wrong.tolist())}
    wanted |= {f"near-{j}.png": prepared.train[j] for j in near.tolist()}
    wanted |= {f"label-{place}.png": prepared.train[i] for place, i in enumerate(suspected.tolist())}
    files.make_folder(folder / "pictures")
    with files.atomic_folder(folder / PICTURES) as temporary:
        for name, place in wanted.items():
            (temporary / name).write_bytes(encode_png(small(prepared.images[place])))


# Features.


@dataclass(frozen=True, eq=False)
class StudyFeatures:
    """Features of a study's images: what they are, in words, and float32 [N,F] of training, [T,F] of test images."""

    name: str
    train: np.ndarray
    test: np.ndarray


def study_features(study: Study, prepared: Prepared) -> StudyFeatures:
    """Return features of the pretrained network where the study computed them, which are cached; else handmade ones.

    Where that network is not on this machine any more they are handmade too.
    """
    definition = study.definition
    pretrained, on = definition.settings.pretrained, "cpu" if definition.settings.device == "cpu" else "cuda"
    with files_of_images(study.folder / WORK, prepared) as (train, test):
        if definition.features_seconds is None:
            pretrained = "none"
        names, features = zip(*(described(part, pretrained, on) for part in (train, test)), strict=True)
        return StudyFeatures(names[0], *features)


@contextmanager
def files_of_images(folder: Path, prepared: Prepared) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield training and test images, uint8 [N,H,W,C], in files that are mapped; those of the fits where they exist."""
    paths = folder / "train.npy", folder / "test.npy"
    there = all(path.exists() for path in paths)
    try:
        train, test = (np.load(path, mmap_mode="c") for path in (paths if there else prepared.write(folder)))
        yield train, test
    finally:
        if not there:
            shutil.rmtree(folder, ignore_errors=True)
