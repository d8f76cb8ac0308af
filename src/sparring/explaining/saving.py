"""Explanations as files: explanations.json and a PNG of each image, heat map, part and labelled image."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from .. import files
from ..images import encode_png, fit_pixels, grid
from ..records import to_json
from .records import FILE, PAGE, PICTURES
from .results import Explanation, Explanations, warmth

LARGEST = 320  # pixels of the longer side of a picture
FIRE = np.array([[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]], np.float32)  # dark to light
COVER = 0.85  # of the image, by its hottest place


def explanations_folder(out: str | Path, data: object) -> Path:
    """Return the folder if explanations may be written there. Raises UsageError or MachineError."""
    return files.new_folder(out, ours=(FILE, PAGE, PICTURES), data=data)


def save_explanations(made: Explanations, folder: Path) -> Explanations:
    """Write explanations into a folder, whole or not at all, and return them with the names of their pictures."""
    files.make_folder(folder)
    with files.atomic_folder(folder / PICTURES) as temporary:
        found = tuple(_saved(one, place, temporary) for place, one in enumerate(made.found))
    said = replace(made.said, images=tuple(one.said for one in found))
    files.write_json(folder / FILE, to_json(said, kinds=False))
    return Explanations(said, found)


def _saved(one: Explanation, place: int, folder: Path) -> Explanation:
    """Write the pictures of one image, and return it with their names."""
    if one.picture is None:
        return one

    def written(name: str, picture: np.ndarray) -> str:
        (folder / name).write_bytes(encode_png(_small(picture), generated="walk" in name))
        return f"{PICTURES}/{name}"

    maps = tuple(
        replace(
            m, verdict=replace(m.verdict, picture=written(f"{place}-{m.verdict.by}.png", heated(one.picture, m.heat)))
        )
        for m in one.maps
    )
    parts = tuple(
        replace(share, picture=written(f"{place}-part-{i}.png", heated(one.picture, warmth(part.where))))
        for i, (share, part) in enumerate(zip(one.said.parts, one.parts, strict=True))
    )
    labelled = tuple(
        replace(image, picture=written(f"labelled-{_hash(picture)}.png", picture))
        for image, picture in zip(one.said.labelled, one.labelled_pictures, strict=True)
    )
    walk = one.said.walk
    if walk is not None and one.walk is not None:
        walk = replace(walk, picture=written(f"{place}-walk.png", grid(one.walk.images, columns=len(one.walk.images))))
    said = replace(
        one.said,
        walk=walk,
        maps=tuple(m.verdict for m in maps),
        parts=parts,
        labelled=labelled,
        picture=written(f"{place}.png", one.picture),
    )
    return replace(one, said=said, maps=maps)


def _hash(picture: np.ndarray) -> str:
    """Return a name for a picture: an image that many answers rest on is written once."""
    return hashlib.blake2b(repr(picture.shape).encode() + picture.tobytes(), digest_size=6).hexdigest()


def _small(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    scale = LARGEST / max(height, width)
    return picture if scale >= 1 else fit_pixels(picture, (max(1, round(scale * height)), max(1, round(scale * width))))


def heated(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Return uint8 [H,W,3]: an image uint8 [H,W,C] in grey, its hottest places in the colours of a fire.

    heat [H,W] from 0 to 1.
    """
    grey = image.mean(2, keepdims=True).repeat(3, 2)
    place = heat.clip(0, 1) * (len(FIRE) - 1)
    low = place.astype(int).clip(0, len(FIRE) - 2)
    colour = FIRE[low] + (place - low)[..., None] * (FIRE[low + 1] - FIRE[low])
    cover = COVER * heat[..., None] ** 0.5
    return ((1 - cover) * grey + cover * colour).round().clip(0, 255).astype(np.uint8)
