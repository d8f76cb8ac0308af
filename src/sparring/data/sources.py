"""What the user named -> ImageSet: the kinds of source are told apart here."""

from pathlib import Path

from ..errors import DataError, MissingData
from .arrays import digits, from_arrays, from_dict, from_npz
from .imageset import ImageSet


def load(source, *, size=None, unlabelled=None, labels=None, progress=None) -> ImageSet:
    """First version: digits, .npz files and arrays."""
    if isinstance(source, ImageSet):
        return source
    if isinstance(source, dict):
        return from_dict(source, "arrays")
    if isinstance(source, tuple):
        return from_arrays(*source)
    if not isinstance(source, str | Path):
        return from_arrays(source)
    if str(source) == "digits":
        return digits()
    path = Path(source)
    if not path.exists():
        raise MissingData("no-data", f"{source} does not exist", fix="name a folder, .zip, .npz or .parquet file")
    if path.suffix == ".npz":
        return from_npz(path, path.stem)
    raise DataError("data-kind", f"{source}: only digits and .npz files for now", fix="wait")
