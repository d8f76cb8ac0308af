"""What a study is: its folder, the order of its fits, seeds, the time of a fit; what may change and what not."""

import hashlib
import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np

from .. import files
from ..data.splits import as_budget
from ..devices import choose_device
from ..errors import DataError, FileFormatError, UsageError, pick
from ..records import read_record, to_json
from ..words import plural
from .definition import Definition, LookAtTest
from .records import ROWS, STUDY, STUDY_FORMAT, FitRow, MethodEntry, Trial, in_order
from .worker import AnyMethod, always_pretrained, array_hash

FIXED = ("seed", "test", "pretrained", "device")  # settings that every row of a study shares
COST = {"floor": 0, "traditional": 1, "pretrained": 1, "network": 2, "gan": 3, "ensemble": 4}
QUICK_FAMILIES = ("floor", "traditional", "pretrained")  # whose fits come first
USUAL_BUDGETS = ("5", "20")  # labels a class that a study tries beside all, where there are more
SEEN = 16  # pixels of the shorter side from which on a pretrained network is trained where no methods are named


# What a user may ask for.


def chosen_methods(
    methods: Mapping[str, AnyMethod] | Sequence[str] | None, pretrained: str = "none"
) -> dict[str, AnyMethod]:
    """Return name -> method, in the table's order; where none is named all that can be without `pretrained` "none".

    Raises UsageError for an unknown or missing name, and for a method that needs a pretrained network and has none.
    """
    from ..classifiers import METHODS
    from ..classifiers.methods import refuse_none

    if isinstance(methods, Mapping):
        return dict(methods)
    every = [name for name, method in METHODS.items() if pretrained != "none" or not method.needs_pretrained]
    names = every if methods is None else [methods] if isinstance(methods, str) else list(methods)
    chosen = {name: pick(METHODS, name, "method") for name in names}
    if not chosen:
        raise UsageError("no-methods", "no method to compare", fix=f"name some of {', '.join(METHODS)}")
    for method in chosen.values():
        refuse_none(method, pretrained)
    return {name: method for name, method in METHODS.items() if name in chosen}


def too_dear(methods: Mapping[str, AnyMethod], shape: Sequence[int]) -> list[str]:
    """Return the methods that train a pretrained network, where images [H, W] are so small that it is not worth it.

    On digits of 8x8 pixels a fit took 70 s of a processor, 27 times as long as a network from scratch.
    """
    slow = {name: method for name, method in methods.items() if method.family not in QUICK_FAMILIES}
    return [name for name, method in slow.items() if min(shape) < SEEN and always_pretrained(method)]


def chosen_device(folder: Path, device: str) -> str:
    """Return the device to use: for "auto" the CPU where the study in `folder` began on it, else a GPU if there is one.

    Raises MachineError for a device that is not there.
    """
    if device == "auto" and (folder / STUDY).exists() and Study.read(folder).definition.settings.device == "cpu":
        return "cpu"
    return choose_device(device)


def chosen_budgets(labels: Iterable[int | str] | int | str) -> tuple[str, ...]:
    """Return labels per class as text, smallest first, "all" last. Raises UsageError."""
    given = list(labels) if isinstance(labels, Iterable) and not isinstance(labels, str) else [labels]
    if not given:
        raise UsageError("label-budget", "no number of labels", fix="give one such as 5, or all")
    return in_order({as_budget(budget) for budget in given})


def usual_budgets(labels: np.ndarray) -> tuple[str, ...]:
    """Return USUAL_BUDGETS where every class has more labels than that, and all; labels int64 [N], -1 unlabelled."""
    _, counts = np.unique(labels[labels >= 0], return_counts=True)
    return *(budget for budget in USUAL_BUDGETS if counts.min() > int(budget)), "all"


