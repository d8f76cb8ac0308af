"""From a data set to the images to label next, each with the reason for it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...classifiers import Classifier, load_model
from ...classifiers import graph as neighbours
from ...classifiers.graph import affinity
from ...classifiers.spreading import candidates, solve
from ...data import ImageSet, load
from ...devices import choose_device
from ...errors import DataError, UsageError
from ...features import Extractor
from ...features.pretrained import BUILT_IN
from ...images import SizeLike
from ...records import OnProgress, Progress, no_progress, record
from ...words import percent, plural
from .choosing import ChosenImages, Reach, choose_images

LOOKED_AT = 10_000  # unlabelled images among which is chosen; of more, so many are drawn at random
TEST_GROUPS = 0.2  # of all groups, that the random images for the test come from
SMALL_DRAWING = 64  # pixels of the shorter side of a grey image up to which edges say more than the network
SURE = 0.5  # lead of the most probable class from which on an image is not called doubtful
LEARN, TEST = "learn", "test"


@record
class NextImage:
    """An image to label, and why.

    number: from 1, the most useful first. image: where it comes from; index: its place in the data set. purpose:
    "learn", or "test" for one that was drawn at random. around: how many unlabelled images a label of it would reach
    more than any other label does, itself included; 0 for one that is for the test. between: the two most probable
    classes with their probabilities, () where nothing says it.
    """

    number: int
    image: str
    index: int
    purpose: str
    why: str
    around: int = 0
    between: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, eq=False)
class NextImages:
    """The images to label next. `source`: the data set; labelled, unlabelled: how many of its training images are.

    looked_at: unlabelled images that could have been chosen; fewer than there are where these are very many, and
    without near duplicates of labelled images and of the test part. features: by what images were compared, in words.
    """

    source: ImageSet
    images: tuple[NextImage, ...]
    labelled: int
    unlabelled: int
    looked_at: int
    features: str

    def __len__(self) -> int:
        return len(self.images)

    def __iter__(self) -> Iterator[NextImage]:
        return iter(self.images)


def next_images(
    data: object,
    count: int = 20,
    *,
    test: int = 0,
    model: Classifier | str | Path | None = None,
    size: SizeLike = None,
    unlabelled: str | Path | None = None,
    table: str | Path | None = None,
    label: str | None = None,
    group: object = None,
    pretrained: str = BUILT_IN,
    device: str = "auto",
    follow_links: bool = False,
    seed: int = 0,
    progress: OnProgress = no_progress,
) -> NextImages:
    """Return the `count` images whose labels would help most, the most useful first; fewer where there are no more.

    data: an ImageSet, or what `load` takes, which is then read with the other options. Its unlabelled images are
    chosen from; those of a test part are left alone. Without labels the images are typical and unlike each other; with
    labels of two or more classes also doubtful, by `model` (a fitted classifier or its folder) or else by label
    spreading. test: so many images are drawn at random besides, for a test part: chosen images are no random sample,
    and say nothing about accuracy. pretrained: whose features images are compared by; "none" for edges and colours.
    seed: of the draw of test images, and of which are looked at where there are very many. Raises UsageError for
    numbers below 1, DataError where no image is left to label, and what `load` raises.
    """
    _refuse_counts(count, test)
    device = choose_device(device)
    if not isinstance(data, ImageSet):
        reading = {"size": size, "unlabelled": unlabelled, "table": table, "label": label, "follow_links": follow_links}
        data = load(data, **reading, group=group, progress=progress)
    classifier = load_model(model, device=device) if isinstance(model, str | Path) else model
    _refuse_other_classes(data, classifier)
    progress(Progress("checks", 0, 3, "looking for near duplicates"))
    pool = LabellingPool.of(data)
    rng = np.random.default_rng(seed)
    drawn = pool.random_for_test(test, rng)
    pool = pool.without(drawn).looked_at(rng)
    progress(Progress("checks", 1, 3, "comparing images"))
    view = ComparedImages.of(pool, classifier, pretrained, device, seed)
    progress(Progress("checks", 2, 3, "choosing"))
    known = pool.labelled[pool.members]
    choice = choose_images(
        Reach(affinity(view.graph)),
        count,
        labelled=known,
        allowed=pool.open[pool.members],
        alike=data.duplicates.cluster[pool.members],
        groups=None if data.groups is None else data.clusters[pool.members],
        doubt=view.doubt,
    )
    learn = with_reasons(choice, view, data, pool.members, bool(known.any()))
    start = len(learn) + 1
    return NextImages(
        source=data,
        images=(*learn, *(for_test(data, start + i, k) for i, k in enumerate(drawn.tolist()))),
        labelled=int(pool.labelled.sum()),
        unlabelled=int(pool.unlabelled),
        looked_at=int(pool.open[pool.members].sum()),
        features=view.features,
    )


def _refuse_counts(count: int, test: int) -> None:
    for name, value, least in (("count", count, 1), ("test", test, 0)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise UsageError(
                "bad-number", f"{name} is {value!r}", fix=f"give a whole number from {least} up, such as 20"
            )


def _refuse_other_classes(images: ImageSet, model: Classifier | None) -> None:
    """Raise DataError where a model knows none of the classes: then its doubts are about something else."""
    if model is not None and images.classes and not set(images.classes) & set(model.class_names_):
        raise DataError(
            "other-classes",
            f"the model knows {', '.join(model.class_names_[:5])}, the data have {', '.join(images.classes[:5])}",
            fix="name a model of these classes, or none",
        )


# --- which images are there ------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class LabellingPool:
    """Which images of a data set are known, which may be chosen, and which are looked at.

    labelled, open: bool [N], of training images. unlabelled: how many these are. members: int64 [M], the images that
    take part, in rising order.
    """

    images: ImageSet
    labelled: np.ndarray
    open: np.ndarray
    unlabelled: int
    members: np.ndarray

    @classmethod
    def of(cls, images: ImageSet) -> "LabellingPool":
        """Return the pool of a data set. Raises DataError where no image of it can be chosen."""
        labelled_parts = images.parts[images.labelled]
        apart = images.parts == next((part for part in ("test", "val") if part in labelled_parts), "test")
        labelled, unlabelled = images.labelled & ~apart, ~images.labelled & ~apart
        held = np.isin(images.clusters, images.clusters[apart & images.labelled])
        twins = np.isin(images.duplicates.cluster, images.duplicates.cluster[images.labelled])
        pool = unlabelled & ~held & ~twins
        if not unlabelled.any():
            raise DataError(
                "all-labelled",
                f"all {len(images):,} images of {images.name} have a label" if labelled.any() else
                f"{images.name} has no unlabelled images outside its test part",
                fix="add unlabelled images: --unlabelled FOLDER",
            )  # fmt: skip
        if not pool.any():
            raise DataError(
                "all-alike",
                f"all {plural(int(unlabelled.sum()), 'unlabelled image')} of {images.name} show what a labelled one "
                "shows, or are of a group of the test part",
                fix="add other images: --unlabelled FOLDER",
            )
        if labelled.sum() + pool.sum() < 2:
            what = f"{images.name} has one image: there is nothing to choose"
            raise DataError("one-image", what, fix="name a folder with more images")
        return cls(images, labelled, pool, int(unlabelled.sum()), np.flatnonzero(labelled | pool))

    def random_for_test(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Return indices of images for a test part, no two alike: at random, with groups from a few random ones.

        Groups with a labelled training image are left out.
        """
        if not count:
            return np.empty(0, np.int64)
        clusters = self.images.clusters
        free = rng.permutation(np.flatnonzero(self.open & ~np.isin(clusters, clusters[self.labelled])))
        free = free[np.sort(np.unique(self.images.duplicates.cluster[free], return_index=True)[1])]
        if self.images.groups is not None:
            groups = list(dict.fromkeys(clusters[free].tolist()))
            taken = groups[: max(2, round(TEST_GROUPS * len(groups)))]
            free = free[np.isin(clusters[free], taken)]
        if len(free) < count:
            raise DataError(
                "test-few",
                f"{plural(len(free), 'image')} could be drawn for the test part, {count} requested",
                fix=f"ask for at most {len(free)} with --test",
            )
        return free[:count]

    def without(self, drawn: np.ndarray) -> "LabellingPool":
        """Return the pool without the images for the test, what shows the same, and what is of their groups."""
        clusters = self.images.clusters
        pool = self.open & ~np.isin(clusters, clusters[drawn])
        if self.labelled.sum() + pool.sum() < 2 or not pool.any():
            what = "with these images for the test, none is left to learn from"
            raise DataError("test-all", what, fix="ask for fewer with --test")
        return LabellingPool(self.images, self.labelled, pool, self.unlabelled, np.flatnonzero(self.labelled | pool))

    def looked_at(self, rng: np.random.Generator) -> "LabellingPool":
        """Return the pool with at most LOOKED_AT unlabelled members, at random, and as many labelled ones."""
        kept = [rng.permutation(np.flatnonzero(part))[:LOOKED_AT] for part in (self.labelled, self.open)]
        return LabellingPool(self.images, self.labelled, self.open, self.unlabelled, np.sort(np.concatenate(kept)))


