"""The table of formats: every row can be read, and a new format is one function and one row."""

import gzip
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bad_inputs import class_folders, npz, parquet, zip_file

from sparring.cli import main
from sparring.data import ImageSet, formats, load, sources
from sparring.data.arrays import from_arrays
from sparring.data.formats import EMBEDDED, FORMATS, Format, LoadOptions, resolve
from sparring.errors import DataError, UsageError


def npy(path: Path, images: np.ndarray) -> str:
    np.save(path, images)
    return str(path)


def encoded_png(seed: int) -> bytes:
    from bad_inputs import encoded

    return encoded("PNG", seed)


SOURCES = {
    "folder": lambda top: class_folders(top / "photos"),
    "zip": zip_file,
    "npz": lambda top: npz(top / "x.npz", images=np.stack([np.eye(8, dtype=np.uint8) * i for i in (1, 2)])),
    "npy": lambda top: npy(top / "x.npy", np.stack([np.eye(8, dtype=np.uint8) * i for i in (1, 2)])),
    "parquet": lambda top: parquet(top, {"image": [{"bytes": encoded_png(i)} for i in (1, 2)], "label": [0, 1]}),
}


@pytest.mark.parametrize("row", FORMATS, ids=lambda row: row.name)
def test_every_format_is_recognised_and_read(row, tmp_path):
    path = Path(SOURCES[row.name](tmp_path))
    assert isinstance(load(path), ImageSet)
    start = b"" if path.is_dir() else path.read_bytes()[:32]
    assert [other.name for other in FORMATS if other.recognises(path, start)] == [row.name]
    if not row.takes_table:
        with pytest.raises(UsageError, match="has its own labels"):
            load(path, labels=tmp_path / "labels.csv")


def test_embedded_data_can_be_loaded():
    for name, function in EMBEDDED.items():
        assert load(name).fingerprint == resolve(function)().fingerprint


def read_idx(path: Path, options: LoadOptions) -> ImageSet:
    """MNIST's own format: a magic number that says uint8 and three axes, the lengths of these, the pixels."""
    raw = gzip.decompress(path.read_bytes())
    shape = np.frombuffer(raw, ">u4", 3, offset=4)
    return from_arrays(np.frombuffer(raw, np.uint8, offset=16).reshape(shape))


IDX = Format("idx", ".idx3-ubyte.gz", lambda path, start: start.startswith(b"\x1f\x8b"), read_idx)


def test_a_format_is_added_by_one_function_and_one_row(tmp_path, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (5, 12, 10), dtype=np.uint8)
    path = tmp_path / "train-images.idx3-ubyte.gz"
    head = np.array([0x0803, *images.shape], ">u4").tobytes()
    path.write_bytes(gzip.compress(head + images.tobytes()))
    with pytest.raises(DataError, match="which holds no images that are understood"):
        load(path)
    for module in (formats, sources):
        monkeypatch.setattr(module, "FORMATS", (*FORMATS, IDX))
    assert (load(path).images[..., 0] == images).all()
    assert formats.source_words() == "digits, a folder, .zip, .npz, .npy, .parquet or .idx3-ubyte.gz"
    with pytest.raises(
        Exception, match=re.escape("name digits, a folder, .zip, .npz, .npy, .parquet or .idx3-ubyte.gz")
    ):
        load(tmp_path / "nothing")


@pytest.mark.parametrize("command", ["data", "compare", "fit", "train"])
def test_help_says_what_the_table_says(command, capsys):
    assert main([command, "--help"]) == 0
    assert "digits, a folder, .zip, .npz, .npy or .parquet." in " ".join(capsys.readouterr().out.split())


def test_the_table_loads_nothing_heavy():
    code = "import sys, sparring.data.formats, sparring.data; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "sklearn", "numpy", "scipy", "PIL", "pyarrow"} & {name.split(".")[0] for name in loaded}
