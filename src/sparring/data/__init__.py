"""Images from anywhere to an ImageSet: sources, checks, duplicates, splits and label draws.

sources    what the user named -> a listing or arrays; formats: the table of kinds, one file for each kind
decode     a listing -> one array, fitted by one rule; storage: its place in memory or on the disk
arrays     arrays of any kind -> uint8 images; labels: labels of any kind -> numbers
imageset   ImageSet, contact_sheet; duplicates: the same picture twice
checks     describe; splits: split, label_draw; pairs: sources and targets

Names load their file when they are first used; importing this package imports nothing heavy.
"""

from importlib import import_module
from typing import TYPE_CHECKING

PUBLIC_NAMES = {
    "UNLABELLED": "labels",
    "Description": "checks",
    "EarlierParts": "splits",
    "ImageSet": "imageset",
    "Notes": "notes",
    "OWN_SIZE": "notes",
    "SMALL": "notes",
    "SizeLimit": "notes",
    "SizeRule": "notes",
    "Split": "splits",
    "contact_sheet": "imageset",
    "describe": "checks",
    "label_draw": "splits",
    "load": "sources",
    "paired": "pairs",
    "resized": "sources",
    "split": "splits",
}  # public name -> the file that holds it
__all__ = list(PUBLIC_NAMES)  # pyright: ignore[reportUnsupportedDunderAll]

if TYPE_CHECKING:  # the same names for editors and type checkers
    from .checks import Description, describe
    from .imageset import ImageSet, contact_sheet
    from .labels import UNLABELLED
    from .notes import OWN_SIZE, SMALL, Notes, SizeLimit, SizeRule
    from .pairs import paired
    from .sources import load, resized
    from .splits import EarlierParts, Split, label_draw, split


def __getattr__(name: str):
    if name not in PUBLIC_NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{PUBLIC_NAMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
