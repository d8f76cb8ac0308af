"""sparring sample: pictures from a trained generator, and what is inside it."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from ..errors import DataError, FileFormatError, UsageError, printable
from ..files import new_file, new_folder
from .app import app, folder_name, games, stem
from .screen import Screen
from .typed import Count, Flag, Seed, number_between, typed_number

PICTURES = ("per_class", "interpolate", "walk", "directions", "nearest")  # of these one at a time
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
    n: Annotated[Count | None, Parameter(name=("-n", "--count"))] = None,
    grid: Path | None = None,
    out: Path | None = None,
    per_class: Count | None = None,
    label: Annotated[str | None, Parameter(name="--class")] = None,
    code: Number | None = None,
    truncation: Annotated[Sequence[float] | None, Parameter(converter=limits, n_tokens=1)] = None,
    interpolate: Count | None = None,
    walk: str | None = None,
    directions: Count | None = None,
    nearest: str | None = None,
    animate: Path | None = None,
    inside: Flag = False,
    seed: Seed = 0,
    columns: Count | None = None,
    json: Flag = False,
):
    """Draw images from a trained generator, and look inside it: one picture, files, or a film.

    Args:
        run: the folder that `sparring train` wrote, or a model folder.
        n: how many images [default: 64].
        grid: PNG file of one picture of all of them [default: RUN-samples.png].
        out: folder for one PNG file per image.
        per_class: so many of every class, into a folder per class in --out.
        label: only this class.
        code: only this code, from 0, of a generator that found codes itself (infogan).
        truncation: keep noise within this limit: low for typical images, high for various ones. Several limits such
            as 0.3,1,2: a row for each.
        interpolate: strips of so many images, from one to another.
        walk: strips from class to class, such as 3:8.
        directions: strips along so many directions of noise that change images most.
        nearest: under each sample the nearest images of this data set: digits, a folder, .zip, .npz or .parquet.
        animate: a .webp or .gif file of the strips, or without strips of the training.
        inside: all of it into RUN/inside, for `sparring report RUN`; with --nearest beside images too.
        seed: another number, other images; image i is always the same.
        columns: of the grid.
        json: print what was written as JSON.
    """
    asked = {"per_class": per_class, "interpolate": interpolate, "walk": walk, "directions": directions}
    asked |= {"nearest": nearest, "truncation": truncation}
    picture = wanted(asked, inside=inside, label=label)
    screen, out = Screen(as_json=json), new_folder(out) if out else None
    film = film_file(animate) if animate else None
    if film and picture == "samples":
        tell(screen, json, {"moments": save_training(run, film), "film": str(film)})
        return
    sampler = generator_of(run)
    if inside:
        tell(screen, json, look_inside(run, sampler, nearest, seed=seed))
    elif per_class:
        tell(screen, json, save_classes(sampler, per_class, out, seed=seed))
    else:
        asked |= {"n": n, "columns": columns, "label": label, "code": code, "seed": seed}
        images, told = drawn(sampler, picture, **asked)
        grid = new_file(grid or f"{stem(run)}-{picture}.png") if grid or not (out or film) else None
        tell(screen, json, told | save(images, grid=grid, out=out, film=film, columns=columns))


def wanted(asked: dict[str, Any], *, inside: bool, label: str | None) -> str:
    """Which picture was asked for. Raises UsageError where two were."""
    named = [name for name in PICTURES if asked[name] and not (inside and name == "nearest")]
    if inside:
        named.append("inside")
    elif len(asked["truncation"] or ()) > 1:
        named.append("truncation")
    if len(named) > 1:
        first, second = (f"--{name.replace('_', '-')}" for name in named[:2])
        raise UsageError(
            "two-pictures", f"{first} and {second} are two pictures", fix="ask for one, or for all with --inside alone"
        )
    if named == ["walk"] and label is not None:
        raise UsageError("two-pictures", "--walk names its classes itself", fix="leave out --class")
    return named[0] if named else "samples"


def generator_of(run: Path):
    """The generator of a run or a model folder. Raises UsageError for what makes images from images."""
    from ..runs.driver import generator

    for place in (run / "recipe.json", run / "config.json"):
        if place.is_file() and '"Translator"' in place.read_text(encoding="utf-8", errors="replace"):
            raise UsageError(
                "no-latents",
                f"{run} makes images from images, so it has no noise to draw from",
                fix=f"translate images: sparring translate {shlex.quote(str(run))} IMAGES",
            )
    return generator(run)


def drawn(sampler, picture: str, *, n, columns, label, code, truncation, seed, **asked) -> tuple[Any, dict]:
    """(uint8 [N,H,W,C], or strips [rows,steps,H,W,C]; what else there is to tell)."""
    import numpy as np

    from ..runs import latent_views

    label = None if label is None else sampler.label(label)
    code = None if code is None else sampler.code(code)

    def chosen(count: int) -> dict:
        picked = {"labels": label, "codes": code}
        return {name: np.full(count, value) for name, value in picked.items() if value is not None}

    limit = {"truncation": truncation[0] if truncation else None}
    if picture == "interpolate":
        steps = asked["interpolate"]
        rows = max(1, (n or 8 * steps) // steps)
        return latent_views.interpolation(sampler, rows, steps, seed=seed, **limit, **chosen(rows)), {}
    if picture == "walk":
        steps = columns or 9
        a, b = ends(sampler, asked["walk"])
        return latent_views.walk(sampler, a, b, max(1, (n or 54) // steps), steps, seed=seed, **limit), {}
    if picture == "directions":
        found = latent_views.direction_strips(
            sampler, asked["directions"], columns or 9, seed=seed, **limit, **chosen(1)
        )
        return found, {}
    if picture == "truncation":
        count = n or 10
        return latent_views.truncations(sampler, truncation, count, seed=seed, **chosen(count)), {}
    count = n or (10 if picture == "nearest" else 64)
    images = sampler.draw(count, seed=seed, **limit, **chosen(count))
    return nearest_to(images, asked["nearest"]) if picture == "nearest" else (images, {})


def ends(sampler, text: str) -> tuple[int, int]:
    """Two classes from 3:8; a name may hold a colon itself."""
    sampler.takes(labels=True)
    pairs = [(text[:i], text[i + 1 :]) for i, letter in enumerate(text) if letter == ":"]
    for a, b in pairs:
        if a in sampler.classes and b in sampler.classes:
            return sampler.label(a), sampler.label(b)
    if not pairs:
        raise UsageError("walk", f"--walk {text} names no two classes", fix="write two with a colon, such as 3:8")
    return sampler.label(pairs[0][0]), sampler.label(pairs[0][1])


def nearest_to(images, source: str) -> tuple[Any, dict]:
    """Strips of samples and of what is nearest to them, and the nearest as rows."""
    from ..runs import latent_views

    found = real_images(source, images.shape[1:])
    index, distance = latent_views.nearest(images, found.images, 3)
    rows = [
        {"image": i, "nearest": found.origins[k[0]], "distance": float(d[0])}
        for i, (k, d) in enumerate(zip(index.tolist(), distance.tolist(), strict=True))
    ]
    told = {"nearest": rows, "closeness": latent_views.closeness(images, found.images)}
    return latent_views.under(images, found.images[index]), told


def real_images(source: str, shape: tuple[int, int, int]):
    """The images of a data set that may be trained on, at the generator's size."""
    from ..data import load
    from ..runs.driver import used

    found = load(source, size=shape[:2])
    if found.images.shape[3] != shape[2]:
        kinds = {1: "grey", 3: "colour"}
        said = f"{printable(found.name)} is {kinds[found.images.shape[3]]}, the generator {kinds[shape[2]]}"
        raise DataError("other-images", said, fix="name the images that it was trained on")
    return found.take(used(found))


