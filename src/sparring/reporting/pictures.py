"""Pictures as data: addresses, so that a page is one file. Large ones are made smaller first."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path

from .. import files

PACK_ABOVE = 20_000  # bytes of a PNG from which a photograph-like picture is stored as WebP
MOST_PIXELS = 16_000_000  # of a picture that a page shows
LONGEST_SIDE = 1600  # pixels; a contact sheet beyond this is larger than any page
_IMAGE_TYPES = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}


@dataclass(frozen=True)
class Picture:
    """An inlined picture with its size in pixels, so that the page does not jump when it is drawn."""

    uri: str
    width: int
    height: int


def inlined(folder: Path, name: str | None) -> Picture | None:
    """Return the picture `name` of `folder`; None where it is absent, elsewhere on the machine, or not a picture."""
    if not name or "\0" in name:
        return None
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        return None
    try:
        return packed(files.read_bytes(path))
    except (OSError, ValueError):
        return None


def packed(data: bytes) -> Picture | None:
    """Return PNG or JPEG bytes as a picture, a large one made smaller; None for anything else."""
    from ..images import opened_image

    kind = next((k for start, k in _IMAGE_TYPES.items() if data.startswith(start)), None)
    if kind is None:
        return None
    with opened_image(data) as picture:
        if picture.width * picture.height > MOST_PIXELS:
            return None
        if len(data) > PACK_ABOVE or max(picture.size) > LONGEST_SIDE:
            packed = picture.convert("RGBA" if "A" in picture.getbands() else "RGB")
            packed.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
            out = io.BytesIO()
            packed.save(out, "WEBP", quality=80, method=2)
            if out.tell() < len(data):
                return Picture(_uri("image/webp", out.getvalue()), *packed.size)
        return Picture(_uri(kind, data), *picture.size)


def _uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def film(folder: Path, name: str, most: int = 3_000_000) -> Picture | None:
    """Return an animated WebP as it is; None where there is none, or it has more than `most` bytes."""
    from ..images import opened_image

    path = folder / name
    data = path.read_bytes() if path.is_file() and path.stat().st_size <= most else b""
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        return None
    try:
        with opened_image(data) as picture:
            return Picture(_uri("image/webp", data), *picture.size)
    except (OSError, ValueError):
        return None
