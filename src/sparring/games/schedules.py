"""Schedules: numbers that change over training, as functions of its progress from 0 to 1."""

import math

from ..records import record


@record
class Linear:
    """From `start` to `end` in a straight line; the first `ramp` of training rises from 0."""

    start: float
    end: float = 0.0
    ramp: float = 0.0

    def __call__(self, progress: float) -> float:
        rise = min(1.0, progress / self.ramp) if self.ramp else 1.0
        return (self.start + (self.end - self.start) * progress) * rise


@record
class Cosine:
    """From `start` to `end` along half a cosine wave."""

    start: float
    end: float = 0.0

    def __call__(self, progress: float) -> float:
        return self.end + (self.start - self.end) * (1 + math.cos(math.pi * progress)) / 2


@record
class Window:
    """`value` while start <= progress < stop, else 0; the first and last `ramp` of training inside it are linear."""

    value: float = 1.0
    start: float = 0.0
    stop: float = 1.0
    ramp: float = 0.0

    def __call__(self, progress: float) -> float:
        if not self.start <= progress < self.stop:
            return 0.0
        inside = min(progress - self.start, self.stop - progress if self.stop < 1 else math.inf)
        return self.value * (min(1.0, inside / self.ramp) if self.ramp else 1.0)


Schedule = Linear | Cosine | Window


def scheduled(value: float | Schedule, progress: float) -> float:
    """Return the value of a number or a schedule at this progress in [0,1]."""
    return value(progress) if isinstance(value, Schedule) else value
