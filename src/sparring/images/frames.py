"""The pictures of a file that holds several: pages of a TIFF, frames of a GIF, WebP, AVIF or PNG, and of a film.

Of DICOM and NIfTI one picture is taken, as everywhere.

Films are read by PyAV, an optional package. What demuxer reads a film is settled by its first bytes, so that no list of
addresses can pass for one.
"""

from collections.abc import Iterator
from importlib import import_module
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np

from . import BadImage, Source, opened_image, pixels_of, quiet_decoders, read_header, to_mode
from .kinds import FILM, PIXEL_LIMIT, UnreadableKind
from .limits import refuse_costly
from .reasons import file_start, first_bytes, too_large

MOST_PIXELS = 4_000_000_000  # that are decoded of one file: 2,000 pages of 2 million
MOST_BETWEEN = 3000  # frames of a film that are decoded, at most, to come to the next one that is wanted


def frames_of(source: Source, most: int | None = None) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the number, from 1, and the pixels uint8 [H,W,C] of every page or frame, or of `most`, evenly spread.

    A film's frames are numbered by their time and its mean rate. Raises BadImage.
    """
    try:
        if (kind := film_format(source)) is None:
            yield from pages_of(source, most)
        elif not FILM.installed:
            raise UnreadableKind(f"{FILM.name} are not read here; {FILM.advice}")
        else:
            yield from _film_frames(source, kind, most)
    except UnreadableKind as error:
        raise BadImage(str(error)) from None


def has_several(source: Source) -> bool:
    """Return whether a file is a film or an image of several pages or frames. Raises BadImage."""
    if film_format(source) is not None:
        return True
    with quiet_decoders(), opened_image(source) as image:
        return getattr(image, "n_frames", 1) > 1


def spread(count: int, most: int | None) -> list[int]:
    """Return the places of `most` out of `count`, each in the middle of its stretch; all where there are no more."""
    if most is None or most >= count:
        return list(range(count))
    return [(2 * k + 1) * count // (2 * most) for k in range(most)]


def pages_of(source: Source, most: int | None) -> Iterator[tuple[int, np.ndarray]]:
    with quiet_decoders(), opened_image(source) as image:
        places = spread(getattr(image, "n_frames", 1), most)
        passed = len(places) if image.format == "TIFF" else places[-1] + 1  # an animation is decoded from its start
        if passed * image.width * image.height > MOST_PIXELS:
            size = f"{image.width} x {image.height}"
            raise UnreadableKind(f"{passed:,} frames of {size} pixels are more than {MOST_PIXELS:,} pixels together")
        for place in places:
            image.seek(place)
            if image.width * image.height > PIXEL_LIMIT:
                raise BadImage(too_large(f"{image.width} x {image.height}"))
            refuse_costly(image)
            page = image.copy()
            yield place + 1, pixels_of(to_mode(page, read_header(page).channels))


# --- films -----------------------------------------------------------------------------------------------------------


def film_format(source: Source) -> str | None:
    """Return the name of a film's container as PyAV has it, by its first bytes; None where it is no film."""
    file = BytesIO(source) if isinstance(source, bytes) else None
    start = first_bytes(file) if file else file_start(str(source))
    if start[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip") and start[8:11] not in IMAGE_BRANDS:
        return "mov"
    if start.startswith(b"\x1aE\xdf\xa3"):
        return "matroska"
    return "avi" if start.startswith(b"RIFF") and start[8:12] == b"AVI " else None


IMAGE_BRANDS = {b"avi", b"hei", b"hev", b"mif", b"msf"}  # of AVIF and HEIC, which begin like a film


def _film_frames(source: Source, kind: str, most: int | None) -> Iterator[tuple[int, np.ndarray]]:
    av: Any = import_module("av")

    file: IO[bytes] = BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb")  # noqa: SIM115 closed
    try:
        with file, av.open(file, format=kind) as film:
            if not film.streams.video:
                raise UnreadableKind("a film without pictures")
            film.streams.video[0].thread_type = "AUTO"
            yield from _every(film) if most is None else _some(film, most)
    except av.error.FFmpegError as error:
        raise BadImage(f"damaged: {error.strerror or error}") from error


def _every(film: Any) -> Iterator[tuple[int, np.ndarray]]:
    for number, frame in enumerate(film.decode(film.streams.video[0]), 1):
        yield number, frame_pixels(frame)


def _some(film: Any, most: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yield frames at times evenly spread; of a film that does not say how long it is, by counting its packets."""
    stream = film.streams.video[0]
    rate = float(stream.average_rate or 25)
    count = stream.frames or int(rate * float((stream.duration or 0) * (stream.time_base or 0)))
    count = count or int(rate * (film.duration or 0) / 1_000_000) or sum(p.size > 0 for p in film.demux(stream))
    begin = stream.start_time or 0
    for place in spread(count, most):
        wanted = begin + round(place / rate / float(stream.time_base or 1))
        film.seek(wanted, stream=stream)
        last: Any = None
        for frame in islice(film.decode(stream), MOST_BETWEEN):
            last = frame
            if frame.pts is None or frame.pts >= wanted:
                break
        if last is not None:
            yield place + 1, frame_pixels(last)


def frame_pixels(frame: Any) -> np.ndarray:
    if frame.width * frame.height > PIXEL_LIMIT:
        raise BadImage(too_large(f"{frame.width} x {frame.height}"))
    upright = np.rot90(frame.to_ndarray(format="rgb24"), (getattr(frame, "rotation", 0) or 0) // 90)
    return np.ascontiguousarray(upright)
