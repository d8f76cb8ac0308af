"""Photographs that somebody tries: what the model says, what they look like, and the answer put right."""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .. import files
from ..errors import UsageError
from ..images import colour_channels, encode_png, fit_pixels
from .decoding import decoded_apart
from .known import top_of

if TYPE_CHECKING:  # loaded when the first photograph is tried
    from ..classifiers import Classifier
    from .suggesting import Known

ADDED = "added"  # the folder of photographs that were kept
REMEMBERED = 50  # photographs that can still be put right
SHOWN = 5  # classes


@dataclass(frozen=True)
class TriedPhotograph:
    """What is said of a photograph.

    said: the most probable classes with their probabilities, () where nothing is known. like: the images nearest to
    it, by number.
    """

    number: int
    said: tuple[tuple[str, float], ...]
    like: tuple[int, ...]


class Tryout:
    """Answers about photographs, by a model folder, or by the labels of the data set where none is named."""

    def __init__(self, folder: Path, model: Path | None):
        self.folder, self.place = folder, model
        self.lock = threading.Lock()  # one photograph at a time
        self.tried: OrderedDict[int, np.ndarray] = OrderedDict()
        self.count = 0
        self.model: Classifier | None = None

    def look(self, content: bytes, known: "Known | None") -> TriedPhotograph:
        """Return what is said of an encoded photograph. Raises BadImage, FileFormatError."""
        pixels = decoded_apart(content)
        with self.lock:
            self.count += 1
            number = self.count
            self.tried[number] = pixels
            while len(self.tried) > REMEMBERED:
                self.tried.popitem(last=False)
            fitted = None if known is None else fitted_to(pixels, known)
            like = (
                ()
                if known is None or fitted is None
                else tuple(known.members[known.suggester.like_new(fitted)].tolist())
            )
            return TriedPhotograph(number, self._said(pixels, fitted, known), like)

    def _said(
        self, pixels: np.ndarray, fitted: np.ndarray | None, known: "Known | None"
    ) -> tuple[tuple[str, float], ...]:
        """Return the most probable classes: of the model that was named, else of the labels."""
        if self.place is not None:
            from ..classifiers import classify, load_model

            self.model = self.model or load_model(self.place)
            (found,) = classify(self.model, [pixels])
            said = found.probabilities or {}
            return tuple(sorted(said.items(), key=lambda pair: -pair[1])[:SHOWN])
        if known is None or fitted is None or (proba := known.suggester.classify(fitted[None])) is None:
            return ()
        return tuple((known.classes[k], p) for k, p in top_of(proba[0], SHOWN))

    def keep(self, number: int) -> str:
        """Write a photograph that was tried as a PNG; return what the answers call it."""
        with self.lock:
            if number not in self.tried:
                raise UsageError("tried", "this photograph is not remembered any more", fix="drop it again")
            folder = files.make_folder(self.folder / ADDED)
            taken = len(list(folder.glob("*.png")))
            while (folder / (name := f"{taken + 1:06d}.png")).exists():
                taken += 1
            files.write_bytes(folder / name, encode_png(self.tried[number]))
            return f"./{ADDED}/{name}"  # no image of a data set is called so


def fitted_to(pixels: np.ndarray, known: "Known") -> np.ndarray:
    """Return a photograph uint8 [H,W,C] with the size and channels of the images that are looked at."""
    height, width, channels = known.suggester.images.shape
    return np.array(colour_channels(fit_pixels(pixels, (height, width)), channels))  # writeable, as torch wants it
