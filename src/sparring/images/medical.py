"""DICOM and NIfTI -> one picture of 8 bits, by rules that the picture carries as words (`info["rule"]`).

DICOM: values after the file's own rescaling; its first window where it names one, else from the smallest to the largest
value, padding not counted; 8 bits without a window, and colour, as they are stored. Of several frames the middle one.
NIfTI: turned so that front is up (the closest axes of RAS+); the middle slice along the third axis, of several times
the first; from cal_min to cal_max where the header sets them, else from the 0.5th to the 99.5th percentile.
"""

import gzip
from typing import IO, TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from .kinds import GZIP, NIFTI_STARTS, UnreadableKind

if TYPE_CHECKING:
    from pydicom import FileDataset  # pyright: ignore[reportMissingImports]

PALETTE = "PALETTE COLOR"  # as DICOM calls it
PERCENTILES = (0.5, 99.5)


class Scaled(NamedTuple):
    """Values in [0, 1], or uint8 as they were stored, and by which rule."""

    values: np.ndarray
    rule: str


def read_dicom(file: IO[bytes], most: int) -> Image.Image:
    """Return the picture of a DICOM file. Raises UnreadableKind, also for more than `most` pixels."""
    import pydicom  # pyright: ignore[reportMissingImports]
    from pydicom.pixels import apply_color_lut, pixel_array  # pyright: ignore[reportMissingImports]

    found = pydicom.dcmread(file)
    if "Rows" not in found:
        raise UnreadableKind("a DICOM file without an image")
    if found.Rows * found.Columns > most:
        raise UnreadableKind(
            f"{found.Columns} x {found.Rows} pixels, more than the limit of {most // 1_000_000} million"
        )
    frames = int(found.get("NumberOfFrames") or 1)
    try:
        stored = pixel_array(found, index=frames // 2)
    except (RuntimeError, NotImplementedError) as error:  # no package for this compression
        kind = found.file_meta.TransferSyntaxUID.name
        raise UnreadableKind(
            f"DICOM compressed as {kind}; pip install pylibjpeg pylibjpeg-libjpeg to read it"
        ) from error
    if found.PhotometricInterpretation == PALETTE:
        stored = apply_color_lut(stored, found)
    if stored.ndim == 3:
        eight = stored if stored.dtype == np.uint8 else (stored >> 8).astype(np.uint8)
        scaled = Scaled(eight, "DICOM in colour: as stored")
    else:
        scaled = _dicom_values(stored, found)
    return _as_picture(scaled, "the middle one of several frames" if frames > 1 else "")


def _dicom_values(stored: np.ndarray, found: "FileDataset") -> Scaled:
    """Return the grey values of a frame as they are shown: white is 1."""
    from pydicom.pixels import apply_modality_lut  # pyright: ignore[reportMissingImports]

    values, window = apply_modality_lut(stored, found).astype(float), _window(found)
    if window is not None:
        low, high = window
        rule = "DICOM: by the window that the file names"
    elif stored.dtype == np.uint8:
        low, high, rule = 0.0, 255.0, "DICOM of 8 bits: as stored"
    else:
        padding = found.get("PixelPaddingValue")
        counted = values if padding is None else values[stored != padding]
        low, high = (float(counted.min()), float(counted.max())) if counted.size else (0.0, 0.0)
        rule = "DICOM without a window: from the smallest to the largest value"
    shown = _between(values, low, high)
    return Scaled(1 - shown if found.PhotometricInterpretation == "MONOCHROME1" else shown, rule)


def _window(found: "FileDataset") -> tuple[float, float] | None:
    """Return the values that the first window of a file shows as black and as white (DICOM PS3.3, C.11.2.1.2)."""
    centre, width = (found.get(name) for name in ("WindowCenter", "WindowWidth"))
    if centre is None or width is None:
        return None
    c, w = (float(np.atleast_1d(np.array(value, float))[0]) for value in (centre, width))
    if found.get("VOILUTFunction", "LINEAR") == "LINEAR":
        c, w = c - 0.5, w - 1
    return c - w / 2, c + w / 2


def read_nifti(file: IO[bytes], most: int) -> Image.Image:
    """Return the picture of a NIfTI file of at most `most` bytes, when unpacked too. Raises UnreadableKind."""
    import nibabel  # pyright: ignore[reportMissingImports]
    from nibabel.filebasedimages import ImageFileError  # pyright: ignore[reportMissingImports]

    start = file.read(2)
    file.seek(0)
    raw = gzip.GzipFile(fileobj=file).read(most + 1) if start == GZIP else file.read(most + 1)
    if len(raw) > most:
        raise UnreadableKind(f"more than {most >> 20:,} MiB when unpacked")
    if not raw.startswith(NIFTI_STARTS):
        raise UnreadableKind("packed with gzip, and no NIfTI inside")
    try:
        cls = nibabel.Nifti2Image if raw.startswith(NIFTI_STARTS[2]) else nibabel.Nifti1Image
        volume = nibabel.as_closest_canonical(cls.from_bytes(raw))
    except ImageFileError as error:
        raise UnreadableKind(f"damaged NIfTI: {error}") from error
    depth = volume.shape[2] if len(volume.shape) > 2 else 1
    values = np.asanyarray(volume.dataobj)
    while values.ndim > 2:
        values = values[:, :, depth // 2] if values.ndim == 3 else values[..., 0]
    if values.dtype.kind not in "buif":
        raise UnreadableKind(f"NIfTI of values that are not numbers ({values.dtype})")
    values = np.nan_to_num(np.rot90(values.astype(float)))
    low, high = float(volume.header["cal_min"]), float(volume.header["cal_max"])
    rule = "NIfTI: from cal_min to cal_max of its header"
    if not high > low:
        low, high = np.percentile(values, PERCENTILES).tolist()
        rule = "NIfTI: from the 0.5th to the 99.5th percentile of its values"
    scaled = Scaled(_between(values, low, high), rule)
    return _as_picture(scaled, "the middle slice of the volume" if depth > 1 else "")


def _between(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return the values with `low` as 0 and `high` as 1, those beyond clipped."""
    return np.clip((values - low) / (high - low), 0, 1) if high > low else np.zeros_like(values)


def _as_picture(scaled: Scaled, of: str) -> Image.Image:
    values, rule = scaled
    eight = values if values.dtype == np.uint8 else np.rint(values * 255).astype(np.uint8)
    image = Image.fromarray(np.ascontiguousarray(eight))
    image.info["rule"] = f"{rule}, {of}" if of else rule
    return image
