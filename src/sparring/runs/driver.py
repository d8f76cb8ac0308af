"""A run: one recipe trained on one data set, in one folder, that can be killed at any moment and goes on exactly.

    RUN/  recipe.json  data.json  log.jsonl  events.jsonl  samples/*.png  checkpoints/step-00000123/  copies/...  model/

The newest checkpoint that verifies is where a run goes on; the log is cut back to it. `copies` are what it goes back to
when the watch finds it ill. All that is decided depends on rounds alone, so a run that was killed takes the same turns.
"""

import json
import math
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .. import files, keyed_random
from ..data import ImageSet, load, paired
from ..data.pairs import matching_channels
from ..devices import choose_device
from ..errors import DataError, FileFormatError, UsageError
from ..files import new_folder
from ..games.builders import Recipe
from ..games.degradations import Grey
from ..games.losses import AdversarialLoss, Schedule
from ..games.nodes import Output
from ..games.players import Generator, Translator
from ..games.training import Data, State, check, fastest_precision, new_state, training
from ..images import grid, save_png
from ..nets.layers import DataSpec
from ..records import from_json, to_json, walk
from .checkpoints import FORMAT, load_state, save_state
from .defaults import find_recipe, with_augment
from .monitor import Monitor
from .rollback import first_look, tend
from .sampler import Sampler, draw, load_generator, save_generator
from .translator import preview, save_translators

LINES = 400  # of log.jsonl in a whole run; a run is saved, shown and stopped at these points only
KEEP = 3  # checkpoints
HELD_SHARE, HELD_MOST, HELD_LEAST = 0.05, 256, 50  # training images that are kept from training, for the watch


# --- a run folder ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """What a run folder says about itself: recipe.json and data.json."""

    folder: Path
    recipe: Recipe
    data_spec: DataSpec
    classes: tuple[str, ...]
    fingerprint: str
    settings: dict = field(default_factory=dict)  # images, seed, precision, recipe_name, source, held

    @classmethod
    def read(cls, folder: Path | str) -> "Run":
        """Raises FileFormatError when the folder holds no run."""
        folder = Path(folder)
        if not (folder / "recipe.json").exists() or not (folder / "data.json").exists():
            raise FileFormatError(
                "not-a-run",
                f"{folder} holds no training run: it lacks recipe.json or data.json",
                fix="pass the folder that `sparring train` wrote",
            )
        recipe, data = files.read_json(folder / "recipe.json"), files.read_json(folder / "data.json")
        return cls(
            folder,
            from_json(recipe["recipe"]),
            from_json(data["facts"]),
            tuple(data["classes"]),
            data["fingerprint"],
            recipe["settings"],
        )

    def write(self) -> None:
        files.make_folder(self.folder)
        data = {"facts": to_json(self.data_spec), "classes": list(self.classes), "fingerprint": self.fingerprint}
        files.write_json(self.folder / "data.json", {"format": FORMAT, **data})
        recipe = {"format": FORMAT, "settings": self.settings, "recipe": to_json(self.recipe)}
        files.write_json(self.folder / "recipe.json", recipe | {"python": repr(self.recipe)})

    @property
    def rounds(self) -> int:
        return math.ceil(self.settings["images"] / self.recipe.batch)

    @property
    def checkpoints(self) -> list[Path]:
        """Oldest first."""
        return steps(self.folder / "checkpoints")

    def copy(self, at: int) -> Path:
        return self.folder / "copies" / f"step-{at:08d}"

    def newest(self, *, device: str = "cpu") -> tuple[State, dict] | None:
        """The newest state that verifies, walking back over damaged ones; None when there is none."""
        for folder in reversed(self.checkpoints):
            with suppress(FileFormatError):
                return load_state(self.recipe, folder, device=device)
        return None

    def save(self, state: State, seconds: float, watch: Monitor | None = None) -> Path:
        """A checkpoint of this state. Older ones than the newest KEEP go, and copies that none of these names."""
        folder = self.folder / "checkpoints" / f"step-{state.round:08d}"
        save_state(state, self.recipe, folder, seconds=seconds, watch=watch and watch.saved())
        for old in self.checkpoints[:-KEEP]:
            shutil.rmtree(old)
        needed = set()
        for checkpoint in self.checkpoints:
            record = files.read_json(checkpoint / "state.json").get("watch") or {}
            needed |= {self.copy(at) for at, _ in record.get("copies", [])}
        for old in set(steps(self.folder / "copies")) - needed:
            shutil.rmtree(old)
        return folder

    def show(self, state: State, data: Data) -> Path | None:
        """A grid of samples from latents that stay the same over the run; a row per class where G takes labels.

        Of translators: sources, what is made of them, and the targets where there are any.
        """
        spec = next((s for s in self.recipe.nets.values() if isinstance(s, Generator)), None)
        if any(isinstance(s, Translator) for s in self.recipe.nets.values()):
            images = preview(self.recipe, state, data)
        elif spec is None:
            return None
        else:
            labels = np.repeat(np.arange(len(self.classes))[:10], 8) if spec.labels else None
            count = 64 if labels is None else len(labels)
            images = draw(state.best(spec.name), spec, count, labels=labels, key="preview")
        path = self.folder / "samples" / f"images-{state.round * self.recipe.batch:09d}.png"
        files.make_folder(path.parent)
        save_png(path, grid(images, columns=8), generated=True)
        return path

    def export(self, state: State) -> Path | None:
        """The averaged generator alone as a model folder; the discriminator stays behind, it knows its images best."""
        spec = next((s for s in self.recipe.nets.values() if isinstance(s, Generator)), None)
        translators = [s.name for s in self.recipe.nets.values() if isinstance(s, Translator)]
        data_spec = {name: self.settings[name] for name in ("recipe_name", "images")} | {"source": self.recipe.source}
        if translators:
            nets = {name: state.best(name) for name in translators}
            return save_translators(nets, self.recipe, self.data_spec, self.folder / "model", **data_spec)
        if spec is None:
            return None
        return save_generator(
            state.best(spec.name), spec, self.data_spec, self.classes, self.folder / "model", **data_spec
        )

    def event(self, kind: str, **what: Any) -> None:
        files.append_line(self.folder / "events.jsonl", {"time": round(time.time(), 3), "event": kind, **what})


