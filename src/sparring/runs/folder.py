"""A run folder: one recipe trained on one data set, as files that survive a kill at any moment.

    RUN/  recipe.json  data.json  log.jsonl  events.jsonl  samples/*.png,*.npz  checkpoints/step-00000123/  copies/...
          model/  own/mine.py

A run goes on from the newest checkpoint that verifies; log, events and samples are cut back to it. `copies/` holds
earlier states to roll back to. Whatever changes the training (what the monitor looks at, rolling back) is a function of
the round number, so a killed and resumed run makes the same decisions. The clock decides only when a line of the log, a
picture or a checkpoint is due beside those of certain rounds, and when a run pauses: none of these changes training.
"""

import base64
import html
import math
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from .. import files
from ..data.notes import DataNotes
from ..errors import FileFormatError, UsageError, warn_of_damage
from ..games.builders import Recipe
from ..games.curve_names import all_curves
from ..games.training import Data, State
from ..images import grid, save_png
from ..nets.layers import DataSpec
from ..nets.loading import checked_spec
from ..records import as_python, from_json, read_record, to_json
from .checkpoints import copies_named, load_state, save_state
from .history import Event, RunSettings, from_mapping, read_events
from .own_code import OwnCode, admit, foreign_modules
from .sampler import Sampler, class_names, draw, load_generator, save_generator
from .translator import preview, save_translators

RECIPE, DATA = "recipe.json", "data.json"
RUN_FORMAT = 1  # of these two
KEEP = 3  # checkpoints
COLUMNS = 8  # of the samples that a run shows


