"""Kinds of images beside the usual ones: AVIF, HEIC, DICOM, NIfTI, TIFF of several bands, 16 bits in colour."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from bad_inputs import class_folders, pixels, write_image
from PIL import Image, features

from sparring.data import describe, load
from sparring.errors import DataError
from sparring.images import BadImage, load_image, opened_image, read_header
from sparring.images import kinds as image_kinds

HALVES = np.zeros((20, 30, 3), np.uint8)
HALVES[:10] = 200


def tiff(values: np.ndarray, extra: tuple[int, ...] = ()) -> bytes:
    """A plain uncompressed TIFF of [H, W, bands] of any type; `extra`: what the bands beyond those shown mean."""
    height, width, bands = values.shape
    data = values.astype(values.dtype.newbyteorder("<")).tobytes()
    number = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    tags = {256: (4, [width]), 257: (4, [height]), 258: (3, [values.dtype.itemsize * 8] * bands), 259: (3, [1])}
    tags |= {262: (3, [2 if bands >= 3 else 1]), 273: (4, [0]), 277: (3, [bands]), 278: (4, [height])}
    tags |= {279: (4, [len(data)]), 284: (3, [1]), 339: (3, [number] * bands)} | ({338: (3, [*extra])} if extra else {})
    at, blob, entries = 8 + 2 + 12 * len(tags) + 4, b"", []
    for tag, (kind, content) in sorted(tags.items()):
        packed = struct.pack(f"<{len(content)}{'H' if kind == 3 else 'I'}", *content)
        if len(packed) > 4:
            packed, blob = struct.pack("<I", at + len(blob)), blob + packed + b"\0" * (len(packed) % 2)
        entries.append([tag, kind, len(content), packed.ljust(4, b"\0")])
    next(e for e in entries if e[0] == 273)[3] = struct.pack("<I", at + len(blob))
    listed = b"".join(struct.pack("<HHI", *entry[:3]) + entry[3] for entry in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + listed + bytes(4) + blob + data


def png16(values: np.ndarray) -> bytes:
    """A PNG of 16 bits a channel of [H, W, 1 or 3]."""
    height, width, channels = values.shape
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))  # noqa: E731
    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 3: 2}[channels], 0, 0, 0)
    raw = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


def folder_of(top: Path, contents: list[bytes], ending: str) -> Path:
    for i, content in enumerate(contents):
        path = top / "ab"[i % 2] / f"{i}{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return top


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")
def test_avif_is_read_by_name_by_content_and_in_folders(tmp_path):
    class_folders(tmp_path / "photos")
    Image.fromarray(pixels(5)).convert("RGB").save(tmp_path / "photos/cat/x.avif", quality=100)
    (tmp_path / "photos/cat/x.avif").rename(tmp_path / "photos/cat/y.AVIF")
    assert "cat/y.AVIF" in load(tmp_path / "photos").origins
    Image.fromarray(HALVES).save(tmp_path / "a.avif")
    made = load_image((tmp_path / "a.avif").read_bytes())
    assert made.shape == (20, 30, 3) and made[0, 0].min() > 195 and made[-1, -1].max() < 5


def test_files_without_an_ending_are_images_where_they_begin_like_one(tmp_path):
    photos = class_folders(tmp_path / "photos")
    write_image(photos / "cat/new.png", 7).rename(photos / "cat/new")
    (photos / "cat/LICENSE").write_bytes(b"II may be copied")
    (photos / "dog/film").write_bytes(b"\0\0\0\x18ftypisom" + bytes(40))
    found = load(photos)
    assert "cat/new" in found.origins and found.notes.bad_files == ()
    assert found.notes.ignored == {"no suffix files": 2}


def test_heic_is_read_where_its_package_is_there(tmp_path):
    heif = pytest.importorskip("pillow_heif")
    heif.from_pillow(Image.fromarray(HALVES)).save(tmp_path / "a.heic", quality=95)
    made = load_image(tmp_path / "a.heic")
    assert made.shape == (20, 30, 3) and made[0, 0].min() > 190 and made[-1, -1].max() < 10


def test_without_its_package_a_kind_is_counted_and_the_package_is_named(tmp_path, monkeypatch):  # S33
    monkeypatch.setattr(image_kinds, "_there", lambda package: False)
    photos = class_folders(tmp_path / "photos")
    for i in range(12):
        (photos / "cat" / f"{i}.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    (photos / "dog" / "scan").write_bytes(bytes(128) + b"DICM" + bytes(40))
    notes = describe(load(photos)).notes
    files = "left out: 12 .heic files and 1 no suffix file; cat has 4 of 16 images"
    assert notes.short == (f"{files}; pip install 'sparring[heic]' to read HEIC",)
    with pytest.raises(BadImage, match=r"DICOM is not read here; pip install 'sparring\[medical\]' to read DICOM"):
        load_image(photos / "dog" / "scan")
    for path in (photos / "cat").glob("*.png"):
        path.unlink()
    with pytest.raises(DataError, match=r"holds only .heic files.*Fix: pip install 'sparring\[heic\]'"):
        load(photos)


@pytest.mark.parametrize(("bands", "meaning"), [(4, (0,)), (4, ()), (5, (0, 0)), (6, (0, 0, 0))])
def test_bands_that_are_dropped_are_counted(tmp_path, bands, meaning):
    values = [np.concatenate([pixels(i, channels=3)] * 2, 2)[:, :, :bands] for i in range(6)]
    got = load(folder_of(tmp_path, [tiff(v, meaning) for v in values], ".tif"))
    assert got.notes.converted == (f"6 images of {bands} bands: the first three taken",)
    assert (got.images[0] == values[0][:, :, :3]).all()


def test_alpha_is_no_band_that_is_dropped():
    values = np.dstack([pixels(1, channels=3), np.full((12, 10), 255, np.uint8)])
    with opened_image(tiff(values, (2,))) as image:
        assert read_header(image).bands == 0
    with opened_image(tiff(pixels(1, channels=3))) as image:
        assert read_header(image).bands == 0


@pytest.mark.parametrize(
    ("dtype", "bands", "words"),
    [
        ("u1", 2, "2 bands of 8-bit whole numbers"),
        ("u2", 2, "2 bands of 16-bit whole numbers"),
        ("f4", 3, "3 bands of 32-bit floating numbers"),
        ("u1", 9, "9 bands of 8-bit whole numbers"),
    ],
)
def test_a_whole_tiff_of_odd_bands_is_refused_by_their_number(dtype, bands, words):
    values = np.concatenate([pixels(1, channels=3)] * 3, 2)[:, :, :bands].astype(dtype)
    with pytest.raises(BadImage, match=f"a TIFF of {words}") as raised:
        load_image(tiff(values))
    assert "damaged" not in str(raised.value)
    with pytest.raises(BadImage, match="truncated or damaged header"):
        load_image(tiff(values)[:60])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("bright", [0, 1])
def test_dark_images_of_16_bits_are_counted_grey_or_in_colour(tmp_path, channels, bright):
    values = [pixels(i, channels=3)[..., :channels].astype(int) * 16 for i in range(8)]
    values[:bright] = [16 * v for v in values[:bright]]
    got = load(folder_of(tmp_path, [png16(v) for v in values], ".png"))
    assert got.notes.converted[0] == "8 images 16 bit: the high byte kept"
    assert got.notes.warnings[0].startswith(f"{8 - bright} of 8 16-bit images use less than an eighth of the range")


def test_bright_images_of_16_bits_and_dark_ones_of_8_are_fine(tmp_path):
    deep = [png16(pixels(i, channels=3).astype(int) * 257) for i in range(4)]
    assert load(folder_of(tmp_path / "deep", deep, ".png")).notes.warnings == ()


# Medicine


def dicom(values: np.ndarray, **fields) -> bytes:
    pydicom = pytest.importorskip("pydicom")
    from pydicom.dataset import FileDataset, FileMetaDataset

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = pydicom.uid.SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    found = FileDataset("x", {}, file_meta=meta, preamble=bytes(128))
    found.SOPClassUID, found.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    found.SamplesPerPixel, found.PhotometricInterpretation = 1, "MONOCHROME2"
    if values.ndim == 3:
        found.NumberOfFrames = len(values)
    found.Rows, found.Columns = values.shape[-2:]
    found.BitsAllocated = found.BitsStored = values.itemsize * 8
    found.HighBit, found.PixelRepresentation = found.BitsStored - 1, int(values.dtype.kind == "i")
    found.PixelData = values.tobytes()
    for name, value in fields.items():
        setattr(found, name, value)
    file = io.BytesIO()
    found.save_as(file, enforce_file_format=True)
    return file.getvalue()


RAMP = np.arange(600).reshape(20, 30)


def test_dicom_is_shown_by_its_window_else_by_its_range(tmp_path):
    windowed = load_image(
        dicom(RAMP.astype("i2"), WindowCenter=300, WindowWidth=201, RescaleSlope=1, RescaleIntercept=9)
    )
    expected = np.rint(np.clip((RAMP + 9 - (299.5 - 100)) / 200, 0, 1) * 255)  # DICOM PS3.3, C.11.2.1.2
    assert (windowed[..., 0] == expected).all()
    plain = load_image(dicom(RAMP.astype("i2"), PhotometricInterpretation="MONOCHROME1"))
    assert (plain[..., 0] == np.rint((1 - RAMP / 599) * 255)).all()
    padded = np.where(RAMP < 30, -2000, RAMP).astype("i2")
    assert load_image(dicom(padded, PixelPaddingValue=-2000))[1, 0, 0] == 0
    eight = load_image(dicom((RAMP % 200).astype("u1")))
    assert (eight[..., 0] == RAMP % 200).all()
    middle = load_image(dicom(np.stack([RAMP * 0, RAMP, RAMP * 0]).astype("i2")))
    assert (middle[..., 0] == np.rint(RAMP / 599 * 255)).all()
    contents = [dicom((RAMP + i).astype("i2"), WindowCenter=300, WindowWidth=100) for i in range(8)]
    got = load(folder_of(tmp_path, contents, ".dcm"))
    assert got.notes.converted == ("8 images DICOM: by the window that the file names",) and got.shape == (20, 30, 1)


def test_nifti_shows_its_middle_slice(tmp_path):
    nibabel = pytest.importorskip("nibabel")
    volume = np.zeros((30, 20, 5), np.float32)
    volume[:, :, 2] = RAMP.reshape(30, 20)
    upright = np.rot90(volume[:, :, 2])
    for name, values in {"a.nii.gz": volume, "b.nii": volume[..., None]}.items():
        image = nibabel.Nifti1Image(values, np.eye(4))
        image.header["cal_min"], image.header["cal_max"] = 0, 599
        nibabel.save(image, tmp_path / name)
        assert (load_image(tmp_path / name)[..., 0] == np.rint(upright / 599 * 255)).all()
    low, high = np.percentile(upright, (0.5, 99.5))
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), tmp_path / "c.nii")
    with opened_image(tmp_path / "c.nii") as image:
        assert read_header(image).rule.startswith("NIfTI: from the 0.5th to the 99.5th percentile of its values")
    expected = np.rint(np.clip((upright - low) / (high - low), 0, 1) * 255)
    assert (load_image(tmp_path / "c.nii")[..., 0] == expected).all()


def test_medical_files_that_cannot_be_shown_say_why(tmp_path):
    pytest.importorskip("pydicom")
    whole = dicom(RAMP.astype("i2"))
    with pytest.raises(BadImage, match="damaged|truncated"):
        load_image(whole[: len(whole) // 2])
    with pytest.raises(BadImage, match="a DICOM file without an image|damaged"):
        load_image(bytes(128) + b"DICM")
