"""A training run as one HTML page: what was trained, how it went, what it made, what is inside the generator.

Reads only the files of the run folder. What is missing is missing from the page, never an error.
"""

import ast
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from .. import files, words
from ..errors import FileFormatError
from ..images import BadImage, encode_png, grid, load_image
from . import loss_names
from .html import template
from .line_figures import loss_figure
from .pictures import Picture, film, inlined, packed
from .svg import COLOUR
from .typography import shown

MOMENTS = 8  # of the samples over time
TILES = 10  # images of a moment
MARKED = ("warning", "went back", "diverged")  # events that get a number and a line in the curves
PILLS = {"warning": ("warning", "open"), "went back": ("went back", "worse"), "diverged": ("ended", "worse")}
PILLS |= {"done": ("done", "better"), "suspect": ("suspected", "open"), "started": ("started", "tie")}
PILLS |= {"resumed": ("resumed", "tie"), "stopped": ("paused", "open")}  # a time that is over is a pause too


@dataclass(frozen=True)
class RunFiles:
    """What a run folder says of itself."""

    folder: Path
    recipe: Mapping[str, Any]
    data: Mapping[str, Any]
    log: list[dict]
    events: list[dict]
    scores: list[dict]
    views: list[dict]

    @property
    def settings(self) -> Mapping[str, Any]:
        return self.recipe.get("settings") or {}

    @property
    def data_spec(self) -> Mapping[str, Any]:
        return self.data.get("facts") or {}

    @property
    def classes(self) -> list[str]:
        return [str(name) for name in self.data.get("classes") or []]

    @property
    def batch(self) -> int:
        return (self.recipe.get("recipe") or {}).get("batch") or 1

    @cached_property
    def samples(self) -> list[tuple[int, Path]]:
        """(images seen, picture), oldest first."""
        found = []
        for path in sorted(self.folder.glob("samples/images-*.png")):
            number = path.stem.removeprefix("images-")
            found += [(int(number), path)] if number.isdecimal() else []
        return found

    @property
    def labelled(self) -> bool:
        """Whether its generator takes labels."""
        return any(part.get("labels") for part in parts(self.recipe) if part.get("kind") == "Generator")

    @property
    def translators(self) -> int:
        return sum(part.get("kind") == "Translator" for part in parts(self.recipe))


def parts(value: Any):
    """Every JSON object inside a value."""
    if isinstance(value, dict):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from parts(item)


def read_run(folder: Path) -> RunFiles:
    """Raises FileFormatError where recipe.json or data.json is absent or damaged."""
    recipe, data = (mapping(files.read_json(folder / name), folder / name) for name in ("recipe.json", "data.json"))
    log, events = (files.read_lines(folder / name) for name in ("log.jsonl", "events.jsonl"))
    return RunFiles(folder, recipe, data, log, events, rows(folder / "scores.json"), rows(folder / "inside/views.json"))


def mapping(value: Any, path: Path) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise FileFormatError("bad-json", f"{path} holds no JSON object", fix="train again in another folder")
    return value


def rows(path: Path) -> list[dict]:
    """The objects of a JSON list, or of its "views"; none where there is no such file."""
    if not path.is_file():
        return []
    found = files.read_json(path)
    found = found.get("views") if isinstance(found, dict) else found
    return [row for row in found or [] if isinstance(row, dict)]


def page(run: RunFiles) -> str:
    """The whole page as text."""
    events = told(run)
    last = run.log[-1] if run.log else {}
    return template("run.html").render(
        run=run,
        name=run.settings.get("recipe_name") or "a recipe",
        source=run.settings.get("source") or "images",
        date=datetime.fromtimestamp(run.events[0]["time"], UTC).isoformat(timespec="minutes") if run.events else "",
        outcome=outcome(run, events),
        health=health(run, events),
        images=last.get("images"),
        seconds=last.get("seconds"),
        speed=last["images"] / last["seconds"] if last.get("images") and last.get("seconds") else None,
        events=events,
        latest=latest(run),
        latest_rows=row_names(run),
        history=history(run),
        film=film(run.folder, "inside/training.webp"),
        views=[shown for shown in map(view_of(run), run.views) if shown["picture"]],
        curves=drawn_curves(run, events),
        python=pretty(str(run.recipe.get("python") or "")),
        paper=(run.recipe.get("recipe") or {}).get("source") or "",
        players=players(run),
        has_model=(run.folder / "model" / "config.json").is_file(),
        translates=run.translators > 0,
    )


# --- how it went -----------------------------------------------------------------------------------------------------


