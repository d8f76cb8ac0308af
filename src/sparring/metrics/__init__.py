"""How good are generated images? Pure functions of arrays; what the numbers in them mean is the caller's business.

Features are float [N,F], one row an image, and are not copied to another type as a whole. Results are float64, and
every score of a sample is an Estimate, with its error. Memory grows with the number of images, not with its square.
"""

from .diversity import diversity, mean_distance
from .estimate import Estimate, difference
from .frechet import Moments, frechet_distance
from .kernel import kernel_distance
from .modes import Modes, gaussian_modes, mode_coverage, purity
from .neighbours import Neighbours, neighbours
from .pictures import psnr, ssim

__all__ = [
    "Estimate",
    "Modes",
    "Moments",
    "Neighbours",
    "difference",
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
