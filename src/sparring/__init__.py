"""Two networks spar: one makes images, one judges them. Which helps to classify images when labels are few?

    import sparring

    photos = sparring.load("photos/")                     # an ImageSet: uint8 [N,H,W,C], labels with -1 = unlabelled
    summary = sparring.compare(photos, out="study")       # every method on the same few labels -> study/report.html
    run = sparring.train(photos, "dcgan", out="run")      # a generator
    print(sparring.judge(photos, run))                    # scores of what it draws

One function for each command, with the same options: load, describe, audit, next_images, compare, fit, classify,
explain, train, sample, translate, judge, report; `app` serves a page for all of them. The classifiers are scikit-learn
estimators. RECIPES, METHODS, METRICS, EXPLANATIONS and FORMATS say what there is.

Names load their chapter when they are first used; importing sparring itself imports nothing heavy.
"""

from importlib import import_module
from typing import TYPE_CHECKING

PUBLIC = {
    # one function for each command
    "load": "data",
    "describe": "data",
    "audit": "reporting.verbs",
    "next_images": "study.labelling",
    "compare": "reporting.verbs",
    "fit": "classifiers",
    "classify": "classifiers",
    "explain": "reporting.verbs",
    "train": "runs.driver",
    "sample": "runs.sampling",
    "translate": "runs.translating",
    "judge": "judging",
    "report": "reporting.verbs",
    "app": "webapp",
    # tables
    "RECIPES": "games.recipes",
    "METHODS": "classifiers",
    "EXPLANATIONS": "explaining",
    "METRICS": "judging",
    "FORMATS": "data.formats",
    # what they take and return
    "ImageSet": "data",
    "Summary": "study",
    "Run": "runs.folder",
    "Judgement": "judging",
    "NextImages": "study.labelling",
    "load_model": "classifiers",
    "split": "data",
    # scikit-learn estimators
    "MajorityClassifier": "classifiers",
    "LogisticClassifier": "classifiers",
    "SVMClassifier": "classifiers",
    "SpreadingClassifier": "classifiers",
    "ProbeClassifier": "classifiers",
    "CNNClassifier": "classifiers",
    "ConsistencyClassifier": "classifiers",
    "FinetuneClassifier": "classifiers",
    "SemiGANClassifier": "classifiers",
    "GANAugmentClassifier": "classifiers",
    # a game by hand
    "Recipe": "games",
    "gan": "games",
    "solo": "games",
    "translation": "games",
    "new_state": "games.training",
    "training": "games.training",
    # errors
    "SparringError": "errors",
    "UsageError": "errors",
    "DataError": "errors",
    "MissingData": "errors",
    "FileFormatError": "errors",
    "MachineError": "errors",
    "Diverged": "errors",
}  # public name -> the chapter that holds it
__all__ = list(PUBLIC)  # pyright: ignore[reportUnsupportedDunderAll]

if TYPE_CHECKING:  # the same names for editors and type checkers
    from .classifiers import (
        METHODS,
        CNNClassifier,
        ConsistencyClassifier,
        FinetuneClassifier,
        GANAugmentClassifier,
        LogisticClassifier,
        MajorityClassifier,
        ProbeClassifier,
        SemiGANClassifier,
        SpreadingClassifier,
        SVMClassifier,
        classify,
        fit,
        load_model,
    )
    from .data import ImageSet, describe, load, split
    from .data.formats import FORMATS
    from .errors import DataError, Diverged, FileFormatError, MachineError, MissingData, SparringError, UsageError
    from .explaining import EXPLANATIONS
    from .games import Recipe, gan, solo, translation
    from .games.recipes import RECIPES
    from .games.training import new_state, training
    from .judging import METRICS, Judgement, judge
    from .reporting.verbs import audit, compare, explain, report
    from .runs.driver import train
    from .runs.folder import Run
    from .runs.sampling import sample
    from .runs.translating import translate
    from .study import Summary
    from .study.labelling import NextImages, next_images
    from .webapp import app


def __getattr__(name: str):
    if name == "__version__":
        return import_module(".devices", __name__).SPARRING_VERSION
    if name not in PUBLIC:
        raise AttributeError(f"module 'sparring' has no attribute {name!r}")
    return getattr(import_module(f".{PUBLIC[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