def checked_count(name: str, value: object, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not low <= value <= high:
        raise UsageError(
            "option-range", f"{name} is {value!r}", fix=f"give a whole number from {low:,} to {high:,}, such as {low}"
        )
    return int(value)


def checked_share(name: str, value: object, low: float, high: float) -> float:
    number = float(value) if isinstance(value, int | float | np.number) and not isinstance(value, bool) else low
    if not low < number < high:
        raise UsageError("option-range", f"{name} is {value!r}", fix=f"give a number between {low:g} and {high:g}")
    return number


# Seeds and order.


def seed_of(seed: int, budget: str, repeat: int) -> int:
    """Return the seed of every method's fit in one repeat at one budget: 31 bits, all that scikit-learn takes."""
    name = repr(("fit", seed, budget, repeat)).encode()
    return int.from_bytes(hashlib.blake2b(name, digest_size=4).digest(), "little") >> 1


def all_trials(methods: Iterable[str], budgets: Iterable[str], repeats: int) -> list[Trial]:
    """Return all fits of a study, arm by arm."""
    return [Trial(m, b, r) for m, b, r in product(methods, budgets, range(repeats))]


# The folder.


@dataclass
class Study:
    """A study folder and what its study.json says."""

    folder: Path
    definition: Definition

    @property
    def limit(self) -> float | None:
        """Seconds that the whole study may take; None without a limit."""
        minutes = self.definition.settings.minutes
        return None if minutes is None else 60 * minutes

    def spent(self, rows: Iterable[FitRow]) -> float:
        """Return the seconds that these fits took, as they ran side by side, and the features before them."""
        definition = self.definition
        jobs = max(1, definition.jobs.jobs) if definition.jobs else 1
        each = [((row.seconds or 0.0) + (row.predict_seconds or 0.0), row.hardware.on_gpu) for row in rows]
        fits = sum(seconds if alone else seconds / jobs for seconds, alone in each)
        return fits + (definition.features_seconds or 0.0)

    @classmethod
    def read(cls, folder: Path | str) -> "Study":
        """Return the study of a folder. Raises FileFormatError when it holds none of a known format."""
        folder = Path(folder)
        path = folder / STUDY
        if not os.path.lexists(path):
            raise FileFormatError(
                "not-a-study", f"{folder} holds no study.json", fix="pass the folder that sparring compare wrote"
            )
        files.refuse_links(folder)
        data = files.read_json(path)
        found = data.get("format") if isinstance(data, dict) else type(data).__name__
        if found == 1:  # the first format: {} where jobs were not settled yet
            data |= {"format": STUDY_FORMAT, "jobs": data.get("jobs") or None}
        elif found != STUDY_FORMAT:
            raise FileFormatError(
                "study-format",
                f"{path} has format {found!r:.40}, this version reads 1 and {STUDY_FORMAT}",
                fix="repeat the study in a new folder",
            )
        return cls(folder, read_record(Definition, data, name=str(path)))

    def save(self, **changes: object) -> None:
        """Write study.json with these fields changed."""
        self.definition = replace(self.definition, **changes)
        files.write_json(self.folder / STUDY, to_json(self.definition, kinds=False))

    def rows(self) -> dict[Trial, FitRow]:
        """Return the last row of every fit, in the order of the file."""
        found: dict[Trial, FitRow] = {}
        for number, line in enumerate(files.read_lines(self.folder / ROWS), 1):
            row = read_record(FitRow, line, name=f"{self.folder / ROWS}, line {number}")
            found.pop(row.trial, None)
            found[row.trial] = row
        return found

    def append(self, row: FitRow) -> None:
        """Add a row; it is on the disk when this returns."""
        files.append_line(self.folder / ROWS, to_json(row, kinds=False))

    def proba(self, row: FitRow) -> np.ndarray | None:
        """Return the test probabilities float32 [T,K] of a row; None when the file is gone or damaged."""
        shape = len(self.definition.test.hashes), len(self.definition.data.classes)
        try:
            most = 4 * shape[0] * shape[1] + 4096  # of float32, and the header
            proba = files.read_arrays(files.inside(self.folder, row.predictions), most=most).get("proba")
        except FileFormatError:
            return None
        whole = (
            proba is not None and proba.shape == shape and proba.dtype == np.float32 and array_hash(proba) == row.digest
        )
        return proba if whole else None

    def missing(self, trials: Iterable[Trial], *, retry: bool) -> list[Trial]:
        """Return the fits without a row that counts; with `retry` also those that failed."""
        rows = self.rows()

        def counts(trial: Trial) -> bool:
            row = rows.get(trial)
            if row is None:
                return False
            return not retry if row.status == "error" else self.proba(row) is not None

        return [trial for trial in trials if not counts(trial)]

    def count_look(self, rows: Mapping[Trial, FitRow]) -> None:
        """Rule 1: count this look at the test labels in study.json, before it happens.

        Looks at the same rows are one, and so are all looks of a study that goes on with what it was asked: until
        someone may have changed the question because of what they saw.
        """
        looks, asked = self.definition.looks, self.asked
        seen = "\n".join(sorted(json.dumps([*trial, row.status, row.digest]) for trial, row in rows.items()))
        digest = hashlib.blake2b(seen.encode(), digest_size=8).hexdigest()
        if digest not in {look.rows for look in looks}:
            earlier = looks[:-1] if looks and looks[-1].asked == asked else looks
            self.save(looks=(*earlier, LookAtTest(now(), digest, len(rows), asked)))

    @property
    def asked(self) -> str:
        """16 hexadecimal digits of methods, budgets and repeats."""
        definition = self.definition
        asked = json.dumps([[m.name for m in definition.methods], list(definition.budgets), definition.repeats])
        return hashlib.blake2b(asked.encode(), digest_size=8).hexdigest()


def begun(folder: Path, new: Definition) -> Study:
    """Return the study in `folder` with this command's methods, budgets and repeats added, or a new one.

    Raises UsageError when it was made with other settings, FileFormatError or DataError when with other data.
    """
    if not (folder / STUDY).exists():
        return Study(folder, new)
    study = Study.read(folder)
    old = study.definition
    refuse_other(folder, old, new)
    before, after = (old.settings.minutes, new.settings.minutes)
    longer = before is not None and (after is None or after > before)
    more = {m.name for m in new.methods} - {m.name for m in old.methods} or set(new.budgets) - set(old.budgets)
    study.definition = replace(
        old,
        settings=replace(old.settings, minutes=after if longer or not old.complete else before),
        complete=old.complete and not (longer or more or new.repeats > old.repeats),
        against=new.against or old.against,
        budgets=in_order({*old.budgets, *new.budgets}),
        repeats=max(old.repeats, new.repeats),
        methods=simplest_first([*old.methods, *new.methods]),
        labels={**old.labels, **new.labels},
    )
    return study


def simplest_first(methods: Iterable[MethodEntry]) -> tuple[MethodEntry, ...]:
    """Return methods without repetition, in the order that tables show them; the last of a name counts."""
    from ..classifiers import METHODS

    table = list(METHODS)
    unique = {m.name: m for m in methods}
    place = {name: table.index(name) if name in table else len(table) for name in unique}
    return tuple(sorted(unique.values(), key=lambda m: (COST.get(m.family, 3), place[m.name], m.name)))


def refuse_other(folder: Path, old: Definition, new: Definition) -> None:
    if old.minutes_each is not None:
        raise UsageError(
            "study-minutes",
            f"the study in {folder} was made by an older version, whose --minutes cut fits short",
            fix="name another folder with --out",
        )
    for name in FIXED:
        values = [getattr(definition.settings, name) for definition in (old, new)]
        if values[0] != values[1]:
            then, now_ = (setting_words(name, value) for value in values)
            raise UsageError(
                "study-settings",
                f"the study in {folder} was made {then}, this command is {now_}",
                fix=f"repeat it {then}, or name another folder with --out",
            )
    if old.data.classes != new.data.classes or old.fingerprint != new.fingerprint:
        raise other_data(folder, old, new)
    if new.against and (old.against is None or old.against.fingerprint != new.against.fingerprint):
        then = f"with --against {old.against.folder}" if old.against else "without --against"
        raise UsageError(
            "study-against",
            f"the study in {folder} was begun {then}, which chose its test images",
            fix="name another folder with --out",
        )
    if old.test != new.test:
        raise FileFormatError(
            "study-split",
            f"the study in {folder} tests on other images than this version of sparring would choose",
            fix="name another folder with --out",
        )


def setting_words(name: str, value: object) -> str:
    """Return `with --seed 5`, `without --minutes`, `on the CPU (--device cpu)`."""
    if name == "device":
        return "on the CPU (--device cpu)" if value == "cpu" else f"on {value} (--device cuda)"
    if value is None:
        return f"without --{name}"
    return f"with --{name} {value:g}" if isinstance(value, int | float) else f"with --{name} {value}"


def other_data(folder: Path, old: Definition, new: Definition) -> DataError:
    then, today = (
        f"{d.data.images:,} images {'x'.join(map(str, d.data.shape))} in {len(d.data.classes)} classes"
        for d in (old, new)
    )
    size, fix = "x".join(map(str, old.data.shape[:2])), "name another folder with --out"
    how = ""
    if old.data.shape[:2] != new.data.shape[:2]:
        fix = f"repeat it with --size {size}, or {fix}"
    elif then == today and old.groups != new.groups:
        how = f" in other groups: {groups_words(old)} then, {groups_words(new)} now"
        fix = f"give the same groups, which decide what is in the test part, or {fix}"
    elif then == today:
        how = " with other pixels, labels or parts"
    what = f"the study in {folder} was made with other data: {then} then, {today} now{how}"
    return DataError("study-data", what, fix=fix)


def groups_words(definition: Definition) -> str:
    return plural(len(set(definition.groups)), "group") if definition.groups else "none"


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
