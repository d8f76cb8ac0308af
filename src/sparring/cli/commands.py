"""The commands: read what was typed, call the chapter that does it, draw what it says."""

import shlex
import signal
import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Group, Parameter

from .. import __version__
from ..errors import UsageError
from ..places import new_file, new_folder
from .drawings import Telling, draw_data, draw_summary
from .screen import Screen
from .signals import Interrupted, Stop
from .typed import Count, Flag, Minutes, Names, Seed, Share, whole_or_auto

studies = Group("Which method is better", sort_key=0)
games = Group("Games", sort_key=1)
tables = Group("Tables", sort_key=2)
options = Group("Options", sort_key=3)
Precision = Literal["auto", "fp32", "bf16"]

app = App(
    name="sparring",
    help="Two networks spar: one makes images, one judges them. Does that help to classify images when labels are few?",
    help_epilogue="Start here: sparring compare digits        For a traceback of an error: --debug",
    version=__version__,
    help_format="plaintext",
    default_parameter=Parameter(negative=""),
    suppress_keyboard_interrupt=False,
)


# Which method is better


@app.command(group=studies)
def compare(
    data: str,
    /,
    *,
    methods: Names | None = None,
    labels: Names = ("5", "20"),
    repeats: Count = 6,
    minutes: Minutes | None = None,
    jobs: str = "auto",
    seed: Seed = 0,
    out: Path | None = None,
    size: str | None = None,
    unlabelled: Path | None = None,
    table: Path | None = None,
    test: Share = 0.2,
    retry: Flag = False,
    json: Flag = False,
    quiet: Flag = False,
):
    """Methods against each other on the same few labels.

    Which is better, how sure that is, and what it costs: a report, and the model to use. The same command again goes on where it stopped; more methods, labels or repeats extend the study.

    Args:
        data: digits, a folder, .zip, .npz or .parquet.
        methods: names from `sparring methods`, such as svm,cnn [default: all].
        labels: labels a class to learn from, such as 5,20,all [default: 5,20].
        repeats: how often, each time with other labels; at least 6 for a difference to be called real.
        minutes: about how long the study may take; divided over the fits of networks.
        jobs: fits side by side; auto measures what is fastest.
        seed: another number, another study.
        out: folder of the study [default: DATA-study].
        size: side, or height x width such as 48x64, that images are fitted to.
        unlabelled: a folder of further images without labels.
        table: a labels.csv that lies elsewhere.
        test: share of each class for the test part, where DATA has none.
        retry: try fits again that failed.
        json: print the summary as JSON.
        quiet: print nothing but results.
    """
    from ..report import write
    from ..study import compare as study

    screen = Screen(as_json=json, quiet=quiet)
    out = new_folder(out or f"{stem(data)}-study", marker="study.json", data=data)
    settings = {"methods": methods, "budgets": labels, "repeats": repeats, "minutes": minutes, "seed": seed}
    settings |= {"size": size, "unlabelled": unlabelled, "labels": table, "test": test, "retry": retry}
    with screen.progress("comparing") as line:
        tell = Telling(screen, line)
        try:
            summary = study(
                data, out, **settings, jobs=whole_or_auto(jobs, "--jobs"), command=typed(), progress=tell
            ).all
        except KeyboardInterrupt as error:
            number = error.number if isinstance(error, Interrupted) else signal.SIGINT
            raise Interrupted(f"{tell.saved}{go_on()}", number) from None
    page = write(out)
    if json:
        screen.show_json(summary)
    else:
        draw_summary(screen, summary, page)


@app.command(group=studies)
def report(study: Path, /):
    """Write the HTML page of a study again.

    Args:
        study: the folder that `sparring compare` wrote.
    """
    from ..report import write

    Screen().line(str(write(study)))


@app.command(group=studies)
def data(
    data: str,
    /,
    *,
    size: str | None = None,
    unlabelled: Path | None = None,
    table: Path | None = None,
    sheet: Path | None = None,
    json: Flag = False,
    quiet: Flag = False,
):
    """Check and describe a data set.

    Counts per class and part, sizes, modes, bad files, exact and near duplicates, and a contact sheet.

    Args:
        data: digits, a folder, .zip, .npz or .parquet.
        size: side, or height x width such as 48x64, that images are fitted to.
        unlabelled: a folder of further images without labels.
        table: a labels.csv that lies elsewhere.
        sheet: PNG file of the contact sheet [default: DATA-sheet.png].
        json: print JSON.
        quiet: print nothing but results.
    """
    from ..data import contact_sheet, describe, load
    from ..images import save_png

    screen = Screen(as_json=json, quiet=quiet)
    sheet = new_file(sheet or f"{stem(data)}-sheet.png", data=data)
    with screen.progress("reading") as line:
        images = load(data, size=size, unlabelled=unlabelled, labels=table, progress=line)
        line(0, None, "looking for duplicates")
        about = describe(images)
    save_png(sheet, contact_sheet(images), text={"Software": "sparring", "Title": f"contact sheet of {images.name}"})
    if json:
        screen.show_json(about | {"contact_sheet": str(sheet)})
    else:
        draw_data(screen, about)
        screen.line(f"\nContact sheet: {sheet}")


