"""Which images to label next, as a pure function of a neighbour graph and of what is known.

A label spreads from its image to others (classifiers/graph.py): of K = (I - alpha S)^-1 the element K[i,s] is what
reaches image i from a label at image s. Good images to label reach many others, and each reaches other ones. So those
are chosen that cover most, together with the labelled ones:

    coverage of a set = sum over i of weight[i] * max over s in the set of sqrt(K[i,s])

This is facility location, the objective of k-medoids (Kaufman & Rousseeuw 1987) and of MaxHerding (Bae, Noh &
Sutherland 2024), with the kernel of label spreading. The root makes width count: about the same flows out of every
image, so without it a label that gives ten images much would be worth as much as one that gives a thousand a little.
The best set is sought greedily, then by swaps (PAM). Weights are 1 without labels. Later the doubt about an image
counts, as in uncertainty herding (Bae, Sutherland & Oliveira 2025), but what seems certain still counts half: with few
labels doubt is a bad guide, and later it makes little difference (benchmarks/results/next.md). No number of clusters
has to be set. An image that is like no other covers only itself, so it is not chosen, however doubtful it is.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import scipy.sparse

from ...classifiers.graph import spread_labels

ALPHA = 0.9  # how far labels spread
CANDIDATES = 500  # images that may be chosen: the most central ones of their neighbourhoods
COLUMNS_AT_ONCE, ROWS_AT_ONCE = 250, 32
SURE_WEIGHT = 0.5  # of an image whose class is certain, where one in full doubt has 1
TURNS = 5  # of swaps, at most
WORTH = 1 + 1e-4  # by which a swap must be better


@dataclass(eq=False)
class Reach:
    """What a label at an image gives to the others: the root of K[:,s], float32 [N], kept once it was computed.

    It depends on the graph alone, not on labels: keep it between calls. `affinity`: S, float32 [N,N].
    """

    affinity: scipy.sparse.csr_array
    kept: dict[int, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.affinity.indptr) - 1

    def of(self, index: np.ndarray) -> np.ndarray:
        """Return float32 [M,N]: how far a label at each image of `index` reaches every image."""
        new = np.array([i for i in index.tolist() if i not in self.kept], np.int64)
        for start in range(0, len(new), COLUMNS_AT_ONCE):
            columns = new[start : start + COLUMNS_AT_ONCE]
            sources = np.zeros((len(self), len(columns)), np.float32)
            sources[columns, np.arange(len(columns))] = 1
            found = np.sqrt(spread_labels(self.affinity, sources, ALPHA))
            self.kept |= {i: np.ascontiguousarray(found[:, k]) for k, i in enumerate(columns.tolist())}
        return np.array([self.kept[i] for i in index.tolist()], np.float32).reshape(len(index), len(self))

    def most(self, index: np.ndarray) -> np.ndarray:
        """Return float32 [N]: the most that reaches each image from one of `index`."""
        found = np.zeros(len(self), np.float32)
        for start in range(0, len(index), COLUMNS_AT_ONCE):
            found = np.maximum(found, self.of(index[start : start + COLUMNS_AT_ONCE]).max(0))
        return found

    def central(self) -> np.ndarray:
        """Return int64 [N]: all images, first those that are the most central of some neighbourhood, the most central
        first, then the others in the same order."""
        S, every = self.affinity, np.arange(len(self))
        centrality = np.ones(len(self), np.float32)
        for _ in range(3):
            centrality = S @ centrality
        near = S.tocoo()
        order = np.lexsort((-centrality[near.col], near.row))
        first = np.unique(near.row[order], return_index=True)
        head = every.copy()
        head[first[0]] = near.col[order][first[1]]
        head = np.where(centrality[head] > centrality, head, every)
        return np.lexsort((-centrality, ~np.isin(every, head)))


@dataclass(frozen=True, eq=False)
class ChosenImages:
    """Images to label, and what each stands for.

    index   int64 [n], the most useful first
    around  int64 [n]: unlabelled images, itself included, that its label would reach more than that of any labelled
            image or of any other chosen one does
    nearest int64 [N]: the place in `index` of the chosen image that an image is counted for, -1 where it is for none
    """

    index: np.ndarray
    around: np.ndarray
    nearest: np.ndarray


def choose_images(
    reach: Reach,
    count: int,
    *,
    labelled: np.ndarray,
    allowed: np.ndarray,
    alike: np.ndarray,
    groups: np.ndarray | None = None,
    doubt: np.ndarray | None = None,
) -> ChosenImages:
    """Return at most `count` of the allowed images to label next.

    labelled, allowed: bool [N]. alike: int64 [N], equal for near duplicates: no two of them are chosen, and none that
    is a near duplicate of a labelled image. groups: int64 [N], equal for images of one patient, video and so on; None
    where there are none: from no group come more than are needed, those of labelled images counted. doubt: float [N]
    from 0 to 1, how uncertain the class of each image is; None where nothing is known. Fewer are returned where no more
    may be chosen.
    """
    alike = np.unique(alike, return_inverse=True)[1]
    known = np.flatnonzero(labelled)
    possible = allowed & ~labelled & ~np.isin(alike, alike[known])
    weight = (1 / np.bincount(alike)[alike]).astype(np.float32)  # ten copies of an image count as one
    if doubt is not None:
        weight *= (SURE_WEIGHT + (1 - SURE_WEIGHT) * doubt).astype(np.float32)
    order = reach.central()
    start = reach.most(order[labelled[order]][:CANDIDATES])
    limits = Limits.of(possible, alike, groups, known, count)
    candidates = limits.candidates(order, count)
    found = reach.of(candidates)
    picks = _greedy(found, candidates, start, weight, limits, count)
    picks = _swapped(found, candidates, start, weight, limits, picks)
    return _choice(reach, candidates[picks], start, labelled)


@dataclass(frozen=True, eq=False)
class Limits:
    """Which images may be chosen together: no near duplicates, and not more than `cap` of a group.

    possible: bool [N]. alike, groups: int64 [N], whole numbers from 0. taken: labelled images of each group.
    """

    possible: np.ndarray
    alike: np.ndarray
    groups: np.ndarray
    taken: np.ndarray
    cap: int

    @classmethod
    def of(
        cls, possible: np.ndarray, alike: np.ndarray, groups: np.ndarray | None, known: np.ndarray, count: int
    ) -> "Limits":
        """Return the limits with the least cap at which `count` can be chosen, or as many as there are."""
        if groups is None:
            none = np.zeros(len(alike), np.int64)
            return cls(possible, alike, none, np.zeros(1, np.int64), len(alike))
        groups = np.unique(groups, return_inverse=True)[1]
        taken = np.bincount(groups[known], minlength=groups.max() + 1)
        pairs = np.unique(np.stack([groups[possible], alike[possible]]), axis=1)[0]
        there = np.bincount(pairs, minlength=len(taken))
        wanted, cap = min(count, int(there.sum())), 1
        while np.minimum(there, np.maximum(cap - taken, 0)).sum() < wanted:
            cap += 1
        return cls(possible, alike, groups, taken, cap)

    def candidates(self, order: np.ndarray, count: int) -> np.ndarray:
        """Return int64 [C]: the first possible images in this order, CANDIDATES of them and enough for `count`.

        Those come first that the limits let in when the images before them are chosen, so that `count` can be reached.
        """
        order = order[self.possible[order]]
        fresh = np.isin(np.arange(len(order)), np.unique(self.alike[order], return_index=True)[1])
        turn = np.full(len(order), self.cap)
        turn[fresh] = _earlier(self.groups[order[fresh]])
        within = turn + self.taken[self.groups[order]] < self.cap
        return np.concatenate([order[within], order[~within]])[: max(CANDIDATES, 2 * count)]

    def free(self, index: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        """Return bool [C]: which images of `index` may join the chosen ones."""
        used = self.taken + np.bincount(self.groups[chosen], minlength=len(self.taken))
        return ~np.isin(self.alike[index], self.alike[chosen]) & (used[self.groups[index]] < self.cap)


def _earlier(groups: np.ndarray) -> np.ndarray:
    """Return int64 [N]: how many of the same group come before each."""
    order = np.argsort(groups, kind="stable")
    first = np.searchsorted(groups[order], groups[order])
    turns = np.empty(len(groups), np.int64)
    turns[order] = np.arange(len(groups)) - first
    return turns


def _greedy(
    reach: np.ndarray, candidates: np.ndarray, start: np.ndarray, weight: np.ndarray, limits: Limits, count: int
) -> list[int]:
    """Return the places of candidates that cover most, each beside those before it. reach float32 [C,N]; start [N]."""
    covered, picks = start, list[int]()
    while len(picks) < count:
        free = limits.free(candidates, candidates[picks])
        if not free.any():
            break
        best = int(np.where(free, _added(reach, covered, weight), -1).argmax())
        picks.append(best)
        covered = np.maximum(covered, reach[best])
    return picks


def _swapped(
    reach: np.ndarray,
    candidates: np.ndarray,
    start: np.ndarray,
    weight: np.ndarray,
    limits: Limits,
    picks: list[int],
) -> list[int]:
    """Return picks of which each was exchanged for a better one, as long as there is any, the most useful first.

    What a candidate gains in place of a pick differs from what it gains beside all of them only at the images that this
    pick covers best. So one round costs little more than one comparison (FastPAM, Schubert & Rousseeuw 2019).
    """
    if not picks:
        return picks
    now = _Cover.of(reach, start, picks)
    beside = _added(reach, now.most, weight)
    for _ in range(TURNS if len(picks) > 1 else 0):
        before = list(picks)
        for place, pick in enumerate(before):
            others = [other for other in picks if other != pick]
            free = np.flatnonzero(limits.free(candidates, candidates[others]))
            own = np.flatnonzero(now.owner == place)
            inside, most, second = reach[free][:, own], now.most[own], now.second[own]
            gains = beside[free] + _added(inside, second, weight[own]) - _added(inside, most, weight[own])
            best = int(gains.argmax())
            if gains[best] > WORTH * ((most - second) @ weight[own]):
                picks[place] = int(free[best])
                now = _Cover.of(reach, start, picks)
                beside = _added(reach, now.most, weight)
        if picks == before:
            break
    worth = np.bincount(now.owner + 1, weight * (now.most - now.second), minlength=len(picks) + 1)[1:]
    return [picks[place] for place in np.argsort(-worth, kind="stable")]


class _Cover(NamedTuple):
    """How far each of N images is reached: most, and second most; `owner`: the place of the pick that reaches it most,
    -1 where that is a labelled image."""

    most: np.ndarray
    second: np.ndarray
    owner: np.ndarray

    @classmethod
    def of(cls, reach: np.ndarray, start: np.ndarray, picks: list[int]) -> "_Cover":
        every = np.concatenate([start[None], reach[picks]])
        owner = every.argmax(0)
        second, most = np.sort(every, 0)[-2:]
        return cls(most, second, owner - 1)


def _added(reach: np.ndarray, covered: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return what images add to what is covered: [C] of reach [C,N] and covered [N]."""
    blocks = (reach[k : k + ROWS_AT_ONCE] for k in range(0, len(reach), ROWS_AT_ONCE))
    return np.concatenate([np.maximum(block - covered, 0) @ weight for block in blocks])


def _choice(reach: Reach, index: np.ndarray, start: np.ndarray, labelled: np.ndarray) -> ChosenImages:
    """Return the chosen images with those that each stands for."""
    if not len(index):
        return ChosenImages(index, np.zeros(0, np.int64), np.full(len(labelled), -1))
    own = reach.of(index)
    nearest = np.where((own.max(0) > start) & ~labelled, own.argmax(0), -1)
    nearest[index] = np.arange(len(index))
    return ChosenImages(index, np.bincount(nearest[nearest >= 0], minlength=len(index)), nearest)