# --- how they are seen -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class ComparedImages:
    """The neighbour graph of M images, and what is said of their classes.

    proba: float [M,K], None where nothing says it; classes: K names. features: in words.
    """

    graph: neighbours.Graph
    features: str
    proba: np.ndarray | None = None
    classes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, pool: LabellingPool, model: Classifier | None, pretrained: str, device: str, seed: int
    ) -> "ComparedImages":
        """Return how the members of a pool are seen: by a model, by label spreading, or by features alone."""
        images, labels = pool.images.images[pool.members], pool.images.labels[pool.members].copy()
        labels[~pool.labelled[pool.members]] = -1
        there, codes = np.unique(labels[labels >= 0], return_inverse=True)
        found, proba, classes = None, None, ()
        if len(there) > 1:
            labels[labels >= 0] = codes
            groups = None if pool.images.groups is None else pool.images.clusters[pool.members]
            found = solve(images, labels, seed, pretrained=pretrained, device=device, groups=groups)
            proba, classes = found.proba, tuple(pool.images.classes[k] for k in there.tolist())
        if model is not None:
            proba, classes = model.predict_proba(images), tuple(model.class_names_)
        if found is not None:
            used, graph = found.features, found.graph
        else:
            used = usual_features(images.shape, pretrained, device)
            graph = neighbours.neighbour_graph(images, used)
        return cls(graph, used.name if isinstance(used, Extractor) else used, proba, classes)

    @property
    def doubt(self) -> np.ndarray | None:
        """float [M], as `doubt_of` has it; None where nothing is known."""
        return None if self.proba is None else doubt_of(self.proba)


