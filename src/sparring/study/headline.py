"""The sentence at the top, for someone who has never heard of any of this; and what to do next."""

import math
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence

from ..words import budget_name, duration, listed, percent, plural, points
from .mistake_list import PAGE
from .records import FEWEST, ArmScore, NextStep, ShortArm
from .summary import Summary

FEW_TESTED = 20  # test images below which there is no headline: one of them is more than 5 points
MORE_LABELS = 0.005  # gain by twice as many labels from which on they are the next step; what cannot reach it is none
MOST_WORDS = 35  # of a headline
MINUTES = (15, 30, 60, 120, 240, 480, 1440)  # that a next step names


def in_hundred(share: float) -> str:
    """Return a share as a number of 100; "over 99" and "under 1" where it is not all and not none."""
    number = round(100 * share)
    if number == 100 and share < 1:
        return "over 99"
    return "under 1" if number == 0 and share > 0 else str(number)


def headline(summary: Summary, chosen: ArmScore, others: int, following: NextStep | None) -> str:
    """Return what to use, how many of 100 new images it gets right, how sure that is, and what to do next.

    `others`: methods that may be as good. At most MOST_WORDS words.
    """
    title = next(m.title for m in summary.methods if m.name == chosen.method)
    interval = summary.leading_score(chosen)
    mean, low, high = map(in_hundred, interval)
    of_each = " of each class" if summary.leading != "accuracy" else ""
    far = "So far: use" if summary.running else "Use"
    text = f"{far} {chosen.method} ({title[:1].lower()}{title[1:]}): about {mean} of 100 new images{of_each} right"
    text = text.replace("about over", "over").replace("about under", "under")
    parts = [f"{text}, 95 % sure of {low} to {high}."]
    if others:
        parts.append(f"{plural(others, 'other')} may be as good.")
    if following is not None:
        parts.append(f"Next: {SHORT[following.kind]}.")
    while len(" ".join(parts).split()) > MOST_WORDS and len(parts) > 1:
        parts.pop(1 if len(parts) > 2 else -1)
    return " ".join(parts)


SHORT = {
    "time": "give it more time",
    "labels": "label more images",
    "mistakes": "look at its mistakes",
    "data": "check the labels",
    "use": "use it",
}


def too_few_tested(summary: Summary, chosen: ArmScore) -> str:
    """Return what stands for a headline where there are hardly any test images."""
    tested, right = summary.test.images, percent(chosen.accuracy.mean, 0)
    few = f"{plural(tested, 'test image')} {'is' if tested == 1 else 'are'} too few"
    return (
        f"No verdict: {few}. {chosen.method} was right in {right} of them. Label more images, so that at least "
        f"{FEW_TESTED} can test."
    )


def nothing_learned(summary: Summary, floor: ArmScore) -> str:
    """Return what stands for a headline where no method is shown to be better than the floor."""
    mean = in_hundred(floor.accuracy.mean)
    return (
        f"Nothing was learned: no method is shown to name new images better than always saying the most frequent class "
        f"({mean} of 100 right). Nothing is recommended. Next: check the labels."
    )


def look_at(summary: Summary) -> str:
    """Return the command that shows the images of each class."""
    return f"sparring data {shlex.quote(summary.data.source)}"


def likely_causes(summary: Summary, budget: str) -> Iterator[str]:
    """Yield why nothing may have been learned."""
    labels = summary.labels(budget)
    each = labels / max(1, len(summary.data.classes))
    yield "the labels may not belong to the images: look at a few of each class"
    if each < 20:
        yield f"{budget_name(budget, labels)} may be too few"
    if min(summary.data.shape[:2]) < 32:
        height, width = summary.data.shape[:2]
        yield f"images of {height}x{width} pixels may be too small to show the difference"
    yield "the classes may not differ in what the images show"


def next_steps(summary: Summary, chosen: ArmScore) -> Iterator[NextStep]:
    """Yield what to do next, the most useful first."""
    steps = [*more_time(summary, chosen), *label_more(summary, chosen), *mistakes(summary, chosen)]
    worth = {"time": 0, "labels": 1, "mistakes": 2}
    if not any(step.kind == "labels" and gain(summary, chosen) >= MORE_LABELS for step in steps):
        worth["labels"] = 3
    yield from sorted(steps, key=lambda step: worth[step.kind])[:3]


