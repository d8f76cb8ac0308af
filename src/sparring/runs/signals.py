"""Signals: numbers read from a training in, a finding or None out; and the thresholds at which they count.

Karras et al. 2020 (arXiv:2006.06676), Brock et al. 2019 (arXiv:1809.11096, section 4.2), Bie et al. 2023
(arXiv:2302.00936). The thresholds are ours, as measured by `benchmarks/watch.py`.
"""

import math
import statistics
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, conv2d, one_hot

from .. import keyed_random

# share of the steps of a tick
NOT_FINITE = 0.1
# Exploding: the robust z of a log gradient norm, in 3 of 5 neighbouring rounds; or this many times the median once.
EXPLODED, EXPLODED_OF, EXPLODED_ONCE = 8.0, (3, 5), 100.0
# the least deviation of log norms that z is measured in
STEADY = 0.15
# D's share of right calls: above WINNING on both sides, or below LOSING on one, if both were above ONCE_RIGHT before: a
# young D often calls all images the same
WINNING, LOSING, ONCE_RIGHT = 0.995, 0.10, 0.4
# gap between the mean signs of D's scores of training images and of held-out images
OVERFIT = 0.5
# Alarm when the diversity of samples (COLLAPSED_CLASS: of one class) falls below this fraction of its best value so
# far, if that best was at least ONCE_DIVERSE of the training images' diversity. COLLAPSED_LATE: late in a run, below
# this fraction of the training images' diversity. COLLAPSED_HARD: certain below this fraction of the best.
COLLAPSED, COLLAPSED_CLASS, ONCE_DIVERSE = 0.5, 0.35, 0.2
COLLAPSED_LATE, COLLAPSED_HARD = 0.05, 0.1
# Alarm when a probe recognises less than this fraction of its best share of a class's samples, if that best was at
# least ONCE_KNOWN, and at least ONCE_NAMED of all classes: where fewer are recognised, single classes come and go.
MIXED, ONCE_KNOWN, ONCE_NAMED = 0.5, 0.6, 0.9
# mean and spread of a channel, in standard deviations of the training images
OFF_MEAN, OFF_SPREAD = 1.0, 2.5
# median distance to the nearest training image, over that between training images
COPIED = 0.25
# how many more of the samples than of the training images look augmented
LEAKED = 0.15


@dataclass(frozen=True)
class Finding:
    """What a signal found.

    `signal`: its name in files. `family`: D, G, samples or numbers; two families that agree are certain. `words`: for
    people. `hard`: certain at once. `alone`: certain when it comes twice in a row, else only beside another family.
    `acts`: a reason to go back; else only a warning.
    """

    signal: str
    family: str
    words: str
    hard: bool = False
    alone: bool = True
    acts: bool = True


def confirmed(findings: list[Finding], before: list[str]) -> list[Finding]:
    """Return the findings to act upon: hard ones, those of the tick before as well, or those of two families."""
    votes = [f for f in findings if f.acts]
    sure = [f for f in votes if f.hard or (f.alone and f.signal in before)]
    return sure or (votes if len({f.family for f in votes}) > 1 else [])


# --- signals: numbers in, a finding or None out -------------------------------------------------------------------


def not_finite(skipped: int, steps: int) -> Finding | None:
    """Losses or gradients were not finite. One such step is left out and forgotten; many are a fault."""
    if skipped > max(2, NOT_FINITE * steps):
        return Finding("not finite", "numbers", f"{skipped} of {steps} steps were not finite", hard=True)
    return None


def exploding(player: str, logs: list[float], before: list[float]) -> Finding | None:
    """Log gradient norms far above those of the last rounds, in units of the median absolute deviation."""
    if len(before) < 50:
        return None
    middle = statistics.median(before)
    deviation = max(STEADY, 1.4826 * statistics.median(abs(v - middle) for v in before))
    far = [(v - middle) / deviation > EXPLODED for v in logs]
    need, of = EXPLODED_OF
    often = any(sum(far[i : i + of]) >= need for i in range(len(far)))
    if often or any(f and v - middle > math.log(EXPLODED_ONCE) for f, v in zip(far, logs, strict=True)):
        words = f"the gradients of {player} exploded to {math.exp(min(max(logs) - middle, 50)):,.0f} times their size"
        return Finding(f"exploding {player}", player, words)
    return None


def one_sided(real: float, fake: float, best: float) -> Finding | None:
    """D is right on nearly all images, so G learns nothing; or wrong on nearly all of one side. Bie et al. 2023.

    `real`, `fake`: running means of the share of images that D calls right; `best`: of the worse side so far.
    """
    if min(real, fake) > WINNING:
        words = "D tells all real images from all generated ones, so G may learn nothing more from it"
        return Finding("D wins", "D", words, alone=False)
    if min(real, fake) < LOSING and best > ONCE_RIGHT:
        return Finding("D loses", "D", f"D calls nearly every image {'generated' if real < fake else 'real'}")
    return None


def overfitting(known: float, new: float) -> Finding | None:
    """D scores training images as real far more often than held-out images.

    `known`, `new`: fraction of training and of held-out images that D scores as real. 2 (known - new) =
    E[sign D(train)] - E[sign D(val)], compare r_v of Karras et al. 2020, equation 1.
    """
    if 2 * (known - new) > OVERFIT:
        words = (
            f"D knows its images by heart: it calls {100 * known:.0f} % of them real, "
            f"of images never shown {100 * new:.0f} %"
        )
        return Finding("D overfits", "D", words, alone=False)
    return None


