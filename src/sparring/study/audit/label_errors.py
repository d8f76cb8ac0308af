"""Labels that are probably wrong, by confident learning (Northcutt, Jiang & Chuang 2021, arXiv:1911.00068).

Every image gets class probabilities from a classifier that did not see its label, nor its near duplicates, nor other
images of its group: what has seen the patient repeats the patient's label, wrong or not. An image is suspected where a
class other than its label is at least as probable as it usually is for images of that class. Where the classifier is
often wrong most of these labels are right: the less it agrees with the labels, the surer it must be to suspect one.
"""

from dataclasses import dataclass

import numpy as np

FOLDS = 5
FEWEST = FOLDS  # labels of a class that can be checked: one for each fold
FEWEST_GROUPS = 3  # that they are of: with two, a wrong label may be all that is known of the class
MOST_CHECKED = 200_000  # labels times classes: of more labels some are drawn at random, so that it takes seconds
SECONDS = 2.7e-4  # for a label and a class, on one core
ENOUGH = 1e-3  # gradient at which a regression ends, times classes: each class has its share of it
STRENGTH = 10.0  # inverse penalty of the regression: weak enough that it does not learn wrong labels by heart

DOUBT = 3.0  # margin that a suspect must reach, times the share of labels that the classifier does not agree with
SUREST = 0.9  # margin that always suffices: see benchmarks/results/label_errors.md


@dataclass(frozen=True, eq=False)
class LabelErrors:
    """Images whose labels are suspected, the most suspicious first.

    index       int64 [M]: which images
    suggested   int64 [M]: the class that each seems to be
    confidence  float64 [M]: the probability of that class
    margin      float64 [M]: the probability of the label less that of the most probable other class, -1 to 0
    """

    index: np.ndarray
    suggested: np.ndarray
    confidence: np.ndarray
    margin: np.ndarray

    def __len__(self) -> int:
        return len(self.index)

    def surest(self, margin: float) -> "LabelErrors":
        """Return those with at most this margin."""
        count = int(np.searchsorted(self.margin, margin, side="right"))
        return LabelErrors(self.index[:count], self.suggested[:count], self.confidence[:count], self.margin[:count])


@dataclass(frozen=True, eq=False)
class CheckedLabels:
    """What a check found, in how many labels, and the share of them that the held-out classifier agreed with.

    `left_out`: classes with labels, but fewer than FEWEST, or of fewer than FEWEST_GROUPS groups. `said` int64 [N]: the
    class that the held-out classifier names, -1 where a label was not checked. `quality` float64 [N]: how well each
    label fits (`label_quality`), NaN where it was not checked.
    """

    errors: LabelErrors
    checked: int
    said: np.ndarray
    quality: np.ndarray
    agreed: float = 0.0
    left_out: tuple[int, ...] = ()


def seconds_to_check(labels: np.ndarray) -> float:
    """Return about how many seconds `check_labels` takes, for labels int64 [N] with -1 = unlabelled."""
    known = labels[labels >= 0]
    return SECONDS * min(MOST_CHECKED, len(known) * len(np.unique(known)))


def check_labels(
    x: np.ndarray, labels: np.ndarray, *, seed: int = 0, groups: np.ndarray | None = None
) -> CheckedLabels:
    """Check labels int64 [N], -1 unlabelled, by features float32 [N,F]; indices of what is found are of all N.

    groups int64 [N], such as `ImageSet.clusters`: images of equal ones are held out together. Of the label errors those
    are kept whose margin is large enough (DOUBT, SUREST). Classes with fewer than FEWEST labels, or of fewer than
    FEWEST_GROUPS groups, are left out. Where fewer than two are left, or no image has any feature, nothing is checked.
    """
    classes, counts = np.unique(labels[labels >= 0], return_counts=True)
    units = counts if groups is None else [len(np.unique(groups[labels == k])) for k in classes]
    there = (counts >= FEWEST) & (np.array(units) >= FEWEST_GROUPS)
    enough, left_out = classes[there], tuple(classes[~there].tolist())
    said, quality = np.full(len(labels), -1), np.full(len(labels), np.nan)
    none = find_label_errors(np.zeros(0, np.int64), np.zeros((0, 1)))
    if len(enough) < 2 or not x.any():
        return CheckedLabels(none, 0, said, quality, left_out=left_out)
    place = some_of(np.flatnonzero(np.isin(labels, enough)), labels, seed)
    y = np.searchsorted(enough, labels[place])
    proba = held_out_probabilities(x[place], y, seed=seed, groups=None if groups is None else groups[place])
    if np.isnan(proba).any():
        return CheckedLabels(none, 0, said, quality, left_out=left_out)
    agreed = float((proba.argmax(1) == y).mean())
    found = find_label_errors(y, proba).surest(-min(SUREST, DOUBT * (1 - agreed)))
    errors = LabelErrors(place[found.index], enough[found.suggested], found.confidence, found.margin)
    said[place], quality[place] = enough[proba.argmax(1)], label_quality(y, proba)
    return CheckedLabels(errors, len(place), said, quality, agreed, left_out)


