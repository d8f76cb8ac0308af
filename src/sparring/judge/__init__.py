"""The one place where images, an extractor and metrics meet.

table   METRICS: what each score means    sides   real images and fakes    scores   with intervals    worth   to a
classifier    verdicts   two generators against each other    judgement   judge(): all of it in one call
over_time   every checkpoint of a run

    from sparring.judge import judge
    judge("photos/", "generated/").sentences

Names load when they are first used: the table can be read without torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__all__ = ["METRICS", "Judgement", "Score", "judge"]
CHAPTERS = {"METRICS": "table", "Judgement": "judgement", "Score": "scores", "judge": "judgement"}

if TYPE_CHECKING:
    from .judgement import Judgement, judge
    from .scores import Score
    from .table import METRICS


def __getattr__(name: str):
    if name not in CHAPTERS:
        raise AttributeError(f"module 'sparring.judge' has no attribute {name!r}")
    return getattr(import_module(f".{CHAPTERS[name]}", __name__), name)
