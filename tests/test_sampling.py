"""The verb `sample` in Python: the same pictures as from the command line, and what it refuses."""

import numpy as np
import pytest
from test_runs import THIN, arrays

from sparring.errors import UsageError
from sparring.images import load_image
from sparring.runs.driver import train
from sparring.runs.sampling import sample


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("sampling") / "run"
    return train(arrays(), THIN["cgan"], out, images=128, augment="none", precision="fp32", monitor=False)


def test_a_run_its_folder_and_its_model_give_the_same_images(run, tmp_path):
    images = sample(run, 5, seed=3, out=tmp_path / "files", grid=tmp_path / "grid.png")
    assert images.shape == (5, 12, 10, 1) and images.dtype == np.uint8
    for source in (run.folder, str(run.folder / "model")):
        assert np.array_equal(sample(source, 5, seed=3), images)
    files = sorted((tmp_path / "files").iterdir())
    assert np.array_equal(np.stack([load_image(path, channels=1) for path in files]), images)
    assert load_image(tmp_path / "grid.png").shape[0] > 12


def test_every_picture_has_its_shape(run, tmp_path):
    assert sample(run).shape == (64, 12, 10, 1)
    assert sample(run, 3, classes="1").shape == (3, 12, 10, 1)
    assert sample(run, per_class=2, out=tmp_path / "classes").shape == (6, 12, 10, 1)
    assert sorted(path.name for path in (tmp_path / "classes").iterdir()) == ["0", "1", "2"]
    assert sample(run, interpolate=4).shape == (8, 4, 12, 10, 1)
    assert sample(run, 10, walk="0:2", columns=5).shape == (2, 5, 12, 10, 1)
    assert sample(run, directions=2).shape == (2, 9, 12, 10, 1)
    assert sample(run, 4, truncation=(0.5, 1.0)).shape == (2, 4, 12, 10, 1)
    assert np.array_equal(sample(run, 4, truncation=0.5), sample(run, 4, truncation=(0.5, 1.0))[0])
    assert sample(run, 4, nearest=arrays()).shape == (4, 4, 12, 10, 1)
    sample(run, interpolate=3, animate=tmp_path / "walk.webp")
    assert (tmp_path / "walk.webp").read_bytes()[8:12] == b"WEBP"


def test_two_pictures_at_once_are_refused(run):
    with pytest.raises(UsageError, match="--interpolate and --directions are two pictures"):
        sample(run, interpolate=3, directions=2)
    with pytest.raises(UsageError, match="names its classes itself"):
        sample(run, walk="0:1", classes="1")
    with pytest.raises(UsageError, match="names no two classes"):
        sample(run, walk="01")