def steps(folder: Path) -> list[Path]:
    """The checkpoints in a folder, oldest first."""
    return sorted(p for p in folder.glob("step-*") if re.fullmatch(r"step-\d{8,}", p.name))


@dataclass(frozen=True)
class Progress:
    """Where a run stands. `means`: a term of a player, such as "D/NonSaturating" -> its mean over the last batch."""

    folder: Path
    images: int
    total: int
    seconds: float
    images_per_second: float
    seconds_left: float
    means: dict[str, float]
    skipped: int
    sample: Path | None = None
    saved: Path | None = None
    done: bool = False
    why: str = ""
    news: tuple[str, ...] = ()  # what the watch found since the last time, in words
    recovered: int = 0  # how often training went back to a healthy copy


def train(
    source: Any,
    recipe: str | Recipe = "auto",
    out: Path | str = "run",
    *,
    images: int = 200_000,
    batch: int | None = None,
    minutes: float | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    size: int | tuple[int, int] | None = None,
    unlabelled: Path | str | None = None,
    sources: Any = None,
    augment: str = "auto",
    watch: bool = True,
    stop: Callable[[], bool] = lambda: False,
    save_seconds: float = 60.0,
) -> Iterator[Progress]:
    """Trains a recipe on images, in the folder `out`, yielding where it stands; the same call again goes on exactly.

    `source`: whatever `sparring.data.load` takes. `recipe`: a name of the table, a Recipe, "file.py:name", or "auto":
    `sparring.choice.suggested`. `batch`: images for each move, at least 2, instead of the recipe's own. `sources`:
    what pix2pix (images of the same file names) or cyclegan starts from. `augment`: none, diffaugment, ada, or auto:
    diffaugment below 10,000 images. `minutes` caps the time of all calls together. `watch`: go back to a healthy copy
    where training falls ill. `stop` is asked after every round; when it says yes, the run is saved and left. Raises
    UsageError when `out` holds something else, DataError when the data changed or lack what the recipe reads, Diverged
    when going back does not help (the best healthy model is then exported), MachineError when the disk is full.
    """
    device = choose_device(device)
    folder = new_folder(out, ours=("recipe.json", "data.json"), data=source)
    imageset = load(source, size=size, unlabelled=unlabelled)
    name, recipe, why = find_recipe(recipe, imageset)
    read = used(imageset) if "all" in recipe.pools or "a" in recipe.pools else used(imageset) & imageset.labelled
    recipe = recipe if batch is None else in_batches(recipe, batch)
    recipe, changed = with_augment(recipe, augment, int(read.sum()))
    beside = None if sources is None else load(sources, size=imageset.shape[:2])
    _, height, width, channels = imageset.images.shape
    data_spec = DataSpec(channels, height, width, len(imageset.classes))
    if channels == 1 and any(isinstance(node, Grey) for node in walk(recipe)):
        raise DataError("grey", "the images are grey already", fix="pass images in colour, or use another recipe")
    check(recipe, pools(imageset, recipe, beside))
    settings = {"images": images, "seed": seed, "precision": precision, "recipe_name": name, "source": imageset.name}
    fingerprint = "+".join(images.fingerprint for images in (imageset, beside) if images is not None)
    run = Run(folder, recipe, data_spec, imageset.classes, fingerprint, settings)
    run = opened(run, imageset, device=device)
    kept, held = parted(imageset, run.settings.get("held", 0), run.settings["seed"])
    data = pools(kept, recipe, beside, device=device)
    with files.locked(run.folder):
        files.sweep(run.folder)
        files.sweep(run.folder / "checkpoints")
        state, rest = _resumed(run, device)
        watched = None
        if watch:
            length = {"rounds": run.rounds, "seed": seed, "precision": run.settings["precision"]}
            seen = pools(held, recipe, beside, device=device) if held else None
            watched = Monitor(recipe, data_spec, data, seen, **length, classes=run.classes, record=rest.get("watch"))
            first_look(run, state, watched, imageset.images)
        clock = {"before": rest["seconds"], "minutes": minutes, "save_seconds": save_seconds}
        said = [f"recipe {name}: {why}"] * bool(why) + [changed] * bool(changed)
        yield from _advance(run, state, data, watched, said, stop=stop, **clock)