def told(run: RunFiles) -> list[dict[str, Any]]:
    """Events in plain words, in their order; the marked ones numbered."""
    found, number = [], 0
    for event in run.events:
        kind = str(event.get("event"))
        number += kind in MARKED
        found.append(
            {
                "kind": kind,
                "pill": PILLS.get(kind, PILLS["stopped"]),
                "images": event.get("images"),
                "words": in_words(event),
                "number": str(number) if kind in MARKED else "",
            }
        )
    return found


def in_words(event: Mapping[str, Any]) -> str:
    kind = str(event.get("event"))
    said = {
        "started": "training began",
        "resumed": "training went on from here",
        "done": "all images are done, and the model was saved",
        "stopped": "it was stopped here",
    }
    if kind == "suspect":
        return f"{event.get('words', '')}: seen once, so nothing was changed yet"
    return str(event.get("words") or said.get(kind) or kind)


def outcome(run: RunFiles, events: list[dict[str, Any]]) -> str:
    """How it ended, in one sentence."""
    last = events[-1] if events else {"kind": "", "images": None, "words": ""}
    total = words.count(run.settings.get("images"))
    at = last["images"] if last["images"] is not None else run.log[-1].get("images") if run.log else 0
    if last["kind"] == "done":
        return f"trained to the end, on {words.count(at)} images"
    if last["kind"] == "diverged":
        return f"training fell ill and could not be saved: {last['words']}"
    if last["kind"] in ("started", "resumed", *MARKED, "suspect", ""):
        at = run.log[-1].get("images") if run.log else 0
        return f"not finished: {words.count(at)} of {total} images so far"
    why = "" if last["kind"] == "stopped" else f", because {last['kind']}"
    return f"stopped at {words.count(at)} of {total} images{why}; the same command goes on"


def health(run: RunFiles, events: list[dict[str, Any]]) -> str:
    """What the watch did, in one sentence."""
    count = {kind: sum(e["kind"] == kind for e in events) for kind in (*MARKED, "suspect")}
    said = []
    if count["went back"]:
        times = "once" if count["went back"] == 1 else f"{words.count(count['went back'])} times"
        said.append(f"training went back to a healthier state {times}")
    if count["warning"]:
        said.append(f"there {'is' if count['warning'] == 1 else 'are'} {words.plural(count['warning'], 'warning')}")
    elif count["suspect"] and not said:
        said.append(
            f"nothing unhealthy lasted; {words.plural(count['suspect'], 'sign was', 'signs were')} seen in passing"
        )
    skipped = run.log[-1].get("skipped") if run.log else 0
    if skipped:
        said.append(f"{words.plural(skipped, 'move')} gave numbers that are not finite and left no trace")
    return "; ".join(said) or "nothing unhealthy was noticed"


def drawn_curves(run: RunFiles, events: list[dict[str, Any]]) -> list[Any]:
    """A panel for each quantity of the log, health events marked."""
    named: dict[str, list] = {}
    for line in run.log:
        gradients = {f"{player}/gradients": value for player, value in (line.get("gradients") or {}).items()}
        for name, value in {**(line.get("means") or {}), **gradients}.items():
            named.setdefault(name, []).append([line.get("images"), value])
    panels = loss_names.panels([{"curves": named}])
    if any(part.get("codes") for part in parts(run.recipe) if part.get("kind") == "Generator"):
        panels = [replace(p, title=p.title.replace(loss_names.TERMS["Classify"], "loss on the codes")) for p in panels]
    panels.sort(key=lambda p: (not p.share, p.title.endswith(loss_names.TERMS["gradients"])))
    marks = [(e["images"], e["number"]) for e in events if e["number"] and words.is_number(e["images"])]
    of = shown(run.settings.get("recipe_name") or "recipe")
    return [loss_figure(panel, COLOUR["m-cnn"], of=of, marks=marks) for panel in panels]


# --- what it made ----------------------------------------------------------------------------------------------------


def latest(run: RunFiles) -> Picture | None:
    return inlined(run.folder, f"samples/{run.samples[-1][1].name}") if run.samples else None


