"""Two networks spar: one makes images, one judges them. Which helps to classify images when labels are few?

    import sparring

    photos = sparring.load("photos/")                  # an ImageSet: uint8 [N,H,W,C], labels with -1 = unlabelled
    sparring.compare(photos, out="study")              # every method on the same few labels -> study/report.html

Names load their chapter when they are first used; importing sparring itself imports nothing heavy.
"""

from importlib import import_module
from typing import TYPE_CHECKING

PUBLIC = {
    "ImageSet": "data",
    "load": "data",
    "describe": "data",
    "split": "data",
    "RECIPES": "games.recipes",
    "new_state": "games.training",
    "training": "games.training",
    "METHODS": "classifiers",
    "load_model": "classifiers",
    "compare": "study",
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
    from .classifiers import METHODS, load_model
    from .data import ImageSet, describe, load, split
    from .errors import DataError, Diverged, FileFormatError, MachineError, MissingData, SparringError, UsageError
    from .games.recipes import RECIPES
    from .games.training import new_state, training
    from .study import compare


def __getattr__(name: str):
    if name == "__version__":
        return import_module(".devices", __name__).SPARRING_VERSION
    if name not in PUBLIC:
        raise AttributeError(f"module 'sparring' has no attribute {name!r}")
    return getattr(import_module(f".{PUBLIC[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
