"""Train a recipe in a run folder: the verb `train`, and the loop that logs, shows, saves, monitors and stops."""

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from torch import Tensor

from .. import files
from ..data import SMALL, load
from ..data.doubts import data_notes
from ..data.pairs import unpaired
from ..devices import choose_device
from ..errors import DataError, UsageError
from ..files import new_folder
from ..games.builders import Recipe
from ..games.curve_names import curve_names
from ..games.degradations import Degradation
from ..games.schedules import Schedule
from ..games.training import Data, State, check_trainable, fastest_precision, new_state, settle_norms, training
from ..nets.layers import DataSpec
from ..records import OnProgress, no_progress, walk
from .checkpoints import monitor_record, same_recipe
from .defaults import find_recipe, with_augment
from .folder import RECIPE, Run, checkpoint_folders
from .history import EVENTS, LOG, Event, EventKind, LogLine, RunSettings, read_log
from .monitor import Monitor
from .own_code import own_code
from .pools import held_out, parted, pools, used
from .rollback import check_start, tick

LINES = 400  # of log.jsonl in a whole run, at equal distances; a run is shown at every twentieth part of it
# Where these lie far apart, a line is due by time: after so large a share of the time trained so far, which gives 50
# lines each time the time grows e-fold, and within these seconds: sooner would cost speed, later looks like a halt.
LINE_SHARE, LINE_SECONDS = 0.02, (1.0, 15.0)
# Between two checkpoints: what a crash costs at most, beside a second or so that a checkpoint takes.
SAVE_SECONDS = 60.0
# of training until the first picture that is due by time; then twice as many, and so on
FIRST_SAMPLE_SECONDS = 10.0


@dataclass(frozen=True)
class TrainOptions:
    """How to train, by the names of the options of `sparring train`; see `train`."""

    images: int = 200_000
    batch: int | None = None
    minutes: float | None = None
    seed: int = 0
    size: str | int | tuple[int, int] | None = None
    unlabelled: Path | str | None = None
    source: object = None
    augment: str = "auto"
    device: str = "auto"
    precision: str = "auto"
    monitor: bool = True
    table: Path | str | None = None
    label: str | None = None
    follow_links: bool = False
    group: object = None


@dataclass(frozen=True)
class TrainingProgress:
    """Where a run stands.

    `images` of `total` are trained on; `seconds`: of all calls together. `means`: each loss and monitored value, such
    as "D/NonSaturating" -> its mean over the last batch. `seconds_left`: until all images are done, or the minutes of
    this call are over, whichever is first. `skipped`: steps that were not finite. `sample`, `saved`: the newest
    picture, and the checkpoint if one was just written. `why`: for the last one, why training ended, in words.
    `news`: what was found since the last time, in words. `recovered`: how often training went back to a healthy copy.
    """

    folder: Path
    images: int
    total: int
    seconds: float
    images_per_second: float
    seconds_left: float
    means: Mapping[str, float]
    skipped: int
    sample: Path | None = None
    saved: Path | None = None
    done: bool = False
    why: str = ""
    news: tuple[str, ...] = ()
    recovered: int = 0


def train(
    data: object,
    recipe: str | Recipe = "auto",
    out: Path | str = "run",
    *,
    images: int = 200_000,
    batch: int | None = None,
    minutes: float | None = None,
    seed: int = 0,
    size: str | int | tuple[int, int] | None = None,
    unlabelled: Path | str | None = None,
    source: object = None,
    augment: str = "auto",
    device: str = "auto",
    precision: str = "auto",
    monitor: bool = True,
    table: Path | str | None = None,
    label: str | None = None,
    group: object = None,
    follow_links: bool = False,
    progress: Callable[[TrainingProgress], object] | None = None,
) -> Run:
    """Train a recipe on images, in the folder `out`, and return the run; the same call again goes on exactly.

    data, unlabelled, table, label, group: as `sparring.load` takes them. Images that are kept from training, to see
    whether D knows the others by heart, are of groups of their own.
    recipe: a name of RECIPES, a Recipe, "file.py:name", or "auto": by the labels of the data.
    batch: images in each step, at least 2, instead of the recipe's own.
    minutes: stop after so many minutes of training in this call; the same call again trains as long once more.
    source: the images that pix2pix (of the same file names) or cyclegan starts from.
    augment: how D sees images: none, diffaugment, ada, or auto: diffaugment below 10,000 images, after 20 epochs.
    monitor: go back to a healthy copy where training diverges or collapses.
    follow_links: as `sparring.load` takes it.
    progress: called with a TrainingProgress from time to time.

    Raises UsageError when `out` holds something else, DataError when the data changed or lack what the recipe reads,
    Diverged when going back does not help (the best healthy model is then exported), MachineError for a full disk.
    """
    given = images, batch, minutes, seed, size, unlabelled, source, augment, device, precision, monitor, table, label
    options = TrainOptions(*given, follow_links, group)
    for at in train_steps(data, recipe, out, options):
        if progress:
            progress(at)
    return Run.read(out)


