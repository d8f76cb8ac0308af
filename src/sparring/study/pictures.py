"""The pictures of a summary: a contact sheet, and the most confident mistakes of the recommended method."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from .. import data, files
from ..data import ImageSet
from ..errors import FileFormatError, SparringError
from ..images import save_png
from .analysis import Arm, Arms, six_digits
from .definition import Definition
from .earlier import parts_of
from .plan import Study
from .prepared import Prepared, split_and_seal
from .records import Mistake
from .summary import Summary

MISTAKES = 24


def draw_pictures(
    study: Study,
    summary: Summary,
    arms: Arms,
    truth: np.ndarray,
    *,
    images: ImageSet | None,
    prepared: Prepared | None,
) -> Summary:
    """Draw the files in pictures/, and return the summary with their names.

    Without images (`read_again`) the pictures stay as they are.
    """
    if images is None or prepared is None:
        return with_old_pictures(study.folder, summary)
    folder = files.make_folder(study.folder / "pictures")
    save_png(folder / "data.png", data.contact_sheet(images))
    chosen = arms.get((summary.recommendation.method or "", summary.recommendation.budget or ""))
    mistakes = tuple(drawn_mistakes(folder, chosen, truth, prepared)) if chosen else ()
    for left in folder.glob("mistake-*.png"):
        if f"pictures/{left.name}" not in {mistake.picture for mistake in mistakes}:
            left.unlink()
    return replace(summary, mistakes=mistakes, data=replace(summary.data, contact_sheet="pictures/data.png"))


def with_old_pictures(folder: Path, summary: Summary) -> Summary:
    """Return the summary with the pictures of the one that is in its folder, where they still say the same."""
    try:
        old = Summary.read(folder)
    except FileFormatError:
        return summary
    mistakes = old.mistakes if old.recommended == summary.recommended else ()
    return replace(summary, mistakes=mistakes, data=replace(summary.data, contact_sheet=old.data.contact_sheet))


def read_again(
    definition: Definition, images: ImageSet | None, prepared: Prepared | None
) -> tuple[ImageSet | None, Prepared | None]:
    """Return both, read where they are not given; (None, None) where that cannot be done."""
    load, settings = definition.load, definition.settings
    try:
        if images is None:
            images = data.load(
                definition.source,
                size=load.size,
                unlabelled=load.unlabelled,
                table=load.table,
                label=load.label,
                group=load.group,
                follow_links=load.follow_links,
            )
            images = definition.grouped(images)
        if prepared is None:
            earlier = parts_of(Study.read(Path(definition.against.folder).expanduser()) if definition.against else None)
            prepared = split_and_seal(images, seed=settings.seed, test=settings.test, earlier=earlier)
    except SparringError:
        return None, None
    if prepared.fingerprint != definition.fingerprint or prepared.test_hashes != definition.test.hashes:
        return None, None
    return images, prepared


def drawn_mistakes(folder: Path, arm: Arm, truth: np.ndarray, prepared: Prepared) -> Iterator[Mistake]:
    """Yield the test images with the highest mean probability of a wrong class, most confident first."""
    for place, i in enumerate(wrong_answers(arm, truth)[:MISTAKES].tolist()):
        path = save_png(folder / f"mistake-{place}.png", prepared.images[prepared.test[i]])
        yield mistake(arm, i, truth, prepared, f"pictures/{path.name}")


def wrong_answers(arm: Arm, truth: np.ndarray) -> np.ndarray:
    """Return the test images [W] whose mean probability is highest for a wrong class, most confident first."""
    said, confidence = arm.summed.argmax(1), arm.summed.max(1)
    wrong = np.flatnonzero(said != truth)
    return wrong[np.argsort(-confidence[wrong], kind="stable")]


def mistake(arm: Arm, i: int, truth: np.ndarray, prepared: Prepared, picture: str) -> Mistake:
    """Return what a method said of test image `i` over all repeats."""
    mean = arm.summed[i] / len(arm.rows)
    return Mistake(
        method=arm.method,
        budget=arm.budget,
        picture=picture,
        true=prepared.classes[truth[i]],
        said=prepared.classes[mean.argmax()],
        confidence=six_digits(float(mean.max())),
        wrong_in=int((~arm.right[:, i]).sum()),
        of=len(arm.rows),
        origin=prepared.test_origins[i],
    )
