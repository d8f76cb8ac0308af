"""The recommended method, fitted again on every labelled image of the study, as a model folder."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from .. import files
from ..classifiers import METHODS
from ..classifiers.doubt.record import HeldOutAnswers
from ..classifiers.fitting import same_group_or_picture
from ..data import ImageSet
from ..devices import all_threads
from ..words import duration
from .definition import SavedModel
from .plan import Study, seed_of
from .pool import KILLED, Pool
from .prepared import write_images
from .records import ArmScore, StudyProgress, Trial
from .summary import Summary
from .worker import AnyMethod, Task, looks_through, problem_of, uses_device

FOLDER = "model"
ENOUGH = 100  # test images, of which what was said is worth more than quick fits without a part of the labels


def save_recommended(
    study: Study,
    summary: Summary,
    images: ImageSet,
    methods: Mapping[str, AnyMethod],
    work: Path,
    pool: Pool,
    *,
    parts: Mapping[str, np.ndarray],
    device: str = "cpu",
    say: Callable[[StudyProgress], None],
) -> Summary:
    """Fit the recommended method on all images, the test part's labels included, and save it as STUDY/model.

    parts: the files in `work` that hold images of the fits, and which of all images these are. Nothing is fitted where
    that model is there already. Returns the summary with its place; what goes wrong is a warning in it: the study is
    whole without a model.
    """
    advice, definition = summary.recommendation, study.definition
    name = advice.method or ""
    method, score = methods.get(name) or METHODS.get(name), summary.score(advice.method, advice.budget)
    if method is None or score is None or advice.model:
        return summary
    say(StudyProgress("model", message=f"fitting {name} on all labelled images"))
    files.make_folder(work, mode=files.PRIVATE_FOLDER)
    write_images(work / "all.npy", images.images, np.arange(len(images)))
    seed, jobs = seed_of(definition.settings.seed, "model", 0), definition.jobs
    task = Task(
        trial=Trial(name, "all", 0),
        method=method,
        images=work / "all.npy",
        labels=images.labels,
        seed=seed,
        threads=jobs.jobs * jobs.threads if jobs and jobs.jobs else 1,
        device=device if uses_device(method) else "cpu",
        pretrained=definition.settings.pretrained,
    )
    about = {
        f: getattr(images, f) for f in ("labels", "classes", "origins", "parts", "name", "groups", "sizes")
    }  # the pixels are in a file
    there = {work / name: index for name, index in parts.items() if (work / name).exists()}
    held_out = said_of_test(study, name, images, parts["test.npy"]) if "test.npy" in parts else None
    given = task, there, partial(ImageSet, **about), study.folder / FOLDER, card(summary, score), held_out
    try:
        problem = refit(*given) if pool.jobs == 0 else pool.submit(refit, *given).result()
    except BrokenProcessPool:
        problem = KILLED
    if problem is None:
        study.save(model=SavedModel(name))
        return replace(summary, recommendation=replace(advice, model=FOLDER))
    warnings = (*advice.warnings, f"{name} could not be saved as a model: {problem}")
    return replace(summary, recommendation=replace(advice, warnings=warnings))


def said_of_test(study: Study, method: str, images: ImageSet, test: np.ndarray) -> HeldOutAnswers | None:
    """Return what a fit of the method said of the test part, which it had not seen: the first fit of those with most
    labels. `test`: where its images are. None where no such probabilities are kept."""
    rows = [row for row in study.rows().values() if row.method == method and row.status == "ok"]
    for row in sorted(rows, key=lambda row: (-row.labels, row.repeat)):
        if (proba := study.proba(row)) is not None:
            groups = same_group_or_picture(images)
            return HeldOutAnswers(proba, images.labels[test], None if groups is None else groups[test], "study")
    return None


def without_model(study: Study, summary: Summary, seconds: float) -> Summary:
    """Return the summary with a warning that the time has no room for the model, and the command that fits it.

    `seconds`: what its fit would take. A model that is there already stays.
    """
    advice = summary.recommendation
    if advice.model:
        return summary
    command = f"sparring fit {shlex.quote(study.definition.source)} -m {advice.method}"
    said = (
        f"no model was saved: fitting {advice.method} on all labelled images would take about {duration(seconds)}, "
        f"more than is left of the time: {command}"
    )
    return replace(summary, recommendation=replace(advice, warnings=(*advice.warnings, said)))


def card(summary: Summary, score: ArmScore) -> dict[str, str]:
    """Return what the model card says about where the model comes from."""
    mean, low, high = summary.leading_score(score)
    return {
        "verdict": summary.verdict,
        "data": summary.name,
        "trained_on": "all labelled images of the study, those of its test part included, and its unlabelled images",
        "measured": (
            f"{summary.leading} {mean:.4f} ({low:.4f} to {high:.4f}) on {summary.test.images} test images, mean over "
            f"{score.n} fits of {score.method} that saw fewer labels than this model ({score.budget} a class) and no "
            "test label; the model itself was not tested"
        ),
        "notes": "; ".join(summary.data.notes.short),
        "fingerprint": summary.fingerprint,
    }


def refit(
    task: Task,
    parts: Mapping[Path, np.ndarray],
    imageset: Callable[..., ImageSet],
    folder: Path,
    card: Mapping[str, str],
    held_out: HeldOutAnswers | None = None,
) -> str | None:
    """Write the model folder; return what went wrong, or None.

    What the fits of the study said of its test part takes the place of further fits where these would take long, or
    where the test part is large enough.
    """
    from ..classifiers import save_model
    from ..classifiers.doubt.measuring import is_slow, measure_doubt

    try:
        with all_threads(task.threads):
            images = imageset(images=task.pixels())
            know_features(task, parts)
            estimator = task.estimator()
            groups = same_group_or_picture(images)
            estimator.fit(images, groups=groups)  # its class names are what the model predicts
            if held_out and (len(held_out.labels) >= ENOUGH or is_slow(estimator, int(images.labelled.sum()))):
                held_out = as_classes_of_model(held_out, images.classes, estimator.class_names_)
            else:
                held_out = None
            estimator.doubt_ = measure_doubt(
                estimator, images,
                groups=groups, held_out=held_out, pretrained=task.pretrained, device=task.device, seed=task.seed,
            )  # fmt: skip
            with files.atomic_folder(folder) as temporary:
                save_model(estimator, temporary, **card)
    except Exception as error:  # said in the summary
        return problem_of(error).reason
    return None


def as_classes_of_model(held_out: HeldOutAnswers, classes: Sequence[str], names: Sequence[str]) -> HeldOutAnswers:
    """Return answers about `classes` with the classes in the order of `names`."""
    order = np.array([classes.index(name) for name in names])
    return held_out._replace(proba=held_out.proba[:, order], labels=np.argsort(order)[held_out.labels])


def know_features(task: Task, parts: Mapping[Path, np.ndarray]) -> None:
    """Let the pretrained network's features of all images be those that the fits computed of their parts."""
    if not parts or task.pretrained == "none" or not looks_through(task.method):
        return
    from ..features.encoders import encoders_of

    arrays = [(np.load(path, mmap_mode="r"), index) for path, index in parts.items()]
    for encoder in encoders_of(task.pretrained, device=task.device):
        encoder.know(task.pixels(), arrays)
