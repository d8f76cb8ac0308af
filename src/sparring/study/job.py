"""Run a study from a source to a summary and a model, in one folder; it can be stopped and resumed at any moment."""

import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from .. import files
from ..data import ImageSet, load
from ..data.groups import components
from ..devices import SPARRING_VERSION, device_name
from ..errors import UsageError
from ..features.encoders import download as fetch
from ..features.encoders import named_encoder, names_of
from ..features.pretrained import BUILT_IN
from ..files import new_folder
from ..images import SizeLike
from ..records import Progress, no_progress
from ..words import from_home, listed
from .advice import advise
from .analysis import measure
from .before import before_and_after
from .definition import Definition, EarlierStudy, ReadingOptions, SealedImages, StudySettings
from .earlier import as_record, earlier_study, parts_of, refuse_unlike, remember
from .fits import WORK, Fits, OnStudyProgress
from .mistakes import write_lists
from .model import FOLDER, save_recommended, without_model
from .pictures import draw_pictures, read_again
from .plan import (
    SEEN,
    Study,
    all_trials,
    begun,
    checked_count,
    checked_share,
    chosen_budgets,
    chosen_device,
    chosen_methods,
    now,
    simplest_first,
    too_dear,
    usual_budgets,
)
from .pool import Pool
from .prepared import Prepared, label_draws, split_and_seal
from .records import SEAL, STUDY, STUDY_FORMAT, MethodEntry, StudyProgress
from .summary import Summary
from .worker import AnyMethod, json_ready


def compare(
    source: object,
    out: Path | str,
    *,
    methods: Mapping[str, AnyMethod] | Sequence[str] | None = None,
    labels: Iterable[int | str] | int | str | None = None,
    repeats: int = 6,
    minutes: float | None = 15,
    jobs: int | str = "auto",
    seed: int = 0,
    size: SizeLike = None,
    unlabelled: Path | str | None = None,
    table: Path | str | None = None,
    label: str | None = None,
    group: object = None,
    pretrained: str = BUILT_IN,
    download: bool = False,
    device: str = "auto",
    test: float = 0.2,
    against: Path | str | None = None,
    retry: bool = False,
    follow_links: bool = False,
    model: bool = True,
    command: str | None = None,
    progress: OnStudyProgress = no_progress,
    budgets: object = None,
) -> Summary:
    """Compare methods on the same few labels, and return what `out`/summary.json says.

    Fits what is not in the folder `out` yet. The same call goes on where it stopped; one with more methods, labels or
    repeats extends the study; one with other data, `seed`, `test` (share of each class for the test part, where the
    source has none), `pretrained` or `device` is refused. A fit that fails is a row; `retry` tries it again.

    source, size, unlabelled, table, label, group, follow_links: as `sparring.load` takes them. Splits, label draws,
    held-out labels and statistics know groups; given as values they are kept, so that a call without them goes on.
    methods: names from METHODS, or {name: anything with the fields and the `make` of a Method}; None takes all, but not
    `finetune` of images below 16 pixels. labels: labels per class, or "all"; None takes 5, 20 and all, of which those
    that a class does not have are left out. minutes: about how long the study takes at most, all its commands together;
    None for no limit. No fit is cut short: the slowest methods are repeated less often or left out (study.schedule).
    jobs: processes; "auto" measures, 0 fits in this one. pretrained, download: as `sparring.fit` takes them. device:
    "cpu", "cuda", or "auto" for the GPU where there is one; on it fits run one after the other. against: an earlier
    study of such images: this one tests on the same images as far as it can, and the summary says what changed on
    them. model: fit the recommended method on all labelled images into `out`/model. command: how to repeat this.
    progress: called with a StudyProgress.

    Raises UsageError, DataError, FileFormatError or MachineError before anything is written; MachineError when the
    disk is full; KeyboardInterrupt after saving.
    """
    begin = time.monotonic()
    if budgets is not None:
        raise UsageError(
            "renamed", "compare has no budgets any more", fix="write labels=5 for labels per class, table= for a file"
        )
    pretrained = ",".join(names_of(pretrained)) or "none"
    chosen = chosen_methods(methods, pretrained)
    asked = None if labels is None else chosen_budgets(labels)
    repeats = checked_count("repeats", repeats, 1, 1000)
    jobs = jobs if jobs == "auto" else checked_count("jobs", jobs, 0, 1024)
    folder = new_folder(out, ours=(STUDY, SEAL), data=source)
    where, earlier = chosen_device(folder, device), earlier_study(folder, against)
    settings = chosen_settings(seed=seed, test=test, minutes=minutes, device=where, pretrained=pretrained)
    reading = StudyProgress("data", message="reading the images")
    have_encoders(pretrained, download, progress)
    progress(reading)
    reading_as = {"size": size, "unlabelled": unlabelled, "table": table, "label": label, "follow_links": follow_links}
    images = load(source, **reading_as, group=group, progress=partial(progress_of, progress, reading))
    images = images if group is not None else with_kept_groups(folder, images)
    progress(StudyProgress("data", message="looking for duplicates"))
    prepared = split_and_seal(images, seed=settings.seed, test=settings.test, earlier=parts_of(earlier))
    per_class = usual_budgets(prepared.labels) if asked is None else asked
    refuse_unlike(earlier, prepared, per_class)
    counted = {b: int((y >= 0).sum()) for b, y in label_draws(prepared, per_class, seed=seed).items()}
    chosen = without_dear(chosen, images, progress) if methods is None else chosen
    definition = new_definition(
        prepared,
        settings,
        methods=chosen,
        labels=counted,
        repeats=repeats,
        command=command,
        source=from_home(str(source) if isinstance(source, str | Path) else images.notes.source),
        load=reading_options(group=group, **reading_as),
        groups=() if images.groups is None else tuple(components(images.groups).tolist()),
        against=as_record(earlier),
    )
    with held(folder), Pool(1) as pool:
        study = begun(folder, definition)
        summarise_now = partial(summarised, study, progress, images=images, prepared=prepared)
        fits = Fits(
            study=study,
            prepared=prepared,
            methods=chosen,
            pool=pool,
            device=where,
            say=progress,
            begun=begin,
            refit=model,
            interim=partial(summarise_now, interim=True),
        )
        fits.make(all_trials(chosen, per_class, repeats), jobs=jobs, retry=retry)
        remember(folder, prepared)
        summary = summarise_now()
        if model:
            summary = with_model(fits, summary, images)
    progress(StudyProgress("done", message=summary.verdict))
    return summary


