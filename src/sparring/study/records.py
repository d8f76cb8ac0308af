"""What the files of a study hold, as frozen records: study.json, results.jsonl, summary.json.

Writers, advice, the command line and the report use these classes, and nothing else knows the names of fields. A share
or an accuracy lies between 0 and 1, a difference of accuracies between -1 and 1 (0.01 = one point).
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path
from typing import Any, Literal, NamedTuple

from .. import files
from ..errors import FileFormatError, pick, printable
from ..records import Progress, read_record, record
from ..stats import Bin, Difference, Interval, RepeatedInterval, Verdict, opposite
from ..words import budget_name, duration, interval, percent

FORMAT = 2  # of study.json and summary.json
STUDY, ROWS, SUMMARY, SEAL = "study.json", "results.jsonl", "summary.json", "sealed.bin"
COLUMNS = ("method", "accuracy", "95 %", "group", "a fit takes")  # of Summary.table
Curves = Mapping[str, tuple[tuple[float | None, ...], ...]]  # name -> (step or images seen, value), ...


class Trial(NamedTuple):
    """One fit of a study: a method, with so many labels, for the so manieth time."""

    method: str
    budget: str  # labels per class: "5", "20", "all"
    repeat: int

    def __str__(self) -> str:
        return f"{self.method}-{self.budget}-{self.repeat}"


@dataclass(frozen=True)
class StudyProgress(Progress):
    """Where a study stands. `what`: "data", "fits", "summary", "model", "stopped" or "done"."""

    running: tuple[str, ...] = ()  # the fits at work
    finished: "FitRow | None" = None  # the fit that has just ended


# Shared by several files.


@record
class Problem:
    """Why something failed; `trace` only for an error that is not one of sparring's."""

    id: str
    reason: str
    fix: str
    trace: str = ""


@record
class MethodEntry:
    """A method as tables show it."""

    name: str
    title: str
    what: str
    family: str
    cites: tuple[str, ...] = ()


@record
class DuplicateCounts:
    """Images that show what another one shows; `moved`: to the training part, because of that."""

    exact: int
    near: int
    across: int
    moved: int


@record
class StudyData:
    """The images of a study."""

    name: str
    source: str
    layout: str
    images: int
    classes: tuple[str, ...]
    shape: tuple[int, ...]  # height, width, channels
    unlabelled: int
    size_rule: str
    warnings: tuple[str, ...]
    counts: Mapping[str, Mapping[str, int]]  # "train", "test" -> class -> labelled images
    bad_files: tuple[tuple[str, ...], ...]  # (name, reason) of the first of them
    bad_files_count: int
    duplicates: DuplicateCounts
    split: str  # how the test part was chosen
    contact_sheet: str | None = None  # a file in the folder of the study


@record
class FitMachine:
    """Where a fit ran."""

    cpu: str
    cores: int
    memory_gib: float | None
    device: str


@record
class StudyMachine(FitMachine):
    """Where the fits of a study ran, and how."""

    precision: str | None
    threads: int | None
    jobs: int | None


# study.json


@record
class StudySettings:
    """What every row of a study shares."""

    seed: int
    test: float  # share of each class for the test part, where the source has none
    minutes: float | None


@record
class SealedImages:
    """Of the test images, in their order; no file names, because folders are classes."""

    hashes: tuple[str, ...]


@record(renamed={"table": "labels"})
class LoadOptions:
    """How the images were read: arguments of `sparring.load`."""

    size: int | str | tuple[int, ...] | None
    unlabelled: str | None
    table: str | None


@record
class Jobs:
    """Processes and threads of each, on a machine of so many cores."""

    cores: int
    jobs: int
    threads: int
    measured: Mapping[str, float] | None = None  # "processes x threads" -> training steps a second


@record
class LookAtTest:
    """The test labels were opened for the rows of this hash."""

    when: str
    rows: str
    count: int


@record
class SavedModel:
    """What STUDY/model was fitted with."""

    method: str


