"""Why a file cannot become pixels, in a few words for people."""

from pathlib import Path
from typing import IO

from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from .kinds import LOOKED_FOR, PIXEL_LIMIT, START, UnreadableKind, is_avif, looks_like_image

BIG_TIFF = (b"+\0", b"\0+")
WHOLE_TIFF = {256, 257, 258, 262}  # tags without which the list of tags has lost its end: width, height, bits, colours
TIFF_TAGS = ((258, (1,)), (339, (1,)), (277, 1))  # bits of each band, its kind of numbers, bands; with their defaults


def too_large(what: str) -> str:
    return f"{what} pixels, more than the limit of {PIXEL_LIMIT // 1_000_000} million"


def reason_for(error: Exception, file: IO[bytes] | None) -> str:
    """Return the failure in a few words for people."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, PermissionError):
        return "permission denied"
    if isinstance(error, IsADirectoryError):
        return "it is a folder"
    if isinstance(error, Image.DecompressionBombError):
        return too_large("far too many")
    if isinstance(error, MemoryError):
        return "too large for the memory"
    if isinstance(error, UnreadableKind):
        return str(error)
    if isinstance(error, UnidentifiedImageError):
        return _what_it_is(first_bytes(file), file)
    text = str(error).strip() or type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    if "truncated" in text.lower():
        return "truncated"
    return f"damaged: {text}"


def first_bytes(file: IO[bytes] | None) -> bytes:
    try:
        if file is None:
            return b""
        file.seek(0)
        return file.read(START)
    except (OSError, ValueError):
        return b""


def file_start(path: str) -> bytes:
    """Return the first bytes of a file, none where it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            return file.read(START)
    except OSError:
        return b""


def _what_it_is(start: bytes, file: IO[bytes] | None) -> str:
    """Return what a file is that we cannot decode, from its first bytes."""
    known = {b"8BPS": "Photoshop", b"%PDF": "PDF", b"%!PS": "PostScript", b"PK": "a zip archive"}
    if not start:
        return "empty file (0 bytes)"
    if start[4:8] == b"ftyp" and not is_avif(start):
        return "a film, which holds many pictures; take some of them first: sparring data DATA --frames 10 --out FOLDER"
    for magic, name in known.items():
        if start.startswith(magic):
            return f"{name} is not supported; looked for {LOOKED_FOR}"
    if start.startswith((b"II", b"MM")) and (bands := _tiff_words(file)):
        return bands
    if looks_like_image(start):
        return "truncated or damaged header"
    if all(32 <= byte < 127 or byte in b"\t\r\n" for byte in start):
        return f"not an image: starts with {start[:16].decode().strip()!r}"
    return f"not an image: starts with the bytes {start[:8].hex(' ')}"


def _tiff_words(file: IO[bytes] | None) -> str:
    """Return what the bands are of a TIFF that cannot be opened, "" where its header cannot be read either."""
    try:
        assert file is not None
        file.seek(0)
        start = file.read(8)
        directory = TiffImagePlugin.ImageFileDirectory_v2(start + file.read(8) if start[2:4] in BIG_TIFF else start)
        file.seek(directory.next)
        directory.load(file)
        if not set(directory) >= WHOLE_TIFF:
            return ""
        bits, kinds, bands = (directory.get(tag, default) for tag, default in TIFF_TAGS)
    except Exception:  # a damaged header may raise anything
        return ""
    kind = f"{max(bits)}-bit {'floating' if 3 in kinds else 'whole'} numbers"
    known = "black and white are" if bands == 1 else "red, green and blue are"
    return (
        f"a TIFF of {bands} bands of {kind}, of which it is not known what {known}; save 1 or 3 bands of 8 or 16 bits"
    )