def usual_features(shape: tuple[int, ...], pretrained: str, device: str) -> str | Extractor:
    """Return by what images [N,H,W,C] are compared where no label says it: small grey ones by edges, all others by the
    pretrained network, if there is one."""
    known = candidates(shape[3], pretrained, device)
    encoders = [used for used in known.values() if isinstance(used, Extractor)]
    drawings = shape[3] == 1 and min(shape[1:3]) <= SMALL_DRAWING
    return next(iter(known.values())) if drawings or not encoders else encoders[0]


def doubt_of(proba: np.ndarray) -> np.ndarray:
    """Return float [M] from 0 to 1 of probabilities [M,K]: 1 less the lead of the most probable class."""
    top = np.sort(proba, axis=1)
    return 1 - (top[:, -1] - top[:, -2])


# --- why -------------------------------------------------------------------------------------------------------------


def with_reasons(
    choice: ChosenImages, view: ComparedImages, images: ImageSet, members: np.ndarray, any_labelled: bool
) -> tuple[NextImage, ...]:
    """Return the chosen images, each with its reason."""
    found = []
    for place, (i, around) in enumerate(zip(choice.index.tolist(), choice.around.tolist(), strict=True)):
        between: tuple[tuple[str, float], ...] = ()
        if view.proba is not None:
            first, second = np.argsort(-view.proba[i], kind="stable")[:2].tolist()
            between = tuple((view.classes[k], round(float(view.proba[i, k]), 4)) for k in (first, second))
        why = reason(around, between, any_labelled)
        index = int(members[i])
        found.append(NextImage(place + 1, images.origins[index], index, LEARN, why, around, between))
    return tuple(found)


def reason(around: int, between: tuple[tuple[str, float], ...], any_labelled: bool) -> str:
    """Return why an image was chosen, in words."""
    others = "like no other here" if around <= 1 else f"typical of {plural(around, 'image')}"
    if not any_labelled and not between:
        return others
    far = others if around <= 1 else f"{others} around it, none labelled yet"
    if not between:
        return far
    (first, p), (second, q) = between
    if p - q < SURE:
        return f"between {first} and {second}: {percent(p, 0)} / {percent(q, 0)}; {others}"
    return f"{far}; perhaps {first} ({percent(p, 0)})"


def for_test(images: ImageSet, number: int, index: int) -> NextImage:
    return NextImage(number, images.origins[index], index, TEST, "drawn at random, for the test part")
