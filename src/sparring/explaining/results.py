"""Explanations with their arrays: what `explain` returns."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .parts import PartOfAnswer
from .records import Explained, ExplainedList, LabelledImage, MapVerdict
from .walks import Walk


@dataclass(frozen=True, eq=False)
class HeatMap:
    """A heat map: `values` float32 [H,W], what each place adds to the log-odds, and whether that explains anything."""

    values: np.ndarray
    verdict: MapVerdict

    @property
    def heat(self) -> np.ndarray:
        """Return float32 [H,W] from 0 to 1: what speaks for the class, over the most of it."""
        return warmth(self.values)


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why a model says what it says of one image.

    `said`: all of it as a record. `picture`: uint8 [H,W,C] as the model takes it, None where the image cannot be read.
    `maps`, `parts`: with their heat. `labelled_pictures`: uint8 [h,w,C] of said.labelled. `walk`: to another class,
    where a run was given.
    """

    said: Explained
    picture: np.ndarray | None = None
    maps: tuple[HeatMap, ...] = ()
    parts: tuple[PartOfAnswer, ...] = ()
    labelled_pictures: tuple[np.ndarray, ...] = ()
    walk: Walk | None = None

    @property
    def heat(self) -> np.ndarray | None:
        """Return float32 [H,W] from 0 to 1 of the first heat map, None where there is none."""
        return self.maps[0].heat if self.maps else None

    @property
    def labelled(self) -> tuple[LabelledImage, ...]:
        """Return the labelled images that the answer rests on, or that are most alike: with shares, or distances."""
        return self.said.labelled

    @property
    def sentences(self) -> tuple[str, ...]:
        return self.said.sentences


@dataclass(frozen=True, eq=False)
class Explanations:
    """The explanations of some images by one model; `said`: all of them as a record."""

    said: ExplainedList
    found: tuple[Explanation, ...]

    def __len__(self) -> int:
        return len(self.found)

    def __getitem__(self, place: int) -> Explanation:
        return self.found[place]

    def __iter__(self) -> Iterator[Explanation]:
        return iter(self.found)


def warmth(values: np.ndarray) -> np.ndarray:
    """Return float32 [H,W] from 0 to 1: what is above zero, over the most of it; zeros where nothing is."""
    above = np.maximum(values, 0)
    return (above / above.max() if above.max() > 0 else above).astype(np.float32)
