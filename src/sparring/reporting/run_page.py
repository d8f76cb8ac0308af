"""A training run as one HTML page: what was trained, how it went, what it made, what is inside the generator.

Reads only the files of the run folder. What is missing is missing from the page, never an error.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from .. import files, words
from ..data.notes import DataNotes
from ..errors import FileFormatError
from ..images import encode_png, grid
from ..records import CurveName, read_record
from ..runs.history import Event, EventKind, LogLine, RunSettings, from_mapping, read_events, read_log
from .html import template
from .line_figures import loss_figure
from .loss_names import panels
from .pictures import Picture, film, inlined, packed
from .svg import COLOUR
from .typography import shown

MOMENTS = 8  # of the samples over time
LARGEST_TILES = 1 << 26  # bytes of the samples of a moment
TILES = 10  # images of a moment
# events that get a number and a line in the curves
MARKED = (EventKind.WARNING, EventKind.WENT_BACK, EventKind.DIVERGED)
PILLS = {
    EventKind.WARNING: ("warning", "open"),
    EventKind.WENT_BACK: ("went back", "worse"),
    EventKind.DIVERGED: ("ended", "worse"),
    EventKind.DONE: ("done", "better"),
    EventKind.SUSPECT: ("suspected", "open"),
    EventKind.STARTED: ("started", "tie"),
    EventKind.RESUMED: ("resumed", "tie"),
    EventKind.STOPPED: ("paused", "open"),
    EventKind.TIME_OVER: ("paused", "open"),
}
# where an event has none of its own
WORDS = {
    EventKind.STARTED: "training began",
    EventKind.RESUMED: "training went on from here",
    EventKind.DONE: "all images are done, and the model was saved",
    EventKind.STOPPED: "it was stopped here",
    EventKind.TIME_OVER: "the time was over",
} | {kind: kind.value for kind in MARKED}


@dataclass(frozen=True)
class ImagesOf:
    """What the images of a run are: data.json."""

    channels: int = 1
    height: int = 0
    width: int = 0
    classes: tuple[str, ...] = ()
    fingerprint: str = "unknown"


@dataclass(frozen=True)
class ScoreLine:
    """One score of scores.json, with the ends of its interval."""

    name: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    unit: str = ""
    what: str = ""


@dataclass(frozen=True)
class ViewOf:
    """One picture from inside the generator, as inside/views.json describes it; `shape`: rows and columns of images."""

    title: str = ""
    words: str = ""
    file: str = ""
    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    shape: tuple[int, int] = (0, 0)
    picture: Picture | None = None


@dataclass(frozen=True)
class PlayerLine:
    """A player of the recipe: its networks and losses by class name, and its optimiser."""

    name: str
    nets: tuple[str, ...]
    losses: tuple[str, ...]
    optimiser: str
    learning_rate: float | None


@dataclass(frozen=True)
class ListedEvent:
    """An event with its words; `number`: of its mark in the curves, "" where it has none."""

    event: EventKind
    images: int | None
    words: str
    number: str

    @property
    def pill(self) -> tuple[str, str]:
        return PILLS[self.event]


@dataclass(frozen=True)
class RunFiles:
    """What a run folder says of itself. `recipe`, `curves`, `python`: of recipe.json; `notes`: of data.json."""

    folder: Path
    settings: RunSettings
    recipe: files.JsonObject
    curves: Mapping[str, CurveName]
    python: str
    images: ImagesOf
    log: list[LogLine]
    events: list[Event]
    scores: list[ScoreLine]
    views: list[ViewOf]
    notes: DataNotes = DataNotes()

    @property
    def last(self) -> LogLine | None:
        return self.log[-1] if self.log else None

    @property
    def batch(self) -> int:
        return _field(self.recipe, "batch") or 1

    @cached_property
    def samples(self) -> list[tuple[int, Path]]:
        """(images seen, picture), oldest first."""
        found = []
        for path in sorted(self.folder.glob("samples/images-*.png")):
            number = path.stem.removeprefix("images-")
            found += [(int(number), path)] if number.isdecimal() else []
        return found

    @property
    def newest(self) -> tuple[int, Path] | None:
        """The newest samples; None where there are only those of the untrained start and training has begun since."""
        if not self.samples or (self.samples[-1][0] == 0 and self.last and self.last.images):
            return None
        return self.samples[-1]

    @property
    def labelled(self) -> bool:
        """Whether its generator takes labels."""
        return any(_field(spec, "labels") for spec in _objects(self.recipe, "Generator"))

    @property
    def translators(self) -> int:
        return len(list(_objects(self.recipe, "Translator")))


def _field(value: object, *names: str) -> Any:
    """Return the first of these fields that a JSON object has; None where it has none, or is no object."""
    return next((value[name] for name in names if name in value), None) if isinstance(value, dict) else None


def _objects(value: object, kind: str) -> Iterator[files.JsonObject]:
    """Yield every JSON object of this kind inside a value."""
    if isinstance(value, dict) and _field(value, "kind") == kind:
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _objects(item, kind)


def read_run(folder: Path) -> RunFiles:
    """Return what the files of a run say.

    Raises FileFormatError where recipe.json or data.json is absent or damaged.
    """

    def damaged(reason: str) -> FileFormatError:
        return FileFormatError("run-damaged", f"the run in {folder} is damaged: {reason}", fix="restore its files")

    recipe, data = (files.read_object(folder / name) for name in ("recipe.json", "data.json"))
    with files.fitting_together(damaged):
        return _run_files(folder, recipe, data)


def _run_files(folder: Path, recipe: files.JsonObject, data: files.JsonObject) -> RunFiles:
    curves = [
        read_record(CurveName, {k: v for k, v in curve.items() if k != "kind"}, name="recipe.json")
        for curve in _field(recipe, "curves") or []
    ]
    return RunFiles(
        folder=folder,
        settings=from_mapping(RunSettings, _field(recipe, "settings") or {}),
        recipe=_field(recipe, "recipe") or {},
        curves={curve.key: curve for curve in curves},
        python=str(_field(recipe, "python") or ""),
        images=from_mapping(ImagesOf, {**data, **(_field(data, "facts") or {}), "classes": _texts(data, "classes")}),
        log=read_log(folder),
        events=read_events(folder),
        scores=[from_mapping(ScoreLine, row) for row in _rows(folder / "scores.json")],
        views=[_view(folder, row) for row in _rows(folder / "inside/views.json")],
        notes=read_record(DataNotes, _field(data, "notes") or {}, name="data.json"),
    )


def _texts(value: object, name: str) -> tuple[str, ...]:
    return tuple(str(text) for text in _field(value, name) or ())


def _rows(path: Path) -> list[files.JsonObject]:
    """Return the objects of a JSON list, or of its "views"; none where there is no such file."""
    if not path.is_file():
        return []
    found = files.read_json(path)
    found = _field(found, "views") if isinstance(found, dict) else found
    return [row for row in found or [] if isinstance(row, dict)]


def _view(folder: Path, row: files.JsonObject) -> ViewOf:
    """Return a row of inside/views.json with its picture; names that do not fit its shape are left out."""
    shape = _field(row, "shape") or (0, 0)
    names = {name: _texts(row, name) for name in ("rows", "columns")}
    names = {name: texts if len(texts) == shape[i] else () for i, (name, texts) in enumerate(names.items())}
    return from_mapping(ViewOf, {**row, **names, "picture": inlined(folder, f"inside/{_field(row, 'file')}")})


def run_html(run: RunFiles) -> str:
    """Return the whole page."""
    events, last = listed_events(run), run.last
    began = datetime.fromtimestamp(run.events[0].time, UTC).isoformat(timespec="minutes") if run.events else ""
    return template("run.html").render(
        run=run,
        name=run.settings.recipe_name or "a recipe",
        source=run.settings.source or "images",
        date=began,
        outcome=outcome(run, events),
        health=health(run, events),
        images=last and last.images,
        seconds=last and last.seconds,
        speed=last.images / last.seconds if last and last.images and last.seconds else None,
        events=events,
        latest=inlined(run.folder, f"samples/{run.newest[1].name}") if run.newest else None,
        latest_at=run.newest[0] if run.newest and last and run.newest[0] < last.images else None,
        latest_rows=row_names(run),
        history=history(run),
        film=film(run.folder, "inside/training.webp"),
        views=[view for view in run.views if view.picture],
        curves=_figures(run, events),
        paper=_field(run.recipe, "source") or "",
        players=players(run),
        has_model=(run.folder / "model" / "config.json").is_file(),
        translates=run.translators > 0,
    )


# --- how it went -----------------------------------------------------------------------------------------------------


def listed_events(run: RunFiles) -> list[ListedEvent]:
    """Return the events in words, in their order; the marked ones numbered."""
    found, number = [], 0
    for event in run.events:
        number += event.event in MARKED
        text = event.words or WORDS[event.event]
        if event.event is EventKind.SUSPECT:
            text = f"{event.words}: seen once, so nothing was changed yet"
        found.append(ListedEvent(event.event, event.images, text, str(number) if event.event in MARKED else ""))
    return found


def outcome(run: RunFiles, events: list[ListedEvent]) -> str:
    """Return how it ended, in one sentence."""
    kind = events[-1].event if events else None
    logged = run.last.images if run.last else 0
    total, at = words.count(run.settings.images), events[-1].images if events else None
    at = logged if at is None else at
    if kind is EventKind.DONE:
        return f"trained to the end, on {words.count(at)} images"
    if kind is EventKind.DIVERGED:
        return f"training diverged and could not be saved: {events[-1].words}"
    if kind is EventKind.STOPPED or kind is EventKind.TIME_OVER:
        why = f", because {events[-1].words}" if kind is EventKind.TIME_OVER else ""
        return f"stopped at {words.count(at)} of {total} images{why}; the same command goes on"
    return f"not finished: {words.count(logged)} of {total} images so far"


def health(run: RunFiles, events: list[ListedEvent]) -> str:
    """Return what the monitor did, in one sentence."""
    count = {kind: sum(e.event is kind for e in events) for kind in EventKind}
    found = []
    if back := count[EventKind.WENT_BACK]:
        found.append(f"training went back to a healthier state {'once' if back == 1 else f'{words.count(back)} times'}")
    if warnings := count[EventKind.WARNING]:
        found.append(f"there {'is' if warnings == 1 else 'are'} {words.plural(warnings, 'warning')}")
    elif count[EventKind.SUSPECT] and not found:
        signs = words.plural(count[EventKind.SUSPECT], "sign was", "signs were")
        found.append(f"nothing unhealthy lasted; {signs} seen in passing")
    if run.last and run.last.skipped:
        found.append(f"{words.plural(run.last.skipped, 'step')} gave numbers that are not finite and left no trace")
    return "; ".join(found) or "nothing unhealthy was noticed"


def _figures(run: RunFiles, events: list[ListedEvent]) -> list[Markup]:
    """Return a panel for each quantity of the log, events marked."""
    named: dict[str, list] = {}
    for line in run.log:
        gradients = {f"{player}/gradients": value for player, value in (line.gradients or {}).items()}
        for name, value in {**(line.means or {}), **gradients}.items():
            named.setdefault(name, []).append([line.images, value])
    found = panels([{"curves": named}], run.curves)
    found.sort(key=lambda p: (not p.share, p.is_gradient))
    marks = [(e.images, e.number) for e in events if e.number and e.images is not None and words.is_number(e.images)]
    of = shown(run.settings.recipe_name or "recipe")
    return [loss_figure(panel, COLOUR["m-cnn"], of=of, marks=marks) for panel in found]


# --- what it made ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class History:
    """One picture of the same latents at several moments, a row each, and the names of its rows and columns."""

    picture: Picture | None
    rows: list[str]
    columns: tuple[str, ...]


def tiles(picture: Path) -> np.ndarray | None:
    """Return the images of a picture of samples, uint8 [rows,columns,H,W,C], from the file beside it.

    None where there is none (versions before kept the picture only) or it is damaged.
    """
    try:
        images = files.read_arrays(picture.with_suffix(".npz"), most=LARGEST_TILES).get("images")
    except FileFormatError:
        return None
    return images if images is not None and images.ndim == 5 and images.dtype == np.uint8 and images.size else None


def history(run: RunFiles) -> History | None:
    """Return the same latents at several moments; None where there are fewer than two moments, or only pictures.

    Of a translator: its sources first, then what became of them, and the targets last if there are any.
    """
    found = [(at, sheet) for at, path in run.samples if (sheet := tiles(path)) is not None]
    found = [(at, sheet) for at, sheet in found if sheet.shape == found[-1][1].shape]
    if len(found) < 2:
        return None
    picked = np.unique(np.geomspace(1, len(found), min(MOMENTS, len(found))).round().astype(int)) - 1
    sheets = [found[i][1] for i in picked]
    names = ["start" if found[i][0] == 0 else f"{found[i][0]:,}" for i in picked]
    if run.translators:
        rows = min(3, len(sheets[-1]) // run.translators)
        moments = [sheets[-1][0], *(sheet[1] for sheet in sheets), *sheets[-1][2:rows]]
        names = ["source", *names, *["target"][: rows - 2]]
    else:
        moments = [_first_images(sheet, run.labelled) for sheet in sheets]
    count, classes = len(moments[0]), run.images.classes
    picture = packed(encode_png(grid(np.concatenate(moments), columns=count), generated=True))
    return History(picture, names, classes[:count] if run.labelled and count <= len(classes) else ())


def _first_images(sheet: np.ndarray, labelled: bool) -> np.ndarray:
    """Return uint8 [n,H,W,C]: the first image of each row, then the second; without labels the first as they stand."""
    ordered = sheet.swapaxes(0, 1) if labelled else sheet
    return ordered.reshape(-1, *sheet.shape[2:])[:TILES]


def row_names(run: RunFiles) -> list[str]:
    """Return the names of the newest picture's rows: classes, or what a translator starts from, makes, should make."""
    if run.translators and run.samples:
        sheet = tiles(run.samples[-1][1])
        rows = 0 if sheet is None else len(sheet)
        return ["source", "made", "target"][: rows // run.translators] * run.translators
    return list(run.images.classes[:10]) if run.labelled else []


# --- how it was made -------------------------------------------------------------------------------------------------


def players(run: RunFiles) -> list[PlayerLine]:
    """Return name, networks and losses of each player, as the recipe's classes are called."""
    found = []
    for player in _field(run.recipe, "players") or []:
        nets = [f"{_field(n, 'name')}: {_field(_field(n, 'net'), 'kind') or ''}" for n in _field(player, "nets") or []]
        # a file of the first format calls losses terms
        losses = [str(_field(loss, "kind")) for loss in _field(player, "losses", "terms") or []]
        optim = _field(player, "optim")
        rate = _field(optim, "lr")
        rate = rate if words.is_number(rate) else None
        found.append(
            PlayerLine(str(_field(player, "name")), tuple(nets), tuple(losses), _field(optim, "kind") or "", rate)
        )
    return found
