"""Do images have the right detail at every scale? Power by spatial frequency."""

import numpy as np

from ..errors import DataError
from .estimate import Estimate
from .features import chunks
from .kernel import kernel_distance, linear

FLOOR = 1 / 12  # variance of rounding to whole numbers: the least power that 8-bit images can tell


def spectrum(images: np.ndarray) -> np.ndarray:
    """Radial power spectrum in dB, float64 [N,R], of images uint8 [N,H,W,C] with sides of 4 at least.

    Mean over channels and over the frequencies of a ring of |FFT|^2 / (H W), after Durall et al. 2020,
    arXiv:2003.01826, section 3, and Dzanic et al. 2020, arXiv:1911.06465. White noise has its variance in every ring.
    Ring r of R = min(H, W) / 2 holds frequencies nearest to (r + 1) / (2 R) cycles per pixel; corners beyond the last
    one are left out. The variance of rounding is added before the logarithm (ours), so that an even image has a
    spectrum. Raises DataError.
    """
    images = np.asarray(images)
    if images.ndim != 4 or images.dtype != np.uint8 or min(images.shape[1:3]) < 4:
        raise DataError(
            "spectrum-images",
            f"there is no spectrum of {images.dtype} {images.shape}",
            fix="pass uint8 [N,H,W,C] of 4 x 4 or more",
        )
    ring, count = rings(*images.shape[1:3])
    return np.concatenate([profile(images[rows], ring, count) for rows in chunks(len(images), 256)])


def rings(height: int, width: int) -> tuple[np.ndarray, int]:
    """The ring of each frequency, int [H * W] from 0, and R; frequencies outside are in ring R."""
    count = min(height, width) // 2
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)) * 2 * count
    ring = np.rint(radius).astype(np.int64).ravel() - 1
    return np.where((ring < 0) | (ring >= count), count, ring), count


def profile(images: np.ndarray, ring: np.ndarray, count: int) -> np.ndarray:
    _, height, width, _ = images.shape
    power = np.square(np.abs(np.fft.fft2(images.astype(np.float64), axes=(1, 2)))).mean(3) / (height * width)
    of_ring = (ring[:, None] == np.arange(count)) / np.bincount(ring, minlength=count)[:count]
    return 10 * np.log10(power.reshape(len(images), -1) @ of_ring + FLOOR)


def spectrum_test(real: np.ndarray, fake: np.ndarray, *, divisions: int = 999, seed: int = 0) -> float:
    """p of "both sets of images uint8 [N,H,W,C] have one mean spectrum", in [1 / (divisions + 1), 1].

    The share of random divisions of all images into two sets of as many whose mean spectra are as far apart, in the
    sum of squares, the true division counted: exact where all images have one distribution. Raises DataError.
    """
    each, n, random = np.concatenate([spectrum(real), spectrum(fake)]), len(real), np.random.default_rng(seed)
    orders = [np.arange(len(each)), *(random.permutation(len(each)) for _ in range(divisions))]
    apart = np.array([np.square(each[o[:n]].mean(0) - each[o[n:]].mean(0)).sum() for o in orders])
    return float((apart >= apart[0] * (1 - 1e-9)).mean())


def spectrum_distance(real: np.ndarray, fake: np.ndarray) -> Estimate:
    """Mean over rings of the squared difference of the sets' mean spectra, in dB^2, of images uint8 [N,H,W,C].

    Ours: the unbiased estimate, so that two samples of one distribution have 0 on average; `kernel_distance` with the
    kernel x.y. Raises DataError, also where the two sets are not of one size.
    """
    a, b = spectrum(real), spectrum(fake)
    if real.shape[1:3] != fake.shape[1:3]:
        raise DataError(
            "spectrum-size",
            f"real images are {real.shape[1]} x {real.shape[2]}, fakes {fake.shape[1]} x {fake.shape[2]}",
            fix="bring both to one size in the same way",
        )
    centre = (a.mean(0) + b.mean(0)) / 2
    return kernel_distance(a - centre, b - centre, kernel=linear)