def collapsed(ratio: float, best: float, late: bool, label: str | None = None) -> Finding | None:
    """Samples are less diverse than they were.

    `ratio`: the mean distance between samples over that between training images; `best`: the best of it so far.
    """
    known = best if best > ONCE_DIVERSE else 0.0  # a young G makes nearly the same image of everything
    limit = max((COLLAPSED if label is None else COLLAPSED_CLASS) * known, COLLAPSED_LATE if late else 0.0)
    if ratio < limit:
        of, signal = ("", "alike") if label is None else (f" of class {label}", f"alike {label}")
        return Finding(signal, "samples", f"samples{of} have become alike", hard=ratio < COLLAPSED_HARD * known)
    return None


def class_lost(right: float, best: float, label: str) -> Finding | None:
    """Samples of a class are no longer recognised; `right`: the share that a probe, fitted on real images, names so."""
    if best > ONCE_KNOWN and right < MIXED * best:
        return Finding(f"mixed {label}", "samples", f"samples of class {label} no longer look like class {label}")
    return None


def off_colour(fakes: Tensor, reals: Tensor) -> float:
    """Return how far mean and deviation of each channel of images [N,C,H,W] are from the real ones; 1 is the limit."""
    (mean, deviation), (mean0, deviation0) = (
        (x.mean((0, 2, 3)), x.std((0, 2, 3)).clamp_min(1e-3)) for x in (fakes, reals)
    )
    off = ((mean - mean0).abs() / deviation0).max().item()
    ratio = (deviation / deviation0).log().abs().max().item()
    return max(off / OFF_MEAN, ratio / math.log(OFF_SPREAD))


def off_colours(off: float, best: float, late: bool) -> Finding | None:
    """Colours are off that were good once (`best`: share of ticks so far), or that still are off late in a run."""
    if off > 1 and (best > ONCE_KNOWN or late):
        return Finding("colour", "samples", "brightness, contrast or colour of the samples is far from the images'")
    return None


def copies_found(made: float, real: float) -> Finding | None:
    """Samples lie much nearer to training images (`made`: median distance) than these lie to each other (`real`)."""
    if made < COPIED * real:
        return Finding("copies", "samples", "samples are copies of training images", acts=False)
    return None


def augmentation_leaks(share: float) -> Finding | None:
    """How many more of the samples than of the images look augmented, see `leaning`."""
    if share > LEAKED:
        return Finding("leak", "samples", "the augmentation shows in the samples", acts=False)
    return None


def looks_augmented(fakes: Tensor, *kinds: Tensor) -> float:
    """Return how many more of the samples than of real images a linear probe takes for augmented images.

    The probe knows features [N,F] of three kinds: real images, augmented ones, and images spoilt in another way: to a
    probe of two kinds the odd samples of a young G look augmented. 0 where the probe cannot see the augmentation.
    """
    probe = Probe(torch.cat([k[::2] for k in kinds]), group_numbers([k[::2] for k in kinds]), len(kinds))
    real, augmented, made = ((probe(z) == 1).float().mean().item() for z in (kinds[0][1::2], kinds[1][1::2], fakes))
    return made - real if real < 0.3 and augmented > 0.6 else 0.0


def group_numbers(groups: list[Tensor]) -> Tensor:
    """Return the number of the group of each row of all groups."""
    return torch.cat([torch.full((len(g),), i, device=g.device) for i, g in enumerate(groups)])


def nearest_distances(features: Tensor, to: Tensor) -> Tensor:
    """Return the distance of each row of features [N,F] to the nearest row of `to` [M,F]: [N]."""
    return torch.cdist(features, to).amin(1)


# --- how images are compared ------------------------------------------------------------------------------------------


class RandomFeatures:
    """Features [N,F] of images [N,C,H,W] without any training: small pixels, and what random filters see."""

    def __init__(self, x: Tensor):
        weights = keyed_random.normal(
            keyed_random.key("eye"), torch.arange(16, device=x.device), x.shape[1], 5, 5
        ).float()
        self.filters = weights - weights.mean((1, 2, 3), keepdim=True)
        self.scale = [1.0, 1.0]
        self.scale = [block.var(0).sum().sqrt().clamp_min(1e-6).item() for block in self.blocks(x)]

    def blocks(self, x: Tensor) -> list[Tensor]:
        small = adaptive_avg_pool2d(x, (min(8, x.shape[2]), min(8, x.shape[3])))
        seen = adaptive_avg_pool2d(conv2d(x, self.filters, stride=2, padding=2).relu(), (4, 4))
        return [block.flatten(1) / scale for block, scale in zip((small, seen), self.scale, strict=True)]

    def __call__(self, x: Tensor) -> Tensor:
        return torch.cat([torch.cat(self.blocks(part), 1) for part in x.split(1024)])


def diversity(features: Tensor) -> float:
    """Return the mean distance between any two rows of features [N,F]."""
    n = len(features)
    return (torch.cdist(features, features).sum() / (n * (n - 1))).item()


class Probe:
    """Least squares from features to classes, with a little shrinkage."""

    def __init__(self, features: Tensor, y: Tensor, classes: int):
        x = self.with_ones(features)
        gram = x.T @ x + 1e-3 * len(x) * torch.eye(x.shape[1], device=x.device, dtype=x.dtype) * x.square().mean()
        self.weights = torch.linalg.solve(gram, x.T @ one_hot(y, classes).to(x.dtype))

    @staticmethod
    def with_ones(features: Tensor) -> Tensor:
        return torch.cat([features, features.new_ones(len(features), 1)], 1).double()

    def __call__(self, features: Tensor) -> Tensor:
        return (self.with_ones(features) @ self.weights).argmax(1)

    def recall(self, features: Tensor, y: Tensor) -> Tensor:
        """Return the share of each class that is named right; 0 for a class without images."""
        target = one_hot(y, self.weights.shape[1]).double()
        named = one_hot(self(features), self.weights.shape[1]).double()
        return (target * named).sum(0) / target.sum(0).clamp_min(1)
