"""What a classifier says of images as one HTML page: sure, unsure and unlike, with pictures."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .. import files
from ..errors import DataError
from ..images import encode_png, load_image
from ..words import from_home
from .html import template
from .pictures import Picture, packed

if TYPE_CHECKING:
    from ..classifiers.fitting import Prediction

MOST_SHOWN = 60  # pictures of a group
LARGEST_SIDE = 160  # pixels of a picture
ADVICE = {
    "sure": "",
    "unsure": "Not sure enough for what was asked for. Look at these, or label some of them and fit again.",
    "unlike": "Of the images of its classes hardly any look as unlike what it learned from. The class that is named is "
    "the nearest one, and may well be none.",
    "": "The most probable class of each.",
}


@dataclass(frozen=True)
class AnswerGroup:
    """Images of one kind of answer, the least sure first: the `shown` ones with pictures, of `count` in all."""

    id: str
    title: str
    advice: str
    count: int
    shown: tuple[tuple["Prediction", Picture | None], ...]


def write_answers_page(path: Path | str, name: str, said: Sequence["Prediction"], promises: Sequence[str]) -> Path:
    """Write the page about predictions of a model of this name, whose promises are sentences; return its path.

    Images that are files are shown. Raises MachineError where the page cannot be written.
    """
    read, bad = [p for p in said if not p.problem], [p for p in said if p.problem]
    values = {"name": name, "groups": tuple(answer_groups(read)), "images": len(read), "bad": bad, "promises": promises}
    files.write_text(path, from_home(template("answers.html").render(**values)))
    return Path(path)


def answer_groups(said: Sequence["Prediction"]) -> list[AnswerGroup]:
    """Return the groups of the page: unlike, unsure, and those that are sure by class."""
    members: dict[tuple[str, str], list[Prediction]] = {}
    for p in sorted(said, key=lambda p: p.confidence or 0.0):
        kind = p.answer or ""
        members.setdefault((kind, (p.label or "") if kind in ("sure", "") else ""), []).append(p)
    order = sorted(members, key=lambda key: (["unlike", "unsure", "sure", ""].index(key[0]), key[1]))
    return [
        AnswerGroup(
            f"group-{number}",
            label or {"unlike": "Unlike all it learned from", "unsure": "Unsure"}[kind],
            ADVICE[kind],
            len(members[kind, label]),
            tuple((p, picture_of(p.image)) for p in members[kind, label][:MOST_SHOWN]),
        )
        for number, (kind, label) in enumerate(order, 1)
    ]


def picture_of(name: str) -> Picture | None:
    """Return a small picture of an image file; None where it is no file."""
    from ..images import fit_pixels

    if not Path(name).is_file():
        return None
    with suppress(DataError):
        image = load_image(name)
        height, width = image.shape[:2]
        scale = min(1.0, LARGEST_SIDE / max(height, width))
        return packed(encode_png(fit_pixels(image, (max(1, round(scale * height)), max(1, round(scale * width))))))
    return None
