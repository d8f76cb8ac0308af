"""sparring sample: pictures from a trained generator, and what is inside it."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ..errors import UsageError, printable
from ..files import JsonObject, new_file, new_folder
from ..words import plural
from .app import app, games, stem
from .reading import ReadingLabels
from .screen import Screen
from .typed import Count, Flag, Seed, Verbose, number_between, typed_number

Number = Annotated[int, Parameter(converter=number_between(0, 1e6, whole=True))]


def limits(_, tokens) -> list[float]:
    """A converter: 0.7, or several such as 0.3,0.7,1.5."""
    text = ",".join(token.value for token in tokens)
    try:
        found = [typed_number(item) for item in text.split(",")]
    except ValueError:
        found = []
    if not found or not all(0.01 <= value <= 100 for value in found):
        raise UsageError(
            "bad-number", f"--truncation {text} is not one or several numbers from 0.01 to 100", fix="try 0.5,1,2"
        )
    return found


@app.command(group=games)
def sample(
    run: Path,
    /,
    *,
    count: Annotated[Count | None, Parameter(name=("--count", "-n"))] = None,
    grid: Path | None = None,
    out: Path | None = None,
    per_class: Count | None = None,
    classes: Annotated[str | None, Parameter(name=("--class", "--classes"))] = None,
    code: Number | None = None,
    truncation: Annotated[Sequence[float] | None, Parameter(converter=limits, n_tokens=1)] = None,
    interpolate: Count | None = None,
    walk: str | None = None,
    directions: Count | None = None,
    nearest: str | None = None,
    reading: ReadingLabels = ReadingLabels(),
    animate: Path | None = None,
    inside: Flag = False,
    seed: Seed = 0,
    verbose: Verbose = False,
    columns: Count | None = None,
    trust_code: Flag = False,
    json: Flag = False,
):
    """Draw images from a trained generator, and look inside it: one picture, files, or a film.

    Args:
        run: the folder that `sparring train` wrote, or a model folder.
        count: how many images [default: 64].
        grid: PNG file of one picture of all of them [default: RUN-samples.png].
        out: folder for one PNG file per image.
        per_class: so many of every class, into a folder per class in --out.
        classes: only this class.
        code: only this code, from 0, of a generator that found codes itself (infogan).
        truncation: keep noise within this limit: low for typical images, high for various ones. Several limits such
            as 0.3,1,2: a row for each.
        interpolate: strips of so many images, from one to another.
        walk: strips from class to class, such as 3:8.
        directions: strips along so many directions of noise that change images most.
        nearest: under each sample the nearest images of this data set (whatever `sparring data` takes). --table,
            --label and --follow-links are about it.
        animate: a .webp or .gif file of the strips, or without strips of the training.
        inside: all of it into RUN/inside, for `sparring report RUN`; with --nearest beside images too.
        seed: another number, other images; image i is always the same.
        columns: of the grid.
        trust_code: run the Python file that the run was trained with, if it has one of its own.
        json: print what was written as JSON.
    """
    from ..images import film_kind, save_animation
    from ..runs.folder import open_generator
    from ..runs.latent_views import look_inside, training_frames
    from ..runs.sampling import SampleOptions, draw_samples, save_classes, write_samples

    limits, near = tuple(truncation or ()), reading.source(nearest)
    options = SampleOptions(
        count, per_class, classes, code, limits, interpolate, walk, directions, None if inside else near, seed,
        columns,
    )  # fmt: skip
    picture = options.picture
    if inside and picture != "samples":
        what = f"--{picture.replace('_', '-')} and --inside are two pictures"
        raise UsageError("two-pictures", what, fix="ask for one, or for all with --inside alone")
    screen, out = Screen(as_json=json, verbose=verbose), new_folder(out) if out else None
    if animate:
        film_kind(animate)  # raises
    film = new_file(animate, option="--animate") if animate else None
    if film and picture == "samples" and not inside:
        frames = training_frames(run)
        if len(frames) < 2:
            fix = "pass a run, or ask for strips: --interpolate 12"
            what = "samples of one moment of its training only" if len(frames) else "no samples of its training"
            raise UsageError("no-samples", f"{run} has {what}", fix=fix)
        save_animation(film, frames, seconds=0.3, hold=2.0, generated=True)
        show_written(screen, json, {"moments": len(frames), "film": str(film)})
        return
    sampler = open_generator(run, trust_code=trust_code)
    if inside:
        with screen.progress("looking inside") as line:
            folder = look_inside(sampler, run, near, seed=seed, progress=line.show)
        show_written(screen, json, {"inside": str(folder), "files": sorted(str(path) for path in folder.iterdir())})
    elif per_class:
        if out is None:
            raise UsageError("missing", "--per-class writes a folder per class", fix="name a folder with --out")
        save_classes(sampler, per_class, out, seed=seed)
        show_written(screen, json, {"images": per_class * len(sampler.classes), "out": str(out)})
    else:
        with screen.progress("drawing") as line:
            found = draw_samples(sampler, options, line.show)
        grid = new_file(grid or f"{stem(run)}-{picture}.png", option="--grid") if grid or not (out or film) else None
        write_samples(found.images, grid=grid, out=out, film=film, columns=columns)
        places = {name: str(path) for name, path in {"out": out, "grid": grid, "film": film}.items() if path}
        height, width, channels = found.images.shape[-3:]
        drawn = found.images.size // (height * width * channels)
        near = {"nearest": [asdict(row) for row in found.neighbours], "closeness": found.closeness}
        show_written(screen, json, (near if found.neighbours else {}) | {"images": drawn} | places)


def show_written(screen: Screen, json: bool, written: JsonObject) -> None:
    if json:
        screen.show_json(written)
        return
    rows = written.get("nearest")
    if rows:
        lines = [(row["image"], printable(row["nearest"]), f"{row['distance']:.2f}") for row in rows]
        screen.table(("sample", "nearest image", "distance"), lines, right=("sample", "distance"))
        if written["closeness"] is not None:
            screen.line(f"{written['closeness']:.2f} times as far as real images are from each other; near 0: copies")
    places = ", ".join(written[name] for name in ("out", "grid", "film", "inside") if name in written)
    what = next((what for what in ("images", "moments") if what in written), "files")
    count = written[what] if what != "files" else len(written["files"])
    screen.line(f"{plural(count, what.removesuffix('s'))}: {places}")
