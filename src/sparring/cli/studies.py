"""Which method is better: compare, fit, classify, report, data."""

import shlex
import signal
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ..errors import NothingFitted, UsageError, printable
from ..files import apart, atomic_file, new_file, new_folder
from ..records import to_json
from ..words import percent, plural
from .app import app, go_on, stem, studies, typed
from .classifying import COLUMNS, draw_answers, draw_drift, json_fields, new_page, probability_column
from .drawings import StudyLine, draw_description, draw_plan, draw_summary
from .looked import look
from .reading import Reading, ReadingLabels
from .screen import Screen
from .signals import Interrupted
from .typed import (
    Count,
    DataSet,
    Device,
    Download,
    Flag,
    FollowLinks,
    Minutes,
    Names,
    Pretrained,
    Seed,
    Share,
    Verbose,
    whole_or_all,
    whole_or_auto,
)

if TYPE_CHECKING:  # numpy is loaded only by commands that need it
    from ..data import ImageSet


@app.command(group=studies)
def compare(
    data: DataSet,
    /,
    *,
    methods: Names | None = None,
    labels: Names | None = None,
    repeats: Count = 6,
    minutes: Minutes = 15,
    jobs: str = "auto",
    seed: Seed = 0,
    out: Path | None = None,
    reading: Reading = Reading(),
    pretrained: Pretrained = "efficientnet-lite0",
    download: Download = False,
    device: Device = "auto",
    test: Share = 0.2,
    against: Path | None = None,
    retry: Flag = False,
    verbose: Verbose = False,
    json: Flag = False,
    quiet: Flag = False,
):
    """Methods against each other on the same few labels.

    Which is better, how sure that is, and what it costs: a report, and the model to use. The same command again
    goes on where it stopped; more methods, labels or repeats extend the study.

    Args:
        methods: names from `sparring methods`, such as svm,cnn [default: all].
        labels: labels a class to learn from, such as 5,20,all [default: 5,20,all].
        repeats: how often, each time with other labels; at least 6 for a difference to be called real.
        minutes: about how long the study may take; what is slow is repeated less often, or left out. More minutes go on
            with the same study.
        jobs: fits side by side; auto measures what is fastest.
        seed: another number, another study.
        out: folder of the study [default: DATA-study].
        test: share of each class for the test part, where DATA has none.
        against: folder of an earlier study of such images; this one tests on the same images where it can, and says
            what changed on them.
        retry: try fits again that failed.
        json: print the summary as JSON.
        quiet: print nothing but results.
    """
    from ..records import to_json
    from ..reporting import write
    from ..study import compare as study

    screen = Screen(as_json=json, quiet=quiet, verbose=verbose)
    out = out or Path(f"{stem(data)}-study")
    with screen.progress("comparing") as line:
        tell = StudyLine(screen, line, on_interim=lambda: write(out))
        try:
            summary = study(
                data,
                out,
                methods=methods,
                labels=labels,
                repeats=repeats,
                minutes=minutes,
                jobs=whole_or_auto(jobs, "--jobs"),
                seed=seed,
                **vars(reading),
                pretrained=pretrained,
                download=download,
                device=device,
                test=test,
                against=against,
                retry=retry,
                command=typed(),
                progress=tell,
            )
        except KeyboardInterrupt as error:
            number = error.number if isinstance(error, Interrupted) else signal.SIGINT
            raise Interrupted(f"{tell.saved}{go_on()}", number) from None
    page = write(out)
    if not tell.fits:
        screen.note("Every fit was there already; nothing was fitted again.")
    if json:
        screen.show_json(to_json(summary, kinds=False))
    else:
        draw_summary(screen, summary, page)
    if summary.errors and not summary.scores:
        what = f"all {plural(len(summary.errors), 'fit')} of {out} failed: {summary.errors[0].reason}"
        raise NothingFitted("all-failed", what, fix="mend that, and repeat the same command with --retry")