# Tables


@app.command(group=tables)
def recipes(*, json: Flag = False):
    """The games that `train` knows.

    Args:
        json: print JSON.
    """
    from ..recipes import RECIPES

    screen = Screen(as_json=json)
    rows = [{"name": name, "players": len(recipe.players), "source": recipe.source} for name, recipe in RECIPES.items()]
    if json:
        screen.show_json(rows)
    else:
        screen.table(("recipe", "players", "source"), [tuple(row.values()) for row in rows], right="players")
        screen.note("\nTrain one: sparring train DATA -r dcgan. Your own: sparring train DATA -r my.py:recipe.")


@app.command(group=tables)
def methods(*, json: Flag = False):
    """The classifiers that `compare` sets against each other.

    Args:
        json: print JSON.
    """
    from ..classify import METHODS

    screen = Screen(as_json=json)
    names = ("name", "family", "title", "what", "cites")
    if json:
        screen.show_json([{name: getattr(method, name) for name in names} for method in METHODS.values()])
    else:
        screen.table(("method", "family", "what it is"), [(m.name, m.family, m.what) for m in METHODS.values()])


@app.command(group=tables)
def doctor(*, json: Flag = False):
    """What this machine has, what will be used, and why.

    Args:
        json: print JSON.
    """
    from ..runs import choose_device
    from ..study.machine import cores, hardware, versions

    screen = Screen(as_json=json)
    device = choose_device("auto")
    found = {"versions": versions(), "machine": hardware(), "device": device, **precision_here(device)}
    found |= {"jobs": cores(), "threads": 1}
    if json:
        screen.show_json(found)
        return
    machine = found["machine"]
    screen.table(("", ""), [(name, version) for name, version in found["versions"].items()], title="Versions")
    screen.line()
    memory = f"{machine['memory_gib']} GiB" if machine["memory_gib"] else "unknown"
    gpu = "used, because there is one" if device != "cpu" else "no GPU that torch can use was found"
    rows = [
        ("processor", machine["cpu"], ""),
        ("cores", machine["cores"], "as many fits of a study run side by side, one thread each"),
        ("memory", memory, ""),
        ("device", device, gpu),
        ("precision", found["precision"], found["why"]),
    ]
    screen.table(("", "", ""), rows, title="Machine")


def precision_here(device: str) -> dict:
    """Which number format trains a small GAN faster here, by measurement."""
    from ..nets.layers import Facts
    from ..recipes import RECIPES
    from ..train import fastest_precision

    chosen = fastest_precision(RECIPES["dcgan"], Facts(1, 28, 28, 10), device=device)
    other = "fp32" if chosen == "bf16" else "bf16"
    return {"precision": chosen, "why": f"measured on dcgan at 28x28: {other} is not faster (--precision overrides)"}


# Games


@app.command(group=games)
def train(
    data: str,
    /,
    *,
    recipe: Annotated[str, Parameter(alias="-r")],
    images: Count = 200_000,
    out: Path | None = None,
    minutes: Minutes | None = None,
    seed: Seed = 0,
    size: str | None = None,
    unlabelled: Path | None = None,
    device: str = "auto",
    precision: Precision = "auto",
    json: Flag = False,
    quiet: Flag = False,
):
    """Train a generator, or any recipe.

    The same command again goes on where it stopped.

    Args:
        data: digits, a folder, .zip, .npz or .parquet.
        recipe: a name from `sparring recipes`, or my.py:recipe.
        images: how many images to train on, such as 200k or 1.5M.
        out: folder of the run [default: RECIPE-DATA].
        minutes: stop after so many minutes.
        seed: another number, another run.
        size: side, or height x width such as 48x64, that images are fitted to.
        unlabelled: a folder of further images without labels.
        device: auto, cpu, cuda.
        precision: auto measures which is faster.
        json: print where the run stands as JSON.
        quiet: print nothing but results.
    """
    from ..runs import find_recipe, to_dict
    from ..runs import train as advance

    screen = Screen(as_json=json, quiet=quiet)
    name, _ = find_recipe(recipe)
    out = new_folder(out or f"{stem(name)}-{stem(data)}", marker="recipe.json", data=data)
    settings = {"images": images, "minutes": minutes, "seed": seed, "size": size, "unlabelled": unlabelled}
    last = None
    with Stop() as stop, screen.progress(name) as line:
        for last in advance(data, recipe, out, **settings, device=device, precision=precision, stop=stop):
            line(last.images, last.total, readings(last), left=last.seconds_left)
    if last is None:
        return
    if json:
        screen.show_json(to_dict(last))
    if stop.number:
        raise Interrupted(f"{last.images:,} of {last.total:,} images done, saved in {out}; {go_on()}", stop.number)
    if json:
        return
    if last.done:
        screen.line(f"{name}: {last.total:,} images, done. Samples, log and model: {out}")
        if (out / "model").is_dir():
            screen.note(f"Next: sparring sample {shlex.quote(str(out))} -n 64 --grid samples.png")
    else:
        screen.line(f"{name}: {last.images:,} of {last.total:,} images, saved in {out} ({last.why})")
        screen.note(f"Go on with more --minutes: {go_on()}")