def look_inside(run: Path, sampler, source: str | None, *, seed: int = 0) -> dict:
    """Writes RUN/inside, beside training images where they are named, or known: digits come with sparring."""
    from ..runs.driver import Run
    from ..runs.latent_views import look

    if not (run / "recipe.json").is_file():
        raise UsageError("not-a-run", f"{run} is no run folder", fix="--inside wants what `sparring train` wrote")
    source = source or ("digits" if Run.read(run).settings.get("source") == "digits" else None)
    data_spec = sampler.data_spec
    shape = (data_spec.height, data_spec.width, data_spec.channels)
    real = real_images(source, shape).images if source else None
    folder = look(sampler, run, training=real, seed=seed)
    return {"inside": str(folder), "files": sorted(str(path) for path in folder.iterdir())}


def look_again(run: Path, source: str | None) -> None:
    """RUN/inside as it is now, unless it is that already, or the run has no generator to look into."""
    from ..runs.latent_views import looked

    try:
        sampler = generator_of(run)
    except (UsageError, FileFormatError) as error:
        if error.id not in ("no-latents", "no-generator"):
            raise
        return
    if source or not looked(sampler, run):
        look_inside(run, sampler, source)


def film_file(path: Path) -> Path:
    from ..images import film_kind

    film_kind(path)
    return new_file(path)


def save_training(run: Path, film: Path) -> int:
    """A film of a run's samples from fixed latents; returns how many moments it has."""
    from ..images import save_animation
    from ..runs.latent_views import training_frames

    shown = training_frames(run)
    if not len(shown):
        raise UsageError(
            "no-samples", f"{run} has no samples of its training", fix="pass a run, or ask for strips: --interpolate 12"
        )
    save_animation(film, shown, seconds=0.3, hold=2.0, generated=True)
    return len(shown)


def save_classes(sampler, count: int, out: Path | None, *, seed: int) -> dict:
    from ..runs.sampler import per_class, save_samples

    if out is None:
        raise UsageError("missing", "--per-class writes a folder per class", fix="name a folder with --out")
    for name, images in per_class(sampler, count, seed=seed):
        save_samples(images, out / folder_name(name))
    return {"images": count * len(sampler.classes), "out": str(out)}


def save(images, *, grid: Path | None, out: Path | None, film: Path | None, columns: int | None) -> dict:
    """Images or strips to wherever they are wanted."""
    from ..images import save_animation
    from ..runs.latent_views import frames
    from ..runs.sampler import save_grid, save_samples

    flat = images.reshape(-1, *images.shape[-3:])
    if out:
        save_samples(flat, out)
    if grid:
        save_grid(flat, grid, columns=images.shape[1] if images.ndim == 5 else columns)
    if film:
        save_animation(film, frames(images), seconds=0.1, hold=0.1, generated=True)
    places = {"out": out, "grid": grid, "film": film}
    return {"images": len(flat)} | {name: str(path) for name, path in places.items() if path}


def tell(screen: Screen, json: bool, told: dict) -> None:
    if json:
        screen.show_json(told)
        return
    rows = told.get("nearest")
    if rows:
        nodes = [(row["image"], printable(row["nearest"]), f"{row['distance']:.2f}") for row in rows]
        screen.table(("sample", "nearest image", "distance"), nodes, right=("sample", "distance"))
        if told["closeness"] is not None:
            screen.line(f"{told['closeness']:.2f} times as far as real images are from each other; near 0: copies")
    places = ", ".join(told[name] for name in ("out", "grid", "film", "inside") if name in told)
    what = next((what for what in ("images", "moments") if what in told), "files")
    count = told[what] if what != "files" else len(told["files"])
    screen.line(f"{count:,} {what}: {places}")