@dataclass(frozen=True)
class Run:
    """A training run, as its folder describes it in recipe.json and data.json.

    `notes`: what was left out of the data, converted and doubted when the run began.
    """

    folder: Path
    recipe: Recipe
    data_spec: DataSpec
    classes: tuple[str, ...]
    fingerprint: str
    settings: RunSettings = RunSettings()
    own: OwnCode | None = None
    notes: DataNotes = DataNotes()

    @classmethod
    def read(cls, folder: Path | str, *, trust_code: bool = False) -> "Run":
        """Return the run in a folder. `trust_code`: its own Python code may be run.

        Raises FileFormatError when the folder holds no run, UsageError when it needs code that is not trusted.
        """
        folder = Path(folder)
        if not all(os.path.lexists(folder / name) for name in (RECIPE, DATA)):
            raise FileFormatError(
                "not-a-run",
                f"{folder} holds no training run: it lacks recipe.json or data.json",
                fix="pass the folder that `sparring train` wrote",
            )
        files.refuse_links(folder)
        recipe, data = (_read_description(folder / name) for name in (RECIPE, DATA))
        own = admit(folder, recipe.get("own"), trust_code=trust_code)

        def damaged(reason: str) -> FileFormatError:
            fix = "restore the folder, or train again in another one"
            return FileFormatError("run-damaged", f"the run in {folder} is damaged: {reason}", fix=fix)

        with files.fitting_together(damaged):
            settings = from_mapping(RunSettings, recipe["settings"])
            modules = [str(name) for name in recipe.get("modules") or ()]
            try:
                read = from_json(recipe["recipe"])
            except FileFormatError as error:
                if not modules:
                    raise
                raise _own_classes(folder, modules) from error
            spec = checked_spec(from_json(data["facts"]))
            if not isinstance(read, Recipe) or not isinstance(data["fingerprint"], str):
                raise ValueError("it does not describe a recipe and its data")
            notes = read_record(DataNotes, data.get("notes", {}), name=str(folder / DATA))
            classes = class_names(data["classes"], spec)
            return cls(folder, read, spec, classes, data["fingerprint"], settings, own, notes)

    def write(self) -> None:
        """Write recipe.json, data.json and the copy of the run's own code."""
        files.make_folder(self.folder)
        if self.own:
            self.own.write(self.folder)
        data = {"facts": to_json(self.data_spec), "classes": list(self.classes), "fingerprint": self.fingerprint}
        notes = to_json(self.notes, kinds=False)
        files.write_sealed(self.folder / DATA, {"format": RUN_FORMAT, **data, "notes": notes})
        recipe = {"format": RUN_FORMAT, "settings": asdict(self.settings), "recipe": to_json(self.recipe)}
        recipe["curves"] = [to_json(curve) for curve in all_curves(self.recipe)]
        own = {"own": self.own.to_json()} if self.own else {"modules": foreign_modules(self.recipe)}
        files.write_sealed(self.folder / RECIPE, recipe | {"python": self._python()} | own)

    def _python(self) -> str:
        """Return the recipe as Python that can be pasted; its own classes are imported from the user's file."""
        text = as_python(self.recipe, "recipe", width=92)
        return text.replace(self.own.module.__name__, Path(self.own.name).stem) if self.own else text

    @property
    def rounds(self) -> int:
        return math.ceil(self.settings.images / self.recipe.batch)

    @property
    def checkpoints(self) -> list[Path]:
        """The folders of its checkpoints, oldest first."""
        return checkpoint_folders(self.folder / "checkpoints")

    def copy(self, at: int) -> Path:
        return self.folder / "copies" / f"step-{at:08d}"

    def newest(
        self, *, device: str = "cpu", on_damage: Callable[[str], object] = warn_of_damage
    ) -> tuple[State, files.JsonObject] | None:
        """Return the newest state that verifies; None when there is no checkpoint.

        Damaged ones are walked back over, and `on_damage` is told of each. Raises FileFormatError where none verifies.
        """
        faults: list[FileFormatError] = []
        for folder in reversed(self.checkpoints):
            try:
                found = load_state(self.recipe, folder, device=device)
            except FileFormatError as error:
                faults.append(error)
                continue
            for fault in faults:
                on_damage(f"{fault.problem}; the run goes on from {folder.name}")
            return found
        if faults:
            what = f"none of the {len(faults)} checkpoints of {self.folder} can be read: {faults[0].problem}"
            fix = f"restore one of them; or delete {self.folder / 'checkpoints'}, and the run starts from the beginning"
            raise FileFormatError("bad-checkpoints", what, fix=fix)
        return None

    def save(self, state: State, seconds: float, monitor: dict | None = None) -> Path:
        """Write a checkpoint of this state; return its folder.

        Older ones than the newest KEEP go, and copies that none of these names. `monitor`: the monitor's state.
        """
        folder = self.folder / "checkpoints" / f"step-{state.round:08d}"
        save_state(state, self.recipe, folder, seconds=seconds, monitor=monitor)
        for old in self.checkpoints[:-KEEP]:
            shutil.rmtree(old)
        needed = set()
        for checkpoint in self.checkpoints:
            needed |= {self.copy(at) for at in copies_named(checkpoint)}
        for old in set(checkpoint_folders(self.folder / "copies")) - needed:
            shutil.rmtree(old)
        return folder

    def show(self, state: State, data: Data) -> Path | None:
        """Write samples from latents that stay the same over the run; return the picture's path.

        samples/images-N.png is for people, images-N.npz holds the same images as uint8 [rows,COLUMNS,H,W,C]: a row per
        class where G takes labels; of translators a row of sources, of what is made of them, and of the targets where
        there are any. None for recipes that make no images.
        """
        spec = self.recipe.generator
        if self.recipe.translators:
            images = preview(self.recipe, state, data, count=COLUMNS)
        elif spec is None:
            return None
        else:
            labels = np.repeat(np.arange(len(self.classes))[:10], COLUMNS) if spec.labels else None
            count = 64 if labels is None else len(labels)
            images = draw(state.best(spec.name), spec, count, labels=labels, key="preview")
        path = self.folder / "samples" / f"images-{state.round * self.recipe.batch:09d}.png"
        files.make_folder(path.parent)
        files.write_arrays(path.with_suffix(".npz"), images=images.reshape(-1, COLUMNS, *images.shape[1:]))
        save_png(path, grid(images, columns=COLUMNS), generated=True)
        return path

    def drop_samples(self, *, after: int) -> None:
        """Remove what `show` wrote beyond so many images: a run that was killed goes on from before them."""
        for path in (self.folder / "samples").glob("images-*"):
            number = path.stem.removeprefix("images-")
            if path.suffix in (".png", ".npz") and number.isdecimal() and int(number) > after:
                path.unlink()

    def export(self, state: State) -> Path | None:
        """Write the averaged generator alone as a model folder; return the folder.

        The discriminator stays behind: of all images it knows the training images best.
        """
        origin = {"recipe_name": self.settings.recipe_name, "images": self.settings.images}
        origin |= {"source": self.recipe.source}
        if self.recipe.translators:
            nets = {spec.name: state.best(spec.name) for spec in self.recipe.translators}
            return save_translators(nets, self.recipe, self.data_spec, self.folder / "model", **origin)
        spec = self.recipe.generator
        if spec is None:
            return None
        return save_generator(
            state.best(spec.name), spec, self.data_spec, self.classes, self.folder / "model", **origin
        )

    def sample(self, count: int = 64, *, seed: int = 0, classes: str | None = None) -> np.ndarray:
        """Return images of its generator, uint8 [count,H,W,C]: of one class, or of all classes in turn."""
        sampler = read_generator(self.folder, trust_code=self.own is not None)
        labels = None if classes is None else np.full(count, sampler.label(classes))
        return sampler.draw(count, labels=labels, seed=seed)

    def _repr_html_(self) -> str:
        """Return the newest samples as an inline picture, and where training stands, for a notebook."""
        events = read_events(self.folder)
        status = events[-1].event.value if events else "not started"
        title = f"{self.settings.recipe_name} on {self.settings.source}: {status}"
        shown = sorted((self.folder / "samples").glob("images-*.png"))
        picture = base64.b64encode(files.read_bytes(shown[-1])).decode() if shown else ""
        image = f'<br><img alt="samples" src="data:image/png;base64,{picture}">' if shown else ""
        return f"<div>{html.escape(title)} ({html.escape(str(self.folder))}){image}</div>"

    def event(self, event: Event) -> None:
        event.append(self.folder)


