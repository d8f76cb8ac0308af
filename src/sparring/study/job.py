"""The main job: a study from a source to a summary and a model, in one folder, resumable at every moment."""

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .. import files
from ..data import ImageSet, load
from ..devices import cores
from ..files import new_folder
from ..images import grid, save_png
from .advice import advise
from .analysis import measure
from .model import save_recommended
from .pictures import draw_pictures
from .plan import (
    SEAL,
    SLOW,
    STUDY,
    SUMMARY,
    Study,
    begun,
    checked_count,
    checked_share,
    chosen_budgets,
    chosen_methods,
    digest,
    minutes_each,
    ordered_cells,
    seed_of,
    simplest_first,
)
from .pool import Pool
from .prepared import Prepared, drawn, prepare
from .timing import Clock, settle_jobs
from .worker import Cell, Outcome, Task, plain

WORK = ".work"  # arrays that processes map; gone when the command ends
Progress = Callable[[dict], None]


@dataclass(frozen=True, eq=False)
class Summary:
    """What a study found: its folder and the content of summary.json."""

    folder: Path
    all: dict

    @property
    def verdict(self) -> str:
        return self.all["verdict"]

    @property
    def recommended(self) -> str | None:
        """The name of the method to choose; None when no fit succeeded."""
        return self.all["recommendation"]["method"]

    def __repr__(self) -> str:
        return f"<Summary of {self.folder}: {self.verdict}>"


def compare(
    source: Any,
    out: Path | str,
    *,
    methods: Mapping[str, Any] | Sequence[str] | None = None,
    budgets: Iterable[int | str] | int | str = (5, 20),
    repeats: int = 6,
    minutes: float | None = None,
    jobs: int | str = "auto",
    seed: int = 0,
    size: Any = None,
    unlabelled: Path | str | None = None,
    labels: Path | str | None = None,
    test: float = 0.2,
    retry: bool = False,
    model: bool = True,
    command: str = "",
    progress: Progress | None = None,
) -> Summary:
    """Fits every method on the same few labels, several times, and says which is better; writes the folder `out`.

    The same call again does only what is missing; more `methods`, `budgets` or `repeats` extend the study, another
    `seed`, `test` (share of each class for the test part, where the source has none), `minutes` or other data are
    refused. A fit that fails is a row with its error, tried again with `retry`.

    methods: names from METHODS, or {name: anything with the fields and the `make` of a Method}. budgets: labels per
    class, or "all". minutes: caps each network fit so that the study ends in about this time. jobs: processes; "auto"
    measures, 0 fits in this process. size, unlabelled, labels: as `sparring.load` takes them. model: refit the
    recommended method on all labelled images into `out`/model. progress: called with a dict of stage ("data", "fit",
    "summary", "model", "done"), done, total, eta (seconds or None), running (names of fits), message.

    Raises UsageError, DataError, FileFormatError or MachineError before anything is written, MachineError when the
    disk fills up, KeyboardInterrupt after saving.
    """
    say = Telling(progress)
    table, budgets = chosen_methods(methods), chosen_budgets(budgets)
    settings = {
        "seed": checked_count("seed", seed, 0, 2**63 - 1),
        "test": checked_share("test", test, 0, 1),
        "minutes": None if minutes is None else checked_share("minutes", minutes, 0, 1e6),
    }
    repeats = checked_count("repeats", repeats, 1, 1000)
    jobs = jobs if jobs == "auto" else checked_count("jobs", jobs, 0, 1024)
    folder = new_folder(out, ours=(STUDY, SEAL), data=source)
    reading = "reading the images"
    say("data", message=reading)
    images = load(
        source,
        size=size,
        unlabelled=unlabelled,
        labels=labels,
        progress=lambda p: say("data", done=p.done, total=p.total, message=reading),
    )
    say("data", message="looking for duplicates")
    prepared = prepare(images, seed=seed, test=test)
    counted = {b: int((y >= 0).sum()) for b, y in drawn(prepared, budgets, seed=seed).items()}
    if minutes is not None:  # before anything is written; again when the number of processes is known
        minutes_each(minutes, ordered_cells(table, budgets, repeats), table, cores() if jobs == "auto" else int(jobs))
    definition = {
        "command": command,
        "source": str(source) if isinstance(source, str | Path) else images.notes.source,
        "settings": settings,
        "methods": simplest_first([described(name, method) for name, method in table.items()]),
        "budgets": list(budgets),
        "labels": counted,
        "repeats": repeats,
        "fingerprint": prepared.fingerprint,
        "data": prepared.about,
        "test": {"hashes": list(prepared.test_hashes)},  # no file names: folders are classes
        "load": {"size": plain(size), "unlabelled": named(unlabelled), "labels": named(labels)},
        "minutes_each": None,
        "jobs": {},
    }
    with held(folder), Pool(1) as pool:
        study = begun(folder, definition)
        run(study, prepared, table, budgets, repeats, pool, jobs=jobs, retry=retry, say=say)
        summary = summarised(study, say, images=images, prepared=prepared)
        if model:
            summary = save_recommended(study, summary, images, table, folder / WORK, pool, say)
    say("done", message=summary["verdict"])
    return Summary(folder, summary)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """`folder`, made if need be, for this process alone; nothing that is not whole is left in it."""
    new = not folder.exists()
    files.make_folder(folder)
    try:
        with files.locked(folder):
            files.sweep(folder)
            try:
                yield
            finally:
                shutil.rmtree(folder / WORK, ignore_errors=True)
    finally:
        if new and not (folder / STUDY).exists():
            with suppress(OSError):  # not empty
                folder.rmdir()


