"""Run a study from a source to a summary and a model, in one folder; it can be stopped and resumed at any moment."""

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from .. import files
from ..data import ImageSet, load
from ..devices import SPARRING_VERSION, cores, device_name
from ..errors import UsageError
from ..features.encoders import download as fetch
from ..features.encoders import named_encoder, names_of
from ..features.pretrained import BUILT_IN
from ..files import new_folder
from ..images import SizeLike, grid, save_png
from ..records import no_progress
from ..words import listed
from .advice import advise
from .analysis import measure
from .model import FOLDER, save_recommended
from .pictures import draw_pictures
from .plan import (
    SEEN,
    SLOW_FAMILIES,
    Study,
    begun,
    checked_count,
    checked_share,
    chosen_budgets,
    chosen_device,
    chosen_methods,
    minutes_each,
    now,
    ordered_trials,
    seed_of,
    simplest_first,
    too_dear,
)
from .pool import Event, Pool
from .prepared import Prepared, label_draws, split_and_seal
from .records import (
    SEAL,
    STUDY,
    STUDY_FORMAT,
    Definition,
    MethodEntry,
    ReadingOptions,
    SealedImages,
    StudyProgress,
    StudySettings,
    Trial,
)
from .summary import Summary
from .timing import Clock, settle_jobs
from .worker import (
    AnyMethod,
    Outcome,
    Task,
    always_pretrained,
    compute_features,
    fit_and_predict,
    json_ready,
    looks_through,
    uses_device,
)

WORK = ".work"  # arrays that processes map; gone when the command ends
OnStudyProgress = Callable[[StudyProgress], None]


