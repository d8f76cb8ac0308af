"""What a study is: study.json, its cells in their order, seeds, the time of a fit; what may change and what not."""

import hashlib
import time
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import files
from ..data.splits import as_budget
from ..devices import SPARRING_VERSION
from ..errors import DataError, FileFormatError, UsageError, pick
from .worker import Cell

FORMAT = 1
STUDY, ROWS, SUMMARY, SEAL = "study.json", "results.jsonl", "summary.json", "sealed.bin"
FIXED = ("seed", "test", "minutes")  # settings that every row of a study shares
COST = {"floor": 0, "traditional": 1, "network": 2, "gan": 3}
SLOW = ("network", "gan")  # families that --minutes is divided over
SHARE = 0.85  # of --minutes that network fits get; the rest is for everything else
KEYS = ("method", "budget", "repeat", "status", "error", "labels", "seed", "seconds", "threads", "versions",
        "hardware", "record", "draw")  # fmt: skip
OK_KEYS = ("cpu_seconds", "predict_seconds", "predictions", "digest", "pictures")


# What a user may ask for.


def chosen_methods(methods: Mapping[str, Any] | Sequence[str] | None) -> dict[str, Any]:
    """Name -> method, in the table's order. Raises UsageError for an unknown or missing name."""
    from ..classifiers import METHODS

    if isinstance(methods, Mapping):
        return dict(methods)
    names = list(METHODS) if methods is None else [methods] if isinstance(methods, str) else list(methods)
    chosen = {name: pick(METHODS, name, "method") for name in names}
    if not chosen:
        raise UsageError("no-methods", "no method to compare", fix=f"name some of {', '.join(METHODS)}")
    return {name: method for name, method in METHODS.items() if name in chosen}


def chosen_budgets(budgets: Iterable[int | str] | int | str) -> tuple[str, ...]:
    """Labels per class as text, smallest first, "all" last. Raises UsageError."""
    given = list(budgets) if isinstance(budgets, Iterable) and not isinstance(budgets, str) else [budgets]
    if not given:
        raise UsageError("label-budget", "no number of labels", fix="give one such as 5, or all")
    return in_order({as_budget(budget) for budget in given})


def in_order(budgets: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(budgets, key=lambda b: float("inf") if b == "all" else int(b)))


def checked_count(name: str, value: Any, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not low <= value <= high:
        raise UsageError(
            "option-range", f"{name} is {value!r}", fix=f"give a whole number from {low:,} to {high:,}, such as {low}"
        )
    return int(value)


def checked_share(name: str, value: Any, low: float, high: float) -> float:
    number = value if isinstance(value, int | float | np.number) and not isinstance(value, bool) else None
    if number is None or not low < number < high:
        raise UsageError("option-range", f"{name} is {value!r}", fix=f"give a number between {low:g} and {high:g}")
    return float(number)


# Seeds and order.


def seed_of(seed: int, budget: str, repeat: int) -> int:
    """The seed of every method's fit in one repeat at one budget: 31 bits, all that scikit-learn takes."""
    name = repr(("fit", seed, budget, repeat)).encode()
    return int.from_bytes(hashlib.blake2b(name, digest_size=4).digest(), "little") >> 1


def ordered_cells(methods: Mapping[str, Any], budgets: Sequence[str], repeats: int) -> list[Cell]:
    """Cheap families first, so that something is seen early; then repeat by repeat, so that pairs are complete."""
    place = {name: i for i, name in enumerate(methods)}
    cells = [Cell(m, b, r) for m in methods for b in budgets for r in range(repeats)]
    return sorted(cells, key=lambda c: (COST.get(methods[c.method].family, 3) // 2, c.repeat, budgets.index(c.budget),
                                        place[c.method]))  # fmt: skip


def minutes_each(minutes: float, cells: Iterable[Cell], methods: Mapping[str, Any], jobs: int) -> float | None:
    """The cap on each network fit that makes a study end in about `minutes`. None without network fits."""
    slow = sum(methods[cell.method].family in SLOW for cell in cells)
    if not slow:
        return None
    each = SHARE * minutes * max(1, min(jobs, slow)) / slow
    if each * 60 < 1:
        least = int(np.ceil(slow / 60 / SHARE / max(1, jobs)))
        raise UsageError(
            "minutes",
            f"{minutes:g} minutes leave {60 * each:.2g} s for each of {slow} network fits",
            fix=f"give at least {least} minute{'s' * (least > 1)}, or fewer repeats or methods",
        )
    return round(each, 4)


# The folder.


@dataclass
class Study:
    """A study folder and what its study.json says."""

    folder: Path
    told: dict

    @classmethod
    def read(cls, folder: Path | str) -> "Study":
        """Raises FileFormatError when the folder holds no study of this format."""
        folder = Path(folder)
        if not (folder / STUDY).exists():
            raise FileFormatError(
                "not-a-study", f"{folder} holds no study.json", fix="pass the folder that sparring compare wrote"
            )
        told = files.read_json(folder / STUDY)
        if not isinstance(told, dict) or told.get("format") != FORMAT:
            found = told.get("format") if isinstance(told, dict) else type(told).__name__
            raise FileFormatError(
                "study-format",
                f"{folder / STUDY} has format {found!r}, this version reads {FORMAT}",
                fix="repeat the study in a new folder",
            )
        return cls(folder, told)

    def save(self) -> None:
        files.write_json(self.folder / STUDY, self.told)

    def rows(self) -> dict[Cell, dict]:
        """The last row of every cell, in the order of the file."""
        found: dict[Cell, dict] = {}
        for row in files.read_lines(self.folder / ROWS):
            cell = Cell(row["method"], row["budget"], row["repeat"])
            found.pop(cell, None)
            found[cell] = row
        return found

    def append(self, row: dict) -> None:
        """Adds a row, on the disk when this returns. Rule 8: a row that lacks something is a mistake of ours."""
        lacking = [key for key in (*KEYS, *(OK_KEYS if row["status"] == "ok" else ())) if key not in row]
        if lacking:
            raise KeyError(f"a row lacks {lacking}")
        files.append_line(self.folder / ROWS, row)

    def proba(self, row: dict) -> np.ndarray | None:
        """The test probabilities float32 [T,K] of a row; None when the file is gone or damaged."""
        shape = len(self.told["test"]["hashes"]), len(self.told["data"]["classes"])
        try:
            with (self.folder / row["predictions"]).open("rb") as file, np.load(file, allow_pickle=False) as archive:
                proba = archive["proba"]
        except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile):
            return None
        whole = proba.shape == shape and proba.dtype == np.float32 and digest(proba) == row["digest"]
        return proba if whole else None

    def missing(self, cells: Iterable[Cell], *, retry: bool) -> list[Cell]:
        """Cells without a row that counts; with `retry` also those whose fit failed."""
        rows = self.rows()

        def counts(cell: Cell) -> bool:
            row = rows.get(cell)
            if row is None:
                return False
            return not retry if row["status"] == "error" else self.proba(row) is not None

        return [cell for cell in cells if not counts(cell)]


