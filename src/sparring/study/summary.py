"""summary.json as one record: what a study found, how to look things up in it, and how it shows itself."""

import shlex
from collections.abc import Mapping
from dataclasses import field, replace
from html import escape
from pathlib import Path
from typing import Literal

from .. import files
from ..errors import FileFormatError, printable
from ..records import read_record, record, to_json
from ..stats import RepeatedInterval
from ..words import budget_name, duration, interval, percent
from .changes import BeforeAfter
from .records import (
    STUDY_FORMAT,
    SUMMARY,
    Ablation,
    ArmScore,
    ClassRecall,
    Comparison,
    ConfusionCounts,
    FailedFit,
    GameCurves,
    GateRow,
    HeldOutPart,
    LabelBudget,
    MethodEntry,
    Mistake,
    MoreLabels,
    NextStep,
    Recommendation,
    ReliabilityBins,
    ShortArm,
    StudyData,
    StudyMachine,
    TieGroups,
    Unclean,
    UnmeasuredArm,
)

TABLE_COLUMNS = ("method", "accuracy", "95 %", "group", "a fit takes")  # of Summary.table


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
    unclean: tuple[Unclean, ...] = ()
    pretrained: str = "none"
    more_labels: tuple[MoreLabels, ...] = ()
    leading: Literal["accuracy", "balanced accuracy"] = "accuracy"  # the measure that ranks and decides
    short: tuple[ShortArm, ...] = ()  # what the time had no room for
    running: bool = False  # whether fits were still made when this was written
    features_seconds: float | None = None  # for the pretrained features of all images, before the fits
    against: BeforeAfter | None = None  # what changed since an earlier study
    wrong: int | None = None  # test images that the recommended method named wrongly
    suspects: int | None = None  # training labels that are probably wrong
    files: tuple[str, ...] = ()  # lists beside summary.json: predictions.csv, mistakes.csv, suspects.csv, mistakes.json
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
        if found != STUDY_FORMAT:
            command = data.get("command") if isinstance(data, dict) else None
            again = f"`{command}`" if isinstance(command, str) else "the command sparring compare ..."
            raise FileFormatError(
                "study-format",
                f"{path} has format {found!r:.40}, this version reads {STUDY_FORMAT}",
                fix=f"repeat {again} to write it again; nothing is fitted twice",
            )
        return replace(read_record(cls, data, name=str(path)), folder=folder)

    def write(self) -> None:
        """Write summary.json into the folder of the study."""
        files.write_json(self.folder / SUMMARY, to_json(self, kinds=False))

    @property
    def recommended(self) -> str | None:
        """The name of the method to use; None when no fit succeeded."""
        return self.recommendation.method

    @property
    def next(self) -> tuple[NextStep, ...]:
        """What to do next, the most useful first; the last is the use of the model, where there is one."""
        advice = self.recommendation
        if not advice.model:
            return advice.next
        command = f"sparring classify {shlex.quote(str(self.folder / advice.model))} IMAGES..."
        return *advice.next, NextStep("use", "use the model on new images", command)

    @property
    def report(self) -> Path:
        """The HTML page, once it is written."""
        return self.folder / "report.html"

    @property
    def mistake_pictures(self) -> list[Path]:
        """The files of the pictures in `mistakes`."""
        return [self.folder / mistake.picture for mistake in self.mistakes]

    def ranked(self, budget: str | None) -> list[ArmScore]:
        """Return the scores at a budget, the best first."""
        return sorted((s for s in self.scores if s.budget == budget), key=lambda s: -self.leading_score(s).mean)

    def leading_score(self, score: ArmScore) -> RepeatedInterval:
        """Return the measure that leads: accuracy, or balanced accuracy where classes are uneven."""
        return score.accuracy if self.leading == "accuracy" else score.balanced_accuracy

    def score(self, method: str | None, budget: str | None) -> ArmScore | None:
        return next((s for s in self.scores if (s.method, s.budget) == (method, budget)), None)

    def labels(self, budget: str) -> int:
        """Return how many labels a budget is in all."""
        return next(b.labels for b in self.budgets if b.budget == budget)

    def comparison(self, a: str, b: str, budget: str) -> Comparison | None:
        """Return the comparison of a against b at a budget, reversed where the study has b against a."""
        for pair in self.pairs:
            if pair.budget == budget and {pair.a, pair.b} == {a, b}:
                return pair if pair.a == a else pair.reversed()
        return None

    def groups(self, budget: str) -> tuple[tuple[str, ...], ...]:
        """Return the tie groups at a budget, best first."""
        return next((row.groups for row in self.tie_groups if row.budget == budget), ())

    def letters(self, method: str, budget: str) -> tuple[str, ...]:
        """Return the letters of the tie groups that a method is in."""
        mine = (i for i, group in enumerate(self.groups(budget)) if method in group)
        return tuple(chr(ord("A") + i) if i < 26 else f"A{i}" for i in mine)

    def table(self, budget: str) -> list[tuple[str, ...]]:
        """Return a row of text under TABLE_COLUMNS for each method at a budget, most accurate first."""
        rows = []
        for score in self.ranked(budget):
            (mean, low, high), letters = score.accuracy, "".join(self.letters(score.method, budget))
            rows.append((score.method, percent(mean), interval(low, high), letters, duration(score.seconds.median)))
        return rows + [(arm.method, "failed" if arm.failed else "", "", "", "") for arm in self.unmeasured
                       if arm.budget == budget]  # fmt: skip

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{name}</th>" for name in TABLE_COLUMNS)
        tables = []
        for b in self.budgets:
            rows = ("".join(f"<td>{escape(printable(cell))}</td>" for cell in row) for row in self.table(b.budget))
            body = "".join(f"<tr>{row}</tr>" for row in rows)
            caption = f"<caption>{budget_name(b.budget, b.labels)}</caption>"
            tables.append(f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")
        return f"<p><b>{escape(printable(self.verdict))}</b></p>{''.join(tables)}"

    def __repr__(self) -> str:
        return f"<Summary of {self.folder}: {self.verdict}>"