def compare(
    source: object,
    out: Path | str,
    *,
    methods: Mapping[str, AnyMethod] | Sequence[str] | None = None,
    labels: Iterable[int | str] | int | str = (5, 20),
    repeats: int = 6,
    minutes: float | None = None,
    jobs: int | str = "auto",
    seed: int = 0,
    size: SizeLike = None,
    unlabelled: Path | str | None = None,
    table: Path | str | None = None,
    pretrained: str = BUILT_IN,
    download: bool = False,
    device: str = "auto",
    test: float = 0.2,
    retry: bool = False,
    model: bool = True,
    command: str | None = None,
    progress: OnStudyProgress = no_progress,
    budgets: object = None,
) -> Summary:
    """Compare methods on the same few labels, and return what `out`/summary.json says.

    Fits what is not in the folder `out` yet. The same call again goes on where it stopped; a call with more methods,
    labels or repeats extends the study. Another `seed`, `test` (share of each class for the test part, where the source
    has none), `minutes`, `pretrained` or `device` is refused, and so are other data. A fit that fails is a row with its
    error; `retry` tries it again.

    source, size, unlabelled, table: as `sparring.load` takes them; `table` is a labels.csv that lies elsewhere.
    methods: names from METHODS, or {name: anything with the fields and the `make` of a Method}; None takes all, but not
    `finetune` of images below 16 pixels. labels: labels per
    class, or "all". minutes: caps each network fit so that the study ends in about this time. jobs: processes; "auto"
    measures, 0 fits in this process. pretrained, download: as `sparring.fit` takes them; with "none" nothing of other
    images is in any number. device: "cpu", "cuda", or "auto" for the GPU where there is one; on it fits run one after
    the other. model: fit the recommended method on all labelled images into `out`/model. command: how to repeat this,
    for the report. progress: called with a StudyProgress.

    Raises UsageError, DataError, FileFormatError or MachineError before anything is written; MachineError when the
    disk is full; KeyboardInterrupt after saving.
    """
    if budgets is not None:
        raise UsageError(
            "renamed", "compare has no budgets any more", fix="write labels=5 for labels per class, table= for a file"
        )
    pretrained = ",".join(names_of(pretrained)) or "none"
    chosen, per_class = chosen_methods(methods, pretrained), chosen_budgets(labels)
    checked_count("seed", seed, 0, 2**63 - 1)
    test = checked_share("test", test, 0, 1)
    minutes = None if minutes is None else checked_share("minutes", minutes, 0, 1e6)
    repeats = checked_count("repeats", repeats, 1, 1000)
    jobs = jobs if jobs == "auto" else checked_count("jobs", jobs, 0, 1024)
    folder = new_folder(out, ours=(STUDY, SEAL), data=source)
    where = chosen_device(folder, device)
    on = "cpu" if where == "cpu" else device_name(where)
    settings = StudySettings(seed=int(seed), test=test, minutes=minutes, device=on, pretrained=pretrained)
    reading = StudyProgress("data", message="reading the images")
    have_encoders(pretrained, download, progress)
    progress(reading)
    images = load(source, size=size, unlabelled=unlabelled, table=table,
                  progress=lambda p: progress(replace(reading, done=p.done, total=p.total)))  # fmt: skip
    progress(StudyProgress("data", message="looking for duplicates"))
    prepared = split_and_seal(images, seed=settings.seed, test=settings.test)
    counted = {b: int((y >= 0).sum()) for b, y in label_draws(prepared, per_class, seed=seed).items()}
    if methods is None and (tiny := too_dear(chosen, images.images.shape[1:3])):
        chosen = {name: method for name, method in chosen.items() if name not in tiny}
        what = f"{listed(tiny)} is left out: images are smaller than {SEEN} pixels (--methods tries it all the same)"
        progress(StudyProgress("fits", message=what))
    trials = ordered_trials(chosen, per_class, repeats)
    if minutes is not None:  # before anything is written; again when the number of processes is known
        minutes_each(minutes, trials, chosen, 1 if where != "cpu" else cores() if jobs == "auto" else int(jobs))
    definition = Definition(
        format=STUDY_FORMAT,
        sparring=SPARRING_VERSION,
        created=now(),
        command=command,
        source=str(source) if isinstance(source, str | Path) else images.notes.source,
        settings=settings,
        methods=simplest_first(
            MethodEntry(name, m.title, m.what, m.family, tuple(m.cites)) for name, m in chosen.items()
        ),
        budgets=per_class,
        labels=counted,
        repeats=repeats,
        fingerprint=prepared.fingerprint,
        data=prepared.about,
        test=SealedImages(prepared.test_hashes),
        load=ReadingOptions(json_ready(size), unlabelled and str(unlabelled), table and str(table)),
    )
    with held(folder), Pool(1) as pool:
        study = begun(folder, definition)
        run(study, prepared, chosen, trials, pool, jobs=jobs, device=where, retry=retry, say=progress)
        summary = summarised(study, progress, images=images, prepared=prepared)
        if model:
            given = study, summary, images, chosen, folder / WORK, pool
            summary = save_recommended(*given, device=where, say=progress)
            summary.write()
    progress(StudyProgress("done", message=summary.verdict))
    return summary


