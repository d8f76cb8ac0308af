"""A run that fell ill goes back: to the newest copy of its state that stayed healthy, with one thing changed.

Copies are checkpoints that lie beside the others. What is decided depends on rounds alone and is part of the next
checkpoint, so a run that is killed in the middle of going back decides the same again. Attempts are few: after the
last the best state is exported and the run ends with exit code 6.
"""

from contextlib import suppress
from typing import Any, NoReturn

import numpy as np

from ..errors import Diverged, FileFormatError
from ..games.training import State, new_state
from .checkpoints import fill, load_state, save_state, tensors
from .monitor import Monitor
from .signals import Finding, confirmed


def first_look(run: Any, state: State, watch: Monitor, images: np.ndarray) -> None:
    """What can be said at the start: that many images are copies, or that this run was given up before."""
    if watch.record.stopped:
        raise given_up(run, watch)
    if state.round == 0:
        copies = len(images) - len({image.tobytes() for image in images})
        if copies > len(images) / 10:
            words = f"{copies:,} of {len(images):,} images are exact copies of others: samples may become copies too"
            run.event("warning", round=0, images=0, signal="duplicates", words=words)


def tend(run: Any, state: State, watch: Monitor, seconds: float) -> list[str]:
    """A tick: looks, keeps copies, goes back if need be. Returns what happened in words."""
    before, findings = watch.record.votes, watch.look(state)
    where = {"round": state.round, "images": state.round * run.recipe.batch}
    said = [f for f in findings if f.signal not in watch.record.told and not (f.acts and f.alone)]
    watch.record.told += [f.signal for f in said]  # what is seldom acted upon is said, once
    sure = confirmed(findings, before)
    for f in findings:
        if f in said or (f.acts and f.alone and f.signal not in before and f not in sure):
            run.event("warning" if f in said else "suspect", **where, signal=f.signal, words=f.words)
    if sure:
        return [*(f.words for f in said), go_back(run, state, watch, sure, seconds)]
    if watch.settled(state, findings):
        save_state(state, run.recipe, run.copy(state.round), seconds=seconds, watch=watch.saved())
    return [f.words for f in said]


def go_back(run: Any, state: State, watch: Monitor, sure: list[Finding], seconds: float) -> str:
    """Everything but the position becomes that of the newest good copy, and one thing is changed."""
    words, position = " and ".join(f.words for f in sure), state.round * run.recipe.batch
    what = watch.changes(state)
    good, record = newest_good(run, state, watch)
    fill(state, tensors(good))
    if what is None:
        give_up(run, state, watch, f"{words}, after {state.attempt} new attempts", good.round, seconds)
    change, relief = what
    watch.went_back(state, change, relief, record)
    images = good.round * run.recipe.batch
    sentence = f"{words}; went back to {f'image {images:,}' if images else 'the start'}, {change}"
    names = [f.signal for f in sure]
    run.event("went back", round=state.round, images=position, to=images, signals=names, change=change, words=sentence)
    return sentence


def newest_good(run: Any, state: State, watch: Monitor) -> tuple[State, dict]:
    """The newest good copy that verifies, else the first state: it was not ill yet."""
    device = str(next(p.device for net in state.nets.values() for p in net.parameters()))
    for at, good in reversed(watch.record.copies):
        if good:
            with suppress(FileFormatError):
                found, rest = load_state(run.recipe, run.copy(at), device=device)
                return found, rest["watch"]
    return new_state(run.recipe, run.data_spec, seed=run.settings["seed"], device=device), {}


def give_up(run: Any, state: State, watch: Monitor, words: str, to: int, seconds: float) -> NoReturn:
    """Ends at the best state. The next call ends here too."""
    images, best = state.round * run.recipe.batch, to * run.recipe.batch
    model = run.export(state) if to else None
    watch.record.stopped = f"{words}; " + (f"its model is that of image {best:,}" if model else "it was never healthy")
    run.event("diverged", round=state.round, images=images, to=best, words=watch.record.stopped)
    run.save(state, seconds, watch)
    raise given_up(run, watch)


def given_up(run: Any, watch: Monitor) -> Diverged:
    return Diverged(
        "diverged",
        f"{watch.record.stopped}; {run.folder} keeps its samples and what happened in events.jsonl",
        fix="lower the learning rates of the recipe, or choose another recipe, in another folder with --out",
    )
