"""sparring judge: scores of generated images that can be trusted."""

from collections.abc import Sequence
from pathlib import Path

from ..errors import UsageError, printable
from ..files import new_file
from .app import app, games, tables
from .screen import Screen
from .typed import Count, Flag, Names, Seed


@app.command(group=games, usage="Usage: sparring judge [OPTIONS] REAL FAKES...")
def judge(
    real: str,
    /,
    *fakes: str,
    metrics: Names = (),
    features: str = "own",
    weights: Path | None = None,
    weights_hash: str | None = None,
    held_out: str | None = None,
    per_class: Flag = False,
    over_time: Flag = False,
    images: Count = 10_000,
    size: str | None = None,
    seed: Seed = 0,
    report: Path | None = None,
    json: Flag = False,
    quiet: Flag = False,
):
    """Score generated images against real ones, with intervals.

    Of several sets of fakes: which is better, a tie, or not enough evidence.

    NAME=FAKES names a set. Sets of one name are trainings of one generator, and the verdict is about training it.

    Args:
        real: images, whatever `sparring data` takes. Its test part, if it has one, is what fakes are compared with.
        fakes: the same, or runs of `sparring train`, or model folders.
        metrics: names from `sparring metrics`, with commas between them [default: all but the slow ones].
        features: own: a small network that learns from the real images. pixels, hog: hand-made. With --weights:
            inception, dinov2, clip, or encoder for any other image model.
        weights: folder of such a model, or its name in the Hugging Face cache; inception: a .safetensors file.
        weights_hash: what the sha256 of these weights must begin with.
        held_out: real images that no generator was trained on, to be compared with.
        per_class: also within each class.
        over_time: every checkpoint of one run; the best by one half of the real images, its scores by the other.
        images: at most so many on each side.
        size: side, or height x width such as 48x64, that all images are fitted to.
        seed: of what is drawn.
        report: write an HTML page, such as judge.html.
        json: print JSON.
        quiet: print nothing but results.
    """
    screen = Screen(as_json=json, quiet=quiet)
    chosen = {"scores": metrics, "features": features, "weights": weights, "weights_hash": weights_hash}
    chosen |= {"held": held_out, "images": images, "size": size, "seed": seed}
    if not over_time:
        sets(screen, real, fakes, report=report, json=json, classes=per_class, **chosen)
    elif per_class or report:
        what = f"--over-time goes without {'--per-class' if per_class else '--report'}"
        raise UsageError("over-time", what, fix="judge the run itself, or write its page: sparring report RUN")
    else:
        checkpoints(screen, real, fakes, json=json, **chosen)


def sets(screen: Screen, real: str, fakes: Sequence[str], *, report: Path | None, json: bool, **chosen) -> None:
    """Sets of fakes against real images, and against each other."""
    from ..judging import judge as scored

    if not fakes:
        raise UsageError("missing", "there are no fakes to judge", fix="name images, a run or a model after REAL")
    page = None if report is None else new_page(report)
    names, fakes = named(fakes)
    with screen.progress("judging") as line:
        found = scored(real, *fakes, names=names, **chosen, progress=lambda text: line(0, None, text))
    if page:
        from ..reporting.judgement_page import write  # it draws with matplotlib, which takes a while to load

        write(page, found.to_json(), found.pictures())
    if json:
        screen.show_json(found.to_json())
        return
    show(screen, found)
    if page:
        screen.note(f"Report: {printable(str(page))}")