@record
class Definition:
    """study.json: what a study is, and what was settled on its way."""

    format: int
    sparring: str
    created: str
    command: str | None
    source: str
    settings: StudySettings
    methods: tuple[MethodEntry, ...]
    budgets: tuple[str, ...]
    labels: Mapping[str, int]  # budget -> labels in all
    repeats: int
    fingerprint: str
    data: StudyData
    test: SealedImages
    load: LoadOptions
    minutes_each: float | None = None
    jobs: Jobs | None = None
    looks: tuple[LookAtTest, ...] = ()
    steps: Mapping[str, int] = field(default_factory=dict)  # budget -> optimiser steps, where minutes cap them
    model: SavedModel | None = None


# results.jsonl


@record
class GateNumbers:
    """Whether generated images may be used: balanced accuracies on held-out labels; None where it was not tried."""

    passed: bool
    without: float | None
    with_: float | None
    difference: float | None
    low: float | None
    high: float | None
    sentence: str


@record
class FitNotes:
    """What a summary uses of the notes that an estimator leaves in `record_`."""

    steps: int | None = None
    planned: int | None = None  # steps, had time not run out
    precision: str | None = None
    note: str | None = None
    curves: Curves = field(default_factory=dict)
    gan_curves: Curves = field(default_factory=dict)
    gate: GateNumbers | None = None

    @classmethod
    def of(cls, noted: Mapping[str, Any]) -> "FitNotes":
        """Return what is there in the form that is expected; an estimator may note anything."""
        found = cls()
        for name in noted.keys() & vars(found):
            with suppress(FileFormatError):
                found = replace(found, **{name: getattr(read_record(cls, {name: noted[name]}), name)})
        return found


@record
class FitRow:
    """A line of results.jsonl: one fit, and all that its numbers came from."""

    method: str
    budget: str
    repeat: int
    status: Literal["ok", "error"]
    error: Problem | None
    labels: int
    seed: int
    threads: int
    minutes: float | None
    versions: Mapping[str, str]
    hardware: FitMachine
    seconds: float | None
    record: Mapping[str, Any]  # what the estimator noted: `record_`
    draw: str  # hash of the labels
    # Of a fit that succeeded:
    cpu_seconds: float | None = None
    predict_seconds: float | None = None
    predictions: str | None = None  # file in the folder of the study
    digest: str | None = None  # hash of the probabilities
    pictures: Mapping[str, str] | None = None  # "generated", "real" -> file in the folder of the study

    def __post_init__(self):
        needed = (self.seconds, self.cpu_seconds, self.predict_seconds, self.predictions, self.digest, self.pictures)
        if (self.error is None) != (self.status == "ok") or (self.status == "ok" and None in needed):
            raise ValueError(f"the row of {self.trial} lacks something: {self}")

    @property
    def trial(self) -> Trial:
        return Trial(self.method, self.budget, self.repeat)

    @property
    def notes(self) -> FitNotes:
        return FitNotes.of(self.record)


# summary.json


@record
class HeldOutPart:
    """How many test images there are, and how often their labels were looked at."""

    images: int
    looks: int


@record
class LabelBudget:
    """Labels per class ("5", "all"), and how many these are in all."""

    budget: str
    labels: int


@record
class FitSeconds:
    """How long a fit took, in every repeat."""

    median: float
    each: tuple[float, ...]


@record
class ArmScore:
    """How good a method is at a budget, on `n` fits; `failed` more fits failed."""

    method: str
    budget: str
    n: int
    failed: int
    accuracy: RepeatedInterval
    balanced_accuracy: RepeatedInterval
    ece: Interval
    nll: Interval
    brier: Interval
    seconds: FitSeconds


@record
class UnmeasuredArm:
    """A method at a budget of which no fit succeeded; `failed` is 0 where none was tried."""

    method: str
    budget: str
    failed: int


@record
class FailedFit:
    """A fit that failed, and why."""

    method: str
    budget: str
    repeat: int
    id: str
    reason: str