def described(name: str, method: Any) -> dict:
    return {"name": name, "title": method.title, "what": method.what, "family": method.family,
            "cites": list(method.cites)}  # fmt: skip


def named(path: Path | str | None) -> str | None:
    return None if path is None else str(path)


class Telling:
    """Events for `progress`, all of one shape."""

    def __init__(self, progress: Progress | None):
        self.progress = progress

    def __call__(self, stage: str, *, done: int = 0, total: int = 0, eta: float | None = None,
                 running: Sequence[str] = (), message: str = "", **more: Any) -> None:  # fmt: skip
        if self.progress is not None:
            event = {"stage": stage, "done": done, "total": total, "eta": eta, "running": list(running)}
            self.progress({**event, "message": message, **more})


# Fits.


def run(
    study: Study,
    prepared: Prepared,
    methods: Mapping[str, Any],
    budgets: Sequence[str],
    repeats: int,
    pool: Pool,
    *,
    jobs: int | str,
    retry: bool,
    say: Telling,
) -> None:
    """Fits what is missing, and appends a row for each fit as it ends."""
    told, cells = study.told, ordered_cells(methods, budgets, repeats)
    missing = study.missing(cells, retry=retry)
    settle_jobs(study, pool, jobs, missing, methods, say)
    if told["settings"]["minutes"] is not None and told["minutes_each"] is None:
        told["minutes_each"] = minutes_each(told["settings"]["minutes"], missing, methods, pool.jobs)
    study.save()
    prepared.sealed.write(study.folder / SEAL)
    if not missing:
        return
    done, left = len(cells) - len(missing), set(missing)
    tasks = prepared_tasks(study, prepared, methods, missing)
    clock = Clock(study.rows().values(), methods, told["minutes_each"], pool.jobs)
    message = clock.plan(missing, told["jobs"]["threads"])
    say("fit", done=done, total=len(cells), eta=clock.eta(left), message=message, minutes_each=told["minutes_each"])
    try:
        for running, task, outcome in pool.run(settled_steps(study, tasks, methods, pool, say)):
            short = None
            if task is not None and outcome is not None:
                row = keep(study, task, outcome)
                left.discard(task.cell)
                clock.heard(row)
                done += 1
                short = {key: row[key] for key in ("method", "budget", "repeat", "status", "seconds", "error")}
            names = [str(t.cell) for t in running]
            say("fit", done=done, total=len(cells), eta=clock.eta(left), running=names, row=short)
    except KeyboardInterrupt:
        message = f"{done} of {len(cells)} fits are saved in {study.folder}"
        say("stopped", done=done, total=len(cells), message=message)
        raise


