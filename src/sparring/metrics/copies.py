"""Does a generator repeat its training images? Fakes against training images and held-out ones."""

from dataclasses import dataclass

import numpy as np

from .estimate import Estimate, of_counts
from .features import checked, same_width
from .nearest import Nearest, Points, nearest

LEAST = 20  # images of each kind that a cell of C_T holds
DIVISIONS = 999  # of real images into training and held-out ones: p of 1 / 1000 at least


@dataclass(frozen=True, eq=False)
class Copies:
    """0 of `memorised` and 0 of `c_t` are what fresh images of the training images' distribution have."""

    memorised: Estimate  # share of fakes that are nearer to training images than held-out images explain
    p: float  # of "training images are no nearer to fakes than held-out ones"
    c_t: float  # far below 0 where fakes are nearer to training images than held-out ones are; far above where farther
    apart: (
        np.ndarray
    )  # float64 [M]: how far each fake is from its nearest training image, over what a near copy keeps at most
    nearest: np.ndarray  # int64 [M]: which one that is
    twins: float  # share of held-out images that are as near


def copies(train: np.ndarray, held_out: np.ndarray, fake: np.ndarray, *, cells: int = 10, seed: int = 0) -> Copies:
    """Of features [T,F], [H,F] and [M,F].

    `memorised`: with r the share of fakes whose nearest real image is a training image, and e = T / (T + H) what r is
    where training images are no nearer than others, (r - e) / (1 - e): q where a share q of fakes repeats training
    images and the rest does not (ours). `p`: the share of divisions of the real images into as many training and
    held-out ones in which fakes are nearest to training images as often; exact where `train` and `held_out` come from
    one source and features were not learned from either. `c_t`: Meehan et al. 2020, arXiv:2004.05675, section 3: in
    cells of k-means of the training images, Mann & Whitney's Z of the fakes' distances to their nearest training image
    against those of held-out images, averaged by the held-out images' shares. There are at most `cells`, and no more
    than leave 40 images of each side to a cell on average; those with fewer than 20 are left out (ours). A mean of
    z-scores, it varies less than one where there are several cells. Not a number without a cell. `apart`, `nearest`,
    `twins`: see `near_copies`. Raises DataError.
    """
    train, held_out, fake, t, h, m = framed(train, held_out, fake)
    to_train, to_held, held_to_train = nearest(m, t, k=2), nearest(m, h, k=2), nearest(h, t, k=1)
    own, other = np.sqrt(to_train.squared[:, 0]), np.sqrt(held_to_train.squared[:, 0])
    apart, twins = by_limit(own, other)
    return Copies(
        memorised=excess(to_train, to_held, len(t), len(h)),
        p=by_chance(to_train, to_held, len(t), len(h), seed=seed),
        c_t=c_t(train, held_out, fake, other, own, cells=cells, seed=seed),
        apart=apart,
        nearest=to_train.index[:, 0],
        twins=twins,
    )


