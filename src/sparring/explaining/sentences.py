"""Explanations in words."""

from collections.abc import Sequence

import numpy as np

from ..errors import cut, printable
from ..words import listed, number, percent, plural
from .checks import MOST_ALIKE, SHARES, Curves, hottest
from .records import LabelledImage, MapVerdict, PartShare
from .walks import FAR, Walk

HOT = 0.1  # share of the pixels that words about the hottest places mean
SMALLEST_ADDED = 0.1  # log-odds below which a part is said to add nothing
NAMED = 40  # characters of a name


def named(text: str) -> str:
    """Return a name that a stranger may have chosen, on one line and not too long."""
    return cut(printable(text), NAMED)


def place_words(heat: np.ndarray) -> str:
    """Return where the hottest tenth of a map [H,W] lies, such as "in the upper left"; "nowhere" if all is the same."""
    if heat.max() <= heat.min():
        return "nowhere"
    rows, columns = np.nonzero(hottest(heat, (HOT,))[0])
    down, right = (
        (at.mean() + 0.5) / side if len(at) else 0.5 for at, side in zip((rows, columns), heat.shape, strict=True)
    )
    vertical, horizontal = int(3 * down), int(3 * right)  # thirds: 0, 1 or 2
    if vertical == 1:
        return ("on the left", "in the middle", "on the right")[horizontal]
    if horizontal == 1:
        return "at the top" if vertical == 0 else "at the bottom"
    return f"in the {'upper' if vertical == 0 else 'lower'} {'left' if horizontal == 0 else 'right'}"


def answer_sentence(label: str, confidence: float, about: str, share: float) -> str:
    """Return what the model says, and what it says of the class that is explained, if that is another one."""
    said = f"The model says {named(label)}, {percent(confidence)}."
    return said if label == about else f"{said} This is about {named(about)}, to which it gives {percent(share)}."


def place_sentence(verdict: MapVerdict) -> str:
    """Return where a heat map is hottest, and whether it explains anything."""
    return f"{verdict.title}: hottest {verdict.hot}. {verdict.says}".strip()


def map_sentence(curves: Curves, beaten: int, of: int, alike: float, *, what: str = "the probability") -> str:
    """Return whether a heat map explains anything, and what hiding its hottest places does if so."""
    if beaten < of:
        return f"This map is no better than chance: {of - beaten} of {of} maps that show nothing do as well."
    shuffled = f"with its weights shuffled the model gives {'nearly the same' if alike >= MOST_ALIKE else 'another'}"
    if alike >= MOST_ALIKE:
        return f"This map does not show what was learned: {shuffled} (rank correlation {number(alike, 2)})."
    before, after = (percent(curves.deletion[place]) for place in (0, SHARES.index(HOT)))
    likeness = f"{shuffled} (rank correlation {number(alike, 2)})"
    if curves.deletion[SHARES.index(HOT)] >= curves.deletion[0]:
        return (
            f"Hiding the hottest tenth does not lower {what} ({before}, then {after}); hiding more of it lowers it "
            f"further than all {of} maps that show nothing do, and {likeness}."
        )
    return (
        f"Hiding the hottest tenth takes {what} from {before} to {after}. It beats all {of} maps that show nothing, "
        f"and {likeness}."
    )


def parts_sentence(parts: Sequence[PartShare]) -> str:
    """Return what the parts add, the largest first."""
    if len(parts) == 1:
        return f"It looks at {parts[0].name} only."
    order = sorted(parts, key=lambda part: -abs(part.adds))
    told = [part for part in order if abs(part.adds) >= SMALLEST_ADDED]
    said = [f"{part.name} {'speak for' if part.adds > 0 else 'speak against'} it ({part.adds:+.1f})" for part in told]
    if not said:
        return "None of its parts says more than usual."
    return f"In log-odds, beside the usual image: {listed(said)}."


def shares_sentence(first: LabelledImage, needed: int, most: float, weight: float) -> str:
    """Return how many labelled images the answer rests on: `needed` of them have the share `most` together.

    `weight`: how much what `spreading` says counts in the answer of an ensemble; 1 for its own.
    """
    answer = "the answer" if weight >= 1 else f"what spreading says, which counts {percent(weight, 0)} here,"
    return (
        f"{percent(most, 0)} of {answer} rests on {plural(needed, 'labelled image')}; the first, {named(first.name)} "
        f"({named(first.label)}), has {percent(first.share)}."
    )


def walk_sentence(about: str, walk: Walk, other: str) -> str:
    """Return what a walk through a generator changes, and how far its start is from the image."""
    said = (
        f"What would have to change: from the generator's nearest {named(about)} to {named(other)}, "
        f"{percent(walk.share)}, {number(walk.changed, 0)} of 255 grey levels change, in the mean."
    )
    if walk.off < FAR:
        return said
    return f"{said} That start is not this image: it differs by {number(walk.off, 0)}."


def alike_sentence(images: Sequence[LabelledImage], about: str) -> str:
    """Return how many of the most similar labelled images are of the class, and that they are not the cause."""
    same = sum(image.label == about for image in images)
    return (
        f"Of the {plural(len(images), 'labelled image')} most like it, by what the model sees, {same} "
        f"{'is' if same == 1 else 'are'} of class {named(about)}. They are similar; they are not why it answers so."
    )