def train_steps(
    data: object,
    recipe: str | Recipe = "auto",
    out: Path | str = "run",
    options: TrainOptions = TrainOptions(),
    *,
    stop: Callable[[], bool] = lambda: False,
    save_seconds: float = SAVE_SECONDS,
    progress: OnProgress = no_progress,
) -> Iterator[TrainingProgress]:
    """Train as `train` does, but only while the caller takes the next TrainingProgress.

    `stop` and the clock are asked after every round; when `stop` says yes or the minutes are over, the run is shown,
    saved and left. A checkpoint is written at the first line of the log after `save_seconds` since the last one.
    `progress`: of reading the images, with what was left out, converted and doubted.
    """
    device = choose_device(options.device)
    folder = new_folder(out, ours=("recipe.json", "data.json"), data=data)
    read_images = partial(load, follow_links=options.follow_links, progress=progress)
    of = {"size": options.size, "unlabelled": options.unlabelled, "table": options.table, "label": options.label}
    imageset = read_images(data, **of, group=options.group, limit=SMALL)
    name, recipe, reason = find_recipe(recipe, imageset)
    read = used(imageset) if "all" in recipe.pools or "a" in recipe.pools else used(imageset) & imageset.labelled
    recipe = recipe if options.batch is None else _in_batches(recipe, options.batch)
    recipe, changed = with_augment(recipe, options.augment, int(read.sum()))
    source = None if options.source is None else read_images(options.source, size=imageset.shape[:2])
    data_spec = DataSpec.of(imageset.images, len(imageset.classes))
    if data_spec.channels == 1 and any(isinstance(node, Degradation) and node.needs_colour for node in walk(recipe)):
        raise DataError("grey", "the images are grey already", fix="pass images in colour, or use another recipe")
    check_trainable(recipe, pools(imageset, recipe, source))
    settings = RunSettings(
        options.images, options.seed, options.precision, name, imageset.name, held=held_out(imageset, recipe)
    )
    fingerprint = "+".join(images.fingerprint for images in (imageset, source) if images is not None)
    notes = data_notes(imageset)
    run = Run(folder, recipe, data_spec, imageset.classes, fingerprint, settings, own_code(recipe), notes)
    run = _opened_run(run, device=device)
    kept, held = parted(imageset, run.settings.held, run.settings.seed)
    trained = pools(kept, recipe, source, device=device)
    with files.locked(run.folder):
        files.remove_leftovers(run.folder)
        files.remove_leftovers(run.folder / "checkpoints")
        damage: list[str] = []
        state, rest = _resumed(run, device, damage.append)
        monitor = None
        if options.monitor:
            monitor = Monitor(
                recipe, data_spec, trained, pools(held, recipe, source, device=device) if held else None,
                rounds=run.rounds, seed=options.seed, precision=run.settings.precision, classes=run.classes,
                record=monitor_record(rest),
            )  # fmt: skip
            check_start(run, state, monitor, imageset.images)
        news = [f"recipe {name}: {reason}"] * bool(reason) + [changed] * bool(changed) + damage
        news += unpaired(imageset, source) if source is not None and "pairs" in recipe.pools else []
        yield from _Loop(
            run, state, trained, monitor, rest.get("seconds", 0.0), options.minutes, stop, save_seconds, news
        ).steps()


def _in_batches(recipe: Recipe, batch: int) -> Recipe:
    if batch < 2:  # many losses and norms compare the images of a batch
        raise UsageError("batch", f"a batch needs at least two images, not {batch}", fix="pass --batch 2 or more")
    return replace(recipe, batch=batch)


def _opened_run(run: Run, *, device: str) -> Run:
    """Return the run as its folder has it, or write it there if the folder is new."""
    if (run.folder / RECIPE).exists():
        there = _same_run(run)
        if run.settings.images > there.settings.images:
            there = replace(there, settings=replace(there.settings, images=run.settings.images))
            there.write()
        return there
    if run.settings.precision == "auto":
        fastest = fastest_precision(run.recipe, run.data_spec, device=device)
        run = replace(run, settings=replace(run.settings, precision=fastest))
    run.write()
    return run


