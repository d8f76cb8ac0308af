"""Metrics against other libraries, where they are installed, and their errors against fresh samples."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))


def test_scores_are_those_of_prdc_and_torch_fidelity():
    judge = pytest.importorskip("judge")
    random = np.random.default_rng(0)
    real, fake = random.normal(size=(300, 12)) ** 2, random.normal(0.2, 1, size=(200, 12)) ** 2
    found = judge.compared(real, fake)
    if not found:
        pytest.skip("neither prdc nor torch-fidelity is installed")
    for name, ours, theirs in found:
        assert ours == pytest.approx(theirs, rel=1e-6), name


@pytest.mark.slow
@pytest.mark.parametrize("setting", [0, 1, 2])
def test_errors_are_the_spread_of_fresh_samples(setting):
    simulation = pytest.importorskip("judge_simulation")
    known_wide = {"Frechet": 1.5} if setting == 0 else {}  # both samples have one distribution there
    found = simulation.error_ratios(*simulation.SETTINGS[setting], repeats=200)
    assert {"kernel", "precision", "recall", "density", "coverage", "diversity", "memorised"} <= set(found)
    for name, ratio in found.items():
        assert 0.8 < ratio < known_wide.get(name, 1.2), name
