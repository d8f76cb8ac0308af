"""Images that a run makes from images: holes filled where somebody painted, enlargements, and other kinds of images.

The image is one of the data set, by its number, or a photograph that was given; both may be anything, so both are
decoded with limits.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from ..errors import UsageError
from ..images import as_pillow, colour_channels, encode_png, fit_pixels
from .decoding import decoded_apart
from .drawing import WHOLE, Drawings, Loaded, number_of, work_of
from .gallery import Gallery

LONGEST = 512  # pixels of the longer side of an image as it is: larger ones take a processor too long
REMEMBERED = 8  # photographs
PAINTED = 128  # grey level from which a mask says that a pixel is to be filled

SizeWanted = Literal["trained", "own"]


@dataclass(frozen=True)
class RestoringWanted:
    """An image for a run. image: its number in the data set; photo: of a photograph, instead. size: as the run was
    trained, or its own. to: what a model of several networks makes."""

    run: int = 0
    image: int | None = None
    photo: int | None = None
    size: SizeWanted = "trained"
    to: str | None = None


@dataclass(frozen=True)
class PhotoGiven:
    """A photograph that is remembered, by its number, with its pixels."""

    photo: int
    width: int
    height: int


@dataclass
class Restoring:
    """`images` gives the data set. Raises UsageError before it is there."""

    drawings: Drawings
    images: Callable[[], Gallery]
    photos: OrderedDict[int, np.ndarray] = field(default_factory=OrderedDict)
    count: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def give(self, content: bytes) -> PhotoGiven:
        """Remember an encoded photograph. Raises BadImage."""
        pixels = decoded_apart(content)
        image = as_pillow(pixels)
        image.thumbnail((LONGEST, LONGEST))
        with self.lock:
            self.count += 1
            self.photos[self.count] = np.atleast_3d(np.asarray(image))
            while len(self.photos) > REMEMBERED:
                self.photos.popitem(last=False)
            return PhotoGiven(self.count, image.width, image.height)

    def source(self, wanted: RestoringWanted) -> bytes:
        """Return a PNG of the image as the run is given it. Raises UsageError, BadImage, FileFormatError."""
        with self.drawings.lock:
            loaded = self.drawings.load(wanted.run)
        return encode_png(self._pixels(wanted, loaded))

    def made(self, wanted: RestoringWanted, mask: bytes) -> bytes:
        """Return a PNG of what the run makes of an image. `mask`: an encoded image, white where to fill; empty for a
        run that fills nothing. Raises UsageError, BadImage, FileFormatError."""
        from ..runs.translator import Translating

        painted = colour_channels(decoded_apart(mask), 1)[:, :, 0] >= PAINTED if mask else None
        with self.drawings.lock:
            loaded = self.drawings.load(wanted.run)
            model = loaded.model
            if not isinstance(model, Translating):
                what = f"run {wanted.run} draws from noise and makes nothing of an image"
                raise UsageError("no-translator", what, fix="train inpaint, upscale or restyle")
            if work_of(model) == "fill" and (painted is None or not painted.any()):
                raise UsageError("mask", "nothing is painted, so there is nothing to fill", fix="paint where to fill")
            made = model.translate(self._pixels(wanted, loaded), mask=painted, to=wanted.to)
        return encode_png(made, text={"Weights": loaded.weights}, generated=True)

    def _pixels(self, wanted: RestoringWanted, loaded: Loaded) -> np.ndarray:
        """Return uint8 [H,W,C] in the channels that the run takes."""
        if wanted.photo is not None:
            with self.lock:
                pixels = self.photos.get(wanted.photo)
            if pixels is None:
                raise UsageError("photo", "this photograph is not remembered any more", fix="give it again")
        else:
            gallery, i = self.images(), wanted.image or 0
            if i >= len(gallery):
                what = f"there is no image {i}"
                raise UsageError("image-number", what, fix=f"choose one from 0 to {len(gallery) - 1}")
            pixels = gallery.pixels(i, LONGEST)
        spec = loaded.model.data_spec
        if wanted.size == "trained":
            pixels = fit_pixels(pixels, (spec.height, spec.width))
        return np.array(colour_channels(pixels, spec.channels))  # writeable, as torch wants it


def restoring_wanted(settings: Iterable[tuple[str, str]]) -> RestoringWanted:
    """Return what a request asks for: run, image or photo, size, to. Raises UsageError for what cannot be one."""
    wanted = RestoringWanted()
    for name, value in settings:
        if name in ("run", "image", "photo"):
            wanted = replace(wanted, **{name: int(number_of(name, value, *WHOLE.get(name, (0, 10**9)), whole=True))})
        elif name == "size" and value in ("trained", "own"):
            wanted = replace(wanted, size="own" if value == "own" else "trained")
        elif name == "to":
            wanted = replace(wanted, to=value or None)
        else:
            raise UsageError("link", f"there is no setting {name!r:.60} of {value!r:.60}", fix="reload the page")
    return wanted
