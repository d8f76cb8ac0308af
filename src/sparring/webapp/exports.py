"""Labels for other programs: a table, class folders, Label Studio's JSON, FiftyOne's JSON. sparring reads all of them.

What came with the data is in all of them beside what was answered, for a table of labels replaces those of the data.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .. import files
from ..data.names import CHOSEN
from ..data.tables import TABLE, in_table
from ..errors import UsageError
from ..images import encode_png, load_image
from .answers import Answer, Answers
from .gallery import Gallery
from .trying import ADDED

TABLE_COLUMNS_HERE = ("file", "label", "part", "time", "suggested", "asked")
CLASS_FOLDERS, LABEL_STUDIO, FIFTYONE = "folders", "label-studio.json", "fiftyone.json"
Form = Literal["table", "folders", "label-studio", "fiftyone"]


@dataclass(frozen=True)
class ExportedLabel:
    """An image with its label, None where it has none; `answer`: what a person said of it, if anything."""

    number: int
    origin: str
    label: str | None
    part: str
    answer: Answer | None


def labelled_images(gallery: Gallery, answers: Answers) -> Iterator[ExportedLabel]:
    """Yield the images that have a label or an answer. Images that were asked because they help are `chosen`, random
    ones of the test part: so `compare` tests on these alone."""
    known, classes = answers.known(), answers.classes(gallery.classes)
    for i, origin in enumerate(gallery.origins):
        answer, part = known.get(origin), str(gallery.parts[i])
        if answer is not None:
            yield ExportedLabel(i, origin, answer.label, part or part_of_answer(answer, gallery.labels[i] >= 0), answer)
        elif gallery.labels[i] >= 0:
            yield ExportedLabel(i, origin, classes[gallery.labels[i]], part, None)


def part_of_answer(answer: Answer, labelled_before: bool) -> str:
    """Return the part of an image that was asked: a corrected label says nothing of how the image was chosen."""
    return "" if labelled_before else "test" if answer.why == "random" else CHOSEN


def write_labels(path: Path, gallery: Gallery, answers: Answers) -> Path:
    """Write a table that `sparring compare DATA --table` takes, and return its path. Raises MachineError."""
    rows = []
    for one in labelled_images(gallery, answers):
        said = one.answer or Answer("label")
        rows.append((in_table(one.origin), one.label or "", one.part, said.at, said.suggested or "", said.why))
    files.write_csv(path, TABLE_COLUMNS_HERE, rows)
    return path


def export(form: Form, folder: Path, gallery: Gallery, answers: Answers) -> Path:
    """Write the labels in one form into a folder and return the file or folder. Raises UsageError, MachineError."""
    if form == "table":
        return write_labels(folder / TABLE, gallery, answers)
    known = [one for one in labelled_images(gallery, answers) if one.label is not None]
    if not known:
        raise UsageError("no-labels", "no image has a label yet", fix="answer a few questions first")
    if form == "folders":
        return _class_folders(folder, gallery, known, answers)
    if form == "label-studio":
        files.write_json(folder / LABEL_STUDIO, [_task(one) for one in known])
        return folder / LABEL_STUDIO
    files.write_json(folder / FIFTYONE, {"name": gallery.name, "samples": [_sample(one) for one in known]})
    return folder / FIFTYONE


def _class_folders(folder: Path, gallery: Gallery, known: list[ExportedLabel], answers: Answers) -> Path:
    """Copy files, or write PNGs of what is no file, to CLASS/, below train/ and test/ where there is a test part."""
    parts = {one.part for one in known if one.part in ("test", "val")}
    with files.atomic_folder(folder / CLASS_FOLDERS) as temporary:
        for image, said in answers.known().items():
            if said.why == "try" and said.label and image.startswith("./"):
                place = files.inside(folder, image.removeprefix("./"))
                target = temporary / ("train" if parts else "") / files.folder_name(said.label)
                target.mkdir(parents=True, exist_ok=True)
                (target / f"{ADDED}-{place.name}").write_bytes(files.read_bytes(place))
        for one in known:
            part = (one.part if one.part in parts else "train") if parts else ""
            target = temporary / part / files.folder_name(one.label or "")
            target.mkdir(parents=True, exist_ok=True)
            given = gallery.read(one.number)
            stem = f"{one.number:06d}-{files.folder_name(Path(one.origin).stem)[-80:]}"
            if isinstance(given, str | Path):
                shutil.copyfile(given, target / f"{stem}{Path(given).suffix.lower()}")
            else:
                pixels = load_image(given) if isinstance(given, bytes) else given
                (target / f"{stem}.png").write_bytes(encode_png(pixels))
    return folder / CLASS_FOLDERS


def _task(one: ExportedLabel) -> files.JsonObject:
    """Return an image as Label Studio's tasks have it: the label as an annotation, a suggestion as a prediction."""

    def choice(name: str | None) -> list[files.JsonObject]:
        value = {"choices": [name]}
        return [{"from_name": "choice", "to_name": "image", "type": "choices", "value": value}]

    suggested = one.answer.suggested if one.answer else None
    return {
        "data": {"image": one.origin},
        "annotations": [{"result": choice(one.label), "was_cancelled": False}],
        "predictions": [{"result": choice(suggested), "model_version": "sparring"}] if suggested else [],
    }


def _sample(one: ExportedLabel) -> files.JsonObject:
    label = {"_cls": "Classification", "label": one.label}
    return {"filepath": one.origin, "tags": [one.part] if one.part else [], "ground_truth": label}
