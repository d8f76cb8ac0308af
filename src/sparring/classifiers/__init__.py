"""Few-label image classifiers as scikit-learn estimators, and the table of them.

    from sparring import SVMClassifier
    SVMClassifier(random_state=0).fit(images, labels).predict(["photo.png"])

The command line, studies, reports and tests read the table. Listing it imports neither torch nor scikit-learn: the file
of a method is imported when its estimator is made.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from .methods import METHODS, Method

if TYPE_CHECKING:
    from .base import Classifier
    from .cnn import CNNClassifier
    from .consistency import ConsistencyClassifier
    from .ensemble import EnsembleClassifier
    from .finetune import FinetuneClassifier
    from .fitting import classify, fit
    from .gan_augment import GANAugmentClassifier
    from .logistic import LogisticClassifier
    from .majority import MajorityClassifier
    from .models import load_model, save_model
    from .probe import ProbeClassifier
    from .semi_gan import SemiGANClassifier
    from .spreading import SpreadingClassifier
    from .svm import SVMClassifier

__all__ = [
    "METHODS",
    "CNNClassifier",
    "Classifier",
    "ConsistencyClassifier",
    "FinetuneClassifier",
    "EnsembleClassifier",
    "GANAugmentClassifier",
    "LogisticClassifier",
    "MajorityClassifier",
    "Method",
    "ProbeClassifier",
    "SVMClassifier",
    "SemiGANClassifier",
    "SpreadingClassifier",
    "classify",
    "fit",
    "load_model",
    "save_model",
]

# What needs torch or scikit-learn is imported when it is first asked for.
_HOMES = {
    "Classifier": "base",
    "classify": "fitting",
    "fit": "fitting",
    "load_model": "models",
    "save_model": "models",
}
_HOMES |= {name: file for file, name in (str(row.estimator).split(":") for row in METHODS.values())}


def __getattr__(name: str):
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
