"""An image compared with the one that it should be, in pixels: uint8 [N,H,W,C] both.

scikit-image has both scores for one image at a time, and unsigned differences; these take a batch.
"""

import numpy as np
from scipy.ndimage import gaussian_filter1d

from ..errors import DataError

BLUR = 1.5  # standard deviation of SSIM's window in pixels, which is 11 wide


def psnr(made: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the peak signal-to-noise ratio in dB, [N]: 10 log10(255^2 / mean squared error), infinite where equal.

    Raises DataError.
    """
    made, truth = _floats(made, truth)
    error = np.square(made - truth).mean((1, 2, 3))
    with np.errstate(divide="ignore"):
        return 10 * np.log10(255**2 / error)


def ssim(made: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the structural similarity, [N], 1 where equal, of images of 11 x 11 or more.

    Wang et al. 2004, doi:10.1109/TIP.2003.819861, eq. 13: Gaussian window of 11 x 11, K1 = 0.01, K2 = 0.03; the mean
    over channels and over the places where the window fits. Raises DataError.
    """
    x, y = _floats(made, truth)
    if min(x.shape[1:3]) < 11:
        raise DataError("too-small", f"images of {x.shape[1]} x {x.shape[2]}", fix="pass images of 11 x 11 or more")
    mx, my = _blurred(x), _blurred(y)
    xx, yy, xy = _blurred(x * x) - mx * mx, _blurred(y * y) - my * my, _blurred(x * y) - mx * my
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    found = (2 * mx * my + c1) * (2 * xy + c2) / ((mx * mx + my * my + c1) * (xx + yy + c2))
    return found.mean((1, 2, 3))


def _floats(made: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if made.shape != truth.shape or made.ndim != 4 or made.dtype != np.uint8 or truth.dtype != np.uint8:
        what = f"cannot compare {made.dtype} {made.shape} with {truth.dtype} {truth.shape}"
        raise DataError("pictures", what, fix="pass uint8 [N,H,W,C] twice")
    return made.astype(np.float64), truth.astype(np.float64)


def _blurred(x: np.ndarray) -> np.ndarray:
    """Return images [N,H-10,W-10,C] after the Gaussian window, where it fits."""
    for axis in (1, 2):
        x = gaussian_filter1d(x, BLUR, axis=axis, radius=5)
    return x[:, 5:-5, 5:-5]
