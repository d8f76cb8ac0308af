"""The pictures of a summary: the most confident mistakes of the recommended method, and what the data looks like."""

from pathlib import Path

import numpy as np

from .. import data, files
from ..data import ImageSet
from ..errors import SparringError
from ..images import save_png
from .analysis import Arm, number
from .plan import SUMMARY, Study
from .prepared import Prepared, prepare

MISTAKES = 24


def draw_pictures(
    study: Study,
    summary: dict,
    arms: dict[tuple[str, str], Arm],
    truth: np.ndarray,
    *,
    images: ImageSet | None,
    prepared: Prepared | None,
) -> dict:
    """{"mistakes", "data"} of a summary, and their files in pictures/.

    Without images they are read again from the study's source; where that fails, the pictures stay as they are.
    """
    images, prepared = found(study, images, prepared)
    about = summary["data"]
    if images is None or prepared is None:
        old = files.read_json(study.folder / SUMMARY) if (study.folder / SUMMARY).exists() else {}
        same = old.get("recommendation", {}).get("method") == summary["recommendation"]["method"]
        kept = {"mistakes": old.get("mistakes", []) if same else []}
        return {**kept, "data": {**about, "contact_sheet": old.get("data", {}).get("contact_sheet")}}
    folder = files.make_folder(study.folder / "pictures")
    save_png(folder / "data.png", data.contact_sheet(images))
    chosen = summary["recommendation"]["method"], summary["recommendation"]["budget"]
    mistakes = list(drawn_mistakes(folder, arms[chosen], truth, prepared, study)) if chosen in arms else []
    for left in folder.glob("mistake-*.png"):
        if f"pictures/{left.name}" not in {mistake["picture"] for mistake in mistakes}:
            left.unlink()
    return {"mistakes": mistakes, "data": {**about, "contact_sheet": "pictures/data.png"}}


def found(study: Study, images: ImageSet | None, prepared: Prepared | None):
    """(images, prepared), read again where they are not given; (None, None) where that cannot be done."""
    told = study.told
    try:
        if images is None:
            images = data.load(told["source"], **told["load"])
        if prepared is None:
            prepared = prepare(images, seed=told["settings"]["seed"], test=told["settings"]["test"])
    except SparringError:
        return None, None
    if prepared.fingerprint != told["fingerprint"] or list(prepared.test_hashes) != told["test"]["hashes"]:
        return None, None
    return images, prepared


def drawn_mistakes(folder: Path, arm: Arm, truth: np.ndarray, prepared: Prepared, study: Study):
    """The test images whose mean probability over repeats is highest for a wrong class, most confident first."""
    mean = arm.summed / len(arm.rows)
    said, confidence = mean.argmax(1), mean.max(1)
    wrong = np.flatnonzero(said != truth)
    for place, i in enumerate(wrong[np.argsort(-confidence[wrong], kind="stable")][:MISTAKES].tolist()):
        path = save_png(folder / f"mistake-{place}.png", prepared.images[prepared.test[i]])
        yield {
            "method": arm.method,
            "budget": arm.budget,
            "picture": path.relative_to(study.folder).as_posix(),
            "true": prepared.classes[truth[i]],
            "said": prepared.classes[said[i]],
            "confidence": number(confidence[i]),
            "wrong_in": int((~arm.right[:, i]).sum()),
            "of": len(arm.rows),
            "origin": prepared.test_origins[i],
        }
