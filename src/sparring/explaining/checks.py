"""Does a heat map explain anything? Checks of one map, beside maps that show nothing."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata

from .hiding import blurred
from .maps import Score, scores_without

SHARES = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8, 1.0)  # of the pixels, the hottest first
CHANCE_MAPS = 19  # a map that beats them all does so by chance in 1 of 20 cases
MOST_ALIKE = (
    0.5  # rank correlation with the maps of forgetful models from which on a map does not show what was learned
)


class Curves(NamedTuple):
    """Probabilities of the class as the hottest pixels are hidden, and as they are shown: float64 [len(SHARES)]."""

    deletion: np.ndarray
    insertion: np.ndarray

    @property
    def merit(self) -> float:
        """The area under insertion minus that under deletion, -1 to 1: higher is better."""
        return area(self.insertion) - area(self.deletion)


def area(curve: np.ndarray) -> float:
    """Return the area under a curve over SHARES by trapezia, 0 to 1."""
    return float(np.trapezoid(curve, SHARES))


def curves(probability: Score, image: np.ndarray, heats: Sequence[np.ndarray]) -> list[Curves]:
    """Return the curves of each heat map [H,W] of an image uint8 [H,W,C] (Petsiuk et al. 2018, arXiv:1806.07421).

    probability: of uint8 images [N,H,W,C], float64 [N]. Deletion hides the hottest pixels (`hiding.without`); insertion
    shows them on the blurred image.
    """
    height, width = image.shape[:2]
    canvas = blurred(image, min(height, width) / 4)
    whole, blur = probability(np.stack([image, canvas]))
    nothing = scores_without(probability, image, np.ones((1, height, width), bool))[0]
    found = []
    for heat in heats:
        chosen = hottest(heat, SHARES[1:-1])
        deleted = scores_without(probability, image, chosen)
        inserted = probability(np.where(chosen[..., None], image, canvas))
        found.append(Curves(np.array([whole, *deleted, nothing]), np.array([blur, *inserted, whole])))
    return found


def hottest(heat: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """Return bool [len(shares),H,W]: the hottest pixels, so many of all of them; of equal ones any."""
    ties = np.random.default_rng(0).random(heat.size)
    rank = np.empty(heat.size, np.int64)
    rank[np.lexsort((ties, -heat.ravel()))] = np.arange(heat.size)
    return np.stack([(rank < round(share * heat.size)).reshape(heat.shape) for share in shares])


def moved_copies(heat: np.ndarray, count: int, seed: int) -> list[np.ndarray]:
    """Return so many copies of a heat map [H,W], each moved and mirrored: as smooth, and of no meaning.

    What leaves on one side comes in on the other.
    """
    rng, found = np.random.default_rng(seed), []
    for _ in range(count):
        shift = [int(rng.integers(side // 4, max(side - side // 4, side // 4) + 1)) for side in heat.shape]
        turned = heat[:: rng.choice([-1, 1]), :: rng.choice([-1, 1])]
        found.append(np.roll(turned, shift, (0, 1)))
    return found


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Return the rank correlation (Spearman's) of two maps, -1 to 1; 0 where one of them is the same everywhere."""
    ranks = [rankdata(x) for x in (a.ravel(), b.ravel())]
    spread = [rank - rank.mean() for rank in ranks]
    length = float(np.sqrt((spread[0] ** 2).sum() * (spread[1] ** 2).sum()))
    return float((spread[0] * spread[1]).sum() / length) if length > 0 else 0.0
