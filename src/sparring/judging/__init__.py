"""Where images, an extractor and metrics meet.

catalogue           METRICS: what each score means          results     what a judgement says, as records
inputs              real images and fakes                   verdicts    two generators against each other
scores, scoring     the scores, with intervals              judgement   judge(): all of it in one call
train_on_generated  what fakes teach a classifier           over_time   every checkpoint of a run

    from sparring.judging import judge
    judge("photos/", "generated/").sentences

Names load when they are first used: the table can be read without torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

_MODULES = {
    "METRICS": "catalogue",
    "JudgeOptions": "judgement",
    "Judgement": "judgement",
    "JudgementResult": "results",
    "MetricScore": "scores",
    "judge": "judgement",
}
__all__ = ["METRICS", "JudgeOptions", "Judgement", "JudgementResult", "MetricScore", "judge"]

if TYPE_CHECKING:
    from .catalogue import METRICS
    from .judgement import Judgement, JudgeOptions, judge
    from .results import JudgementResult
    from .scores import MetricScore


def __getattr__(name: str):
    if name not in _MODULES:
        raise AttributeError(f"module 'sparring.judging' has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)
