"""Images from anywhere to an ImageSet: sources, checks, duplicates, splits and label draws.

sources   what the user named -> a listing or arrays      trees folders tables arrays parquet: one file per kind
decode    a listing -> one array, fitted by one rule       duplicates   the same picture twice
checks    describe    pairs   sources and targets    sheet   contact_sheet               splits       split, label_draw
"""

from .checks import describe, require_classes
from .imageset import ImageSet, Notes
from .labels import UNLABELLED
from .pairs import alike, paired
from .sheet import contact_sheet
from .sources import load, resized
from .splits import Split, label_draw, split

__all__ = [
    "UNLABELLED",
    "ImageSet",
    "Notes",
    "Split",
    "alike",
    "contact_sheet",
    "describe",
    "label_draw",
    "load",
    "paired",
    "resized",
    "require_classes",
    "split",
]
