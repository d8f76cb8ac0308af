"""What changed since an earlier study: the records of it in summary.json, and how they read."""

from collections.abc import Iterator

from ..records import record
from ..stats import Interval, Verdict
from ..words import budget_name, percent, plural, points

FEW_SHARED = 20  # shared test images below which there is no verdict: one of them is more than 5 points


@record
class MethodChange:
    """A method of the earlier study and one of the new study, on the test images of both; mostly the same method.

    `old`, `new`: the share that is right, by the labels of the new study. `difference`: new - old. `no_verdict`: why
    nothing is concluded, or "".
    """

    before: str
    after: str
    old: float
    new: float
    old_repeats: int
    new_repeats: int
    difference: Interval
    p: float
    p_holm: float
    p_tost: float
    verdict: Verdict
    no_verdict: str = ""

    @property
    def conclusion(self) -> str:
        """The verdict, or why there is none."""
        if self.no_verdict:
            return f"no verdict, {self.no_verdict}"
        return "a tie" if self.verdict == "tie" else self.verdict

    @property
    def words(self) -> str:
        """`probe 91.2 % -> 94.0 %, +2.8 points (0.5 to 5.1)`."""
        after = "" if self.after == self.before else f"{self.after} "
        mean, low, high = self.difference
        apart = f"{points(mean, signed=True)} points ({points(low)} to {points(high)})"
        return f"{self.before} {percent(self.old)} -> {after}{percent(self.new)}, {apart}"


@record
class BeforeAfter:
    """What changed since an earlier study, on the test images that both studies share.

    `main`: the method recommended then against the one recommended now, where both were measured; `others`: each
    further method that both studies have. Labels are numbers in all.
    """

    folder: str
    created: str
    images: int
    relabelled: int  # of these images, those with another label now
    budget: str
    old_labels: int
    new_labels: int
    balanced: bool  # whether shares are balanced over the classes
    main: MethodChange | None
    others: tuple[MethodChange, ...]
    differs: tuple[str, ...] = ()  # what else is not as it was, in words

    @property
    def all(self) -> tuple[MethodChange, ...]:
        """The changes, the main one first."""
        return ((self.main,) if self.main else ()) + self.others

    @property
    def headline(self) -> str:
        """What changed, as a sentence; the first of all changes leads."""
        where = f"Before and after, on the {plural(self.images, 'test image')} that both studies share"
        if not self.all:
            return f"{where}: they have no method in common that was measured with the same labels a class"
        first = self.all[0]
        return f"{where}: {first.words}: {first.conclusion}"

    def notes(self) -> Iterator[str]:
        """Yield what to know about the comparison."""
        then, today = (budget_name(self.budget, labels) for labels in (self.old_labels, self.new_labels))
        yield f"With {then} then and {today} now" if then != today else f"With {then} in both studies"
        if self.relabelled:
            have = "has" if self.relabelled == 1 else "have"
            yield (
                f"{self.relabelled} of the {self.images} shared test images {have} another label now, which counts for "
                "both studies"
            )
        if self.balanced:
            yield "Shares are balanced over the classes"
        if self.differs:
            yield f"Not only the data changed: {'; '.join(self.differs)}"
