"""Do images have the right detail at every scale? Power by spatial frequency."""

import numpy as np

from ..errors import DataError
from .estimate import Estimate
from .features import pair, row_chunks
from .kernel import kernel_distance, linear

ROUNDING_POWER = 1 / 12  # variance of rounding to whole numbers: the least power that 8-bit images can show


def spectrum(images: np.ndarray) -> np.ndarray:
    """Return the radial power spectrum in dB, float64 [N,R], of images uint8 [N,H,W,C] of 4 x 4 or more.

    It is the mean of |FFT|^2 / (H W) over channels and over the frequencies of a ring, after Durall et al. 2020,
    arXiv:2003.01826, section 3, and Dzanic et al. 2020, arXiv:1911.06465. White noise has its variance in every ring.
    Ring r of R = min(H, W) / 2 has the frequencies that are nearest to (r + 1) / (2 R) cycles per pixel; corners beyond
    the last ring are left out. The variance of rounding is added before the logarithm (ours), so that a constant image
    has a spectrum. Raises DataError.
    """
    images = np.asarray(images)
    if images.ndim != 4 or images.dtype != np.uint8 or min(images.shape[1:3]) < 4:
        what = f"there is no spectrum of {images.dtype} {images.shape}"
        raise DataError("spectrum-images", what, fix="pass uint8 [N,H,W,C] of 4 x 4 or more")
    ring, count = _rings(*images.shape[1:3])
    return np.concatenate([_profile(images[rows], ring, count) for rows in row_chunks(len(images), 256)])


def _rings(height: int, width: int) -> tuple[np.ndarray, int]:
    """Return the ring of each frequency, int [H * W] from 0, and R; frequencies outside are in ring R."""
    count = min(height, width) // 2
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)) * 2 * count
    ring = np.rint(radius).astype(np.int64).ravel() - 1
    return np.where((ring < 0) | (ring >= count), count, ring), count


def _profile(images: np.ndarray, ring: np.ndarray, count: int) -> np.ndarray:
    _, height, width, _ = images.shape
    power = np.square(np.abs(np.fft.fft2(images.astype(np.float64), axes=(1, 2)))).mean(3) / (height * width)
    of_ring = (ring[:, None] == np.arange(count)) / np.bincount(ring, minlength=count)[:count]
    return 10 * np.log10(power.reshape(len(images), -1) @ of_ring + ROUNDING_POWER)


def spectrum_test(real: np.ndarray, fake: np.ndarray, *, divisions: int = 999, seed: int = 0) -> float:
    """Return p of "both sets of spectra [N,R] and [M,R] have one mean", in [1 / (divisions + 1), 1]. Raises DataError.

    It is the share of random divisions of all images, into two sets of the same sizes, whose mean spectra differ at
    least as much in the sum of squares; the true division counts, too. Exact where all images have one distribution.
    """
    real, fake = pair(real, fake)
    each, n, random = np.concatenate([real, fake]), len(real), np.random.default_rng(seed)
    orders = [np.arange(len(each)), *(random.permutation(len(each)) for _ in range(divisions))]
    apart = np.array([np.square(each[o[:n]].mean(0) - each[o[n:]].mean(0)).sum() for o in orders])
    return float((apart >= apart[0] * (1 - 1e-9)).mean())


def spectrum_distance(real: np.ndarray, fake: np.ndarray) -> Estimate:
    """Return the mean over rings of the squared difference of mean spectra [N,R] and [M,R], in dB^2.

    It is the unbiased estimate, 0 on average for two samples of one distribution: `kernel_distance` with the kernel x.y
    (ours). Raises DataError, also where images were not of one size.
    """
    real, fake = pair(real, fake)
    centre = (real.mean(0) + fake.mean(0)) / 2
    return kernel_distance(real - centre, fake - centre, kernel=linear)
