"""What should not tell classes, or training from test, apart and does: size, file type, brightness, blur, border.

Where such a property alone names the class far better than chance, a classifier may learn how pictures were taken
instead of what they show. Where a quick classifier tells the test part from the training part, results on one say
little about the other. Both are measured on images that were held out, groups and near duplicates together. Labels of
the test part are not used.
"""

from collections.abc import Iterator

import numpy as np

from ..images import LUMA_ARRAY, chunk_slices
from .imageset import ImageSet

FOLDS = 5
MOST = 2000  # images that are looked at
LEAST = 10  # images of a class, or of a part, below which nothing is said
ASIDE, SHOWN = 0.15, 0.3  # of the way from chance to certainty that a property of the file, or of the pixels, may go
APART = 0.65  # of pairs in which a test image is told from a training image
BORDER = 1 / 12  # of a side
OF_FILES = "size", "file type"


def leaks(imageset: ImageSet) -> list[str]:
    """Return a warning for each property that tells classes apart, and one where the parts differ."""
    if not len(imageset):
        return []
    return [*_of_classes(imageset), *_of_parts(imageset)]


def properties(imageset: ImageSet, index: np.ndarray) -> dict[str, np.ndarray]:
    """Return float [n,F] by name, of the images at `index` [n]: what a picture has whatever it shows.

    Of files their size and type, where these differ at all.
    """
    images = imageset.images
    edge = max(1, round(min(images.shape[1:3]) * BORDER))
    columns: dict[str, list[np.ndarray]] = {"brightness": [], "contrast": [], "sharpness": [], "border": []}
    for chunk in chunk_slices(images, len(index)):
        piece = images[index[chunk]]
        grey = piece[..., 0].astype(np.float32) if piece.shape[3] == 1 else piece @ LUMA_ARRAY
        rim = np.ones(grey.shape[1:], bool)
        rim[edge:-edge, edge:-edge] = False
        steps = [np.abs(np.diff(grey, axis=axis)).mean((1, 2)) for axis in (1, 2)]
        columns["brightness"].append(grey.mean((1, 2)))
        columns["contrast"].append(grey.std((1, 2)))
        columns["sharpness"].append(np.add(*steps) / (grey.std((1, 2)) + 1))
        columns["border"].append(np.stack([grey[:, rim].mean(1), grey[:, rim].std(1)], 1))
    found = {name: np.concatenate(each).reshape(len(index), -1) for name, each in columns.items()}
    kinds = [
        origin.rpartition(".")[2].lower() if "." in origin else ""
        for origin in map(imageset.origins.__getitem__, index)
    ]
    if imageset.sizes is not None:  # they are files
        files = zip(OF_FILES, (imageset.sizes[index], np.unique(kinds, return_inverse=True)[1][:, None]), strict=True)
        found |= {name: values.astype(float) for name, values in files if len(np.unique(values, axis=0)) > 1}
    return found


def _of_classes(imageset: ImageSet) -> Iterator[str]:
    """Yield a warning for each property by which the class of held-out labelled images is named far above chance."""
    known = _chosen(imageset, np.flatnonzero(imageset.labelled & (imageset.parts != "test")))
    classes, y = np.unique(imageset.labels[known], return_inverse=True)
    if len(classes) < 2 or np.bincount(y).min() < LEAST:
        return
    chance, folds = 1 / len(classes), _folds(y, imageset.clusters[known])
    for name, values in properties(imageset, known).items():
        told = _held_out(values, y, folds).argmax(1) == y
        accuracy = float(np.mean([told[y == k].mean() for k in range(len(classes))]))
        limit = ASIDE if name in OF_FILES else SHOWN
        error = np.sqrt(chance * (1 - chance) / len(np.unique(imageset.clusters[known])))
        if accuracy - chance > max(limit * (1 - chance), 4 * error):
            yield (
                f"{name} alone names the class of {100 * accuracy:.0f} % of held-out images, by chance "
                f"{100 * chance:.0f} %: a classifier may learn how pictures were taken or stored, not what they show"
            )


def _of_parts(imageset: ImageSet) -> Iterator[str]:
    """Yield a warning where a quick classifier tells images of the source's own test part from all others."""
    from sklearn.metrics import roc_auc_score

    part = next((part for part in ("test", "val") if part in imageset.parts), "")
    index = np.concatenate([_chosen(imageset, np.flatnonzero((imageset.parts == part) == side)) for side in (0, 1)])
    y = (imageset.parts[index] == part).astype(int)
    if not part or np.bincount(y, minlength=2).min() < LEAST:
        return
    clusters = imageset.clusters[index]
    rest, tested = (len(np.unique(clusters[y == side])) for side in (0, 1))
    error = np.sqrt((rest + tested + 1) / (12 * rest * tested))  # of the share of pairs (Mann & Whitney 1947)

    folds = _folds(y, clusters)

    def apart(values: np.ndarray) -> float:
        return float(roc_auc_score(y, _held_out(values, y, folds)[:, 1]))

    found = properties(imageset, index)
    together = apart(np.concatenate(list(found.values()), 1))
    if together <= max(APART, 0.5 + 4 * error):
        return
    each = {name: apart(values) for name, values in found.items()}
    name = max(each, key=each.__getitem__)
    yield (
        f"the {part} part can be told from the rest by size, file type, brightness, contrast, sharpness and border: of "
        f"two images, one of each, {100 * together:.0f} % are told apart on held-out images, by chance 50 % ({name} "
        f"alone {100 * each[name]:.0f} %): results on it may say little about images like the rest"
    )


def _chosen(imageset: ImageSet, index: np.ndarray) -> np.ndarray:
    """Return at most MOST of these images, chosen by content."""
    return index if len(index) <= MOST else np.sort(imageset.by_content(index, distinct=False)[:MOST])


def _folds(y: np.ndarray, clusters: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return (train, held out) of folds that keep clusters whole; [] where there are too few."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    units = len(np.unique(clusters))
    count = min(FOLDS, int(np.bincount(y).min()), units)
    if count < 2:
        return []
    if units == len(y):  # the same, and faster
        return list(StratifiedKFold(count, shuffle=True, random_state=0).split(y, y))
    folds = StratifiedGroupKFold(count, shuffle=True, random_state=0).split(y, y, clusters)
    return [fold for fold in folds if all(map(len, fold))]


def _held_out(values: np.ndarray, y: np.ndarray, folds: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Return probabilities [N,K] of held-out values [N,F] by a small decision tree."""
    from sklearn.tree import DecisionTreeClassifier

    proba = np.full((len(y), int(y.max()) + 1), 1 / (y.max() + 1))
    for train, held in folds:
        tree = DecisionTreeClassifier(max_depth=6, min_samples_leaf=5, class_weight="balanced", random_state=0)
        tree.fit(values[train], y[train])
        proba[held] = 0.0
        proba[np.ix_(held, tree.classes_)] = tree.predict_proba(values[held])
    return proba
