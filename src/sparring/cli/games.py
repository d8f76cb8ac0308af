"""Generators: train."""

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from ..files import read_json
from .app import app, games, go_on, stem, typed
from .reading import Reading
from .screen import Screen
from .signals import Interrupted, Stop
from .typed import BatchSize, Count, DataSet, Flag, Minutes, Seed, Verbose

if TYPE_CHECKING:
    from ..runs.driver import TrainingProgress

Precision = Literal["auto", "fp32", "bf16"]


@app.command(group=games)
def train(
    data: DataSet,
    /,
    *,
    recipe: Annotated[str, Parameter(alias="-r")] = "auto",
    images: Count = 200_000,
    batch: BatchSize | None = None,
    out: Path | None = None,
    minutes: Minutes | None = None,
    seed: Seed = 0,
    reading: Reading = Reading(),
    source: str | None = None,
    augment: str = "auto",
    device: str = "auto",
    precision: Precision = "auto",
    verbose: Verbose = False,
    no_monitor: Flag = False,
    no_watch: Annotated[Flag, Parameter(show=False)] = False,
    json: Flag = False,
    quiet: Flag = False,
):
    """Train a generator, or any recipe.

    The same command again goes on where it stopped.

    Pictures of what it draws are kept at 10, 20, 40, ... seconds, and whenever it stops.

    Args:
        recipe: a name from `sparring recipes`, my.py:recipe, or auto: by the labels of the data.
        images: how many images to train on, such as 200k or 1.5M.
        batch: images in each step [default: the recipe's own, 4 to 64, chosen for minutes on a CPU].
        out: folder of the run [default: RECIPE-DATA, or run-DATA].
        minutes: stop after training for so many minutes; the same command then trains as long again.
        seed: another number, another run.
        source: the images that pix2pix (of the same file names) or cyclegan starts from.
        augment: how D sees images: none, diffaugment, ada, or auto: diffaugment below 10,000 images, after 20 epochs.
        device: auto, cpu, cuda.
        precision: auto measures which is faster.
        no_monitor: do not go back to a healthy copy where training diverges or collapses.
        json: print where the run stands as JSON.
        quiet: print nothing but results.
    """
    from ..runs.defaults import find_recipe
    from ..runs.driver import TrainOptions, train_steps

    screen = Screen(as_json=json, quiet=quiet, verbose=verbose)
    if no_watch:
        screen.note("--no-watch is called --no-monitor now")
    name = "run" if recipe == "auto" else find_recipe(recipe)[0]
    out = out or Path(f"{stem(name)}-{stem(data)}")
    options = TrainOptions(
        images, batch, minutes, seed, source=source, augment=augment, device=device, precision=precision,
        monitor=not (no_monitor or no_watch), **vars(reading),
    )  # fmt: skip
    last = None
    with Stop() as stop, screen.progress(name) as line:
        for last in train_steps(data, recipe, out, options, stop=stop, progress=line.show):
            for words in last.news:
                screen.note(f"{name}: {words}", style="")
            line(last.images, last.total, readings(last), left=last.seconds_left)
    if last is None:
        return
    if json:
        told = {k: str(v) if isinstance(v, Path) else v for k, v in asdict(last).items()}
        screen.show_json(told | {"notes": read_json(out / "data.json").get("notes")})
    if stop.number:
        raise Interrupted(f"{last.images:,} of {last.total:,} images done, saved in {out}; {go_on()}", stop.number)
    if json:
        return
    say_end(screen, name, last, out)


def say_end(screen: Screen, name: str, last: "TrainingProgress", out: Path) -> None:
    """Say how far it came, and what to type next."""
    if not last.done:
        screen.line(f"{name}: {last.images:,} of {last.total:,} images, saved in {out} ({last.why})")
        screen.note(f"To go on for as long again: {typed()}")
        return
    back = f", went back {last.recovered} time{'s'[: last.recovered > 1]}" if last.recovered else ""
    screen.line(f"{name}: {last.total:,} images, done{back}. Samples, log and model: {out}")
    if (out / "model").is_dir():
        translates = read_json(out / "model" / "config.json")["kind"] == "translator"
        what = "translate {} IMAGES" if translates else "sample {} -n 64 --grid samples.png"
        screen.note(f"Next: sparring {what.format(shlex.quote(str(out)))}")


def readings(at: "TrainingProgress") -> str:
    """Return the line of a live training: `1,230 images/s  D 0.69  G 0.81  D right on real 81 %, fake 88 %`."""
    losses, right = [], []
    for name, value in at.means.items():
        player, _, loss = name.partition("/")
        if loss == "FractionReal/real":
            right.insert(0, f"real {100 * value:.0f} %")
        elif loss == "FractionReal/fake":
            right.append(f"fake {100 - 100 * value:.0f} %")
        else:
            several = sum(other.startswith(f"{player}/") and "FractionReal" not in other for other in at.means) > 1
            losses.append(f"{loss if several else player} {value:.3g}")
    verdicts = [f"D right on {', '.join(right)}"] if right else []
    return "  ".join([f"{at.images_per_second:,.0f} images/s", *losses, *verdicts])
