"""Signals: what is read from a training, and the thresholds at which it counts as ill. Numbers in, a sentence out.

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

NOT_FINITE = 0.1  # share of the moves of a tick
EXPLODED = 8.0  # robust z of a log gradient norm, in EXPLODED_OF = (3, 5) neighbouring rounds ...
EXPLODED_OF = (3, 5)
EXPLODED_ONCE = 100.0  # ... or this many times the median once
STEADY = 0.15  # least deviation of log norms that z is measured in
WINNING, LOSING = 0.995, 0.10  # D's share of right calls: on both sides above; on one side below ...
ONCE_RIGHT = 0.4  # ... after this on both: a young D, not sure of anything yet, often calls all images the same
OVERFIT = 0.5  # gap between the mean signs of training images and held-out images
ALIKE, ALIKE_CLASS = 0.5, 0.35  # diversity of samples, of all and of a class: of the best so far ...
ONCE_DIVERSE = 0.2  # ... if that was so much of the images' own
ALIKE_LATE, ALIKE_HARD = 0.05, 0.1  # of the images' own, late in a run; certain below this share of the best
MIXED, ONCE_KNOWN = 0.5, 0.6  # a class's samples that a probe names right: of the best so far, if that was so good ...
ONCE_NAMED = 0.9  # ... and if so many of all classes were: where fewer are, single classes come and go
OFF_MEAN, OFF_SPREAD = 1.0, 2.5  # of the images' own standard deviation
COPIED = 0.25  # median distance to the nearest training image: of that between real images
LEAKED = 0.15  # more of the samples than of the images look augmented


@dataclass(frozen=True)
class Finding:
    """What a signal says. `family`: D, G, samples or numbers.

    `hard`: certain at once. `alone`: certain when it comes twice, else only beside another family. `acts`: worth going
    back for; else only worth saying.
    """

    signal: str
    family: str
    words: str
    hard: bool = False
    alone: bool = True
    acts: bool = True


def confirmed(findings: list[Finding], before: list[str]) -> list[Finding]:
    """Those that are certain enough to act upon: hard ones, those seen at the tick before too, or two families."""
    votes = [f for f in findings if f.acts]
    sure = [f for f in votes if f.hard or (f.alone and f.signal in before)]
    return sure or (votes if len({f.family for f in votes}) > 1 else [])


# --- signals: numbers in, a finding or None out -------------------------------------------------------------------


def not_finite(skipped: int, moves: int) -> Finding | None:
    """Losses or gradients were not finite. One such move is left out and forgotten; many are an illness."""
    if skipped > max(2, NOT_FINITE * moves):
        return Finding("not finite", "numbers", f"{skipped} of {moves} moves were not finite", hard=True)
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
    """Slow averages of D's right calls: all right, so G learns nothing; or one side nearly all wrong. Bie et al.

    `best`: the best so far of the worse side.
    """
    if min(real, fake) > WINNING:
        words = "D tells all real images from all made ones, so G may learn nothing more from it"
        return Finding("D wins", "D", words, alone=False)
    if min(real, fake) < LOSING and best > ONCE_RIGHT:
        return Finding("D loses", "D", f"D calls nearly every image {'made' if real < fake else 'real'}")
    return None


def overfitting(known: float, new: float) -> Finding | None:
    """D's shares of training images and of images never shown that it calls real; twice their difference is the gap
    of the mean signs. Karras et al., 2020.
    """
    if 2 * (known - new) > OVERFIT:
        words = (
            f"D knows its images by heart: it calls {100 * known:.0f} % of them real, "
            f"of images never shown {100 * new:.0f} %"
        )
        return Finding("D overfits", "D", words, alone=False)
    return None


def alike(ratio: float, best: float, late: bool, label: str | None = None) -> Finding | None:
    """Mean distance between samples over that between real images, against the best so far."""
    known = best if best > ONCE_DIVERSE else 0.0  # a young G makes nearly the same image of everything
    limit = max((ALIKE if label is None else ALIKE_CLASS) * known, ALIKE_LATE if late else 0.0)
    if ratio < limit:
        of, signal = ("", "alike") if label is None else (f" of class {label}", f"alike {label}")
        return Finding(signal, "samples", f"samples{of} have become alike", hard=ratio < ALIKE_HARD * known)
    return None


def mixed_up(right: float, best: float, label: str) -> Finding | None:
    """Share of a class's samples that a probe, fitted on real images, gives that class."""
    if best > ONCE_KNOWN and right < MIXED * best:
        return Finding(f"mixed {label}", "samples", f"samples of class {label} no longer look like class {label}")
    return None


