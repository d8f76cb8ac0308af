"""Does a generator repeat its training images? Fakes against training images and held-out ones."""

from dataclasses import dataclass

import numpy as np

from .estimate import Estimate, of_counts
from .features import checked_features, same_width
from .nearest import Nearest, Points, nearest_points

CLUSTER_LEAST = 20  # images of each kind that a cluster of C_T holds
RANDOM_DIVISIONS = 999  # of real images into training and held-out ones: p of 1 / 1000 at least


@dataclass(frozen=True, eq=False)
class Copies:
    """How near fakes are to training images. New images from the distribution of the training images have `memorised`
    and `c_t` of 0 on average.

    memorised           share of fakes that are nearer to training images than held-out images explain
    p                   of "training images are no nearer to fakes than held-out ones"
    c_t                 far below 0 where fakes are nearer to training images than held-out ones, above where farther
    relative_distance   float64 [M]: of each fake to its nearest training image, over the limit of a near copy
    nearest             int64 [M]: which training image that is
    twins               share of held-out images that are near copies of a training image
    """

    memorised: Estimate
    p: float
    c_t: float
    relative_distance: np.ndarray
    nearest: np.ndarray
    twins: float


def copies(train: np.ndarray, held_out: np.ndarray, fake: np.ndarray, *, cells: int = 10, seed: int = 0) -> Copies:
    """Return how near fakes [M,F] are to training images [T,F], beside held-out images [H,F]. Raises DataError.

    memorised: (r - e) / (1 - e), where r is the share of fakes whose nearest real image is a training image, and
    e = T / (T + H) its expectation without memorisation. It estimates the share of fakes that are copies (ours).

    p: the share of random divisions of the real images, into as many training and held-out ones, in which as many fakes
    are nearest to a training image. Exact where `train` and `held_out` come from one source and features were not
    learned from either.

    c_t: Meehan et al. 2020, arXiv:2004.05675, section 3. In each k-means cluster of the training images, Mann &
    Whitney's Z of the fakes' distances to their nearest training image against those of the held-out images; then the
    mean over clusters, weighted by held-out images. There are at most `cells` clusters, and so few that 40 images of
    each side fall into one on average; clusters with fewer than 20 are left out (ours). NaN where none is left.

    relative_distance, nearest, twins: see `near_copies`.
    """
    train, held_out, fake, t, h, m = _framed(train, held_out, fake)
    to_train, to_held, held_to_train = nearest_points(m, t, k=2), nearest_points(m, h, k=2), nearest_points(h, t, k=1)
    own, other = np.sqrt(to_train.squared[:, 0]), np.sqrt(held_to_train.squared[:, 0])
    relative_distance, twins = _over_limit(own, other)
    return Copies(
        memorised=_excess(to_train, to_held, len(t), len(h)),
        p=_p_of_divisions(to_train, to_held, len(t), len(h), seed=seed),
        c_t=_c_t(train, held_out, fake, other, own, cells=cells, seed=seed),
        relative_distance=relative_distance,
        nearest=to_train.index[:, 0],
        twins=twins,
    )