def history(run: RunFiles) -> dict[str, Any] | None:
    """One picture of the same latents at several moments, a row each; None where samples cannot be taken apart.

    Of a translator: its sources first, then what became of them, and the targets last if there are any.
    """
    count = len(run.samples)
    if count < 2:
        return None
    picked = np.unique(np.geomspace(1, count, min(MOMENTS, count)).round().astype(int)) - 1
    moments = [run.samples[i] for i in picked]
    try:
        sheets = [taken_apart(load_image(path), run) for _, path in moments]
    except BadImage:
        return None
    if not all(sheet.shape == sheets[0].shape and len(sheet) for sheet in sheets):
        return None
    names = ["start" if at == 0 else f"{at:,}" for at, _ in moments]
    if run.translators:
        rows = min(3, len(sheets[-1]) // run.translators)
        tiles = [sheets[-1][0], *(sheet[1] for sheet in sheets), *sheets[-1][2:rows]]
        names = ["source", *names, *["target"][: rows - 2]]
    else:
        tiles = [first_of(sheet, run.labelled) for sheet in sheets]
    picture = grid(np.concatenate(tiles), columns=len(tiles[0]))
    return {
        "picture": packed(encode_png(picture, generated=True)),
        "rows": names,
        "columns": run.classes[: len(tiles[0])] if run.labelled and len(tiles[0]) <= len(run.classes) else [],
    }


def taken_apart(picture: np.ndarray, run: RunFiles) -> np.ndarray:
    """uint8 [rows,columns,H,W,C] from a sheet of images; empty where it is none."""
    height, width = run.data_spec.get("height") or 1, run.data_spec.get("width") or 1
    scale = max(1, -(-48 // min(height, width)))
    tall, wide = height * scale + 2, width * scale + 2
    down, across = (picture.shape[0] - 2) // tall, (picture.shape[1] - 2) // wide
    if (down * tall + 2, across * wide + 2) != picture.shape[:2] or not down:
        return np.zeros((0, 0, 1, 1, 1), np.uint8)
    tiles = picture[2:, 2:].reshape(down, tall, across, wide, -1).swapaxes(1, 2)
    return tiles[:, :, : tall - 2 : scale, : wide - 2 : scale]


def first_of(sheet: np.ndarray, labelled: bool) -> np.ndarray:
    """uint8 [n,H,W,C]: the first image of each row, then the second; without labels the first images as they stand."""
    tiles = sheet.swapaxes(0, 1) if labelled else sheet
    return tiles.reshape(-1, *sheet.shape[2:])[:TILES]


def row_names(run: RunFiles) -> list[str]:
    """Of the newest sheet: classes, or what a translator starts from, makes and should make."""
    if run.translators and run.samples:
        try:
            rows = len(taken_apart(load_image(run.samples[-1][1]), run))
        except BadImage:
            return []
        return ["source", "made", "target"][: rows // run.translators] * run.translators
    return run.classes[:10] if run.labelled else []


def view_of(run: RunFiles):
    """What the template shows of a row of inside/views.json."""

    def shown(row: dict) -> dict[str, Any]:
        shape = row.get("shape") or [0, 0]
        names = {key: [str(n) for n in row.get(key) or []] for key in ("rows", "columns")}
        names = {key: value if len(value) == shape[i] else [] for i, (key, value) in enumerate(names.items())}
        return {**row, **names, "picture": inlined(run.folder, f"inside/{row.get('file')}")}

    return shown


# --- how it was made -------------------------------------------------------------------------------------------------


def players(run: RunFiles) -> list[dict[str, Any]]:
    """Name, networks and terms of each player, as the recipe's classes are called."""
    found = []
    for player in (run.recipe.get("recipe") or {}).get("players") or []:
        nets = [f"{n.get('name')}: {(n.get('net') or {}).get('kind', '')}" for n in player.get("nets") or []]
        losses = [t.get("kind", "") for t in player.get("losses", player.get("terms")) or []]
        found.append({"name": player.get("name"), "nets": nets, "terms": losses, "optim": player.get("optim") or {}})
    return found


def pretty(python: str, width: int = 92) -> str:
    """A recipe as Python over several lines, where it is too long for one."""
    try:
        return laid_out(ast.parse(python, mode="eval").body, 0, width)
    except SyntaxError:
        return python


def laid_out(node: ast.expr, indent: int, width: int) -> str:
    line = ast.unparse(node)
    if len(line) + indent <= width or not isinstance(node, ast.Call | ast.Tuple):
        return line
    inside = indent + 4
    if isinstance(node, ast.Call):
        items = [laid_out(arg, inside, width) for arg in node.args]
        items += [f"{k.arg}={laid_out(k.value, inside, width)}" for k in node.keywords]
        start = ast.unparse(node.func)
    else:
        items, start = [laid_out(item, inside, width) for item in node.elts], ""
    body = "".join(f"{' ' * inside}{item},\n" for item in items)
    return f"{start}(\n{body}{' ' * indent})"