def _same_run(run: Run) -> Run:
    """Return the run in this folder. Raises UsageError or DataError where it was started otherwise."""
    own = files.read_object(run.folder / RECIPE).get("own")
    if own != (run.own and run.own.to_json()):
        code = str(own.get("file")) if isinstance(own, dict) else "no code of its own"
        raise _other_run(run, f"{code}, in another version" if own and run.own else code)
    there = Run.read(run.folder)
    scheduled = any(isinstance(p, Schedule) for p in walk(run.recipe))
    asked, had = run.settings, there.settings
    if not same_recipe(run.recipe, there.recipe):
        same = had.recipe_name == asked.recipe_name
        other = "set up otherwise" if same else f"not {asked.recipe_name}"
        if same and run.recipe.batch != there.recipe.batch:  # on which more in a recipe may depend
            other = f"in batches of {there.recipe.batch}, not {run.recipe.batch}"
        raise _other_run(run, f"recipe {had.recipe_name}, {other}")
    if asked.seed != had.seed:
        raise _other_run(run, f"seed {had.seed}, not {asked.seed}")
    if asked.precision not in ("auto", had.precision):
        raise _other_run(run, f"precision {had.precision}, not {asked.precision}")
    if asked.images < had.images or (scheduled and asked.images != had.images):
        raise _other_run(run, f"{had.images:,} images, not {asked.images:,}")
    if run.fingerprint != there.fingerprint or run.data_spec != there.data_spec:
        raise DataError(
            "data-changed",
            f"the images are not those that {run.folder} was started with",
            fix="restore them, or start anew in another folder with --out",
        )
    return there


def _other_run(run: Run, what: str) -> UsageError:
    return UsageError(
        "other-run",
        f"{run.folder} holds a run with {what}",
        fix="repeat its own command to go on, or choose another folder with --out",
    )


def _resumed(run: Run, device: str, on_damage: Callable[[str], object]) -> tuple[State, files.JsonObject]:
    """Return the state to go on from, and what else its checkpoint says.

    What was written later is cut back to it: log, events, copies and samples. `on_damage` is told of each checkpoint
    that was walked back over.
    """
    found = run.newest(device=device, on_damage=on_damage)
    if found is None:
        found = new_state(run.recipe, run.data_spec, seed=run.settings.seed, device=device), {"seconds": 0.0}
    state, rest = found
    for name in (LOG, EVENTS):
        lines = files.read_lines(run.folder / name)
        kept = [line for line in lines if line.get("round", 0) <= state.round]
        if len(kept) < len(lines):
            files.write_text(run.folder / name, "".join(json.dumps(line) + "\n" for line in kept))
    for copy in checkpoint_folders(run.folder / "copies"):
        if copy > run.copy(state.round):
            shutil.rmtree(copy)
    run.drop_samples(after=state.round * run.recipe.batch)
    kind = EventKind.RESUMED if state.round else EventKind.STARTED
    run.event(Event(kind, images=state.round * run.recipe.batch))
    return state, rest