def with_model(fits: Fits, summary: Summary, images: ImageSet) -> Summary:
    """Fit and save the recommended model where the time has room for it; write and return the summary that says so."""
    seconds, parts = fits.too_long_for_model(summary.recommended), fits.prepared
    if seconds is None:
        given = fits.study, summary, images, fits.methods, fits.study.folder / WORK, fits.pool
        there = {"train.npy": parts.train, "test.npy": parts.test}
        summary = save_recommended(*given, parts=there, device=fits.device, say=fits.say)
    else:
        summary = without_model(fits.study, summary, seconds)
    summary.write()
    return summary


def with_kept_groups(folder: Path, images: ImageSet) -> ImageSet:
    """Return images without groups with those that the study in this folder was given as values, if it was."""
    if images.groups is not None or not (folder / STUDY).exists():
        return images
    return Study.read(folder).definition.grouped(images)


def progress_of(say: OnStudyProgress, study: StudyProgress, at: Progress) -> None:
    """Say how far reading is, as a study says it."""
    say(replace(study, done=at.done, total=at.total, news=at.news))


def reading_options(
    *,
    size: SizeLike,
    unlabelled: Path | str | None,
    table: Path | str | None,
    label: str | None,
    group: object,
    follow_links: bool,
) -> ReadingOptions:
    """Return what study.json says of how images are read; groups that were given as values stand beside it."""
    column = group if isinstance(group, str) else None
    paths = unlabelled and from_home(str(unlabelled)), table and from_home(str(table))
    return ReadingOptions(json_ready(size), *paths, label, follow_links, column)


def chosen_settings(*, seed: int, test: float, minutes: float | None, device: str, pretrained: str) -> StudySettings:
    """Return what every row of a study shares. Raises UsageError for a number out of range."""
    return StudySettings(
        seed=checked_count("seed", seed, 0, 2**63 - 1),
        test=checked_share("test", test, 0, 1),
        minutes=None if minutes is None else checked_share("minutes", minutes, 0, 1e6),
        device="cpu" if device == "cpu" else device_name(device),
        pretrained=pretrained,
    )


def without_dear(methods: Mapping[str, AnyMethod], images: ImageSet, say: OnStudyProgress) -> dict[str, AnyMethod]:
    """Return the methods that are worth their time on images of this size, and say which are not."""
    tiny = too_dear(methods, images.images.shape[1:3])
    if tiny:
        what = f"{listed(tiny)} is left out: images are smaller than {SEEN} pixels (--methods tries it all the same)"
        say(StudyProgress("fits", message=what))
    return {name: method for name, method in methods.items() if name not in tiny}


def new_definition(
    prepared: Prepared,
    settings: StudySettings,
    *,
    methods: Mapping[str, AnyMethod],
    labels: Mapping[str, int],
    repeats: int,
    command: str | None,
    source: str,
    load: ReadingOptions,
    groups: tuple[int, ...],
    against: EarlierStudy | None,
) -> Definition:
    """Return what study.json says of a study that begins now; `labels`: budget -> labels in all."""
    entries = (MethodEntry(name, m.title, m.what, m.family, tuple(m.cites)) for name, m in methods.items())
    return Definition(
        format=STUDY_FORMAT,
        sparring=SPARRING_VERSION,
        created=now(),
        command=command,
        source=source,
        settings=settings,
        methods=simplest_first(entries),
        budgets=tuple(labels),
        labels=labels,
        repeats=repeats,
        fingerprint=prepared.fingerprint,
        data=prepared.about,
        test=SealedImages(prepared.test_hashes, prepared.test_groups),
        load=load,
        groups=groups,
        against=against,
    )


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


def summarised(
    study: Study,
    say: OnStudyProgress,
    *,
    images: ImageSet | None,
    prepared: Prepared | None,
    interim: bool = False,
) -> Summary:
    """Write the summary of what there is; `interim`: while the study runs."""
    if not interim:
        say(StudyProgress("summary", message="opening the test labels"))
    summary, arms, truth = measure(study)
    advice, verdict = advise(replace(summary, running=interim))
    saved = study.definition.model
    if saved and saved.method == advice.method and (study.folder / FOLDER).is_dir():
        advice = replace(advice, model=FOLDER)
    summary = replace(summary, recommendation=advice, verdict=verdict, running=interim)
    summary = replace(summary, against=before_and_after(study, summary, arms, truth))
    images, prepared = read_again(study.definition, images, prepared)
    summary = draw_pictures(study, summary, arms, truth, images=images, prepared=prepared)
    if not interim:
        summary = write_lists(study, summary, arms, truth, images=images, prepared=prepared, say=say)
    summary.write()
    if interim:
        say(StudyProgress("interim", message=verdict))
    return summary
