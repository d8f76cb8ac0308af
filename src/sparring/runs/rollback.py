"""Roll a run back: to the newest copy of its state that stayed healthy, with one thing changed.

Copies are checkpoints that lie beside the others. What is decided depends on rounds alone and is part of the next
checkpoint, so a run that is killed in the middle of a rollback decides the same again. Attempts are few: after the last
the best state is exported and the run ends with exit code 6.
"""

from typing import NoReturn

import numpy as np

from ..errors import Diverged, FileFormatError, warn_of_damage
from ..files import JsonObject
from ..games.training import State, new_state
from .checkpoints import fill, load_state, monitor_record, save_state, tensors
from .folder import Run
from .history import Event, EventKind
from .monitor import Monitor
from .signals import Finding, confirmed


def check_start(run: Run, state: State, monitor: Monitor, images: np.ndarray) -> None:
    """Warn where many images are copies of each other. Raises Diverged for a run that was given up before."""
    if monitor.record.stopped:
        raise _given_up(run, monitor)
    if state.round == 0:
        copies = len(images) - len({image.tobytes() for image in images})
        if copies > len(images) / 10:
            words = f"{copies:,} of {len(images):,} images are exact copies of others: samples may become copies too"
            run.event(Event(EventKind.WARNING, images=0, words=words, signals=("duplicates",)))


def tick(run: Run, state: State, monitor: Monitor, seconds: float) -> list[str]:
    """Look for what is wrong, keep a copy of a healthy state, roll back if need be. Return what happened in words."""
    before, findings = monitor.record.votes, monitor.look(state)
    images = state.round * run.recipe.batch
    # what is seldom acted upon is a warning, once
    warned = [f for f in findings if f.signal not in monitor.record.warned and not (f.acts and f.alone)]
    monitor.record.warned += [f.signal for f in warned]
    sure = confirmed(findings, before)
    for f in findings:
        if f in warned or (f.acts and f.alone and f.signal not in before and f not in sure):
            kind = EventKind.WARNING if f in warned else EventKind.SUSPECT
            run.event(Event(kind, images=images, round=state.round, words=f.words, signals=(f.signal,)))
    if sure:
        return [*(f.words for f in warned), go_back(run, state, monitor, sure, seconds)]
    if monitor.settled(state, findings):
        save_state(state, run.recipe, run.copy(state.round), seconds=seconds, monitor=monitor.saved())
    return [f.words for f in warned]


def go_back(run: Run, state: State, monitor: Monitor, sure: list[Finding], seconds: float) -> str:
    """Set everything but the position to the newest good copy, and change one thing. Return what happened in words."""
    words, position = " and ".join(f.words for f in sure), state.round * run.recipe.batch
    change = monitor.next_change(state)
    good, record = _newest_good(run, state, monitor)
    fill(state, tensors(good))
    if change is None:
        _give_up(run, state, monitor, f"{words}, after {state.attempt} new attempts", good.round, seconds)
    monitor.went_back(state, change, record)
    images = good.round * run.recipe.batch
    sentence = f"{words}; went back to {f'image {images:,}' if images else 'the start'}, {change}"
    run.event(
        Event(
            EventKind.WENT_BACK, images=position, round=state.round, words=sentence,
            signals=tuple(f.signal for f in sure), to=images, change=change,
        )
    )  # fmt: skip
    return sentence


def _newest_good(run: Run, state: State, monitor: Monitor) -> tuple[State, JsonObject]:
    """Return the newest good copy that verifies, else the first state: it was healthy."""
    device = str(next(p.device for net in state.nets.values() for p in net.parameters()))
    for at, good in reversed(monitor.record.copies):
        if good:
            try:
                found, rest = load_state(run.recipe, run.copy(at), device=device)
            except FileFormatError as error:
                warn_of_damage(f"{error.problem}; training goes back further")
                continue
            return found, monitor_record(rest)
    return new_state(run.recipe, run.data_spec, seed=run.settings.seed, device=device), {}


def _give_up(run: Run, state: State, monitor: Monitor, words: str, to: int, seconds: float) -> NoReturn:
    """End at the best state. The next call ends here too."""
    images, best = state.round * run.recipe.batch, to * run.recipe.batch
    model = run.export(state) if to else None
    end = f"its model is that of image {best:,}" if model else "it was never healthy"
    monitor.record.stopped = f"{words}; {end}"
    run.event(Event(EventKind.DIVERGED, images=images, round=state.round, words=monitor.record.stopped, to=best))
    run.save(state, seconds, monitor.saved())
    raise _given_up(run, monitor)


def _given_up(run: Run, monitor: Monitor) -> Diverged:
    return Diverged(
        "diverged",
        f"{monitor.record.stopped}; {run.folder} keeps its samples and what happened in events.jsonl",
        fix="lower the learning rates of the recipe, or choose another recipe, in another folder with --out",
    )