@record
class Comparison:
    """Two methods at a budget, on the same labels and images; differences are a - b, verdicts about a."""

    budget: str
    a: str
    b: str
    difference: Difference
    n: int
    p: float  # t-test, for new label draws and new test images
    p_sign_flip: float  # over repeats, exact
    p_holm: float  # p, adjusted for all comparisons of the study
    p_tost: float  # of "they differ by a margin that matters"
    verdict: Verdict
    sentence: str = ""

    def reversed(self) -> "Comparison":
        """Return the same comparison with a and b exchanged; its sentence is left out."""
        return replace(self, a=self.b, b=self.a, difference=self.difference.reversed(),
                       verdict=opposite(self.verdict), sentence="")  # fmt: skip


@record
class TieGroups:
    """At a budget: the most accurate method and all that it does not beat, then the same of the others, ..."""

    budget: str
    groups: tuple[tuple[str, ...], ...]


@record
class ClassRecall:
    """Of the `of` test images of a class so many were right, in the mean over repeats."""

    method: str
    budget: str
    class_: str
    right: float
    of: int
    recall: float
    low: float
    high: float
    needed: int  # test images of the class for an interval of +-5 points


@record
class ConfusionCounts:
    """Counts [K][K] of true class (rows) and predicted class (columns), summed over repeats."""

    method: str
    budget: str
    counts: tuple[tuple[int, ...], ...]


@record
class ReliabilityBins:
    """Confidence against accuracy; counts are per repeat."""

    method: str
    budget: str
    bins: tuple[Bin, ...]


@record
class GameCurves:
    """Curves and pictures of one fit of a method that trains a GAN."""

    method: str
    budget: str
    repeat: int
    curves: Curves
    generated: str | None
    real: str | None
    note: str | None


@record
class GateRow(GateNumbers):
    """The gate of one fit."""

    method: str
    budget: str
    repeat: int


@record
class Ablation:
    """What one ingredient brought: two methods that differ in nothing else."""

    kind: Literal["unlabelled", "gan", "generated"]
    what: str
    budget: str
    a: str
    b: str
    difference: Difference
    n: int
    p_holm: float
    verdict: Verdict


@record
class Reason:
    """Why the recommended method: what the reason is about, and the sentence."""

    kind: Literal["accuracy", "ablation", "more labels", "other budget", "time", "gate"]
    text: str


@record
class NotChosen:
    """Why another method was not recommended."""

    method: str
    reason: str


@record
class Recommendation:
    """The method to use; None where no fit succeeded."""

    method: str | None
    budget: str | None
    sentence: str
    reasons: tuple[Reason, ...] = ()
    not_chosen: tuple[NotChosen, ...] = ()
    warnings: tuple[str, ...] = ()
    model: str | None = None  # its folder in the folder of the study


@record
class Mistake:
    """A test image that the recommended method named wrongly with confidence."""

    method: str
    budget: str
    picture: str
    true: str
    said: str
    confidence: float
    wrong_in: int  # so many of the `of` repeats
    of: int
    origin: str