def in_batches(recipe: Recipe, batch: int) -> Recipe:
    """The recipe with another batch. Raises UsageError for a single image: many losses and norms compare images."""
    if batch < 2:
        raise UsageError("batch", f"a batch needs at least two images, not {batch}", fix="pass --batch 2 or more")
    return replace(recipe, batch=batch)


def _resumed(run: Run, device: str) -> tuple[State, dict]:
    """The state to go on from, and what else its checkpoint says; log, events and copies are cut back to it."""
    found = run.newest(device=device)
    if found is None:
        found = new_state(run.recipe, run.data_spec, seed=run.settings["seed"], device=device), {"seconds": 0.0}
    state, rest = found
    for name in ("log.jsonl", "events.jsonl"):
        lines = files.read_lines(run.folder / name)
        kept = [line for line in lines if line.get("round", 0) <= state.round]
        if len(kept) < len(lines):
            files.write_text(run.folder / name, "".join(json.dumps(line) + "\n" for line in kept))
    for copy in steps(run.folder / "copies"):
        if copy > run.copy(state.round):
            shutil.rmtree(copy)
    run.event("resumed" if state.round else "started", images=state.round * run.recipe.batch)
    return state, rest


def _advance(run, state, data, watch, news, *, before, minutes, stop, save_seconds) -> Iterator[Progress]:
    """The run's own loop: watch, log, show, save, stop."""
    recipe, settings, rounds = run.recipe, run.settings, run.rounds
    names, every = means_names(recipe), max(1, rounds // LINES)
    started = last_saved = last_line = time.monotonic()
    shown, sample, why = every * max(1, LINES // 20), None, ""
    if state.round == 0:
        sample = run.show(state, data)
    progress = training(
        recipe, state, data, images=settings["images"], seed=settings["seed"], precision=settings["precision"]
    )
    first_line = state.round
    for state, means in progress:
        if watch:
            watch.note(state, means)
            if watch.due(state):
                news += tend(run, state, watch, before + time.monotonic() - started)
        last = state.round - state.extra == rounds
        due = state.round % every == 0 or last
        if stop():
            why = "stopped"
        elif due and minutes is not None and before + time.monotonic() - started > 60 * minutes:
            why = f"{minutes:g} minutes are over"
        if not due and not why:
            continue
        now = time.monotonic()
        seconds, speed = before + now - started, (state.round - first_line) * recipe.batch / (now - last_line)
        first_line, last_line = state.round, now
        if last or state.round % shown == 0:
            sample = run.show(state, data) or sample
        if due:
            files.append_line(run.folder / "log.jsonl", _line(run, state, means, names, seconds, speed))
        saved = None
        if why or last or now - last_saved > save_seconds:
            saved, last_saved = run.save(state, seconds, watch), now
        left = (rounds + state.extra - state.round) * recipe.batch / speed
        values = {names[k]: float(v) for k, v in means.items() if v.numel() == 1}
        images, total = state.round * recipe.batch, (rounds + state.extra) * recipe.batch
        at = Progress(run.folder, images, total, seconds, speed, left, values, state.skipped, sample, saved)
        at, news = replace(at, news=tuple(news), recovered=state.attempt), []
        if why:
            break
        yield at
    else:
        why, total = "done", (rounds + state.extra) * recipe.batch
        at = Progress(run.folder, total, total, before, 0.0, 0.0, {}, state.skipped, recovered=state.attempt)
    if why == "done":
        run.export(state)
    run.event(why, images=state.round * recipe.batch)
    yield replace(at, done=why == "done", why=why)


def _line(run, state, means, names, seconds: float, speed: float) -> dict:
    """Of log.jsonl."""
    values = {names[k]: round(float(v), 6) for k, v in means.items() if v.numel() == 1 and v.isfinite()}
    norms = {player: round(float(v), 6) for player, v in state.gradients.items() if v.isfinite()}
    line = {"round": state.round, "images": state.round * run.recipe.batch, "seconds": round(seconds, 3)}
    return line | {
        "images_per_second": round(speed, 1), "skipped": state.skipped, "means": values, "gradients": norms
    }  # fmt: skip


def generator(folder: Path | str) -> Sampler:
    """The generator of a run or of a model folder: the exported one, else that of the newest checkpoint.

    Raises FileFormatError where there is none.
    """
    folder = Path(folder)
    for place in (folder / "model", folder):
        if (place / "config.json").exists():
            return load_generator(place)
    run = Run.read(folder)
    spec = next((s for s in run.recipe.nets.values() if isinstance(s, Generator)), None)
    found = run.newest()
    if spec is None or found is None:
        what = "no checkpoint yet" if spec else f"no generator: recipe {run.settings['recipe_name']} has none"
        raise FileFormatError("no-generator", f"{folder} has {what}", fix="train a recipe with a generator, e.g. dcgan")
    return Sampler(found[0].best(spec.name).eval(), spec, run.data_spec, run.classes)


def opened(run: Run, imageset: ImageSet, *, device: str) -> Run:
    """The run as its folder has it, or written there if the folder is new."""
    if (run.folder / "recipe.json").exists():
        there = Run.read(run.folder)
        differ_from(run, there)
        if run.settings["images"] > there.settings["images"]:
            longer = there.settings | {"images": run.settings["images"]}
            there = Run(there.folder, there.recipe, there.data_spec, there.classes, there.fingerprint, longer)
            there.write()
        return there
    settings = run.settings | {"held": held_out(imageset, run.recipe)}
    if settings["precision"] == "auto":
        settings = settings | {"precision": fastest_precision(run.recipe, run.data_spec, device=device)}
    run = Run(run.folder, run.recipe, run.data_spec, run.classes, run.fingerprint, settings)
    run.write()
    return run


def differ_from(run: Run, there: Run) -> None:
    """Refuses to go on with a run that was started otherwise."""
    scheduled = any(isinstance(p, Schedule) for p in walk(run.recipe))
    asked, had = run.settings, there.settings
    wrong = None
    if run.recipe != there.recipe:
        alike = had["recipe_name"] == asked["recipe_name"]
        other = "set up otherwise" if alike else f"not {asked['recipe_name']}"
        if replace(run.recipe, batch=there.recipe.batch) == there.recipe:
            other = f"in batches of {there.recipe.batch}, not {run.recipe.batch}"
        wrong = f"recipe {had['recipe_name']}, {other}"
    elif asked["seed"] != had["seed"]:
        wrong = f"seed {had['seed']}, not {asked['seed']}"
    elif asked["precision"] not in ("auto", had["precision"]):
        wrong = f"precision {had['precision']}, not {asked['precision']}"
    elif asked["images"] < had["images"] or (scheduled and asked["images"] != had["images"]):
        wrong = f"{had['images']:,} images, not {asked['images']:,}"
    if wrong:
        raise UsageError(
            "other-run",
            f"{run.folder} holds a run with {wrong}",
            fix="repeat its own command to go on, or choose another folder with --out",
        )
    if run.fingerprint != there.fingerprint or run.data_spec != there.data_spec:
        raise DataError(
            "data-changed",
            f"the images are not those that {run.folder} was started with",
            fix="restore them, or start anew in another folder with --out",
        )


def used(imageset: ImageSet) -> np.ndarray:
    """bool [N]: the images that may be trained on."""
    use = imageset.parts != "test"
    return use if use.any() else np.ones(len(imageset), bool)


def held_out(imageset: ImageSet, recipe: Recipe) -> int:
    """How many training images are kept from training, to see whether a discriminator knows the others by heart."""
    count = min(HELD_MOST, int(HELD_SHARE * used(imageset).sum()))
    return count if count >= HELD_LEAST and any(isinstance(p, AdversarialLoss) for p in walk(recipe)) else 0


def parted(imageset: ImageSet, held: int, seed: int) -> tuple[ImageSet, ImageSet | None]:
    """Images for training and `held` that are kept from it: unlabelled ones if there are so many."""
    use = np.flatnonzero(used(imageset))
    if not held:
        return imageset, None
    unlabelled = use[imageset.labels[use] < 0]
    among = unlabelled if len(unlabelled) >= held / HELD_SHARE else use
    away = among[keyed_random.order(keyed_random.key(seed, "held out"), len(among))[:held].numpy()]
    return imageset.take(np.setdiff1d(use, away)), imageset.take(np.sort(away))


def pools(
    imageset: ImageSet, recipe: Recipe | None = None, sources: ImageSet | None = None, *, device: str = "cpu"
) -> Data:
    """The training part of a data set as the loop reads it: all images, and those with a label.

    With `sources`, for a recipe that reads them: "pairs" of images with the same file name, or "a" and "b", each alone.
    Raises DataError where they do not fit together.
    """
    images = imageset.take(used(imageset))
    data: Data = {"all": {"x": torch.from_numpy(images.images), "y": torch.from_numpy(images.labels)}}
    known = torch.from_numpy(np.flatnonzero(images.labelled))
    if len(known):
        data["labelled"] = {name: t[known] for name, t in data["all"].items()}
    if sources is not None and recipe is not None:
        if not recipe.pools & {"pairs", "a", "b"}:
            raise UsageError(
                "no-source", "this recipe reads no source images", fix="leave --source out, or use pix2pix"
            )
        if "pairs" in recipe.pools:
            targets, beside = paired(images, sources)
            data["pairs"] = {"x": torch.from_numpy(targets.images), "source": torch.from_numpy(beside.images)}
        else:
            others = matching_channels(sources, images)
            data["a"], data["b"] = data["all"], {"x": torch.from_numpy(others.images[used(others)])}
    return {pool: {name: t.to(device) for name, t in fields.items()} for pool, fields in data.items()}


def means_names(recipe: Recipe) -> dict[tuple, str]:
    """(player, term) -> a short name for logs: "D/NonSaturating", "D/FractionReal/fake", "D/R1/real"."""
    names: dict[tuple, str] = {}
    for player in recipe.players:
        for loss in dict.fromkeys((*player.losses, *player.measured)):
            name = f"{player.name}/{type(loss).__name__}"
            condition = getattr(loss, "of", None) if loss in player.measured else getattr(loss, "at", None)
            if condition is not None:
                name += "/fake" if any(isinstance(p, Output) for p in walk(condition)) else "/real"
            while name in names.values():
                name += "+"
            names[player.name, loss] = name
    return names


def to_dict(progress: Progress) -> dict:
    """JSON-able."""
    return {k: str(v) if isinstance(v, Path) else v for k, v in asdict(progress).items()}