def have_encoders(pretrained: str, download: bool, say: OnStudyProgress) -> None:
    """Raise FileFormatError or MachineError where an encoder is not on this machine and may not be fetched."""
    if download:
        fetch(pretrained, lambda p: say(StudyProgress("data", p.done, p.total, p.message or "fetching an encoder")))
    for name in names_of(pretrained):
        if name != BUILT_IN:
            named_encoder(name, device="cpu")


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process alone; make it if need be, and leave no incomplete file in it."""
    new = not folder.exists()
    files.make_folder(folder)
    try:
        with files.locked(folder):
            files.remove_leftovers(folder)
            try:
                yield
            finally:
                shutil.rmtree(folder / WORK, ignore_errors=True)
    finally:
        if new and not (folder / STUDY).exists():
            with suppress(OSError):  # not empty
                folder.rmdir()


# Fits.


def run(
    study: Study,
    prepared: Prepared,
    methods: Mapping[str, AnyMethod],
    trials: Sequence[Trial],
    pool: Pool,
    *,
    jobs: int | str,
    device: str = "cpu",
    retry: bool,
    say: OnStudyProgress,
) -> None:
    """Fit what is missing, and append a row for each fit as it ends.

    On a GPU methods that can use it come last, one fit after the other in one process that has all cores.
    """
    missing, total = study.missing(trials, retry=retry), len(trials)
    alone = frozenset(name for name, method in methods.items() if device != "cpu" and uses_device(method))
    side_by_side = [trial for trial in missing if trial.method not in alone]
    settled = settle_jobs(study, pool, jobs, side_by_side, methods, say)
    each = study.definition.minutes_each
    if (minutes := study.definition.settings.minutes) is not None and each is None:
        each = minutes_each(minutes, missing, methods, 1 if alone else pool.jobs)
    study.save(jobs=settled, minutes_each=each)
    prepared.sealed.write(study.folder / SEAL)
    if not missing:
        return
    left = set(missing)
    tasks, paths = prepared_tasks(study, prepared, methods, missing, device=device, alone=alone)
    clock = Clock(study.rows().values(), methods, each, pool.jobs, alone)

    def now_at() -> StudyProgress:
        return StudyProgress("fits", done=total - len(left), total=total, seconds_left=clock.left(left))

    say(replace(now_at(), message=clock.plan(missing, settled.threads)))
    try:
        features_first(study, pool, paths, methods, missing, device, say)
        work = partial(fit_and_predict, test=paths[1], classes=len(prepared.classes))
        for running, outcome in fitted(study, tasks, methods, pool, alone, work, say):
            if outcome is not None:
                keep(study, outcome)
                left.discard(outcome.row.trial)
                clock.heard(outcome.row)
            at_work = tuple(str(task.trial) for task in running)
            say(replace(now_at(), running=at_work, finished=outcome.row if outcome else None))
    except KeyboardInterrupt:
        message = f"{total - len(left)} of {total} fits are saved in {study.folder}"
        say(replace(now_at(), what="stopped", message=message, seconds_left=None))
        raise


def fitted(
    study: Study,
    tasks: list[Task],
    methods: Mapping[str, AnyMethod],
    pool: Pool,
    alone: frozenset[str],
    work: Callable[[Task], Outcome],
    say: OnStudyProgress,
) -> Iterator[Event]:
    """Yield the events of all tasks: first of those that run side by side, then of those that run alone."""
    together = [task for task in tasks if task.trial.method not in alone]
    rest = [task for task in tasks if task.trial.method in alone]
    yield from pool.run(settled_steps(study, together, methods, pool, say), work)
    if rest:
        pool.resize(min(pool.jobs, 1), cores())
        yield from pool.run(settled_steps(study, rest, methods, pool, say), work)


def features_first(
    study: Study,
    pool: Pool,
    paths: tuple[Path, Path],
    methods: Mapping[str, AnyMethod],
    missing: Sequence[Trial],
    device: str,
    say: OnStudyProgress,
) -> None:
    """Compute the pretrained network's features of all images once, with all cores, so that fits find them cached."""
    pretrained = study.definition.settings.pretrained
    if pretrained == "none" or not any(looks_through(methods[name]) for name in {trial.method for trial in missing}):
        return
    say(StudyProgress("fits", message=f"computing the features of all images by {pretrained}, once for all fits"))
    given = paths, pretrained, device, cores()
    try:
        seconds = compute_features(*given) if pool.jobs == 0 else pool.submit(compute_features, *given).result()
    except BrokenProcessPool:
        pool.stop()  # each fit computes them again, and says what happened
    else:
        study.save(features_seconds=max(seconds, study.definition.features_seconds or 0.0))


