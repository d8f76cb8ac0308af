"""What it may cost to decode images: memory for one, work for many. A few bytes can ask for very much of both."""

from dataclasses import dataclass
from pathlib import Path

from PIL import Image, JpegImagePlugin

from ..errors import DataError
from .kinds import UnreadableKind

MEMORY_LIMIT = 480_000_000  # bytes, beside the file, while one image becomes pixels
SCAN_LIMIT = 100  # passes of a JPEG over its pixels; programs write a dozen
SCAN = b"\xff\xda"  # begins one
BLOCK = 1 << 20
# what a set of images may unpack to in any case; and if it is more, times its files, on average: photographs have 2 to
# 50 values a byte, printed pages in black and white 100 to 200, a picture of one colour a million
ANY_VALUES, VALUES_A_BYTE = 2_500_000_000, 250
AS_STORED = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16L": 2, "I;16B": 2, "I;16N": 2}  # bytes a pixel; else Pillow has 4
FINAL = {"1", "L", "RGB", "I;16", "I;16L", "I;16B", "I;16N"}  # modes that become grey or colour without a second copy
# bytes a pixel that a decoder takes beside the image: two canvases, or planes, and what it hands over
BY_DECODER = {"WEBP": 12, "AVIF": 14}


def refuse_costly(image: Image.Image, *, turned: bool = False) -> None:
    """Raise UnreadableKind for an opened image that takes too much memory to decode, or too many passes.

    `turned`: whether it has to be turned upright. Of a JPEG that is decoded at a part of its size (`Image.draft`), call
    it after that is settled.
    """
    coefficients = 0
    if isinstance(image, JpegImagePlugin.JpegImageFile) and (scans := _scans(image)) > 1:
        coefficients = _coefficients(image)
        if scans > SCAN_LIMIT:
            raise UnreadableKind(f"a JPEG of {scans:,} scans, more than the limit of {SCAN_LIMIT}; save it again")
    stored = AS_STORED.get(image.mode, 4)
    second = 4 if image.mode not in FINAL or image.has_transparency_data else stored if turned else 0
    each = stored + second + BY_DECODER.get(image.format or "", 0)
    needed = image.width * image.height * each + coefficients
    if needed > MEMORY_LIMIT:
        kind, scale = f" of {image.format}" if image.format else "", _scale(image)
        what = f"{image.width * scale} x {image.height * scale} pixels{kind} take {needed // 1_000_000:,} MB to decode"
        raise UnreadableKind(f"{what}, more than the limit of {MEMORY_LIMIT // 1_000_000}; make it smaller")


def _scans(image: JpegImagePlugin.JpegImageFile) -> int:
    """Return how often the bytes come that begin a scan: of none of the data within scans."""
    file, count = image.fp, 0
    if file is None:  # it is decoded
        return 1
    place = file.tell()
    file.seek(0)
    while block := file.read(BLOCK):
        count += block.count(SCAN)
    file.seek(place)
    return count


def _coefficients(image: JpegImagePlugin.JpegImageFile) -> int:
    """Return the bytes of all coefficients, which a JPEG of several scans holds at once, at its full size."""
    across, down = (max(layer[axis] for layer in image.layer) for axis in (1, 2))
    share = sum(layer[1] * layer[2] for layer in image.layer) / (across * down)
    return int(2 * share * image.width * image.height * _scale(image) ** 2)


def _scale(image: Image.Image) -> int:
    """Return by how much smaller than it is a JPEG will be decoded."""
    return (getattr(image, "decoderconfig", ()) or (1,))[0]


@dataclass
class Unpacking:
    """What the images of one set unpack to: values, of so many bytes of files."""

    values: int = 0
    packed: int = 0

    def add(self, values: int, source: bytes | str | Path, of: str) -> None:
        """Count an image. Raises DataError, which names the set `of`, as soon as it is too much for its files."""
        self.values += values
        self.packed += len(source) if isinstance(source, bytes) else Path(source).stat().st_size
        if self.values > max(ANY_VALUES, VALUES_A_BYTE * self.packed):
            packed, unpacked = self.packed / 2**20, self.values / 2**20
            what = f"images in {of} would unpack {packed:,.1f} MiB to {unpacked:,.0f} MiB and more"
            raise DataError("image-bomb", what, fix="leave out large images of one colour, or make them smaller")
