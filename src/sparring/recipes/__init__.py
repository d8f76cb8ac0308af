"""Recipes: who plays, in which order, and what each player minimises.

ways    a recipe, and the usual ways to write one down    fits    what is refused    table    the methods
"""

from .table import ABOUT, RECIPES, smooth
from .ways import Recipe, augmented, can_augment, gan, solo, translation

__all__ = ["ABOUT", "RECIPES", "Recipe", "augmented", "can_augment", "gan", "smooth", "solo", "translation"]
