"""Do images have the right detail at every scale? Power by spatial frequency."""

import numpy as np

from ..errors import DataError
from .estimate import Estimate
from .features import chunks, pair
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
    """p of "both sets of spectra [N,R] and [M,R] have one mean", in [1 / (divisions + 1), 1].

    The share of random divisions of all images into two sets of as many whose mean spectra are as far apart, in the
    sum of squares, the true division counted: exact where all images have one distribution. Raises DataError.
    """
    real, fake = pair(real, fake)
    each, n, random = np.concatenate([real, fake]), len(real), np.random.default_rng(seed)
    orders = [np.arange(len(each)), *(random.permutation(len(each)) for _ in range(divisions))]
    apart = np.array([np.square(each[o[:n]].mean(0) - each[o[n:]].mean(0)).sum() for o in orders])
    return float((apart >= apart[0] * (1 - 1e-9)).mean())


def spectrum_distance(real: np.ndarray, fake: np.ndarray) -> Estimate:
    """Mean over rings of the squared difference of the mean spectra, in dB^2, of spectra [N,R] and [M,R].

    Ours: the unbiased estimate, so that two samples of one distribution have 0 on average; `kernel_distance` with the
    kernel x.y. Raises DataError, also where images were not of one size.
    """
    real, fake = pair(real, fake)
    centre = (real.mean(0) + fake.mean(0)) / 2
    return kernel_distance(real - centre, fake - centre, kernel=linear)
