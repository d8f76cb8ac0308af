"""Which recipe, when none is named, and whether D is to see its images changed; each with the reason."""

from pathlib import Path

import numpy as np

from ..data import ImageSet
from ..errors import UsageError, pick
from ..games.augment import ADA, DiffAugment, LateDiffAugment, NoAugment
from ..games.builders import Recipe, augmented, can_augment
from ..games.players import Discriminator
from ..games.recipes import RECIPES
from ..records import walk
from .own_code import execute

PER_CLASS = 50  # labelled images below which a class cannot be told to a game
SHARE = 0.5  # of all images: a game of labels sees the labelled ones only
FEW = 10_000  # images below which D is shown changed ones: it would know them by heart
EPOCHS = 20  # in which D cannot know them by heart yet
AUGMENTS: dict[str, NoAugment] = {"none": NoAugment(), "diffaugment": DiffAugment(), "ada": ADA()}


def suggested(imageset: ImageSet) -> tuple[str, str]:
    """The recipe for these images, and why: the best of its kind at equal time on our images (LOG.md)."""
    counts = np.bincount(imageset.labels[imageset.labels >= 0], minlength=len(imageset.classes))
    if len(counts) < 2:
        return "r3gan", "there are no classes"
    if counts.min() < PER_CLASS:
        fewest = imageset.classes[int(counts.argmin())]
        return "r3gan", f"class {fewest} has {counts.min()} labelled images, too few to be told apart"
    if counts.sum() < SHARE * len(imageset):
        return "r3gan", f"only {counts.sum():,} of {len(imageset):,} images have a label; it learns from all"
    enough = f"there are {len(counts)} classes with {counts.min():,} labelled images or more"
    if imageset.images.shape[3] == 1:
        return "projection", f"{enough}, and the images are grey"
    return "r3gan-class-quick", f"{enough}, in colour"


def find_recipe(recipe: str | Recipe, imageset: ImageSet | None = None) -> tuple[str, Recipe, str]:
    """Return name, recipe and reason: of the table, `file.py:name` of the user's own, or what these images suggest
    ("auto").

    Raises UsageError for a name that is none, and for a file that cannot be run.
    """
    if isinstance(recipe, Recipe):
        return next((name for name, r in RECIPES.items() if r == recipe), "own"), recipe, ""
    if recipe == "auto" and imageset is not None:
        name, why = suggested(imageset)
        return name, RECIPES[name], why
    path, _, name = recipe.rpartition(":")
    if not path.endswith(".py"):
        return recipe, pick(RECIPES, recipe, "recipe"), ""
    found = getattr(execute(Path(path)).module, name, None)
    if not isinstance(found, Recipe):
        raise UsageError("no-recipe", f"{path} holds no recipe called {name!r}", fix="pass file.py:name of a Recipe")
    return recipe, found, ""


def with_augment(recipe: Recipe, augment: str, images: int) -> tuple[Recipe, str]:
    """The recipe as it is to be trained on so many images (that it reads), and why it changed, if it did.

    "auto": DiffAugment below 10,000 images, after 20 epochs, if the recipe has a discriminator and does not say itself
    what it sees.
    Raises UsageError where the recipe has none and an augmentation was asked for.
    """
    if augment != "auto":
        chosen = pick(AUGMENTS, augment, "augmentation")
        return (augmented(recipe, chosen), "") if chosen.numbers or can_augment(recipe) else (recipe, "")
    changed = any(isinstance(spec, Discriminator) and spec.augment.numbers for spec in walk(recipe))
    if images >= FEW or changed or not can_augment(recipe):
        return recipe, ""
    why = f"{images:,} images are few, so after {EPOCHS} epochs D sees them moved, cut and in other light"
    return augmented(recipe, LateDiffAugment(after=EPOCHS * images)), why