def some_of(place: np.ndarray, labels: np.ndarray, seed: int) -> np.ndarray:
    """Return the places, in order; of more than MOST_CHECKED allows the same share of each class, at least FEWEST."""
    classes, counts = np.unique(labels[place], return_counts=True)
    share = MOST_CHECKED / (len(place) * len(classes))
    if share >= 1:
        return place
    order = np.random.default_rng([seed, len(place)]).permutation(place)
    kept = [
        order[labels[order] == k][: max(FEWEST, int(share * n))]
        for k, n in zip(classes.tolist(), counts.tolist(), strict=True)
    ]
    return np.sort(np.concatenate(kept))


def held_out_probabilities(
    x: np.ndarray, labels: np.ndarray, *, seed: int = 0, groups: np.ndarray | None = None
) -> np.ndarray:
    """Return probabilities float64 [N,K] by logistic regressions that did not see the image: FOLDS-fold, stratified.

    labels int64 [N] from 0 to K - 1, at least FOLDS of each class. groups [N]: images of equal ones are held out
    together; all is NaN where that leaves no image of a class to learn from.
    """
    from scipy.special import softmax

    from ...classifiers.probe import regression
    from ...classifiers.selection import stratified_folds

    classes = int(labels.max()) + 1
    if groups is not None and len(np.unique(groups)) == len(groups):
        groups = None
    proba = np.full((len(labels), classes), np.nan)
    for train, held in stratified_folds(labels, seed % 2**32, FOLDS, groups):
        weights, offset = regression(x[train], labels[train], STRENGTH, tolerance=ENOUGH / classes)
        proba[held] = softmax((x[held] @ weights + offset).astype(np.float64), axis=1)
    return proba


def class_thresholds(labels: np.ndarray, proba: np.ndarray) -> np.ndarray:
    """Return the mean probability of each class over the images with its label (eq. 2), [K]; inf without any."""
    found = np.full(proba.shape[1], np.inf)
    for k in np.unique(labels).tolist():
        found[k] = proba[labels == k, k].mean()
    return found


def confident_classes(labels: np.ndarray, proba: np.ndarray) -> np.ndarray:
    """Return the most probable of the classes that reach their threshold (eq. 1), int64 [N]; -1 where none does."""
    reached = np.where(proba >= class_thresholds(labels, proba), proba, -1.0)
    return np.where(reached.max(1) >= 0, reached.argmax(1), -1) if len(labels) else labels


def confident_joint(labels: np.ndarray, proba: np.ndarray) -> np.ndarray:
    """Return how many images with label i (rows) are confidently of class j (columns) (eq. 1), int64 [K,K]."""
    counts, likely = np.zeros((proba.shape[1],) * 2, np.int64), confident_classes(labels, proba)
    np.add.at(counts, (labels[likely >= 0], likely[likely >= 0]), 1)
    return counts


def find_label_errors(labels: np.ndarray, proba: np.ndarray) -> LabelErrors:
    """Return the images off the diagonal of the confident joint, by normalised margin (section 3.2 of the paper).

    labels int64 [N] from 0 to K - 1, proba [N,K] held-out probabilities. Images whose label is the most probable class
    are not suspected, as in the authors' cleanlab.
    """
    likely = confident_classes(labels, proba)
    index = np.flatnonzero((likely >= 0) & (likely != labels) & (proba.argmax(1) != labels))
    margin = margins(labels[index], proba[index])
    order = np.argsort(margin, kind="stable")
    index, margin = index[order], margin[order]
    return LabelErrors(index, likely[index], proba[index, likely[index]], margin)


def margins(labels: np.ndarray, proba: np.ndarray) -> np.ndarray:
    """Return the probability of each label less that of the most probable other class, float64 [N]."""
    rows, others = np.arange(len(labels)), proba.copy()
    others[rows, labels] = -1
    return proba[rows, labels] - others.max(1, initial=-1.0)


def label_quality(labels: np.ndarray, proba: np.ndarray) -> np.ndarray:
    """Return the probability of each label over how sure the classifier is (1 - entropy / log K): float64 [N], 0 to 1.

    A label is the more suspicious, the lower its probability is and the surer the classifier is of something else. The
    probability alone ranks wrong labels of similar classes worse, the margin those of any class (LOG.md).
    """
    own = proba[np.arange(len(labels)), labels]
    entropy = -(proba * np.log(np.maximum(proba, 1e-300))).sum(1)
    sure = 1 - entropy / np.log(proba.shape[1])
    return own / np.maximum(sure, np.maximum(own, 1e-12))
