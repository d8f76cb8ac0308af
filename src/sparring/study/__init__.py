"""Method x label budget x repeat -> rows -> a summary, a recommendation and a model: the main job, in one folder.

    STUDY/  study.json  results.jsonl  predictions/*.npz  runs/<fit>/*.png  summary.json  pictures/  model/  sealed.bin

The eight rules of an honest verdict and where they are enforced:

1. the test part is sealed, looks are counted           sealed.py, plan.Study.count_look
2. no image is in both parts                            data.split, prepared.refuse_shared
3. same labels, seed and steps for all methods; no fit is cut short     plan.seed_of, analysis.refuse_mixed, schedule
4. last averaged weights, a validation part no larger than the labelled one     a fit never sees test labels; worker.fit
5. six paired repeats, all there, before a difference is real       stats.with_verdicts, analysis.comparisons
6. intervals, Holm at every budget, ties, groups; nothing learned is a verdict      stats, advice
7. generated images: never tested on, never from outside the fold     prepared.refuse_generated
8. every row keeps what its numbers came from           records.FitRow

Importing this loads no torch: the report reads `records` and computes nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .job import compare, summarise
    from .sealed import Sealed
    from .summary import Summary

__all__ = ["Sealed", "Summary", "compare", "summarise"]

_HOMES = {"compare": "job", "summarise": "job", "Summary": "summary", "Sealed": "sealed"}


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'sparring.study' has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
