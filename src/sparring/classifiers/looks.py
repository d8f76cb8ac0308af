"""Which changes of an image keep its class: the views that a network learns from, as the labels say.

Two things are measured on held-out labels (`Probe`). How much of what was learned is lost on changed copies: where they
look the same to the features, nothing is. And whether changed copies among the training images do harm: to a mirrored
digit a machine that sees gradients gives another digit's name. Features of ImageNet alone would not do for the second,
since that network was taught to ignore mirrors: they name a mirrored 2 a 2.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from ..features.handcrafted import blocks_of, extract
from ..features.shrinking import shrunk
from ..games.nodes import Node
from ..games.views import Strong, View, Weak, relit
from ..images import to_unit
from .selection import Folds, class_weights, fit_temperature, groups_at, mean_and_error, stratified_folds

Features = Callable[[np.ndarray], np.ndarray]  # uint8 [N,H,W,C] -> float [N,F]
LIGHT, COLOUR, HOLE = 0.4, 0.4, 0.4
PROBED = 400  # labelled images that are looked at, about; but no more than 20 and no fewer than 2 of a class
RIDGE = 0.1
CLOSE = 0.3  # the share of what was learned that may be lost on changed copies
HARMLESS = 0.06  # the share by which the loss may grow with changed copies
HANDMADE = {1: "hog & lbp", 3: "hog & lbp & colour-histogram"}  # by channels


@dataclass(frozen=True)
class Look:
    """How strongly views may change an image without changing what it shows."""

    light: float = 0.0
    colour: float = 0.0
    hole: float = 0.0
    flip: bool = False
    flip_vertical: bool = False
    quarter_turns: bool = False

    def weak(self, of: Node) -> Weak:
        return Weak(of, flip=self.flip, flip_vertical=self.flip_vertical, quarter_turns=self.quarter_turns)

    def strong(self, of: Node) -> Strong:
        return Strong(
            of,
            light=self.light,
            colour=self.colour,
            hole=self.hole,
            flip=self.flip,
            flip_vertical=self.flip_vertical,
            quarter_turns=self.quarter_turns,
        )


def usual_look(channels: int) -> Look:
    """Return the views where labels tell nothing.

    Colour images are taken for photographs: colours vary, a part may be hidden, and left and right may change places.
    Grey images are not mirrored: the mirror image of a digit or letter may be another class.
    """
    return Look(light=LIGHT, colour=COLOUR, hole=HOLE, flip=True) if channels == 3 else Look(light=LIGHT)


def look_for(
    images: np.ndarray,
    labels: np.ndarray,
    *,
    seed: int = 0,
    features: Features | None = None,
    groups: np.ndarray | None = None,
) -> Look:
    """Return the views for uint8 images [N,H,W,C] and labels int64 [N], -1 unlabelled.

    `usual_look`, but mirror images, quarter turns and other colours as the labels say (`Probe.allows`), where two
    classes have two labels each. `features` joins the handcrafted ones for the question whether copies look the same:
    those of a pretrained network. They allow more than is good for a network from scratch: of magnetic tiles mirror
    images, which are of the same class and cost `cnn` 4 to 16 points. groups [N]: images of equal ones are held out
    together. The same arguments give the same look.
    """
    usual = usual_look(images.shape[3])
    chosen = probed_images(labels, seed)
    if not len(chosen):
        return usual
    x, (_, y) = images[chosen], np.unique(labels[chosen], return_inverse=True)
    few = groups_at(groups, chosen)
    folds = stratified_folds(y, seed, groups=few)
    if not folds:  # no label can be held out
        return usual
    seen = [handmade(x), None if features is None else features(x)]

    def allowed(changed: Callable[[np.ndarray], np.ndarray], usually: bool) -> bool:
        copies = changed(x)
        hand = Probe.of(seen[0], handmade(copies), y, folds, few)
        if features is None:
            return hand.allows(usually)
        deep = Probe.of([np.asarray(seen[1])], [features(copies)], y, folds, few)
        return hand.allows(usually, deep)

    return Look(
        light=usual.light,
        colour=usual.colour if usual.colour and allowed(recoloured, True) else 0.0,
        hole=usual.hole,
        flip=allowed(mirrored, usual.flip),
        flip_vertical=allowed(upside_down, usual.flip_vertical),
        quarter_turns=allowed(turned, usual.quarter_turns),
    )


@dataclass(frozen=True)
class Probe:
    """What changed copies of labelled images do to a classifier, on held-out labels; each number has a standard error.

    `lost`: the share of what the classifier learned (its log-loss below that of guessing) that is lost on changed
    copies of held-out images. `harm`: by which share of itself the log-loss on held-out images grows if changed copies
    join the training images.
    """

    lost: float
    lost_error: float
    harm: float
    harm_error: float

    @staticmethod
    def of(
        blocks: list[np.ndarray],
        changed: list[np.ndarray],
        labels: np.ndarray,
        folds: Folds,
        groups: np.ndarray | None = None,
    ) -> "Probe":
        """Return the probe for the features of images and of their changed copies, blocks of [N,F] each, labels [N].

        The classifier is kernel ridge regression on the classes, by the mean of the blocks' distances. groups [N]: of
        images that are not independent.
        """
        count, classes = len(labels), int(labels.max()) + 1
        kernel = joint_kernel(blocks, changed)
        wanted = np.eye(classes)[labels] - 1 / classes
        plain, joined, copies = np.zeros((3, count, classes))
        for train, held in folds:
            ridge = np.diag(RIDGE / (class_weights(labels[train]) * len(train)))
            weights = np.linalg.solve(kernel[np.ix_(train, train)] + ridge, wanted[train])
            plain[held], copies[held] = (kernel[np.ix_(rows, train)] @ weights for rows in (held, held + count))
            both = np.concatenate([train, train + count])
            ridge = np.diag(np.tile(ridge.diagonal(), 2))
            weights = np.linalg.solve(kernel[np.ix_(both, both)] + ridge, np.tile(wanted[train], (2, 1)))
            joined[held] = kernel[np.ix_(held, both)] @ weights
        weight = class_weights(labels)
        before, after, beyond = (fit_temperature(scores, labels, 0.2)[1] for scores in (plain, joined, copies))
        loss = float((weight * before).sum())
        learned = max(np.log(classes) - loss, 0.05)
        (harm, harm_error), (lost, lost_error) = (
            mean_and_error(rise - before, weight, groups) for rise in (after, beyond)
        )
        return Probe(lost / learned, lost_error / learned, harm / loss, harm_error / loss)

    def allows(self, usually: bool, other: "Probe | None" = None) -> bool:
        """Return whether the change keeps the class; `other`: the probe with further features, which see more alike.

        It does where copies look the same and do no harm. What `usually` does keeps it still, unless copies look
        different to the handmade features; then harm must be ruled out more surely.
        """
        far = self.lost - 2 * self.lost_error > CLOSE
        harmless = self.harm + (2 if far else 1) * self.harm_error <= HARMLESS
        widest = self.lost + 2 * self.lost_error if other is None else other.lost + other.lost_error
        return (widest <= CLOSE and harmless) or (usually and (harmless or not far))


def joint_kernel(blocks: list[np.ndarray], changed: list[np.ndarray]) -> np.ndarray:
    """Return exp(-mean of squared distances, in units of each block's variance over the images), [2N,2N]."""
    total = 0.0
    for block, copies in zip(blocks, changed, strict=True):
        points = np.concatenate([block, copies]).astype(np.float64)
        length = (points * points).sum(1)
        squared = np.maximum(length[:, None] + length - 2 * points @ points.T, 0)
        total = total + squared / max(float(block.var(0, dtype=np.float64).sum()), 1e-12)
    return np.exp(-np.asarray(total) / len(blocks))


def probed_images(labels: np.ndarray, seed: int) -> np.ndarray:
    """Return which images are looked at: up to 20 of each class of two labels; [] for fewer than two classes."""
    values, counts = np.unique(labels[labels >= 0], return_counts=True)
    several = values[counts >= 2]
    if len(several) < 2:
        return np.zeros(0, np.int64)
    most, rng = max(2, min(20, PROBED // len(several))), np.random.default_rng(seed)
    return np.sort(np.concatenate([rng.permutation(np.flatnonzero(labels == k))[:most] for k in several]))


def handmade(images: np.ndarray) -> list[np.ndarray]:
    small = shrunk(images)
    return [extract(block, small) for block in blocks_of(HANDMADE[images.shape[3]])]


# --- changes: uint8 [N,H,W,C] -> the same -----------------------------------------------------------------------------


def mirrored(images: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(images[:, :, ::-1])


def upside_down(images: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(images[:, ::-1])


def turned(images: np.ndarray) -> np.ndarray:
    """Turn by a quarter, every other image to the other side; what is not square is stretched to fit."""
    across = images.swapaxes(1, 2)
    out = across[:, ::-1].copy()
    out[1::2] = across[1::2, :, ::-1]
    if out.shape == images.shape:
        return out
    pixels = torch.from_numpy(out).permute(0, 3, 1, 2).float()
    pixels = F.interpolate(pixels, images.shape[1:3], mode="bilinear", antialias=True)
    return pixels.round().clamp(0, 255).byte().permute(0, 2, 3, 1).contiguous().numpy()


def recoloured(images: np.ndarray) -> np.ndarray:
    """Change shares and tint of colours by up to COLOUR, as views do, by numbers that are always the same."""
    u = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (len(images), 4))).float()
    other = relit(to_unit(torch.from_numpy(images)), u, View(colour=COLOUR))
    return ((other.permute(0, 2, 3, 1) + 1) * 127.5).round().clamp(0, 255).byte().contiguous().numpy()
