"""How good are generated images? Pure functions of arrays; what the numbers in them mean is the caller's business.

Features are float [N,F], one row an image. Everything is computed in float64 and in chunks: memory grows with the
number of images, not with its square.
"""

from .diversity import diversity, mean_distance
from .frechet import Moments, frechet_distance
from .kernel import KernelDistance, kernel_distance
from .modes import Modes, gaussian_modes, mode_coverage, purity
from .neighbours import Neighbours, neighbours
from .pictures import psnr, ssim

__all__ = [
    "KernelDistance",
    "Modes",
    "Moments",
    "Neighbours",
    "diversity",
    "frechet_distance",
    "gaussian_modes",
    "kernel_distance",
    "mean_distance",
    "mode_coverage",
    "neighbours",
    "psnr",
    "purity",
    "ssim",
]