def settled_steps(study: Study, tasks: list[Task], methods: Mapping[str, Any], pool: Pool, say: Telling) -> list[Task]:
    """Rule 3 where minutes cap the networks: at each budget all take as many steps as the slowest can afford."""
    if study.told["minutes_each"] is None:
        return tasks
    steps = study.told.setdefault("steps", {})
    firsts = {(t.cell.budget, t.cell.method): t for t in reversed(tasks) if methods[t.cell.method].family in SLOW}
    trials = [task for (budget, _), task in firsts.items() if budget not in steps]
    if trials:
        say("fit", message=f"trying how many steps fit into {study.told['minutes_each']:.2g} minutes")
        for task, found in zip(trials, pool.steps(trials), strict=True):
            if found is not None:
                steps[task.cell.budget] = min(found, steps.get(task.cell.budget, found))
        study.save()
    return [replace(task, steps=steps.get(task.cell.budget)) for task in tasks]


def prepared_tasks(study: Study, prepared: Prepared, methods: Mapping[str, Any], cells: list[Cell]) -> list[Task]:
    train, test = prepared.write(study.folder / WORK)
    seed = study.told["settings"]["seed"]
    draws = {(b, r): drawn(prepared, [b], seed=seed, repeat=r)[b] for b, r in {(c.budget, c.repeat) for c in cells}}
    return [
        Task(
            cell=cell,
            method=methods[cell.method],
            labels=draws[cell.budget, cell.repeat],
            train=train,
            test=test,
            classes=len(prepared.classes),
            seed=seed_of(seed, cell.budget, cell.repeat),
            minutes=study.told["minutes_each"],
            threads=study.told["jobs"]["threads"],
        )
        for cell in cells
    ]


def keep(study: Study, task: Task, outcome: Outcome) -> dict:
    """Files first, then the row that names them: a row is there only with everything it names."""
    folder, name = study.folder, str(task.cell)
    row = {**outcome.row, "draw": digest(task.labels)}
    if outcome.proba is not None:
        files.make_folder(folder / "predictions")
        files.write_arrays(folder / "predictions" / f"{name}.npz", proba=outcome.proba)
        row["predictions"] = f"predictions/{name}.npz"
        row["digest"] = digest(outcome.proba)
        row["pictures"] = {}
        for kind, images in outcome.pictures.items():
            if len(images):
                files.make_folder(folder / "runs" / name)
                path = folder / "runs" / name / f"{kind}.png"
                save_png(path, grid(images), generated=kind == "generated")
                row["pictures"][kind] = path.relative_to(folder).as_posix()
    study.append(row)
    return row


# Summary.


def summarise(folder: Path | str, *, images: ImageSet | None = None, progress: Progress | None = None) -> Summary:
    """Writes summary.json again from the rows and predictions of a study; nothing is fitted.

    The pictures of mistakes need the images: given, read again from where the study read them, or left as they are.
    Raises FileFormatError when the folder holds no study, no row, or rows that cannot be compared.
    """
    study = Study.read(folder)
    with files.locked(study.folder):
        return Summary(study.folder, summarised(study, Telling(progress), images=images, prepared=None))


def summarised(study: Study, say: Telling, *, images: ImageSet | None, prepared: Prepared | None) -> dict:
    say("summary", message="opening the test labels")
    summary, arms, truth = measure(study)
    summary["recommendation"], summary["verdict"] = advise(summary)
    old = study.told.get("model")
    same = old and old["method"] == summary["recommendation"]["method"]
    summary["recommendation"]["model"] = "model" if same and (study.folder / "model").is_dir() else None
    summary |= draw_pictures(study, summary, arms, truth, images=images, prepared=prepared)
    files.write_json(study.folder / SUMMARY, plain(summary))
    return plain(summary)
