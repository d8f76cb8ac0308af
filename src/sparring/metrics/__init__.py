"""How good are generated images? Pure functions of arrays.

Features are float [N,F], one row for each image. They are converted to float64 in chunks, never as a whole. Results are
float64, and every score of a sample is an Estimate, which has an error. Memory grows with the number of images, not
with its square.
"""

from .balance import balance, balance_by_chance, balance_test
from .copies import Copies, authenticity, copies, median_nearness, near_copies
from .diversity import diversity, mean_distance
from .estimate import Estimate, difference
from .frechet import Moments, frechet_at_infinity, frechet_distance
from .inception import inception_score
from .kernel import kernel_distance, kernel_test
from .modes import Modes, gaussian_modes, mode_coverage, purity
from .neighbours import Neighbours, neighbours
from .pictures import psnr, ssim
from .spectrum import spectrum, spectrum_distance, spectrum_test

__all__ = [
    "Copies",
    "Estimate",
    "Modes",
    "Moments",
    "Neighbours",
    "authenticity",
    "balance",
    "balance_by_chance",
    "balance_test",
    "copies",
    "difference",
    "diversity",
    "frechet_at_infinity",
    "frechet_distance",
    "gaussian_modes",
    "inception_score",
    "kernel_distance",
    "kernel_test",
    "mean_distance",
    "median_nearness",
    "mode_coverage",
    "near_copies",
    "neighbours",
    "psnr",
    "purity",
    "spectrum",
    "spectrum_distance",
    "spectrum_test",
    "ssim",
]
