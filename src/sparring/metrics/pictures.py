"""An image against the one it should be: pixels, not features. uint8 [N,H,W,C] both."""

import numpy as np
from scipy.ndimage import gaussian_filter1d

from ..errors import DataError

BLUR = 1.5  # standard deviation of SSIM's window in pixels, which is 11 wide


def psnr(made: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Peak signal-to-noise ratio in dB, [N]: 10 log10(255^2 / mean squared error), infinite where they are equal.
    Raises DataError."""
    made, truth = floats(made, truth)
    error = np.square(made - truth).mean((1, 2, 3))
    with np.errstate(divide="ignore"):
        return 10 * np.log10(255**2 / error)


def ssim(made: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Structural similarity, [N], 1 where equal. Wang et al. 2004, doi:10.1109/TIP.2003.819861, eq. 13: Gaussian
    window of 11 x 11, K1 = 0.01, K2 = 0.03; mean over channels and over the places where the window fits. Sides of
    11 at least. Raises DataError."""
    x, y = floats(made, truth)
    if min(x.shape[1:3]) < 11:
        raise DataError("too-small", f"images of {x.shape[1]} x {x.shape[2]}", fix="pass images of 11 x 11 or more")
    mx, my = blurred(x), blurred(y)
    xx, yy, xy = blurred(x * x) - mx * mx, blurred(y * y) - my * my, blurred(x * y) - mx * my
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    found = (2 * mx * my + c1) * (2 * xy + c2) / ((mx * mx + my * my + c1) * (xx + yy + c2))
    return found.mean((1, 2, 3))


def floats(made: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if made.shape != truth.shape or made.ndim != 4 or made.dtype != np.uint8 or truth.dtype != np.uint8:
        raise DataError(
            "pictures",
            f"cannot compare {made.dtype} {made.shape} with {truth.dtype} {truth.shape}",
            fix="pass uint8 [N,H,W,C] twice",
        )
    return made.astype(np.float64), truth.astype(np.float64)


def blurred(x: np.ndarray) -> np.ndarray:
    """[N,H-10,W-10,C]: the Gaussian window where it fits."""
    for axis in (1, 2):
        x = gaussian_filter1d(x, BLUR, axis=axis, radius=5)
    return x[:, 5:-5, 5:-5]