@dataclass
class _Loop:
    """The loop of one run in one process: monitor, log, show, save, stop."""

    run: Run
    state: State
    data: Data
    monitor: Monitor | None
    # of the calls before
    seconds_before: float
    minutes: float | None
    stop: Callable[[], bool]
    save_seconds: float
    news: list[str]
    sample: Path | None = None
    started: float = field(init=False)
    # (player, loss) -> its name in the log
    names: dict[tuple, str] = field(init=False)
    # rounds between two lines of the log
    every: int = field(init=False)
    # of the last line of the log, and the time of the last checkpoint
    last_round: int = field(init=False)
    last_line: float = field(init=False)
    last_saved: float = field(init=False)
    # seconds of training at which the next picture is due by time
    next_sample: float = field(init=False)

    def __post_init__(self):
        self.names = {which: curve.key for which, curve in curve_names(self.run.recipe).items()}
        self.every = max(1, self.run.rounds // LINES)
        self.last_round = self.state.round
        self.started = self.last_line = self.last_saved = time.monotonic()
        self.next_sample = doubled(FIRST_SAMPLE_SECONDS, self.seconds_before)

    def steps(self) -> Iterator[TrainingProgress]:
        run, recipe, settings = self.run, self.run.recipe, self.run.settings
        if self.state.round == 0:
            self.sample = run.show(self.state, self.data)
        at, ending = self.finished(), None
        progress = training(
            recipe, self.state, self.data, images=settings.images, seed=settings.seed, precision=settings.precision
        )
        for self.state, means in progress:
            if self.monitor:
                self.monitor.note(self.state, means)
                if self.monitor.due(self.state):
                    self.news += tick(run, self.state, self.monitor, self.seconds)
            last = self.state.round - self.state.extra == run.rounds
            ending = self.ending(last=last)
            if not (last or ending or self.line_is_due()):
                continue
            at = self.recorded(means, ends=last or ending is not None)
            if ending is not None:
                break
            yield at
        else:
            ending, at = EventKind.DONE, replace(at, news=(), saved=None)
            run.export(self.state)
        words = ""
        if ending is EventKind.TIME_OVER:
            words = f"{self.minutes:g} {'minute is' if self.minutes == 1 else 'minutes are'} over"
        run.event(Event(ending, images=self.state.round * recipe.batch, words=words))
        yield replace(at, done=ending is EventKind.DONE, why=words or str(ending))

    def ending(self, *, last: bool) -> EventKind | None:
        """Return why training ends after this round, or None. After the last one time is no reason: it is done."""
        if self.stop():
            return EventKind.STOPPED
        over = not last and self.minutes is not None and time.monotonic() - self.started > 60 * self.minutes
        return EventKind.TIME_OVER if over else None

    def line_is_due(self) -> bool:
        """Return whether a line is due after this round, by its number or by time. Training does not depend on it."""
        low, high = LINE_SECONDS
        wait = min(max(low, LINE_SHARE * self.seconds), high)
        return self.state.round % self.every == 0 or time.monotonic() - self.last_line >= wait

    @property
    def seconds(self) -> float:
        return self.seconds_before + time.monotonic() - self.started

    def finished(self) -> TrainingProgress:
        """Return where a run stands that has nothing left to do: as its log says."""
        line = (read_log(self.run.folder) or [LogLine()])[-1]
        images, speed = self.state.round * self.run.recipe.batch, line.images_per_second
        return TrainingProgress(
            folder=self.run.folder, images=images, total=images, seconds=self.seconds_before, images_per_second=speed,
            seconds_left=0.0, means=line.means, skipped=self.state.skipped, recovered=self.state.attempt,
        )  # fmt: skip

    def recorded(self, means: dict[tuple, Tensor], *, ends: bool) -> TrainingProgress:
        """Write a line of the log, show and save where it is time for that, and return where the run stands."""
        run, state, batch, now = self.run, self.state, self.run.recipe.batch, time.monotonic()
        seconds = self.seconds_before + now - self.started
        speed = (state.round - self.last_round) * batch / max(now - self.last_line, 1e-9)
        self.last_round, self.last_line = state.round, now
        if ends:
            settle_norms(run.recipe, state, self.data, seed=run.settings.seed)
        if ends or state.round % (self.every * max(1, LINES // 20)) == 0 or seconds >= self.next_sample:
            self.sample = run.show(state, self.data) or self.sample
            self.next_sample = doubled(self.next_sample, seconds)
        values = {self.names[k]: round(float(v), 6) for k, v in means.items() if v.numel() == 1 and v.isfinite()}
        norms = {player: round(float(v), 6) for player, v in state.gradients.items() if v.isfinite()}
        line = LogLine(
            state.round, state.round * batch, round(seconds, 3), round(speed, 1), state.skipped, values, norms
        )
        line.append(run.folder)
        saved = None
        if ends or now - self.last_saved > self.save_seconds:
            saved, self.last_saved = run.save(state, seconds, self.monitor and self.monitor.saved()), now
        total = (run.rounds + state.extra) * batch
        left = (total - state.round * batch) / speed
        if self.minutes is not None:
            left = min(left, max(0.0, 60 * self.minutes - (now - self.started)))
        news, self.news = tuple(self.news), []
        return TrainingProgress(
            folder=run.folder, images=state.round * batch, total=total, seconds=seconds, images_per_second=speed,
            seconds_left=left, means={self.names[k]: float(v) for k, v in means.items() if v.numel() == 1},
            skipped=state.skipped, sample=self.sample, saved=saved, news=news, recovered=state.attempt,
        )  # fmt: skip


def doubled(first: float, past: float) -> float:
    """Return the first of `first`, 2 `first`, 4 `first`, ... that is greater than `past`."""
    while first <= past:
        first *= 2
    return first