def readings(at) -> str:
    """`1,230 images/s  D 0.69  G 0.81  D right on real 81 %, fake 88 %`"""
    losses, right = [], []
    for name, value in at.means.items():
        player, _, term = name.partition("/")
        if term == "SaysReal/real":
            right.insert(0, f"real {100 * value:.0f} %")
        elif term == "SaysReal/fake":
            right.append(f"fake {100 - 100 * value:.0f} %")
        else:
            several = sum(other.startswith(f"{player}/") and "SaysReal" not in other for other in at.means) > 1
            losses.append(f"{term if several else player} {value:.3g}")
    verdicts = [f"D right on {', '.join(right)}"] if right else []
    return "  ".join([f"{at.images_per_second:,.0f} images/s", *losses, *verdicts])


@app.command(group=games)
def sample(
    run: Path,
    /,
    *,
    n: Annotated[Count, Parameter(name=("-n", "--count"))] = 64,
    grid: Path | None = None,
    out: Path | None = None,
    per_class: Count | None = None,
    label: Annotated[str | None, Parameter(name="--class")] = None,
    seed: Seed = 0,
    columns: Count | None = None,
    json: Flag = False,
):
    """Draw images from a trained generator: one grid, or files.

    Args:
        run: the folder that `sparring train` wrote, or a model folder.
        n: how many images.
        grid: PNG file of one picture of all of them [default: RUN-samples.png].
        out: folder for one PNG file per image.
        per_class: so many of every class, into a folder per class in --out.
        label: only this class.
        seed: another number, other images; image i is always the same.
        columns: of the grid.
        json: print what was written as JSON.
    """
    import numpy as np

    from ..runs import generator
    from ..sample import per_class as by_class
    from ..sample import save_grid, save_samples

    screen = Screen(as_json=json)
    out = new_folder(out) if out else None
    sampler = generator(run)
    if per_class:
        if out is None:
            raise UsageError("missing", "--per-class writes a folder per class", fix="name a folder with --out")
        for name, images in by_class(sampler, per_class, seed=seed):
            save_samples(images, out / folder_name(name))
        written = {"images": per_class * len(sampler.classes), "out": str(out)}
    else:
        labels = None if label is None else np.full(n, sampler.label(label))
        images = sampler.draw(n, labels=labels, seed=seed)
        if out is not None:
            save_samples(images, out)
        if grid or out is None:
            grid = new_file(grid or f"{stem(run)}-samples.png")
            save_grid(images, grid, columns=columns)
        written = {"images": n, "out": out and str(out), "grid": grid and str(grid)}
    if json:
        screen.show_json(written)
    else:
        screen.line(f"{written['images']:,} images: " + ", ".join(str(p) for p in (out, written.get("grid")) if p))


# What commands share


def stem(source: str | Path) -> str:
    """A short name for output, from what was typed: photos/, my.zip/images -> photos, my."""
    path = Path(source)
    inside = next((p for p in (path, *path.parents) if p.suffix in (".zip", ".npz", ".parquet", ".py")), path)
    return inside.resolve().stem.split(":")[0] or "images"


def folder_name(name: str) -> str:
    """A class name as a folder name: it never leaves its parent, and no two names collide."""
    from urllib.parse import quote

    plain = quote(name, safe=" !#$&'()+,;=@[]{}~^`-_äöüßéèêàçñ")
    return plain if plain.strip(". ") else "%2E" * len(plain) or "%00"


def go_on() -> str:
    """The command that was typed, to be typed again."""
    return f"to go on: {typed()}"


def typed() -> str:
    """The command line as it was typed."""
    return shlex.join(["sparring", *sys.argv[1:]])


for place, name in enumerate(name for name in app if not name.startswith("-")):
    app[name].sort_key = place  # help lists commands as this file does
for name in ("--help", "--version"):
    app[name].group = options