@app.command(group=studies)
def fit(
    data: DataSet,
    /,
    *,
    method: Annotated[str, Parameter(alias="-m")],
    out: Path | None = None,
    minutes: Minutes | None = None,
    seed: Seed = 0,
    reading: Reading = Reading(),
    pretrained: Pretrained = "efficientnet-lite0",
    download: Download = False,
    device: Device = "auto",
    verbose: Verbose = False,
    json: Flag = False,
    quiet: Flag = False,
):
    """One classifier on all training labels, as a model folder.

    Args:
        method: a name from `sparring methods`.
        out: folder of the model [default: DATA-METHOD].
        minutes: the most that training may take.
        seed: another number, another fit.
        json: print JSON.
        quiet: print nothing but results.
    """
    from ..classifiers import fit as fit_classifier
    from ..records import to_json

    screen = Screen(as_json=json, quiet=quiet, verbose=verbose)
    out = out or Path(f"{stem(data)}-{method}")
    with screen.progress("fitting") as line:
        fitted = fit_classifier(
            data,
            method=method,
            out=out,
            minutes=minutes,
            seed=seed,
            **vars(reading),
            pretrained=pretrained,
            download=download,
            device=device,
            progress=line.show,
        )
    record, score = fitted.model.record_, fitted.test
    if json:
        seconds = (record.seconds or {}).get("fit")
        test = None if score is None else asdict(score)
        told = {"model": str(out), "method": method, "seconds": seconds, "test": test}
        notes = to_json(fitted.notes, kinds=False)
        screen.show_json({**told, "pretrained": record.pretrained, "device": record.device, "notes": notes})
        return
    screen.line(f"{method}: fitted on {record.labels:,} labels, saved in {out}")
    if record.pretrained:
        screen.line(f"From other images: {printable(record.pretrained)}")
    if score is not None:
        screen.line(str(score))
    else:
        screen.note(f"How good is it? sparring compare {shlex.quote(data)} --methods {method} measures that")
    screen.note(f"Next: sparring classify {shlex.quote(str(out))} IMAGES...")


@app.command(group=studies)
def classify(
    model: Path,
    /,
    *images: Path,
    pretrained: str | None = None,
    device: Device = "auto",
    follow_links: FollowLinks = False,
    unsure: Share = 0.9,
    coverage: Share = 0.9,
    per_class: Flag = False,
    html: Path | None = None,
    move_into: Path | None = None,
    undo: Flag = False,
    csv: Flag = False,
    json: Flag = False,
):
    """What is on these images, by a model of `compare` or `fit`, and how sure that is.

    An answer is sure, unsure, or the image is unlike all that the model learned from.

    Args:
        model: a model folder, such as STUDY/model.
        images: image files, and folders of them.
        pretrained: the folder of the encoder that the model sees through, where it is not where it was.
        unsure: the share of the answers called sure that is to be right, by held-out labels; the others are unsure.
        coverage: the share of images whose set of classes is to hold the true one.
        per_class: so large a share of the images of each class, whatever their numbers.
        html: new page of the answers, with pictures.
        move_into: new folder. The files are moved into folders of it: one for each class, unsure, and unlike.
        undo: instead of all that, move back what --move-into moved into the folders named after the model.
        csv: print CSV with the probability of every class.
        json: print JSON with the probability of every class.
    """
    from ..classifiers import classify as predictions_of
    from ..classifiers import load_model
    from ..classifiers.doubt import sorting
    from ..classifiers.doubt.promises import promise_of

    screen = Screen(as_json=json)
    if not images:
        raise UsageError(
            "missing", "there are no images to classify", fix="name image files or folders after the model"
        )
    if undo:
        back = [path for folder in images for path in sorting.move_back(folder)]
        screen.line(f"{plural(len(back), 'file')} moved back")
        return
    if move_into is not None:
        for path in images:
            apart(new_folder(move_into, ours=(sorting.MOVED,)), path, "--move-into")
    if html is not None:
        html = new_page(html, images)
    classifier = load_model(model, pretrained=pretrained, device=device)
    given = {"unsure": unsure, "coverage": coverage, "per_class": per_class}
    found = predictions_of(classifier, images, follow_links=follow_links, device=device, **given)
    promises = promise_of(classifier, unsure, coverage, per_class=per_class).sentences
    good, bad = [p for p in found if not p.problem], [p for p in found if p.problem]
    for p in bad:
        screen.note(f"left out {printable(p.image)}: {p.problem}", style="yellow")
    if html is not None:
        from ..reporting.answers_page import write_answers_page

        write_answers_page(html, model.resolve().name, found, promises)
    if json:
        of_model = {"pretrained": classifier.record_.pretrained}
        rows = [dict(json_fields(p)) | of_model for p in good]
        screen.show_json([*rows, *({"image": p.image, "error": p.problem} for p in bad)])
    elif csv:
        lines = [(p.image, p.label, f"{p.confidence:.6f}", p.answer or "", " | ".join(p.labels_in_set or ()),
                  *(f"{q:.6f}" for q in (p.probabilities or {}).values())) for p in good]  # fmt: skip
        screen.csv((*COLUMNS, *map(probability_column, classifier.class_names_)), lines)
    else:
        draw_answers(screen, good, promises)
    if html is not None and not (json or csv):
        screen.line(f"\nPage: {html}")
    if move_into is not None:
        moved = sorting.move_into(move_into, found)
        screen.note(f"{plural(len(moved), 'file')} moved into {move_into}; back: sparring classify {model} {move_into} "
                    "--undo")  # fmt: skip


