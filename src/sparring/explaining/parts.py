"""Which of the things that a traditional method looks at decided: gradients, textures, colours or pixels."""

from collections.abc import Callable, Sequence
from itertools import combinations
from math import factorial
from typing import NamedTuple

import numpy as np

from ..classifiers import Classifier
from ..classifiers.logistic import LogisticClassifier
from ..classifiers.svm import SVMClassifier
from ..features.cache import passing_cache
from ..features.handcrafted import blocks_of
from .hiding import without
from .maps import hidden_by, spread_over, windows
from .scores import log_odds

PART_NAMES = {
    "pixels": "pixels",
    "hog": "gradients",
    "fine-hog": "fine gradients",
    "lbp": "textures",
    "colour-histogram": "colours",
    "deskewed pixels": "pixels of the image set upright",
    "deskewed hog": "gradients of the image set upright",
    "deskewed fine-hog": "fine gradients of the image set upright",
}


class PartOfAnswer(NamedTuple):
    """What one block of features adds to the log-odds of a class, and where: float32 [H,W]."""

    name: str
    adds: float
    where: np.ndarray


def parts_of_answer(model: Classifier, k: int, image: np.ndarray) -> list[PartOfAnswer]:
    """Return what each block of features adds to the log-odds of class number k of an image uint8 [H,W,C].

    Shapley values over the blocks (Shapley 1953; Lundberg & Lee 2017, arXiv:1705.07874, eq. 4), an absent block having
    its usual features: their sum is the log-odds less those of the usual features. For `logistic` with two classes that
    is the block's weights times what its features are above usual. [] where the usual features are not known, or the
    model sees no blocks.
    """
    if not isinstance(model, LogisticClassifier | SVMClassifier) or (usual := model._usual_features()) is None:
        return []
    height, width = image.shape[:2]
    squares = windows(height, width)
    with passing_cache():
        seen = model._blocks(image[None])
        seen_without = model._blocks(without(image, hidden_by(squares, height, width)))
    ends = np.cumsum([block.shape[1] for block in seen])[:-1]
    absent = [block[None] for block in np.split(usual.astype(np.float32), ends)]

    def score(blocks: Sequence[np.ndarray]) -> np.ndarray:
        return log_odds(model._proba_of(blocks), k)

    def value(there: frozenset[int]) -> float:
        return float(score([seen[i] if i in there else absent[i] for i in range(len(seen))])[0])

    adds = shapley(value, len(seen))
    found, whole = [], score(seen)[0]
    for place, name in enumerate(blocks_of(model.extractor_)):
        blocks = [seen_without[i] if i == place else np.repeat(block, len(squares), 0) for i, block in enumerate(seen)]
        where = spread_over(squares, whole - score(blocks), height, width)
        found.append(PartOfAnswer(PART_NAMES.get(name, name), adds[place], where))
    return found


def shapley(value: Callable[[frozenset[int]], float], players: int) -> list[float]:
    """Return the Shapley values of a game: value(set of players) -> float, exactly, by all of its sets."""
    everyone, found = range(players), []
    known = {frozenset(s): value(frozenset(s)) for size in range(players + 1) for s in combinations(everyone, size)}
    for player in everyone:
        others = [s for s in known if player not in s]
        weights = [factorial(len(s)) * factorial(players - len(s) - 1) / factorial(players) for s in others]
        found.append(sum(w * (known[s | {player}] - known[s]) for w, s in zip(weights, others, strict=True)))
    return found
