"""Which images to label next: typical ones first, then doubtful ones, never two alike.

    found = sparring.next_images("photos/", 20)
    for one in found.images: print(one.number, one.image, one.why)

choosing      the choice, as a pure function of a neighbour graph and of what is known
suggestions   from a data set to the choice, explained
handing_out   what a person who labels is given: a table to fill, a numbered sheet, copies of the files
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .suggestions import NextImage, NextImages, next_images

__all__ = ["NextImage", "NextImages", "next_images"]


def __getattr__(name: str):
    if name not in __all__:
        raise AttributeError(f"module 'sparring.study.labelling' has no attribute {name!r}")
    return getattr(import_module(".suggestions", __name__), name)