@record
class Summary:
    """summary.json: what a study found, and where it lies."""

    format: int
    created: str
    command: str | None
    name: str
    sparring: str
    versions: Mapping[str, str]
    machine: StudyMachine
    data: StudyData
    test: HeldOutPart
    repeats: int
    seed: int
    fingerprint: str
    minutes_each: float | None
    budgets: tuple[LabelBudget, ...]
    methods: tuple[MethodEntry, ...]
    scores: tuple[ArmScore, ...]
    unmeasured: tuple[UnmeasuredArm, ...]
    errors: tuple[FailedFit, ...]
    pairs: tuple[Comparison, ...]
    tie_groups: tuple[TieGroups, ...]
    per_class: tuple[ClassRecall, ...]
    confusion: tuple[ConfusionCounts, ...]
    reliability: tuple[ReliabilityBins, ...]
    games: tuple[GameCurves, ...]
    gates: tuple[GateRow, ...]
    notes: tuple[str, ...]
    ablations: tuple[Ablation, ...]
    covers: str
    recommendation: Recommendation
    verdict: str
    mistakes: tuple[Mistake, ...]
    folder: Path = field(default=Path(), compare=False, metadata={"written": False})

    @classmethod
    def read(cls, folder: Path | str) -> "Summary":
        """Return the summary of a study. Raises FileFormatError where there is none of this format."""
        folder = Path(folder)
        path = folder / SUMMARY
        if not path.exists():
            raise FileFormatError(
                "study-summary", f"no {SUMMARY} in {folder}", fix="pass the folder that sparring compare wrote"
            )
        data = files.read_json(path)
        found = data.get("format") if isinstance(data, dict) else type(data).__name__
        if found != FORMAT:
            command = data.get("command") if isinstance(data, dict) else None
            again = f"`{command}`" if isinstance(command, str) else "the command sparring compare ..."
            raise FileFormatError(
                "study-format",
                f"{path} has format {found!r}, this version reads {FORMAT}",
                fix=f"repeat {again} to write it again; nothing is fitted twice",
            )
        return replace(read_record(cls, data, name=str(path)), folder=folder)

    @property
    def recommended(self) -> str | None:
        """The name of the method to use; None when no fit succeeded."""
        return self.recommendation.method

    @property
    def report(self) -> Path:
        """The HTML page, once it is written."""
        return self.folder / "report.html"

    @property
    def mistake_pictures(self) -> list[Path]:
        """The files of the pictures in `mistakes`."""
        return [self.folder / mistake.picture for mistake in self.mistakes]

    def ranked(self, budget: str | None) -> list[ArmScore]:
        """The scores at a budget, most accurate first."""
        return sorted((s for s in self.scores if s.budget == budget), key=lambda s: -s.accuracy.mean)

    def score(self, method: str | None, budget: str | None) -> ArmScore | None:
        return next((s for s in self.scores if (s.method, s.budget) == (method, budget)), None)

    def method(self, name: str) -> MethodEntry:
        return pick({m.name: m for m in self.methods}, name, "method")

    def labels(self, budget: str) -> int:
        """How many labels a budget is in all."""
        return next(b.labels for b in self.budgets if b.budget == budget)

    def comparison(self, a: str, b: str, budget: str) -> Comparison | None:
        """The paired comparison of a against b at a budget, exchanged where the study has b against a."""
        for pair in self.pairs:
            if pair.budget == budget and {pair.a, pair.b} == {a, b}:
                return pair if pair.a == a else pair.reversed()
        return None

    def groups(self, budget: str) -> tuple[tuple[str, ...], ...]:
        """The tie groups at a budget, best first."""
        return next((row.groups for row in self.tie_groups if row.budget == budget), ())

    def table(self, budget: str) -> list[tuple[str, ...]]:
        """Return a row of text for each method at a budget, most accurate first; the columns are those of COLUMNS."""
        groups = self.groups(budget)
        rows = []
        for score in self.ranked(budget):
            mean, low, high = score.accuracy
            letters = "".join(group_letter(i) for i, group in enumerate(groups) if score.method in group)
            rows.append((score.method, percent(mean), interval(low, high), letters, duration(score.seconds.median)))
        return rows + [(arm.method, "failed" if arm.failed else "", "", "", "") for arm in self.unmeasured
                       if arm.budget == budget]  # fmt: skip

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{name}</th>" for name in COLUMNS)
        tables = []
        for b in self.budgets:
            rows = ("".join(f"<td>{escape(printable(cell))}</td>" for cell in row) for row in self.table(b.budget))
            body = "".join(f"<tr>{row}</tr>" for row in rows)
            caption = f"<caption>{budget_name(b.budget, b.labels)}</caption>"
            tables.append(f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")
        return f"<p><b>{escape(printable(self.verdict))}</b></p>{''.join(tables)}"

    def __repr__(self) -> str:
        return f"<Summary of {self.folder}: {self.verdict}>"


def group_letter(index: int) -> str:
    return chr(ord("A") + index) if index < 26 else f"A{index}"


def in_order(budgets: Iterable[str]) -> tuple[str, ...]:
    """Budgets, smallest first, "all" last."""
    return tuple(sorted(budgets, key=lambda b: float("inf") if b == "all" else int(b)))