@app.command(group=studies)
def report(
    folder: Path, /, *, nearest: str | None = None, reading: ReadingLabels = ReadingLabels(), json: Flag = False
):
    """Write the HTML page of a study or of a training run again.

    Args:
        folder: what `sparring compare` or `sparring train` wrote.
        nearest: of a run, the images that it was trained on (whatever `sparring data` takes). The page then shows those
            nearest to its samples. --table, --label and --follow-links are about these.
        json: print JSON.
    """
    from ..reporting import write

    screen = Screen(as_json=json)
    if (folder / "recipe.json").is_file():
        from ..runs.latent_views import refresh_views  # loads torch, which a study's page does not need

        with screen.progress("looking inside the generator"):
            refresh_views(folder, reading.source(nearest))
    page = write(folder)
    if json:
        screen.show_json({"report": str(page)})
    else:
        screen.line(str(page))


@app.command(group=studies)
def data(
    data: DataSet,
    /,
    *,
    reading: Reading = Reading(),
    sheet: Path | None = None,
    plan: Flag = False,
    audit: Flag = False,
    frames: str | None = None,
    against: Path | None = None,
    out: Path | None = None,
    pretrained: Pretrained = "efficientnet-lite0",
    seed: Seed = 0,
    verbose: Verbose = False,
    json: Flag = False,
    quiet: Flag = False,
):
    """Check and describe a data set.

    Counts per class and part, sizes, modes, bad files, exact and near duplicates, and a contact sheet.

    Args:
        sheet: PNG file of the contact sheet [default: DATA-sheet.png].
        plan: instead of all that, which differences a study of so many images can find, and how many labels an accuracy
            to +-5, +-3 or +-2 points needs. Before any label is given, too.
        audit: instead of all that, labels that are probably wrong, odd images, copies, and properties that give a class
            away: a page with pictures, and a table with a line for each image.
        against: a model folder. Instead of all that, whether these images look like those that it learned from.
        frames: instead of all that, write so many pictures of every file that holds several, or all, as image files:
            pages of a TIFF, frames of a GIF, a WebP or a film.
        out: new folder of the audit, or of the pictures [default: DATA-audit, DATA-frames].
        pretrained: of the audit: the network whose features compare images, or none.
        seed: of the audit: another number, other folds.
        json: print JSON.
        quiet: print nothing but results.
    """
    from ..data import load

    screen = Screen(as_json=json, quiet=quiet, verbose=verbose)
    asked = {"--plan": plan, "--audit": audit, "--against": against is not None, "--frames": frames is not None}
    if sum(asked.values()) > 1:
        first, second, *_ = [name for name, given in asked.items() if given]
        raise UsageError("two-questions", f"{first} and {second} are two questions", fix="ask one at a time")
    if frames is not None:
        show_extracted(screen, data, out or Path(f"{stem(data)}-frames"), whole_or_all(frames, "--frames"), reading)
        return
    read = partial(load, data, **vars(reading))
    if plan:
        with screen.progress("reading") as line:
            images = read(progress=line.show)
        show_plan(screen, images, as_json=json)
        return
    if against is not None:
        show_drift(screen, against, partial(load, data), vars(reading), seed=seed)
        return
    if audit:
        out = out or Path(f"{stem(data)}-audit")
        show_audit(screen, data, out, pretrained=pretrained, seed=seed, **vars(reading))
        return
    sheet = new_file(sheet or f"{stem(data)}-sheet.png", data=data, option="--sheet")
    with screen.progress("reading") as line:
        found, picture, news = look(
            data, vars(reading), partial(read, progress=line.count),
            partial(line, 0, None, "looking for duplicates"),
        )  # fmt: skip
    with atomic_file(sheet) as temporary:
        temporary.write_bytes(picture)
    if json:
        screen.show_json(asdict(found) | {"contact_sheet": str(sheet)})
    else:
        draw_description(screen, found)
        if verbose:
            screen.tell(news)
        screen.line(f"\nContact sheet: {sheet}")