def off_colour(fakes: Tensor, reals: Tensor) -> float:
    """How far mean and deviation of each channel of images [N,C,H,W] are from the images': 1 is the limit."""
    (mean, deviation), (mean0, deviation0) = (
        (x.mean((0, 2, 3)), x.std((0, 2, 3)).clamp_min(1e-3)) for x in (fakes, reals)
    )
    off = ((mean - mean0).abs() / deviation0).max().item()
    ratio = (deviation / deviation0).log().abs().max().item()
    return max(off / OFF_MEAN, ratio / math.log(OFF_SPREAD))


def faded(off: float, best: float, late: bool) -> Finding | None:
    """Colours off that were good once (`best`: running share of ticks), or still are late in a run."""
    if off > 1 and (best > ONCE_KNOWN or late):
        return Finding("colour", "samples", "brightness, contrast or colour of the samples is far from the images'")
    return None


def copied(made: float, real: float) -> Finding | None:
    """Median distance of samples to the nearest training image, against that of real images to each other."""
    if made < COPIED * real:
        return Finding("copies", "samples", "samples are copies of training images", acts=False)
    return None


def leaked(share: float) -> Finding | None:
    """How many more of the samples than of the images look augmented, see `leaning`."""
    if share > LEAKED:
        return Finding("leak", "samples", "the augmentation shows in the samples", acts=False)
    return None


def leaning(fakes: Tensor, *kinds: Tensor) -> float:
    """How many more of the samples than of plain images a linear probe between features [N,F] of three kinds takes for
    augmented ones; 0 where the augmentation cannot be told.

    `kinds`: plain images, augmented ones, and images spoilt in another way. A young G's look odd, and odd is what
    augmented images look like to a probe that knows only two kinds.
    """
    probe = Probe(torch.cat([k[::2] for k in kinds]), which([k[::2] for k in kinds]), len(kinds))
    plain, seen, made = ((probe(z) == 1).float().mean().item() for z in (kinds[0][1::2], kinds[1][1::2], fakes))
    return made - plain if plain < 0.3 and seen > 0.6 else 0.0


def which(groups: list[Tensor]) -> Tensor:
    """The number of the group of each row of all groups."""
    return torch.cat([torch.full((len(g),), i, device=g.device) for i, g in enumerate(groups)])


def nearest(features: Tensor, to: Tensor) -> Tensor:
    """Distances to the nearest, [N]."""
    return torch.cdist(features, to).amin(1)


# --- how images are compared ------------------------------------------------------------------------------------------


class RandomFeatures:
    """Images [N,C,H,W] -> features [N,F] that nothing was trained for: small pixels, and random filters after them."""

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


def spread(features: Tensor) -> float:
    """Mean distance between any two."""
    n = len(features)
    return (torch.cdist(features, features).sum() / (n * (n - 1))).item()


class Probe:
    """Least squares from features to classes, with a little shrinkage."""

    def __init__(self, features: Tensor, y: Tensor, classes: int):
        x = self.padded(features)
        gram = x.T @ x + 1e-3 * len(x) * torch.eye(x.shape[1], device=x.device, dtype=x.dtype) * x.square().mean()
        self.weights = torch.linalg.solve(gram, x.T @ one_hot(y, classes).to(x.dtype))

    @staticmethod
    def padded(features: Tensor) -> Tensor:
        return torch.cat([features, features.new_ones(len(features), 1)], 1).double()

    def __call__(self, features: Tensor) -> Tensor:
        return (self.padded(features) @ self.weights).argmax(1)

    def recall(self, features: Tensor, y: Tensor) -> Tensor:
        """Share of each class that is named right; 0 for a class without images."""
        target = one_hot(y, self.weights.shape[1]).double()
        named = one_hot(self(features), self.weights.shape[1]).double()
        return (target * named).sum(0) / target.sum(0).clamp_min(1)