def near_copies(train: np.ndarray, held_out: np.ndarray, fake: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """How far each fake [M,F] is from its nearest training image, float64 [M], which one that is, int64 [M], and the
    share of held-out images that are near copies.

    Distances are over half of that which all but 1 % of the held-out images keep to the training images, those that
    equal one left out (ours): below 1 is a near copy. Raises DataError.
    """
    _, _, _, t, h, m = framed(train, held_out, fake)
    found = nearest(m, t, k=1)
    apart, twins = by_limit(np.sqrt(found.squared[:, 0]), np.sqrt(nearest(h, t, k=1).squared[:, 0]))
    return apart, found.index[:, 0], twins


def framed(train: np.ndarray, held_out: np.ndarray, fake: np.ndarray):
    """All three checked, and as points of one frame."""
    train, held_out, fake = (
        checked(x, least=least, what=what)
        for x, least, what in ((train, 3, "training"), (held_out, 3, "held-out"), (fake, 2, "fake"))
    )
    same_width(train, held_out, what="held-out ones")
    same_width(train, fake)
    frame = Points.frame(train, held_out, fake)
    return train, held_out, fake, *(Points(x, *frame) for x in (train, held_out, fake))


def by_limit(own: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, float]:
    """Distances of fakes over the limit of a near copy, and the share of held-out images below it, from both."""
    limit = np.quantile(other[other > 0], 0.01) / 2 if other.any() else 0.0
    apart = np.divide(own, limit, out=np.where(own > 0, np.inf, 0.0), where=limit > 0)
    return apart, float(((other < limit) | (other == 0)).mean())


def authenticity(train: np.ndarray, fake: np.ndarray) -> Estimate:
    """The share of fakes [M,F] that are farther from their training image [T,F] than another training image is.

    Alaa et al. 2022, arXiv:2102.08921, section 4.3; about half for fresh images of the training images' distribution.
    The error is that of given training images. Raises DataError.
    """
    train, fake = checked(train, least=2, what="training"), checked(fake, least=2, what="fake")
    same_width(train, fake)
    frame = Points.frame(train, fake)
    t, m = Points(train, *frame), Points(fake, *frame)
    found = nearest(m, t, k=1)
    met, back = np.unique(found.index[:, 0], return_inverse=True)
    reach = nearest(Points(train[met], *frame), t, k=2).squared[:, 1]  # the first is the image itself
    hits = np.sqrt(found.squared[:, 0]) > np.sqrt(reach)[back]
    return Estimate(float(hits.mean()), fake=hits - hits.mean())


def excess(to_train: Nearest, to_held: Nearest, trained: int, held: int) -> Estimate:
    """(r - e) / (1 - e), with the jackknife of all three samples; training and held-out images stand under `real`."""
    count = len(to_train.squared)
    inside = to_train.squared < to_held.squared[:, :1]  # [M,2]: the nearest and the next training image are nearer
    outside = to_held.squared < to_train.squared[:, :1]
    trains = inside[:, 0] + 0.5 * (to_train.squared[:, 0] == to_held.squared[:, 0])
    r = trains.mean()
    lost = np.bincount(to_train.index[inside[:, 0] & ~inside[:, 1], 0], minlength=trained)
    won = np.bincount(to_held.index[outside[:, 0] & ~outside[:, 1], 0], minlength=held)
    # as a mean over training images, and one over held-out ones, each stretched to a mean over both
    of_train = (trained - 1) * (trained + held - 1) / held * of_counts(lost, lost) * (trained + held) / trained
    of_held = -(trained + held - 1) * of_counts(won, won) * (trained + held) / held
    value = (r * (trained + held) - trained) / held
    return Estimate(float(value), np.concatenate([of_train, of_held]) / count, (trains - r) * (trained + held) / held)


def by_chance(to_train: Nearest, to_held: Nearest, trained: int, held: int, *, seed: int) -> float:
    """p of `copies`, by random divisions."""
    near, far = to_train.squared[:, 0], to_held.squared[:, 0]
    inside, outside = (0.5 * (a < b) + 0.5 * (a <= b) for a, b in ((near, far), (far, near)))  # a tie is half of either
    met = np.bincount(to_train.index[:, 0], inside, trained), np.bincount(to_held.index[:, 0], outside, held)
    times, random = np.concatenate(met), np.random.default_rng(seed)  # how often each real image is the nearest
    found = sum(random.permutation(times)[:held].sum() <= met[1].sum() for _ in range(DIVISIONS))
    return (1 + int(found)) / (1 + DIVISIONS)


def c_t(train, held_out, fake, held_apart, fake_apart, *, cells: int, seed: int) -> float:
    """The mean of Z over cells, by the shares of held-out images."""
    from sklearn.cluster import KMeans  # slow to load

    cells = max(1, min(cells, len(train), len(held_out) // (2 * LEAST), len(fake) // (2 * LEAST)))
    found = KMeans(cells, random_state=seed).fit(train)
    of_held, of_fake = found.predict(held_out), found.predict(fake)
    scores, weights = [], []
    for cell in range(found.n_clusters):
        a, b = fake_apart[of_fake == cell], held_apart[of_held == cell]
        if min(len(a), len(b)) >= LEAST:
            scores.append(z_of_ranks(a, b))
            weights.append(len(b))
    return float(np.average(scores, weights=weights)) if scores else float("nan")


def z_of_ranks(a: np.ndarray, b: np.ndarray) -> float:
    """Of Mann & Whitney's U of a over b: below 0 where a is smaller."""
    n, m = len(a), len(b)
    order = np.sort(b)
    above = (np.searchsorted(order, a, "left") + np.searchsorted(order, a, "right")).sum() / 2
    return float((above - n * m / 2) / np.sqrt(n * m * (n + m + 1) / 12))