def settled_steps(
    study: Study, tasks: list[Task], methods: Mapping[str, AnyMethod], pool: Pool, say: OnStudyProgress
) -> list[Task]:
    """Rule 3 where minutes cap the networks: at each budget all take the steps that the slowest has time for.

    Those that always start from a pretrained network need fewer steps, each of them dearer: they settle their own.
    """
    each, steps = study.definition.minutes_each, dict(study.definition.steps)
    if each is None or not tasks:
        return tasks
    firsts = {
        (t.trial.budget, t.trial.method): t
        for t in reversed(tasks)
        if methods[t.trial.method].family in SLOW_FAMILIES and not always_pretrained(t.method)
    }
    tried = [task for (budget, _), task in firsts.items() if budget not in steps]
    if tried:
        say(StudyProgress("fits", message=f"trying how many steps fit into {each:.2g} minutes"))
        for task, found in zip(tried, pool.steps(tried), strict=True):
            if found is not None:
                steps[task.trial.budget] = min(found, steps.get(task.trial.budget, found))
        study.save(steps=steps)
    settled = [None if always_pretrained(task.method) else steps.get(task.trial.budget) for task in tasks]
    return [replace(task, steps=found) for task, found in zip(tasks, settled, strict=True)]


def prepared_tasks(
    study: Study,
    prepared: Prepared,
    methods: Mapping[str, AnyMethod],
    trials: list[Trial],
    *,
    device: str,
    alone: frozenset[str],
) -> tuple[list[Task], tuple[Path, Path]]:
    """Return a task for each trial, and the files of training and test images. Those `alone` use `device`."""
    paths, definition = prepared.write(study.folder / WORK), study.definition
    seed, threads = definition.settings.seed, definition.jobs.threads if definition.jobs else 1
    draws = {(b, r): label_draws(prepared, [b], seed=seed, repeat=r)[b] for b, r in {t[1:] for t in trials}}
    return [
        Task(
            trial=trial,
            method=methods[trial.method],
            images=paths[0],
            labels=draws[trial.budget, trial.repeat],
            seed=seed_of(seed, trial.budget, trial.repeat),
            minutes=definition.minutes_each,
            threads=cores() if trial.method in alone else threads,
            device=device if trial.method in alone else "cpu",
            pretrained=definition.settings.pretrained,
        )
        for trial in trials
    ], paths


def keep(study: Study, outcome: Outcome) -> None:
    """Write the files of a fit and then the row that names them, so that no row names a file that is not there."""
    folder, row = study.folder, outcome.row
    if outcome.proba is not None and row.predictions:
        files.make_folder(folder / "predictions")
        files.write_arrays(folder / row.predictions, proba=outcome.proba)
    for kind, name in (row.pictures or {}).items():
        files.make_folder((folder / name).parent)
        save_png(folder / name, grid(outcome.pictures[kind]), generated=kind == "generated")
    study.append(row)


# Summary.


def summarise(
    folder: Path | str, *, images: ImageSet | None = None, progress: OnStudyProgress = no_progress
) -> Summary:
    """Write summary.json again from the rows and predictions of a study, and return it; nothing is fitted.

    The pictures of mistakes need the images: given, read again from where the study read them, or left as they are.
    Raises FileFormatError when the folder holds no study, no row, or rows that cannot be compared.
    """
    study = Study.read(folder)
    with files.locked(study.folder):
        return summarised(study, progress, images=images, prepared=None)


def summarised(study: Study, say: OnStudyProgress, *, images: ImageSet | None, prepared: Prepared | None) -> Summary:
    say(StudyProgress("summary", message="opening the test labels"))
    summary, arms, truth = measure(study)
    advice, verdict = advise(summary)
    saved = study.definition.model
    if saved and saved.method == advice.method and (study.folder / FOLDER).is_dir():
        advice = replace(advice, model=FOLDER)
    summary = replace(summary, recommendation=advice, verdict=verdict)
    summary = draw_pictures(study, summary, arms, truth, images=images, prepared=prepared)
    summary.write()
    return summary
