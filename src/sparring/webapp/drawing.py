"""Pictures that a generator of a run draws. All settings of a picture stand in its link, so it can be made again.

A run has a number: 0, -1, -2, ... are those that were named at the start, the others are those of the queue.
"""

import re
import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import numpy as np

from ..errors import FileFormatError, SparringError, UsageError
from ..images import encode_animation, encode_png, grid
from .jobs import RunQueue

if TYPE_CHECKING:  # torch is loaded with the first generator, not before the page is there
    from torch import Tensor

    from ..runs.sampler import Latents, Sampler
    from ..runs.translator import Translating

MOST_PICTURES = 64  # of one request
MOST_STEPS = 64  # from one picture to another
FARTHEST = 10  # along a direction; beyond 3 noise is rare
SHOWN_DIRECTIONS = 6  # the strongest, as sliders of the page
LOADED = 4  # generators that are kept
NUMBER = re.compile(r"-?[0-9]{1,16}(\.[0-9]{1,16})?")
# the numbers of a link: the least and the largest value
WHOLE = {"run": (-99, 10**9), "code": (0, 10**6), "seed": (0, 2**53), "first": (0, 10**9), "to": (0, 2**53),
         "count": (1, MOST_PICTURES), "steps": (2, MOST_STEPS)}  # fmt: skip
SHARES = {"truncation": (0.01, 100), "d": (-FARTHEST, FARTHEST), "s": (-1, 1)}
NAMES = {"class": "label", "to-class": "to_label"}


@dataclass(frozen=True)
class DrawingWanted:
    """Pictures number first, first + 1, ... of a seed, as `sparring sample` numbers them.

    label, code: of all of them, else in turn. directions, sliders: (number from 1, how far). to, to_label: with either,
    each picture leads in so many steps to the picture of the same number of that seed and class. link: all of this, as
    it was asked.
    """

    run: int = 0
    label: str | None = None
    code: int | None = None
    seed: int = 0
    first: int = 0
    count: int = 1
    truncation: float | None = None
    directions: tuple[tuple[int, float], ...] = ()
    sliders: tuple[tuple[int, float], ...] = ()
    to: int | None = None
    to_label: str | None = None
    steps: int = 8
    link: str = ""

    @property
    def morphs(self) -> bool:
        return self.to is not None or self.to_label is not None


@dataclass(frozen=True)
class RunShown:
    """A training to draw from. state: of the queue; finished where it was named at the start."""

    run: int
    name: str
    state: str


@dataclass(frozen=True)
class ModelShown:
    """What a model can do. kind: "draw", or of one that makes images from images "fill", "enlarge" or "turn".

    scale: how many times larger pictures are in a picture of several. kinds: what a model of several networks makes.
    """

    run: int
    kind: str
    height: int
    width: int
    channels: int
    classes: tuple[str, ...] = ()
    codes: int = 0
    sliders: int = 0
    directions: int = 0
    scale: int = 1
    kinds: tuple[str, ...] = ()


@dataclass
class Loaded:
    """A model in memory. stamp: of the files it was read from. found: its directions [Z,Z]. weights: their hash."""

    stamp: tuple[tuple[str, int], ...]
    model: "Sampler | Translating"
    found: "Tensor | None" = None
    weights: str = ""


