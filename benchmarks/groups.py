"""Do intervals and tests hold where test images come in groups? A simulation of studies with patients.

Whether an image is named rightly is a probit model: how hard the patient, the image and the label draw are, for every
method and for each of two equal ones, and chance. New patients, images and draws are drawn for each study.

    python benchmarks/groups.py [--studies 2000] [--seed 0]
"""

import argparse
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from sparring import stats


@dataclass(frozen=True)
class Kind:
    """A kind of study. `patient`: the share of the latent variance that is of the patient, half of it for each method
    alone."""

    groups: int
    images: int  # a group, in the mean
    uneven: bool
    patient: float
    accuracy: float = 0.8
    repeats: int = 6


KINDS = [
    Kind(groups, images, uneven, patient, accuracy)
    for groups, images in ((10, 20), (30, 10), (100, 5))
    for uneven in (False, True)
    for patient in (0.0, 0.2, 0.5)
    for accuracy in (0.65, 0.9)
]


def study(kind: Kind, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return what two equal methods get right, bool [2,R,T], and the group of each image [T]."""
    sizes = np.full(kind.groups, kind.images)
    if kind.uneven:
        sizes = 1 + random.poisson(random.gamma(1.5, (kind.images - 1) / 1.5, kind.groups))
    groups = np.repeat(np.arange(kind.groups), sizes)

    def drawn(share: float, *shape: int) -> np.ndarray:
        return np.sqrt(share) * random.standard_normal(shape)

    latent = ndtri(kind.accuracy) + drawn(0.25, len(groups)) + drawn(0.02, kind.repeats, 1)
    latent = latent + drawn(kind.patient / 2, kind.groups)[groups]
    own = [drawn(kind.patient / 2, kind.groups)[groups] + drawn(0.05, len(groups)) for _ in range(2)]
    chance = drawn(1 - 0.32 - kind.patient, 2, kind.repeats, len(groups))
    return latent + np.stack(own)[:, None] + chance > 0, groups


def checked(kind: Kind, studies: int, seed: int) -> tuple[float, ...]:
    """Return the coverage of accuracy and difference with groups, and the same by the formula for single images."""
    random, held = np.random.default_rng([seed, KINDS.index(kind)]), np.zeros((studies, 4))
    for row in held:
        right, groups = study(kind, random)
        for place, given in ((0, groups), (2, None)):
            share = stats.share_interval(right[0], given)
            pair = stats.paired_test(*right, groups=given).difference
            row[place : place + 2] = share.low <= kind.accuracy <= share.high, pair.low <= 0 <= pair.high
    return tuple(held.mean(0).tolist())


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(
        "| groups | images each | patient | accuracy | its interval | of a difference | as single images | difference |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for kind in KINDS:
        found = checked(kind, options.studies, options.seed)
        shown = " | ".join(f"{100 * share:.1f} %" for share in found)
        each = f"{kind.images}{', uneven' if kind.uneven else ''}"
        print(f"| {kind.groups} | {each} | {kind.patient:g} | {kind.accuracy:g} | {shown} |", flush=True)
