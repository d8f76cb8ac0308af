"""What results.jsonl and summary.json of a study hold, as frozen records; study.json: `definition`.

Writers, advice, the command line and the report use these classes, and nothing else knows the names of fields. A share
or an accuracy lies between 0 and 1, a difference of accuracies between -1 and 1 (0.01 = one point).
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

from ..classifiers.fit_record import Curves, Gate
from ..data.notes import DataNotes
from ..errors import FileFormatError
from ..records import Progress, read_record, record
from ..stats import Difference, Interval, RepeatedInterval, Verdict, opposite
from .probabilities import Bin

STUDY_FORMAT = 2  # of study.json and summary.json
Ingredient = Literal["pretraining", "features", "unlabelled", "gan", "generated"]
FEWEST = 3  # repeats that a method gets before any gets more, and needs to be recommended
STUDY, ROWS, SUMMARY, SEAL = "study.json", "results.jsonl", "summary.json", "sealed.bin"


class Trial(NamedTuple):
    """One fit of a study: a method, a label budget, and the number of the repeat."""

    method: str
    budget: str  # labels per class: "5", "20", "all"
    repeat: int

    def __str__(self) -> str:
        return f"{self.method}-{self.budget}-{self.repeat}"


@dataclass(frozen=True)
class StudyProgress(Progress):
    """Where a study stands. `what`: "data", "fits", "interim", "summary", "model", "stopped" or "done"."""

    running: tuple[str, ...] = ()  # the fits at work
    finished: "FitRow | None" = None  # the fit that has just ended
    share: float | None = None  # of the study's time that has passed


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
    """Copies of other images, and nearly equal ones; `moved`: those that went to the training part for it."""

    exact: int
    near: int
    across: int
    moved: int


@record
class GroupCounts:
    """How many groups (patients, slides, animals) are in the training part and in the test part."""

    train: int
    test: int


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
    groups: GroupCounts | None = None  # None where the images have none
    notes: DataNotes = DataNotes()  # what was left out, converted and doubted


@record
class FitMachine:
    """Where a fit ran; `device`: the name of the processor or GPU that it computed on ("cpu" of older fits)."""

    cpu: str
    cores: int
    memory_gib: float | None
    device: str

    @property
    def on_gpu(self) -> bool:
        """Return whether it computed on something else than the processor."""
        return self.device not in ("cpu", self.cpu)


@record
class StudyMachine(FitMachine):
    """Where the fits of a study ran, and how."""

    precision: str | None
    threads: int | None
    jobs: int | None


# results.jsonl


@record
class FitNotes:
    """What a summary uses of the notes that an estimator leaves in `record_`."""

    steps: int | None = None
    planned: int | None = None  # steps, had time not run out
    precision: str | None = None
    note: str | None = None
    curves: Curves = field(default_factory=dict)
    gan_curves: Curves = field(default_factory=dict)
    gate: Gate | None = None
    pretrained: str | None = None  # what came from ImageNet
    trunk: str | None = None  # the pretrained network that training started from

    @property
    def cut_short(self) -> bool:
        """Whether it took less than half of its planned steps: that says nothing about the method."""
        return self.steps is not None and self.planned is not None and 2 * self.steps < self.planned

    @classmethod
    def of(cls, noted: Mapping[str, object]) -> "FitNotes":
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
    """How many test images there are, and how often their labels were opened; `earlier`: so often by other studies."""

    images: int
    looks: int
    earlier: int = 0


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
    pretrained: str | None = None  # what came from ImageNet, in words
    wrong: int | None = None  # test images that the mean probabilities of all repeats name wrongly
    guessing: float | None = None  # p of "its answers have nothing to do with the images" (stats.guess_p)


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
    """The tie groups at a budget: the most accurate method and all that it does not beat, then the rest likewise."""

    budget: str
    groups: tuple[tuple[str, ...], ...]


@record
class ClassRecall:
    """The recall of a class on `of` test images; `right` of them were right, in the mean over repeats."""

    method: str
    budget: str
    class_: str
    right: float
    of: int
    recall: float
    low: float
    high: float
    needed: int  # test images of the class from which on their choice moves its recall by less than 5 points


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
class GateRow(Gate):
    """The gate of one fit."""

    method: str
    budget: str
    repeat: int


@record
class Ablation:
    """What one ingredient brought: two methods that differ in nothing else."""

    kind: Ingredient
    what: str
    budget: str
    a: str
    b: str
    difference: Difference
    n: int
    p_holm: float
    verdict: Verdict


@record
class Unclean:
    """Why a study cannot say what an ingredient brought to method `a` at a budget."""

    kind: Ingredient
    what: str
    budget: str
    a: str
    reason: str


@record
class MoreLabels:
    """What twice as many labels as at a budget would bring a method, if its errors fall as they did before."""

    method: str
    budget: str
    fewer: int  # labels in all at the budget before
    labels: int
    gain: Interval  # of accuracy


@record
class ShortArm:
    """A method at a budget that the study's time had no room for, or for fewer repeats than wanted.

    `seconds`: what a fit takes. `behind`: the method that it was clearly behind, where that is why it stopped.
    """

    method: str
    budget: str
    repeats: int
    wanted: int
    seconds: float
    behind: str | None = None


@record
class NextStep:
    """What to do next: about what, the sentence, and the command where one does it."""

    kind: Literal["time", "labels", "mistakes", "data", "use"]
    text: str
    command: str | None = None


@record
class Reason:
    """A reason for the recommended method: what it is about, and the sentence."""

    kind: Literal["accuracy", "ablation", "more labels", "other budget", "time", "gate", "pretrained"]
    text: str


@record
class NotChosen:
    """A method that was not recommended, and why."""

    method: str
    reason: str


@record
class Recommendation:
    """The method to use; None where nothing was learned, or no fit succeeded."""

    method: str | None
    budget: str | None
    sentence: str
    reasons: tuple[Reason, ...] = ()
    not_chosen: tuple[NotChosen, ...] = ()
    warnings: tuple[str, ...] = ()
    model: str | None = None  # its folder in the folder of the study
    next: tuple[NextStep, ...] = ()


@record
class Mistake:
    """A test image that the recommended method named wrongly, and with what confidence.

    `nearest`: the labelled training image that is most like it, its class, and how far it is in the study's features.
    """

    method: str
    budget: str
    picture: str
    true: str
    said: str
    confidence: float
    wrong_in: int  # so many of the `of` repeats
    of: int
    origin: str
    nearest: str | None = None
    nearest_class: str | None = None
    nearest_picture: str | None = None
    distance: float | None = None


def in_order(budgets: Iterable[str]) -> tuple[str, ...]:
    """Return budgets, smallest first and "all" last."""
    return tuple(sorted(budgets, key=lambda b: float("inf") if b == "all" else int(b)))
