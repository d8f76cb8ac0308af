"""Games: what is computed (nodes), what is minimised (losses), who plays (players), the recipes, and the one loop."""

from .builders import Recipe, augmented, can_augment, gan, solo, translation
from .recipes import RECIPES, smooth

__all__ = ["RECIPES", "Recipe", "augmented", "can_augment", "gan", "smooth", "solo", "translation"]
