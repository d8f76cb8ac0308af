"""Images from anywhere to an ImageSet: sources, checks, duplicates, splits and label draws."""

from .imageset import UNLABELLED, ImageSet, Notes
from .sources import load
from .splits import Split, label_draw, split

__all__ = ["UNLABELLED", "ImageSet", "Notes", "Split", "label_draw", "load", "split"]