def show_extracted(screen: Screen, data: DataSet, out: Path, frames: int | None, reading: Reading) -> None:
    """Write pages and frames as image files, and print what is there then."""
    from ..data.extraction import TABLE, extract_frames

    options = {name: vars(reading)[name] for name in ("table", "label", "group", "follow_links")}
    with screen.progress("extracting") as line:
        found = extract_frames(data, out, frames, **options, progress=line.show)
    if screen.as_json:
        screen.show_json(asdict(found) | {"folder": str(found.folder)})
        return
    screen.line(f"{plural(found.images, 'image')} of {plural(found.files, 'file')} in {found.folder}")
    for origin, reason in found.left_out[: None if screen.verbose else 3]:
        screen.note(f"  left out: {origin}: {reason}")
    if len(found.left_out) > 3 and not screen.verbose:
        screen.note(f"  and {len(found.left_out) - 3} more (--verbose)")
    group = " --group group" if found.table else ""
    said = f"{TABLE} says which come from one file" if found.table else "pictures of one file are in one folder"
    screen.line(f"\nNext: sparring data {shlex.quote(str(found.folder))}{group}   ({said})")


def show_drift(
    screen: Screen, folder: Path, read: "Callable[..., ImageSet]", reading: dict[str, object], *, seed: int
) -> None:
    """Print how images differ from those that a model learned from."""
    from ..classifiers import load_model
    from ..classifiers.doubt.drift import drift

    model = load_model(folder)
    size = reading["size"] or tuple(model.image_shape_[:2])
    with screen.progress("comparing") as line:
        images = read(**{**reading, "size": size}, progress=line.show)
        found = drift(model, images, name=str(folder), seed=seed)
    if screen.as_json:
        screen.show_json(to_json(found, kinds=False))
    else:
        draw_drift(screen, found)


def show_audit(screen: Screen, data: DataSet, out: Path, **options) -> None:
    """Audit a data set and print what was found."""
    from ..reporting.verbs import audit
    from ..study.audit.auditing import summary_lines
    from ..study.audit.findings import PAGE

    with screen.progress("auditing") as line:
        found = audit(data, out=out, progress=line.show, **options)
    if screen.as_json:
        screen.show_json(to_json(found, kinds=False))
        return
    screen.line(f"{found.name}: {plural(found.images, 'image')}, {plural(len(found.classes), 'class', 'classes')}")
    for text in summary_lines(found):
        screen.line(f"  {text}")
    if found.check.checked:
        agreed = percent(found.check.agreed, 0)
        screen.note(f"\nThe check of {found.check.checked:,} labels agrees with {agreed} of them.")
    screen.line(f"\nPictures: {out / PAGE}")


def show_plan(screen: Screen, images: "ImageSet", *, as_json: bool) -> None:
    """Print what a study of these images could find."""
    from ..study.precision import plan_study

    plan = plan_study(images)
    if as_json:
        screen.show_json(asdict(plan))
    else:
        draw_plan(screen, plan)
