"""sparring judge: scores of generated images that can be trusted."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UsageError, printable
from ..files import new_file
from .app import app, games, tables
from .reading import ReadingGroups
from .screen import Line, Screen
from .typed import Count, Device, Download, Flag, Names, Seed, Verbose

if TYPE_CHECKING:
    from ..judging import JudgeOptions
    from ..records import OnProgress, Progress


@app.command(group=games, usage="Usage: sparring judge [OPTIONS] REAL FAKES...")
def judge(
    real: str,
    /,
    *fakes: str,
    metrics: Names = (),
    features: str = "own",
    weights: Path | None = None,
    weights_hash: str | None = None,
    download: Download = False,
    held_out: str | None = None,
    per_class: Flag = False,
    over_time: Flag = False,
    images: Count = 10_000,
    reading: ReadingGroups = ReadingGroups(),
    seed: Seed = 0,
    device: Device = "auto",
    verbose: Verbose = False,
    report: Path | None = None,
    json: Flag = False,
    quiet: Flag = False,
):
    """Score generated images against real ones, with intervals.

    Several sets of fakes are compared: one is better, or they tie, or there is not enough evidence.

    NAME=FAKES names a set. Sets of one name are trainings of one generator, and the verdict is about training it.

    Args:
        real: images, whatever `sparring data` takes. Its test part, if it has one, is what fakes are compared with.
        fakes: the same, or runs of `sparring train`, or model folders.
        metrics: names from `sparring metrics`, separated by commas [default: all but the slow ones].
        features: own is a small network that learns from the real images; pixels and hog are hand-made;
            efficientnet-lite0 is built in, with weights of ImageNet; inception, dinov2, clip, or encoder for any other
            image model, need --weights.
        weights: folder of such a model, or its name on the hub; of inception a .safetensors file.
        weights_hash: what the sha256 of these weights must begin with.
        held_out: real images that no generator was trained on; fakes are compared with them.
        per_class: score each class, too.
        over_time: judge every checkpoint of one run. Half of the real images choose the best, the others score it.
        images: at most this many on each side.
        seed: of all random choices.
        report: write an HTML page, such as judge.html.
        json: print JSON.
        quiet: print nothing but results.
    """
    from ..judging import JudgeOptions

    screen = Screen(as_json=json, quiet=quiet, verbose=verbose)
    options = JudgeOptions(
        metrics, features, weights, weights_hash, held_out,
        images=images, seed=seed, device=device, download=download, **vars(reading),
    )  # fmt: skip
    if not over_time:
        _judge_sets(screen, real, fakes, options, report=report, per_class=per_class)
    elif per_class or report:
        what = f"--over-time goes without {'--per-class' if per_class else '--report'}"
        raise UsageError("over-time", what, fix="judge the run itself, or write its page: sparring report RUN")
    else:
        _judge_checkpoints(screen, real, fakes, options)


def _judge_sets(
    screen: Screen, real: str, fakes: Sequence[str], options: "JudgeOptions", *, report: Path | None, per_class: bool
) -> None:
    """Judge sets of fakes against real images, and against each other."""
    from ..judging import judge as judge_images
    from .judgement_tables import show_judgement

    if not fakes:
        raise UsageError("missing", "there are no fakes to judge", fix="name images, a run or a model after REAL")
    page = None if report is None else _new_page(report)
    names, sources = _named(fakes)
    with screen.progress("judging") as line:
        chosen = {field.name: getattr(options, field.name) for field in fields(options)}
        found = judge_images(real, *sources, names=names, per_class=per_class, progress=_on(line), **chosen)
    result = found.result
    if page:
        # it draws with matplotlib, which takes a while to load
        from ..reporting.judgement_page import write_judgement_page

        write_judgement_page(page, result, found.pictures())
    if screen.as_json:
        screen.show_json(result.to_json())
        return
    show_judgement(screen, result)
    if page:
        screen.note(f"Report: {printable(str(page))}")


def _on(line: Line) -> "OnProgress":
    """Return what shows progress; what reading left out stands below the scores, in full only here."""

    def show(p: "Progress") -> None:
        if line.screen.verbose:
            line.screen.tell(p.news)
        line(0, None, f"{p.what} {100 * p.done // p.total} %" if p.total else p.what)

    return show


def _named(fakes: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """Return the names and paths of NAME=PATH; the path of a file that exists may contain an = of its own."""
    pairs = [("", text) if "=" not in text or Path(text).exists() else text.split("=", 1) for text in fakes]
    return [name for name, _ in pairs], tuple(path for _, path in pairs)


def _new_page(path: Path) -> Path:
    """Return the path of an HTML file that may be written: there is none yet, or sparring made it."""
    if path.suffix.lower() not in (".html", ".htm"):
        raise UsageError("report-name", f"--report {path} is not an HTML file", fix="name one, such as judge.html")
    if not path.absolute().parent.is_dir():
        raise UsageError(
            "report-folder", f"--report {path}: there is no folder {path.parent}", fix="make it, or name another"
        )
    return new_file(path, option="--report")


def _judge_checkpoints(screen: Screen, real: str, fakes: Sequence[str], options: "JudgeOptions") -> None:
    from ..judging.over_time import over_time
    from .judgement_tables import show_over_time

    if len(fakes) > 1:
        raise UsageError("several", "--over-time takes one run", fix="name one run after REAL")
    if not fakes:
        real, fakes = _data_of(real), (real,)
    with screen.progress("judging") as line:
        found = over_time(real, fakes[0], options, progress=_on(line))
    if screen.as_json:
        screen.show_json(found.to_json())
        return
    show_over_time(screen, found)
    screen.note(f"Kept for sparring report: {printable(str(Path(fakes[0]) / 'scores.json'))}")


def _data_of(run: str) -> str:
    """Return the data of a run if they are embedded ones. Others must be named, for a run keeps no path."""
    from ..data.sources import EMBEDDED
    from ..runs.history import read_settings

    name = read_settings(run).source
    if name in EMBEDDED:
        return name
    fix = f"name the images before the run: sparring judge DATA {run} --over-time"
    raise UsageError("no-data", f"{run} does not say where its images {name!r} lie", fix=fix)


@app.command(group=tables)
def metrics(name: str | None = None, /, *, json: Flag = False):
    """The scores that `judge` gives.

    Args:
        name: explain this one.
        json: print JSON.
    """
    from ..judging.catalogue import METRICS, metric_name

    screen, name = Screen(as_json=json), name and metric_name(name)
    if json:
        rows = [{"name": key, **metric.described()} for key, metric in METRICS.items() if name in (None, key)]
        screen.show_json(rows)
    elif name:
        metric = METRICS[name]
        screen.line(metric.title, style="bold")
        for words in (metric.means, f"What it misses: {metric.misses}", metric.source):
            screen.line(words)
    else:
        rows = [
            (key, metric.title, metric.better, "if named" if metric.asked else "headline" if metric.headline else "")
            for key, metric in METRICS.items()
        ]
        screen.table(("name", "what it is", "better is", ""), rows)
        screen.note("\nWhat one means and misses: sparring metrics NAME")