def begun(folder: Path, definition: dict) -> Study:
    """The study in `folder` with this command's methods, budgets and repeats added, or a new one.

    Raises UsageError when it was made with other settings, FileFormatError or DataError when with other data.
    """
    if not (folder / STUDY).exists():
        made = {"format": FORMAT, "sparring": SPARRING_VERSION, "created": now()}
        return Study(folder, {**made, **definition, "looks": []})
    study = Study.read(folder)
    told = study.told
    refuse_other(study, definition)
    told["budgets"] = list(in_order({*told["budgets"], *definition["budgets"]}))
    told["repeats"] = max(told["repeats"], definition["repeats"])
    told["methods"] = simplest_first([*told["methods"], *definition["methods"]])
    told["labels"] |= definition["labels"]
    return study


def simplest_first(methods: Iterable[dict]) -> list[dict]:
    """Descriptions of methods without repetition, in the order that tables show them."""
    from ..classifiers import METHODS

    table = list(METHODS)
    place = {name: table.index(name) if name in table else len(table) for name in (m["name"] for m in methods)}
    unique = {m["name"]: m for m in methods}.values()
    return sorted(unique, key=lambda m: (COST.get(m["family"], 3), place[m["name"]], m["name"]))


def refuse_other(study: Study, definition: dict) -> None:
    told, folder = study.told, study.folder
    for name in FIXED:
        if told["settings"][name] != definition["settings"][name]:
            old, new = (spelt(name, d["settings"][name]) for d in (told, definition))
            raise UsageError(
                "study-settings",
                f"the study in {folder} was made {old}, this command is {new}",
                fix=f"repeat it {old}, or name another folder with --out",
            )
    if told["data"]["classes"] != definition["data"]["classes"] or told["fingerprint"] != definition["fingerprint"]:
        raise other_data(folder, told["data"], definition["data"])
    if told["test"]["hashes"] != definition["test"]["hashes"]:
        raise FileFormatError(
            "study-split",
            f"the study in {folder} tests on other images than this version of sparring would choose",
            fix="name another folder with --out",
        )


def spelt(name: str, value: Any) -> str:
    return f"without --{name}" if value is None else f"with --{name} {value:g}"


def other_data(folder: Path, old: dict, new: dict) -> DataError:
    return DataError(
        "study-data",
        f"the study in {folder} was made with other data: {counted(old)} then, {counted(new)} now"
        + (" with other pixels, labels or parts" if counted(old) == counted(new) else ""),
        fix="name another folder with --out",
    )


def counted(about: dict) -> str:
    return f"{about['images']:,} images {'x'.join(map(str, about['shape']))} in {len(about['classes'])} classes"


def digest(array: np.ndarray) -> str:
    """16 hexadecimal digits of an array's content."""
    return hashlib.blake2b(array.tobytes(), digest_size=8).hexdigest()


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