def _read_description(path: Path) -> files.JsonObject:
    """Return what recipe.json or data.json says. Raises FileFormatError where it is damaged or of a later version."""
    found = files.read_object(path)
    if found.get("format", RUN_FORMAT) != RUN_FORMAT:
        what = f"{path} has format {found['format']!r:.40}, this version reads {RUN_FORMAT}"
        raise FileFormatError("run-version", what, fix="use the version of sparring that wrote it")
    return found


def _own_classes(folder: Path, modules: list[str]) -> FileFormatError:
    fix = f"import the module that defines them first: {', '.join(modules)}"
    if "__main__" in modules:
        fix = "run the cells or lines that define them first; of a recipe file, my.py:recipe, a copy is kept"
    return FileFormatError(
        "own-code", f"the recipe of {folder} uses classes that are defined outside sparring", fix=fix
    )


def checkpoint_folders(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder, oldest first."""
    return sorted(p for p in folder.glob("step-*") if re.fullmatch(r"step-\d{8,}", p.name))


def read_generator(folder: Path | str, *, trust_code: bool = False) -> Sampler:
    """Return the generator of a run or of a model folder: the exported one, else that of the newest checkpoint.

    Raises FileFormatError where there is none, UsageError where it needs code that is not trusted.
    """
    folder = Path(folder)
    if os.path.lexists(folder / RECIPE):
        files.refuse_links(folder)
    for place in (folder / "model", folder):
        if (place / "config.json").exists():
            return load_generator(place, trust_code=trust_code)
    run = Run.read(folder, trust_code=trust_code)
    spec, found = run.recipe.generator, run.newest()
    if spec is None or found is None:
        what = "no checkpoint yet" if spec else f"no generator: recipe {run.settings.recipe_name} has none"
        raise FileFormatError("no-generator", f"{folder} has {what}", fix="train a recipe with a generator, e.g. dcgan")
    return Sampler(found[0].best(spec.name).eval(), spec, run.data_spec, run.classes)


def open_generator(run: Run | Path | str, *, trust_code: bool = False) -> Sampler:
    """Return the generator of a run or a model folder. Raises UsageError for what makes images from images."""
    folder = run.folder if isinstance(run, Run) else Path(run)
    for place in (folder / "recipe.json", folder / "config.json"):
        if place.is_file() and b'"Translator"' in files.read_bytes(place):
            raise UsageError(
                "no-latents",
                f"{folder} makes images from images, so it has no noise to draw from",
                fix=f"translate images: sparring translate {folder} IMAGES",
            )
    return read_generator(folder, trust_code=trust_code or (isinstance(run, Run) and run.own is not None))
