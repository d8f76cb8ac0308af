"""Whether a heat map explains anything: it must beat maps that show nothing, and depend on what was learned."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .checks import CHANCE_MAPS, MOST_ALIKE, area, curves, moved_copies, rank_correlation
from .maps import Score
from .methods import ExplanationMethod
from .records import MapVerdict
from .results import HeatMap, warmth
from .sentences import map_sentence, place_words

FORGETFUL = 5  # models with shuffled weights; of an easy task one of these may be right by luck, hardly all of them


def heat_map(row: ExplanationMethod, values: np.ndarray) -> HeatMap:
    """Return a heat map [H,W] that was not checked."""
    return HeatMap(values, MapVerdict(by=row.name, title=row.title, hot=place_words(warmth(values))))


def checked(
    found: HeatMap,
    forgot: Sequence[np.ndarray],
    probability: Score,
    picture: np.ndarray,
    seed: int,
    *,
    what: str = "the probability",
) -> HeatMap:
    """Return a heat map of an image uint8 [H,W,C] with its verdict.

    forgot: the maps [H,W] of models that have forgotten what they learned. probability: of the class, which hiding the
    hottest places should make smaller, and showing them larger; `what` it is called.
    """
    others = moved_copies(found.heat, CHANCE_MAPS, seed)
    mine, *rest = curves(probability, picture, [found.heat, *others])
    beaten = sum(other.merit < mine.merit for other in rest)
    similar = min(rank_correlation(found.values, other) for other in forgot)
    verdict = replace(
        found.verdict,
        says=map_sentence(mine, beaten, len(rest), similar, what=what),
        explains=beaten == len(rest) and similar < MOST_ALIKE,
        deletion=area(mine.deletion),
        insertion=area(mine.insertion),
        beaten=beaten,
        of=len(rest),
        alike=similar,
    )
    return HeatMap(found.values, verdict)
