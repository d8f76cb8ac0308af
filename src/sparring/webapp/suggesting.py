"""What unlabelled images seem to be, which to ask next, and how often that is right: again after every few answers.

Labels spread along the neighbour graph of `sparring next`, which is built once. A random share of the unlabelled images
is held out before anything is asked: of these the random questions come, their labels teach nothing, and nothing else
is asked of them. So the share of them that is predicted right is an honest estimate; of chosen images it is not.
"""

from dataclasses import dataclass, field

import numpy as np

from ..classifiers.described import described
from ..classifiers.graph import Graph, affinity, neighbour_graph
from ..classifiers.spreading import from_neighbours, solve
from ..data import ImageSet
from ..features import Extractor, shrunk
from ..records import OnProgress
from ..stats import Interval, share_interval, wilson
from ..study.audit.label_errors import CheckedLabels, check_labels
from ..study.audit.pictures import unusual
from ..study.labelling.choosing import Reach, choose_images
from ..study.labelling.suggestions import LOOKED_AT, doubt_of, usual_features
from .known import NONE_YET, Question, Suggestions, top_of

HELD_SHARE = 0.2  # of the unlabelled images, from which the random questions come
ORDERED = 40  # images that are chosen at a time
ALIKE_SHOWN = 12
FEWEST = 5  # images from which on there is a choice


def looked_at(labels: np.ndarray, seed: int) -> np.ndarray:
    """Return which of N images are looked at, int64 in rising order: of more than LOOKED_AT some, at random.

    Half of the places are for images with a label, labels int64 [N] with -1 = unlabelled, as far as either needs them.
    """
    rng, known = np.random.default_rng(seed), labels >= 0
    if len(labels) <= LOOKED_AT:
        return np.arange(len(labels))
    labelled, others = (rng.permutation(np.flatnonzero(part)) for part in (known, ~known))
    half = LOOKED_AT // 2
    kept = labelled[: max(half, LOOKED_AT - len(others))]
    return np.sort(np.concatenate([kept, others[: LOOKED_AT - len(kept)]]))


def hold_out(images: ImageSet, seed: int) -> np.ndarray:
    """Return bool [M]: a random share of the unlabelled images, never apart from near duplicates and their group."""
    clusters = images.clusters
    free = ~np.isin(clusters, clusters[images.labelled]) & ~np.isin(images.parts, ("test", "val"))
    units = np.random.default_rng([seed, 1]).permutation(np.unique(clusters[free]))
    return free & np.isin(clusters, units[: max(1, round(HELD_SHARE * len(units)))])