@dataclass
class Drawings:
    """The models of the runs, each loaded once and kept; one picture is made at a time."""

    jobs: RunQueue
    lock: threading.Lock = field(default_factory=threading.Lock)
    loaded: OrderedDict[int, Loaded] = field(default_factory=OrderedDict)

    def runs(self) -> list[RunShown]:
        """Return the trainings: those that were named at the start, then those of the queue, the newest first."""
        named = [RunShown(run, place.name, "finished") for run, place in self._named().items()]
        with self.jobs.lock:
            jobs = sorted(self.jobs.jobs.values(), key=lambda job: -job.number)
        return named + [
            RunShown(job.number, f"{job.number}: {job.wanted.recipe}", job.state)
            for job in jobs
            if job.wanted.kind == "train"
        ]

    def _named(self) -> dict[int, Path]:
        places = [place for name, place in self.jobs.given.items() if name != "study"]
        return {-k: place for k, place in enumerate(places)}

    def place(self, run: int) -> Path:
        """Return the folder of a training. Raises UsageError where there is none of this number."""
        known = [shown.run for shown in self.runs()]
        if run not in known:
            fix = f"choose one of {', '.join(map(str, sorted(known)))}" if known else "train a generator in Run first"
            raise UsageError("run-number", f"there is no run {run} to draw from", fix=fix)
        return self.jobs.folder_of(str(run)) if run > 0 else self._named()[run]

    def load(self, run: int) -> Loaded:
        """Return the model of a training as it is now. The lock is held. Raises UsageError, FileFormatError."""
        place = self.place(run)
        stamp = files_read(place)
        kept = self.loaded.pop(run, None)
        if kept is None or kept.stamp != stamp:
            kept = replace(read_model(place), stamp=stamp)
        self.loaded[run] = kept
        while len(self.loaded) > LOADED:
            self.loaded.popitem(last=False)
        return kept

    def generator(self, run: int) -> "tuple[Sampler, Loaded]":
        """Return the generator of a training. Raises UsageError where it is none that draws, FileFormatError."""
        from ..runs.sampler import Sampler

        loaded = self.load(run)
        if not isinstance(loaded.model, Sampler):
            what = f"run {run} makes images from images, so it has no noise to draw from"
            raise UsageError("no-latents", what, fix="give it an image on this page")
        return loaded.model, loaded

    def shown(self, run: int) -> ModelShown:
        """Return what a model can do. Raises UsageError, FileFormatError."""
        from ..runs.sampler import Sampler

        with self.lock:
            model = self.load(run).model
        spec = model.data_spec
        size = run, spec.height, spec.width, spec.channels
        if not isinstance(model, Sampler):
            kinds = tuple(model.kinds) if len(model.kinds) > 1 else ()
            return ModelShown(run, work_of(model), *size[1:], kinds=kinds)
        return ModelShown(
            run, "draw", *size[1:],
            classes=model.classes if model.spec.labels else (), codes=model.spec.codes, sliders=model.spec.continuous,
            directions=min(SHOWN_DIRECTIONS, model.spec.z), scale=max(1, -(-48 // min(spec.height, spec.width))),
        )  # fmt: skip

    def strips(self, wanted: DrawingWanted) -> tuple[np.ndarray, str]:
        """Return uint8 [rows, steps, H,W,C], one step or as many as lead to another picture, and the hash of the
        weights. Raises UsageError, FileFormatError."""
        from ..runs.latent_views import morph

        if wanted.count * (wanted.steps if wanted.morphs else 1) > MOST_PICTURES:
            what = f"{wanted.count} x {wanted.steps} pictures are more than {MOST_PICTURES}"
            raise UsageError("too-many", what, fix="ask for fewer pictures or steps")
        with self.lock:
            sampler, loaded = self.generator(wanted.run)
            start = latents_of(sampler, loaded, wanted)
            if not wanted.morphs:
                return sampler.render(start)[:, None], loaded.weights
            seed = wanted.seed if wanted.to is None else wanted.to
            end = replace(wanted, seed=seed, label=wanted.to_label or wanted.label)
            return morph(sampler, start, latents_of(sampler, loaded, end), wanted.steps), loaded.weights

    def picture(self, wanted: DrawingWanted) -> bytes:
        """Return a PNG: the picture itself, or one picture of several, a row for each that leads to another."""
        strips, weights = self.strips(wanted)
        flat = strips.reshape(-1, *strips.shape[2:])
        made = flat[0] if len(flat) == 1 else grid(flat, columns=wanted.steps if wanted.morphs else None)
        return encode_png(made, text={"Settings": wanted.link, "Weights": weights}, generated=True)

    def film(self, wanted: DrawingWanted) -> bytes:
        """Return an animation as WebP: from each picture to the other, and back. Raises UsageError."""
        from ..runs.latent_views import film_frames

        if not wanted.morphs:
            raise UsageError("film", "one picture alone does not move", fix="name a second seed with to")
        frames = film_frames(self.strips(wanted)[0], gap=0 if wanted.count == 1 else 2)
        return encode_animation(frames, "WEBP", seconds=0.1, hold=0.1, generated=True)


def files_read(place: Path) -> tuple[tuple[str, int], ...]:
    """Return what changes when a run has another model: the exported one's time, else the newest checkpoint's."""
    exported = [path for path in (place / "model" / "config.json", place / "config.json") if path.is_file()]
    checkpoints = sorted((place / "checkpoints").glob("step-*"), key=lambda path: (len(path.name), path.name))
    return tuple((path.name, path.stat().st_mtime_ns) for path in exported or checkpoints[-1:])


def read_model(place: Path) -> Loaded:
    """Return the generator or translator of a run. Raises UsageError, FileFormatError."""
    from ..runs.folder import open_generator
    from ..runs.latent_views import directions, generator_hash
    from ..runs.translator import load_translators

    try:
        sampler = open_generator(place)
    except SparringError as error:
        if error.id == "own-code":
            raise UsageError(
                error.id, error.problem, fix=f"use the command line: sparring sample {place} --trust-code"
            ) from None
        if error.id != "no-latents":
            raise _not_yet(place, error) from None
        try:
            return Loaded((), load_translators(place))
        except FileFormatError as later:
            raise _not_yet(place, later) from None
    return Loaded((), sampler, directions(sampler.G, sampler.spec)[1].float(), generator_hash(sampler)[:16])


def _not_yet(place: Path, error: SparringError) -> SparringError:
    """Return what to say of a run that has no model: another sentence where it is only too early."""
    if (place / "model").exists() or (place / "config.json").exists() or error.id == "no-latents":
        return error
    return FileFormatError(
        "no-model-yet", f"{place.name} has no model yet: {error.problem}", fix="wait, or look in Run"
    )


def work_of(model: "Translating") -> str:
    """Return what a model does that makes images from images: "fill", "enlarge" or "turn"."""
    from ..games.degradations import Hole, Shrunk

    kinds = {type(source) for source in model.sources.values()}
    return "fill" if Hole in kinds else "enlarge" if Shrunk in kinds else "turn"


def latents_of(sampler: "Sampler", loaded: Loaded, wanted: DrawingWanted) -> "Latents":
    """Return what the wanted pictures are made from. Raises UsageError for what this generator does not take."""
    import torch

    chosen = {}
    if wanted.label is not None:
        chosen["labels"] = np.full(wanted.count, sampler.label(wanted.label))
    if wanted.code is not None:
        chosen["codes"] = np.full(wanted.count, sampler.code(wanted.code))
    index = torch.arange(wanted.first, wanted.first + wanted.count)
    points = sampler.latents(index, seed=wanted.seed, truncation=wanted.truncation, **chosen)
    for number, far in wanted.directions:
        found = loaded.found
        if found is None or number > len(found):
            what = f"there is no direction d{number}"
            raise UsageError("direction", what, fix=f"choose from d1 to d{0 if found is None else len(found)}")
        points = replace(points, z=points.z + far * found[number - 1])
    for number, value in wanted.sliders:
        sampler.takes(continuous=True)
        if number > sampler.spec.continuous:
            raise UsageError("slider", f"there is no slider s{number}", fix=f"choose to s{sampler.spec.continuous}")
        moved = points.continuous.clone()
        moved[:, number - 1] = value
        points = replace(points, continuous=moved)
    return points


def name_of_run(k: int) -> str:
    """Return what the queue calls run k, from 0, of those that were named at the start."""
    return "run" if k == 0 else f"run-{k + 1}"


# --- links ------------------------------------------------------------------------------------------------------------


def drawing_wanted(settings: Iterable[tuple[str, str]]) -> DrawingWanted:
    """Return what a link asks for: its names and values. Raises UsageError for what cannot be a setting.

    The names are run, class, code, seed, first, count, truncation, to, to-class, steps, d1, d2, ... (directions) and
    s1, s2, ... (sliders). What is left out, or empty, has its default.
    """
    given: dict[str, str] = {}
    for name, value in settings:
        if name in given:
            raise UsageError("link", f"{name:.40} stands twice in this link", fix="leave one out")
        if value:
            given[name] = value
    found: dict[str, int | float | str] = {}
    moved: dict[str, list[tuple[int, float]]] = {"d": [], "s": []}
    for name, value in given.items():
        if name in NAMES:
            found[NAMES[name]] = value
        elif name in WHOLE:
            found[name] = int(number_of(name, value, *WHOLE[name], whole=True))
        elif name == "truncation":
            found[name] = number_of(name, value, *SHARES[name])
        elif place := re.fullmatch(r"([ds])([1-9][0-9]{0,3})", name):
            kind, number = place[1], int(place[2])
            moved[kind].append((number, number_of(name, value, *SHARES[kind])))
        else:
            raise UsageError("link", f"there is no setting {name!r:.60}", fix="leave it out")
    steered = {"directions": tuple(sorted(moved["d"])), "sliders": tuple(sorted(moved["s"]))}
    return DrawingWanted(**found, **steered, link=urlencode(given))  # type: ignore[arg-type]


def number_of(name: str, text: str, least: float, most: float, *, whole: bool = False) -> float:
    """Return a number of a link. Raises UsageError where it is none, or out of bounds."""
    value = None
    if NUMBER.fullmatch(text) and not (whole and "." in text):
        value = int(text) if whole else float(text)
    if value is None or not least <= value <= most:
        what = "a whole number" if whole else "a number"
        raise UsageError("bad-number", f"{name} is {text!r:.60}", fix=f"give {what} from {least:,} to {most:,}")
    return value
