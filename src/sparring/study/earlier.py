"""The study that a new one is compared with: what it did with which image, and whether they can be compared."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .. import files
from ..data import EarlierParts
from ..errors import DataError, FileFormatError, UsageError
from ..words import from_home
from .definition import Definition, EarlierStudy
from .plan import Study
from .prepared import Prepared
from .records import STUDY

LEARNED = "learned.npz"  # hashes of the training images that had a label, uint8 [N,16]


def remember(folder: Path, prepared: Prepared) -> None:
    """Write the hashes of the labelled training images, for a later study that is compared with this one.

    After the fits, so that none of them can read it.
    """
    if not (folder / LEARNED).exists():
        hashes = np.frombuffer(bytes.fromhex("".join(prepared.label_hashes)), np.uint8)
        files.write_arrays(folder / LEARNED, hashes=hashes.reshape(len(prepared.label_hashes), -1))


def parts_of(study: Study | None) -> EarlierParts | None:
    """Return what a study did with which images; the training part is not known of older studies."""
    if study is None:
        return None
    test = frozenset(study.definition.test.hashes)
    try:
        rows = files.read_arrays(study.folder / LEARNED)["hashes"]
        return EarlierParts(test, frozenset(row.tobytes().hex() for row in rows))
    except (FileFormatError, LookupError, TypeError):
        return EarlierParts(test)


def earlier_study(folder: Path, against: Path | str | None) -> Study | None:
    """Return the study that the one in `folder` is compared with: `against`, or what it was begun with, or None.

    Raises FileFormatError where there is no study, UsageError where it is the same folder.
    """
    if against is None:
        begun = Study.read(folder).definition.against if (folder / STUDY).exists() else None
        return Study.read(Path(begun.folder).expanduser()) if begun else None
    if Path(against).resolve() == folder.resolve():
        raise UsageError(
            "against-itself",
            f"{against} would be compared with itself",
            fix="name another folder for the new study with --out",
        )
    return Study.read(against)


def as_record(study: Study | None) -> EarlierStudy | None:
    """Return what study.json of the new study says of an earlier one."""
    if study is None:
        return None
    before = study.definition.against
    looks = len(study.definition.looks) + (before.looks if before else 0)
    return EarlierStudy(from_home(str(study.folder)), study.definition.fingerprint, looks)


def common_budgets(old: Definition, budgets: Sequence[str]) -> list[str]:
    """Return the budgets of a new study that the old one has too, smallest first."""
    return [budget for budget in budgets if budget in old.budgets]


def refuse_unlike(earlier: Study | None, prepared: Prepared, budgets: Sequence[str]) -> None:
    """Raise DataError or UsageError where a new study cannot be compared with the earlier one at all."""
    if earlier is None:
        return
    old, folder = earlier.definition, earlier.folder
    if old.data.classes != prepared.classes:
        then, today = (", ".join(classes[:8]) for classes in (old.data.classes, prepared.classes))
        raise DataError(
            "against-classes",
            f"the study in {folder} has other classes: {then} then, {today} now",
            fix="compare without --against",
        )
    if not set(old.test.hashes) & set(prepared.test_hashes):
        sizes = ["x".join(map(str, shape[:2])) for shape in (old.data.shape, prepared.about.shape)]
        other = sizes[0] != sizes[1]
        raise DataError(
            "against-images",
            f"no test image of the study in {folder} is a test image of {prepared.about.name}"
            + (f": images had {sizes[0]} pixels then and have {sizes[1]} now" if other else ""),
            fix=f"add --size {sizes[0]}" if other else "compare without --against",
        )
    if not common_budgets(old, budgets):
        raise UsageError(
            "against-labels",
            f"the study in {folder} learned from {', '.join(old.budgets)} labels a class, this one from "
            f"{', '.join(budgets)}",
            fix=f"add --labels {','.join(old.budgets)}",
        )