@dataclass(eq=False)
class Suggester:
    """Makes suggestions for M images from the labels of some. `held`: bool [M], as `held_out` has it."""

    images: ImageSet
    held: np.ndarray
    pretrained: str
    device: str
    seed: int = 0
    graph: Graph | None = None
    used: str | Extractor = ""
    proba: np.ndarray | None = None
    _reach: tuple[str, Reach] | None = None
    _described: np.ndarray | None = field(default=None, repr=False)

    def compare(self, progress: OnProgress) -> None:
        """Compute the features by which images are compared, which are kept: this takes longest."""
        if len(self.images) >= FEWEST and isinstance(used := self._usual(), Extractor):
            used.features(self.images.images, progress)

    def _usual(self) -> str | Extractor:
        return usual_features(self.images.images.shape, self.pretrained, self.device)

    def suggest(self, labels: np.ndarray, classes: int, skipped: np.ndarray) -> Suggestions:
        """Return suggestions from labels int64 [M] with -1 = unlabelled, of so many classes; skipped: bool [M].

        Labels of images that are held out, and of a test part, are compared with what is predicted, and teach nothing.
        """
        images = self.images
        if len(images) < FEWEST:
            return Suggestions(tuple(Question(i, 1) for i in np.flatnonzero((labels < 0) & ~skipped).tolist()))
        apart = self.held | np.isin(images.parts, ("test", "val"))
        known = np.where(apart, -1, labels)
        there, codes = np.unique(known[known >= 0], return_inverse=True)
        proba = None
        if len(there) > 1:
            coded = known.copy()
            coded[known >= 0] = codes
            groups = None if images.groups is None else images.clusters
            found = solve(
                images.images, coded, self.seed, pretrained=self.pretrained, device=self.device, groups=groups
            )
            self.graph, self.used, name = found.graph, found.features, found.name
            proba = np.zeros((len(images), classes), np.float32)
            proba[:, there] = found.proba
        else:
            self.used = self._usual()
            name = self.used if isinstance(self.used, str) else self.used.name
            self.graph = neighbour_graph(images.images, self.used)
        self.proba = proba
        order = self._order(name, known, proba, apart | skipped | (labels >= 0))
        return Suggestions(order, proba, *self._accuracy(labels, apart, proba))

    def _order(
        self, name: str, known: np.ndarray, proba: np.ndarray | None, closed: np.ndarray
    ) -> tuple[Question, ...]:
        assert self.graph is not None
        if closed.all():
            return ()
        if self._reach is None or self._reach[0] != name:
            self._reach = name, Reach(affinity(self.graph))
        choice = choose_images(
            self._reach[1],
            ORDERED,
            labelled=known >= 0,
            allowed=~closed,
            alike=self.images.duplicates.cluster,
            groups=None if self.images.groups is None else self.images.clusters,
            doubt=None if proba is None else doubt_of(proba),
        )
        return tuple(
            Question(i, around, () if proba is None else top_of(proba[i]))
            for i, around in zip(choice.index.tolist(), choice.around.tolist(), strict=True)
        )

    def _accuracy(self, labels: np.ndarray, apart: np.ndarray, proba: np.ndarray | None) -> tuple[Interval | None, int]:
        tested = np.flatnonzero(apart & (labels >= 0))
        if proba is None or not len(tested):
            return None, len(tested)
        right = proba[tested].argmax(1) == labels[tested]
        if self.images.groups is not None:
            return share_interval(right[None], self.images.clusters[tested]), len(tested)
        return wilson(int(right.sum()), len(tested)), len(tested)

    def classify(self, images: np.ndarray) -> np.ndarray | None:
        """Return probabilities [n,K] of new images uint8 [n,H,W,C] of the same size; None before anything is known."""
        if self.graph is None or self.proba is None:
            return None
        named = isinstance(self.used, str)
        known, new = (shrunk(each) if named else each for each in (self.images.images, images))
        return from_neighbours(self.graph, known, self.proba, new, self.used)

    def description(self) -> np.ndarray:
        """Return the features float32 [M,F] by which images are compared here, of length 1 or a few; kept."""
        if self._described is None:
            self._described = described(self.images.images, self.pretrained, self.device)[1]
        return self._described

    def check(self, labels: np.ndarray) -> tuple[CheckedLabels, np.ndarray]:
        """Return which labels are probably wrong, and how unusual each image is, float64 [M]."""
        if len(labels) < FEWEST:
            return check_labels(np.zeros((len(labels), 1)), labels), np.ones(len(labels))
        x = self.description()
        return check_labels(x, labels, seed=self.seed, groups=self.images.clusters), unusual(x)

    def like(self, place: int) -> np.ndarray:
        """Return int64: the images nearest to one of them, without it; none before the features are there."""
        if self._described is None:
            return np.empty(0, np.int64)
        order = nearest_places(self._described, self._described[place])
        return order[order != place][:ALIKE_SHOWN]

    def like_new(self, image: np.ndarray) -> np.ndarray:
        """Return int64: the images nearest to a new one, uint8 [H,W,C] of the same size."""
        if self._described is None:
            return np.empty(0, np.int64)
        return nearest_places(self._described, described(image[None], self.pretrained, self.device)[1][0])[:ALIKE_SHOWN]


def nearest_places(x: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Return the places of the ALIKE_SHOWN + 1 rows of x [M,F] nearest to a point [F], the nearest first."""
    distance = ((x - point) ** 2).sum(1)
    count = min(len(x), ALIKE_SHOWN + 1)
    near = np.argpartition(distance, count - 1)[:count]
    return near[np.argsort(distance[near], kind="stable")]


@dataclass(frozen=True, eq=False)
class Known:
    """What the background knows, whole at any moment. members: int64 [M], the images that are looked at, by number.

    place: int64 [N], where an image is among them, -1 for none. classes: those of `suggestions`.
    """

    members: np.ndarray
    place: np.ndarray
    suggester: Suggester
    classes: tuple[str, ...] = ()
    suggestions: Suggestions = NONE_YET
    checked: CheckedLabels | None = None
    checked_classes: tuple[str, ...] = ()
    unusual: np.ndarray | None = None
