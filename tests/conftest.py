"""What every test shares: one thread, no hub, repeatable weights and examples, where the real data is."""

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before anything loads torch; tests run side by side
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.pop("SPARRING_DEBUG", None)

import hypothesis
import pytest
import torch

hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("repeatable")

REAL_DATA = Path(os.environ.get("SPARRING_DATA") or Path(__file__).parents[2] / "shared" / "data")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets; tests that read it are skipped where it is not."""
    if not REAL_DATA.is_dir():
        pytest.skip("no real data: set SPARRING_DATA to a folder with mnist.npz, magnetic-tile.zip, cifar10")
    return REAL_DATA


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Weights that a test draws do not depend on which tests ran before it."""
    torch.manual_seed(0)
