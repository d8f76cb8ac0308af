"""The pools of images that a recipe reads, and the images that are kept from training."""

import numpy as np
import torch

from .. import keyed_random
from ..data import ImageSet, load, paired
from ..data.groups import first_images
from ..data.pairs import matching_channels
from ..errors import DataError, UsageError, printable
from ..games.builders import Recipe
from ..games.losses import AdversarialLoss
from ..games.training import Data
from ..records import OnProgress, no_progress, walk

# training images that are kept from training, for the monitor
HELD_SHARE, HELD_MOST, HELD_LEAST = 0.05, 256, 50


def used(imageset: ImageSet) -> np.ndarray:
    """Return bool [N]: the images that may be trained on."""
    use = imageset.parts != "test"
    return use if use.any() else np.ones(len(imageset), bool)


def real_images(source: object, shape: tuple[int, ...], progress: OnProgress = no_progress) -> ImageSet:
    """Return the images of a data set that may be trained on, at the generator's size [H,W,C]."""
    found = load(source, size=(shape[0], shape[1]), progress=progress)
    if found.images.shape[3] != shape[2]:
        kinds = {1: "grey", 3: "colour"}
        what = f"{printable(found.name)} is {kinds[found.images.shape[3]]}, the generator {kinds[shape[2]]}"
        raise DataError("other-images", what, fix="name the images that it was trained on")
    return found.take(used(found))


def held_out(imageset: ImageSet, recipe: Recipe) -> int:
    """Return how many training images are kept from training, to see whether D knows the others by heart."""
    count = min(HELD_MOST, int(HELD_SHARE * used(imageset).sum()))
    return count if count >= HELD_LEAST and any(isinstance(p, AdversarialLoss) for p in walk(recipe)) else 0


def parted(imageset: ImageSet, held: int, seed: int) -> tuple[ImageSet, ImageSet | None]:
    """Return the images for training and `held` that are kept from it: unlabelled ones if there are so many.

    Whole groups, as many as fit: of a patient whose images D has seen it knows more than of a new one. None where none
    fits.
    """
    use = np.flatnonzero(used(imageset))
    unlabelled = use[imageset.labels[use] < 0]
    among = unlabelled if len(unlabelled) >= held / HELD_SHARE else use
    if imageset.groups is not None:  # a group may have labelled and unlabelled images
        among = use
    order = keyed_random.order(keyed_random.key(seed, "held out"), len(among)).numpy()
    away = among[first_images(order, held, None if imageset.groups is None else imageset.groups[among])]
    if not len(away):
        return imageset, None
    return imageset.take(np.setdiff1d(use, away)), imageset.take(np.sort(away))


def pools(
    imageset: ImageSet, recipe: Recipe | None = None, source: ImageSet | None = None, *, device: str = "cpu"
) -> Data:
    """Return the training part of a data set as the loop reads it: all images, and those with a label.

    With `source`, for a recipe that reads it: "pairs" of images with the same file name, or "a" and "b", each alone.
    Raises DataError where they do not fit together.
    """
    images = imageset.take(used(imageset))
    data: Data = {"all": {"x": torch.from_numpy(images.images), "y": torch.from_numpy(images.labels)}}
    known = torch.from_numpy(np.flatnonzero(images.labelled))
    if len(known):
        data["labelled"] = {name: t[known] for name, t in data["all"].items()}
    if source is not None and recipe is not None:
        if not recipe.pools & {"pairs", "a", "b"}:
            raise UsageError(
                "no-source", "this recipe reads no source images", fix="leave --source out, or use pix2pix"
            )
        if "pairs" in recipe.pools:
            targets, beside = paired(images, source)
            data["pairs"] = {"x": torch.from_numpy(targets.images), "source": torch.from_numpy(beside.images)}
        else:
            others = matching_channels(source, images)
            data["a"], data["b"] = data["all"], {"x": torch.from_numpy(others.images[used(others)])}
    return {pool: {name: t.to(device) for name, t in fields.items()} for pool, fields in data.items()}