def near_copies(train: np.ndarray, held_out: np.ndarray, fake: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the distance of each fake [M,F] to its nearest training image, float64 [M], over the limit of a near copy;
    which image that is, int64 [M]; and the share of held-out images that are near copies. Raises DataError.

    The limit is half the 1 % quantile of the held-out images' distances to their nearest training image, without those
    that equal one (ours). A distance below 1 is a near copy.
    """
    _, _, _, t, h, m = _framed(train, held_out, fake)
    found = nearest_points(m, t, k=1)
    apart, twins = _over_limit(np.sqrt(found.squared[:, 0]), np.sqrt(nearest_points(h, t, k=1).squared[:, 0]))
    return apart, found.index[:, 0], twins


def median_nearness(to_training: np.ndarray, among_training: np.ndarray) -> float:
    """Return the median distance of fakes to their nearest training image, over that of training images to each other.

    A quick look that needs no features of held-out images: about 1 where fakes are as near as real images are to each
    other, near 0 where most of them are copies. Few copies do not show: `near_copies` counts them.
    """
    return float(np.median(to_training) / np.median(among_training))


def _framed(train: np.ndarray, held_out: np.ndarray, fake: np.ndarray):
    """Return all three checked, and as points of one frame."""
    train, held_out, fake = (
        checked_features(x, least=least, what=what)
        for x, least, what in ((train, 3, "training"), (held_out, 3, "held-out"), (fake, 2, "fake"))
    )
    same_width(train, held_out, what="held-out ones")
    same_width(train, fake)
    frame = Points.frame(train, held_out, fake)
    return train, held_out, fake, *(Points(x, *frame) for x in (train, held_out, fake))


def _over_limit(own: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the distances of fakes over the limit of a near copy, and the share of held-out images below it."""
    limit = np.quantile(other[other > 0], 0.01) / 2 if other.any() else 0.0
    apart = np.divide(own, limit, out=np.where(own > 0, np.inf, 0.0), where=limit > 0)
    return apart, float(((other < limit) | (other == 0)).mean())


def authenticity(train: np.ndarray, fake: np.ndarray) -> Estimate:
    """Return the share of fakes [M,F] that are farther from their nearest training image [T,F] than another one is.

    Alaa et al. 2022, arXiv:2102.08921, section 4.3. About half for new images from the distribution of the training
    images. The error is for these training images. Raises DataError.
    """
    train, fake = checked_features(train, least=2, what="training"), checked_features(fake, least=2, what="fake")
    same_width(train, fake)
    frame = Points.frame(train, fake)
    t, m = Points(train, *frame), Points(fake, *frame)
    found = nearest_points(m, t, k=1)
    met, back = np.unique(found.index[:, 0], return_inverse=True)
    reach = nearest_points(Points(train[met], *frame), t, k=2).squared[:, 1]  # the first is the image itself
    hits = np.sqrt(found.squared[:, 0]) > np.sqrt(reach)[back]
    return Estimate(float(hits.mean()), fake=hits - hits.mean())


def _excess(to_train: Nearest, to_held: Nearest, trained: int, held: int) -> Estimate:
    """Return (r - e) / (1 - e) with the jackknife influences of all three samples; training images, then held-out ones,
    are `real`."""
    count = len(to_train.squared)
    # [M,2]: whether the nearest and the next training image are nearer than the nearest held-out image
    inside = to_train.squared < to_held.squared[:, :1]
    outside = to_held.squared < to_train.squared[:, :1]
    trains = inside[:, 0] + 0.5 * (to_train.squared[:, 0] == to_held.squared[:, 0])
    r = trains.mean()
    lost = np.bincount(to_train.index[inside[:, 0] & ~inside[:, 1], 0], minlength=trained)
    won = np.bincount(to_held.index[outside[:, 0] & ~outside[:, 1], 0], minlength=held)
    # The influences of a mean over training images, and over held-out images, each scaled to a mean over both.
    of_train = (trained - 1) * (trained + held - 1) / held * of_counts(lost, lost) * (trained + held) / trained
    of_held = -(trained + held - 1) * of_counts(won, won) * (trained + held) / held
    value = (r * (trained + held) - trained) / held
    return Estimate(float(value), np.concatenate([of_train, of_held]) / count, (trains - r) * (trained + held) / held)


def _p_of_divisions(to_train: Nearest, to_held: Nearest, trained: int, held: int, *, seed: int) -> float:
    """Return the p of `copies` by random divisions."""
    near, far = to_train.squared[:, 0], to_held.squared[:, 0]
    # a tie counts half for either side
    inside, outside = (0.5 * (a < b) + 0.5 * (a <= b) for a, b in ((near, far), (far, near)))
    met = np.bincount(to_train.index[:, 0], inside, trained), np.bincount(to_held.index[:, 0], outside, held)
    # how often each real image is the nearest
    times, random = np.concatenate(met), np.random.default_rng(seed)
    found = sum(random.permutation(times)[:held].sum() <= met[1].sum() for _ in range(RANDOM_DIVISIONS))
    return (1 + int(found)) / (1 + RANDOM_DIVISIONS)


def _c_t(
    train: np.ndarray, held_out: np.ndarray, fake: np.ndarray, held_apart: np.ndarray, fake_apart: np.ndarray, *,
    cells: int, seed: int,
) -> float:  # fmt: skip
    """Return the mean of Z over clusters, weighted by held-out images; `apart` are distances to training images."""
    from sklearn.cluster import KMeans  # slow to load

    clusters = max(1, min(cells, len(train), min(len(held_out), len(fake)) // (2 * CLUSTER_LEAST)))
    found = KMeans(clusters, random_state=seed).fit(train)
    of_held, of_fake = found.predict(held_out), found.predict(fake)
    scores, weights = [], []
    for cluster in range(found.n_clusters):
        a, b = fake_apart[of_fake == cluster], held_apart[of_held == cluster]
        if min(len(a), len(b)) >= CLUSTER_LEAST:
            scores.append(_z_of_ranks(a, b))
            weights.append(len(b))
    return float(np.average(scores, weights=weights)) if scores else float("nan")


def _z_of_ranks(a: np.ndarray, b: np.ndarray) -> float:
    """Return the Z of Mann & Whitney's U of a over b, below 0 where a is smaller.

    As the paper has it, without the correction for ties that scipy.stats.mannwhitneyu makes.
    """
    n, m = len(a), len(b)
    order = np.sort(b)
    above = (np.searchsorted(order, a, "left") + np.searchsorted(order, a, "right")).sum() / 2
    return float((above - n * m / 2) / np.sqrt(n * m * (n + m + 1) / 12))