def more_time(summary: Summary, chosen: ArmScore) -> Iterator[NextStep]:
    """Yield the methods that the next of MINUTES would give enough repeats at the budget of the advice."""
    short = [arm for arm in summary.short if arm.budget == chosen.budget and arm.behind is None]
    left_out = sorted((arm for arm in short if not arm.repeats), key=lambda arm: arm.seconds)
    if left_out:
        minutes = enough_minutes(summary, left_out[:1], FEWEST)
        first = [left_out[: i + 1] for i in range(len(left_out))]
        fit_in = [arms[-1] for arms in first if enough_minutes(summary, arms, FEWEST) <= minutes]
        names, longest = [arm.method for arm in fit_in], duration(max(arm.seconds for arm in fit_in))
        them, at_most = ("them", "up to ") if len(names) > 1 else ("it", "")
        text = (
            f"{listed(names)} had no time (a fit takes {at_most}{longest}) and may be better or not. The same command "
            f"with --minutes {minutes} goes on and gives {them} {FEWEST} repeats"
        )
    elif short:
        minutes = enough_minutes(summary, short, summary.repeats)
        text = (
            f"{listed([arm.method for arm in short])} had time for few repeats. The same command with --minutes "
            f"{minutes} goes on and gives all of them"
        )
    else:
        return
    yield NextStep("time", text, with_minutes(summary.command, minutes))


def enough_minutes(summary: Summary, arms: Sequence[ShortArm], repeats: int) -> int:
    """Return the minutes that the study needs with so many repeats of these arms, as one of MINUTES or whole days."""
    jobs = max(1, summary.machine.jobs or 1)
    more = sum((repeats - arm.repeats) * arm.seconds for arm in arms) / jobs + max(arm.seconds for arm in arms)
    needed = 1.2 * (more + sum(sum(s.seconds.each) for s in summary.scores) / jobs) / 60
    return next((m for m in MINUTES if m >= needed), 1440 * math.ceil(needed / 1440))


def with_minutes(command: str | None, minutes: int) -> str | None:
    """Return a command with other --minutes."""
    if command is None:
        return None
    return f"{re.sub(r' --minutes[ =][^ ]+', '', command)} --minutes {minutes}"


def time_words(short: Sequence[ShortArm], measured: Iterable[str]) -> Iterator[str]:
    """Yield what a study had no time for, in words: whole methods, then methods with fewer repeats than wanted.

    `measured`: the methods with fits at any budget.
    """
    some = {*measured, *(arm.method for arm in short if arm.repeats)}
    whole = {arm.method: arm.seconds for arm in short}
    out = [f"{name} ({duration(seconds)} a fit)" for name, seconds in whole.items() if name not in some]
    if out:
        yield f"No time for {listed(out)}"
    parts: dict[tuple[str, int, int, str | None], list[str]] = {}
    for arm in short:
        if arm.method in some:
            parts.setdefault((arm.method, arm.repeats, arm.wanted, arm.behind), []).append(arm.budget)
    fewer = [
        f"{name} at {listed(budgets)} ({count or 'none'} of {wanted}{f', clearly behind {behind}' if behind else ''})"
        for (name, count, wanted, behind), budgets in parts.items()
    ]
    if fewer:
        yield f"Fewer repeats of {listed(fewer)}"


def gain(summary: Summary, chosen: ArmScore) -> float:
    found = [m.gain.mean for m in summary.more_labels if m.method == chosen.method]
    return found[0] if found else 0.0


def label_more(summary: Summary, chosen: ArmScore) -> Iterator[NextStep]:
    """Yield what twice as many labels would bring, where that may be worth the work."""
    for row in summary.more_labels:
        if row.method == chosen.method and row.budget == chosen.budget and row.gain.high >= MORE_LABELS:
            mean, low, high = map(points, row.gain)
            yield NextStep(
                "labels",
                f"label more images: twice as many ({2 * row.labels:,}) would bring about {mean} points more ({low} to "
                f"{high}), if errors fall as they did from {row.fewer:,} to {row.labels:,} labels",
            )


def mistakes(summary: Summary, chosen: ArmScore) -> Iterator[NextStep]:
    """Yield a look at what the method got wrong."""
    if chosen.wrong:
        where = "" if summary.running else f" ({PAGE})"
        yield NextStep(
            "mistakes",
            f"look at the {plural(chosen.wrong, 'test image')} that {chosen.method} got wrong, for wrong labels and "
            f"classes that overlap{where}",
        )