def named(fakes: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """Names and paths of NAME=PATH; a path that is there may hold an = of its own."""
    pairs = [("", text) if "=" not in text or Path(text).exists() else text.split("=", 1) for text in fakes]
    return [name for name, _ in pairs], tuple(path for _, path in pairs)


def new_page(path: Path) -> Path:
    """An HTML file that is not there, or that sparring made, in a folder that is there."""
    if path.suffix.lower() not in (".html", ".htm"):
        raise UsageError("report-name", f"--report {path} is not an HTML file", fix="name one, such as judge.html")
    if not path.absolute().parent.is_dir():
        raise UsageError(
            "report-folder", f"--report {path}: there is no folder {path.parent}", fix="make it, or name another"
        )
    return new_file(path)


def show(screen: Screen, found) -> None:
    """What it comes to, the scores, and what they depend on."""

    for sentence in found.sentences:
        screen.line(f"{printable(sentence)}.", style="bold")
    if found.sentences:
        screen.line()
    table(screen, found)
    for note in found.notes:
        screen.note(f"{printable(note)}.")
    verdicts(screen, found)
    classes(screen, found)
    screen.note()
    for one in found.judged:
        screen.note(printable(f"{one.fake.name}: {one.fake.how}."))
    screen.note(printable(measured(found.stamp, found.protocol)))


def measured(stamp: str, protocol: dict) -> str:
    """What a number depends on, in one line."""
    extractor, real = protocol["extractor"], protocol["real"]
    accuracy = (
        f", right on {100 * extractor['accuracy']:.1f} % of {extractor['accuracy_of']}" if extractor["accuracy"] else ""
    )
    return (
        f"Stamp {stamp}: {protocol['fakes']:,} fakes against {real['compared']:,} real images of {real['name']} "
        f"({real['how']}); features {extractor['name']} {extractor['hash']}{accuracy}, {extractor['resize']}; "
        f"{protocol['pixels']}; seed {protocol['seed']}; sparring {protocol['sparring']}. "
        "What each score means: sparring metrics"
    )


def table(screen: Screen, found) -> None:
    """A row for each score, a column for each generator."""
    from ..judging import METRICS

    sides = found.by_generator()
    names = [printable(side["name"]) + f" x {side['trainings']}" * (side["trainings"] > 1) for side in sides]
    several = len(names) > 1
    rows = []
    for scores in zip(*(side["scores"] for side in sides), strict=True):
        if all(score["value"] is None for score in scores):
            continue
        metric, real = METRICS[scores[0]["metric"]], found.floor.get(scores[0]["metric"])
        cells = (
            [metric.around(score["value"], score["low"], score["high"]) for score in scores]
            if several
            else [metric.shown(scores[0]["value"]), interval(metric, scores[0]["low"], scores[0]["high"])]
        )
        rows.append((metric.title, *cells, around(real), metric.better))
    heads = ("", *(names if several else (names[0], "95 % interval")), "real images", "better is")
    screen.table(heads, rows, right=names)
    over = " (over trainings, where there are several)" if len(sides) < len(found.judged) else ""
    screen.note(f"After +-: to the farther end of the 95 % interval{over}.")


def interval(metric, low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{metric.shown(low).removesuffix(' %')} to {metric.shown(high)}"


def verdicts(screen: Screen, found) -> None:
    """Every two generators, score by score."""
    from ..judging import METRICS

    if not found.verdicts:
        return
    rows = []
    for v in found.verdicts:
        metric, p = METRICS[v.metric], f"{v.p_holm:.2g}" if v.p_holm >= 0.001 else "< 0.001"
        rows.append((printable(f"{v.a} - {v.b}"), metric.title, metric.apart(v.mean, v.half), p, v.verdict))
    screen.line()
    screen.table(("", "", "difference", "p, adjusted", "the first is"), rows, right=("difference", "p, adjusted"))


def classes(screen: Screen, found) -> None:
    """A row for each class of each set of fakes."""

    for one in found.judged:
        names = list(dict.fromkeys(name for scores in one.classes.values() for name in scores))
        heads = list(map(short, names))
        rows = [(printable(name), *(around(scores.get(m)) for m in names)) for name, scores in one.classes.items()]
        if rows:
            screen.line()
            screen.table(("class", *heads), rows, title=printable(f"{one.fake.name}, class by class"), right=heads)
        if one.left_out:
            screen.note(printable(f"{one.fake.name}, {one.left_out}."))


def short(name: str) -> str:
    """For the head of a narrow column."""
    from ..judging import METRICS

    return f"{name} x 1000" if METRICS[name].times == 1000 else name


def around(score) -> str:
    from ..judging import METRICS

    return METRICS[score.metric].around(score.value, score.low, score.high) if score else ""


def checkpoints(screen: Screen, real: str, fakes: Sequence[str], *, json: bool, **chosen) -> None:
    from ..judging import METRICS
    from ..judging.over_time import over_time

    if len(fakes) > 1:
        raise UsageError("several", "--over-time takes one run", fix="name one run after REAL")
    if not fakes:
        real, fakes = trained_on(real), (real,)
    with screen.progress("judging") as line:
        found = over_time(real, fakes[0], **chosen, progress=lambda text: line(0, None, text))
    if json:
        screen.show_json(found)
        return
    names = [row["metric"] for row in found["checkpoints"][0]["scores"] if row["value"] is not None]
    heads = ("images", *map(short, names))
    rows = []
    for at in found["checkpoints"]:
        each = {row["metric"]: row for row in at["scores"]}
        best = " best" if at["images"] == found["best"]["images"] else ""
        cells = (METRICS[m].around(*(each[m][part] for part in ("value", "low", "high"))) for m in names)
        rows.append((f"{at['images']:,}{best}", *cells))
    screen.line("By the half of the real images that chooses:")
    screen.table(heads, rows, right=heads)
    screen.line(f"\nThe best, {found['best']['images']:,} images, other fakes of it by the other half:")
    screen.table(
        ("", "", "95 % interval"),
        [
            (METRICS[row["metric"]].title, METRICS[row["metric"]].shown(row["value"]),
             interval(METRICS[row["metric"]], row["low"], row["high"]))
            for row in found["best"]["scores"] if row["value"] is not None
        ],
    )  # fmt: skip
    for note in found["notes"]:
        screen.note(f"{printable(note)}.")
    screen.note("\n" + printable(measured(found["stamp"], found["protocol"])))
    screen.note(f"Kept for sparring report: {printable(str(Path(fakes[0]) / 'scores.json'))}")


def trained_on(run: str) -> str:
    """The data of a run that anyone has: the embedded ones. Others must be named, for a run keeps no path."""
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
    from dataclasses import asdict

    from ..judging.catalogue import METRICS, metric_name

    screen, name = Screen(as_json=json), name and metric_name(name)
    if json:
        screen.show_json([{"name": key, **asdict(metric)} for key, metric in METRICS.items() if name in (None, key)])
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
