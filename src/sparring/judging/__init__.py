"""The one place where images, an extractor and metrics meet.

catalogue           METRICS: what each score means          inputs      real images and fakes
scores              the scores, with intervals              verdicts    two generators against each other
train_on_generated  what fakes teach a classifier           judgement   judge(): all of it in one call
over_time           every checkpoint of a run

    from sparring.judging import judge
    judge("photos/", "generated/").sentences

Names load when they are first used: the table can be read without torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__all__ = ["METRICS", "Judgement", "Score", "judge"]
CHAPTERS = {"METRICS": "catalogue", "Judgement": "judgement", "Score": "scores", "judge": "judgement"}

if TYPE_CHECKING:
    from .catalogue import METRICS
    from .judgement import Judgement, judge
    from .scores import Score


def __getattr__(name: str):
    if name not in CHAPTERS:
        raise AttributeError(f"module 'sparring.judging' has no attribute {name!r}")
    return getattr(import_module(f".{CHAPTERS[name]}", __name__), name)
