"""Why a model says what it says: heat maps, parts of an answer, labelled images that it rests on, and checks of these.

    import sparring

    found = sparring.explain("STUDY/model", ["photo.png"])
    print(*found[0].sentences, sep="\n")
    found[0].heat                                   # float32 [H,W] from 0 to 1

EXPLANATIONS is the table of what there is. Listing it imports neither torch nor scikit-learn.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from .methods import EXPLANATIONS, ExplanationMethod

if TYPE_CHECKING:
    from .explaining import Explainer, explain_images
    from .records import Explained, ExplainedList
    from .results import Explanation, Explanations

__all__ = [
    "EXPLANATIONS",
    "Explained",
    "ExplainedList",
    "Explainer",
    "Explanation",
    "ExplanationMethod",
    "Explanations",
    "explain_images",
]

_HOMES = {
    "Explained": "records",
    "ExplainedList": "records",
    "Explainer": "explaining",
    "Explanation": "results",
    "Explanations": "results",
    "explain_images": "explaining",
}


def __getattr__(name: str):
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
