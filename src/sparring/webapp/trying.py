"""Photographs that somebody tries: what the model says, what they look like, and the answer put right."""

import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
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

    said: the most probable classes with their probabilities, () where nothing is known. answer: "sure", "unsure" or
    "unlike" anything learned from, None where nothing is promised (classifiers.Prediction). heat: whether `heat` can
    show what it looked at. like: the images nearest to it, by number.
    """

    number: int
    said: tuple[tuple[str, float], ...] = ()
    answer: str | None = None
    heat: bool = False
    like: tuple[int, ...] = ()


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
            found = TriedPhotograph(number) if self.place is None else self._asked_model(number, pixels)
            if known is None:
                return found
            fitted = fitted_to(pixels, known)
            like = tuple(known.members[known.suggester.like_new(fitted)].tolist())
            if self.place is None and (proba := known.suggester.classify(fitted[None])) is not None:
                found = replace(found, said=tuple((known.classes[k], p) for k, p in top_of(proba[0], SHOWN)))
            return replace(found, like=like)

    def _asked_model(self, number: int, pixels: np.ndarray) -> TriedPhotograph:
        """Return what the model says that was named."""
        from ..classifiers import classify

        (found,) = classify(self._loaded(), [pixels])
        said = sorted((found.probabilities or {}).items(), key=lambda pair: -pair[1])
        return TriedPhotograph(number, tuple(said[:SHOWN]), found.answer, heat=True)

    def _loaded(self) -> "Classifier":
        from ..classifiers import load_model

        if self.place is None:
            raise UsageError("no-model", "no model was named", fix="start the page with --model")
        self.model = self.model or load_model(self.place)
        return self.model

    def heat(self, number: int) -> np.ndarray:
        """Return a photograph that was tried, uint8 [H,W,3], with what the model looked at in warm colours."""
        from ..explaining import explain_images
        from ..explaining.saving import heated

        with self.lock:
            (found,) = explain_images(self._loaded(), [self._remembered(number)], checks=False)
            if found.picture is None or found.heat is None:
                raise UsageError("no-heat", "there is no heat map of this model", fix="use `sparring explain`")
            return heated(found.picture, found.heat)

    def _remembered(self, number: int) -> np.ndarray:
        if number not in self.tried:
            raise UsageError("tried", "this photograph is not remembered any more", fix="drop it again")
        return self.tried[number]

    def keep(self, number: int) -> str:
        """Write a photograph that was tried as a PNG; return what the answers call it."""
        with self.lock:
            pixels = self._remembered(number)
            folder = files.make_folder(self.folder / ADDED)
            taken = len(list(folder.glob("*.png")))
            while (folder / (name := f"{taken + 1:06d}.png")).exists():
                taken += 1
            files.write_bytes(folder / name, encode_png(pixels))
            return f"./{ADDED}/{name}"  # no image of a data set is called so


def fitted_to(pixels: np.ndarray, known: "Known") -> np.ndarray:
    """Return a photograph uint8 [H,W,C] with the size and channels of the images that are looked at."""
    height, width, channels = known.suggester.images.shape
    return np.array(colour_channels(fit_pixels(pixels, (height, width)), channels))  # writeable, as torch wants it
