"""From a measured summary to a recommendation with its reasons in plain words."""

from collections.abc import Iterator

from ..stats import ENOUGH, LEVEL, holm, smallest_p
from ..words import budget_name, duration, listed, percent, plural, points
from .headline import (
    FEW_TESTED,
    headline,
    label_more,
    likely_causes,
    look_at,
    next_steps,
    nothing_learned,
    too_few_tested,
)
from .records import FEWEST, Ablation, ArmScore, Comparison, NextStep, NotChosen, Reason, Recommendation
from .summary import Summary

SIMPLEST_FIRST = ("floor", "traditional", "pretrained", "network", "gan", "ensemble")  # simplest first
CLOSE = 0.005  # accuracies and Brier scores that differ by less are as good
FEW_IMAGES = 30  # test images of a class below which its recall is rough
INGREDIENT = {"pretraining": "pretraining", "features": "pretrained features instead of those"}  # in a verdict
NAMED = 4  # methods that a verdict names one by one
GUESSED = 0.01  # p of guessing, adjusted, up to which a method has surely learned something
WORTH_SAYING = 0.001  # of accuracy, below which more labels would bring hardly anything
SMALL_TEST = 200  # test images below which most differences cannot be seen


def advise(summary: Summary) -> tuple[Recommendation, str]:
    """Return the recommendation and the headline of a summary that has none yet.

    The choice is made at the largest budget, among methods of at least FEWEST repeats that the best one leads by no
    more than a standard error of the difference: those with the best Brier score, complete ones before others, of them
    those with the best mean (scores and means to within CLOSE), and of them the simplest, then the fastest. A Brier
    score sees how sure each answer was, so with few test images it tells more than counting what is right (the
    one-standard-error rule of Breiman et al. 1984, with a proper score). Where balanced accuracy leads, only CLOSE
    counts, and no Brier score. An incomplete arm is measured by its difference to the best complete one on the repeats
    that both have. A method of the family "floor" is chosen only where there is no other. Where no method is shown to
    be better than the floor, nothing was learned and nothing is chosen; with hardly any test images there is a choice,
    but no headline.
    """
    budget = next((b.budget for b in reversed(summary.budgets) if summary.ranked(b.budget)), None)
    if budget is None:
        nothing = "No fit succeeded: there is nothing to recommend"
        return Recommendation(None, None, nothing, warnings=tuple(failures(summary))), nothing
    advisor = _Advisor(summary, budget)
    others = [s for s in advisor.scores if s is not advisor.chosen]
    floor = advisor.unbeaten_floor()
    if floor and (summary.test.images >= FEW_TESTED or advisor.chosen is floor):
        look = look_at(summary)
        check = NextStep("data", "check the labels: images of each class side by side", look)
        audit = NextStep("data", "look for wrong labels, odd images and copies", f"{look} --audit")
        advice = Recommendation(
            method=None,
            budget=None,
            sentence=f"Likely causes: {'; '.join(likely_causes(summary, budget))}",
            warnings=tuple(advisor.warnings()),
            next=(check, audit, *label_more(summary, advisor.chosen)),
        )
        return advice, nothing_learned(summary, floor)
    following = tuple(next_steps(summary, advisor.chosen))
    recommendation = Recommendation(
        method=advisor.chosen.method,
        budget=budget,
        sentence=advisor.details(),
        reasons=tuple(advisor.reasons()),
        not_chosen=tuple(NotChosen(s.method, advisor.why_not(s)) for s in others),
        warnings=tuple(advisor.warnings()),
        next=following,
    )
    if summary.test.images < FEW_TESTED:
        return recommendation, too_few_tested(summary, advisor.chosen)
    as_good = len(advisor.standings()["as good"])
    return recommendation, headline(summary, advisor.chosen, as_good, following[0] if following else None)


def difference_words(row: Comparison | Ablation) -> str:
    """Return `+1.2 points (0.3 to 2.1)`."""
    mean, low, high = row.difference
    return f"{points(mean, signed=True)} points ({points(low)} to {points(high)})"


def some(names: list[str]) -> str:
    """Return the names as a list, of many the first ones and how many more there are."""
    more = len(names) - (NAMED - 1)
    return listed(names) if len(names) <= NAMED else listed([*names[: NAMED - 1], f"{more} others"])


def failures(summary: Summary) -> Iterator[str]:
    """Yield a sentence for every method of which a fit failed."""
    for method in dict.fromkeys(e.method for e in summary.errors):
        mine = [e for e in summary.errors if e.method == method]
        fits = plural(len(mine), "fit")
        yield f"{method} failed in {fits} and is compared without them, or not at all: {mine[0].reason}"


class _Advisor:
    """A summary, seen from the largest budget at which a fit succeeded."""

    def __init__(self, summary: Summary, budget: str):
        self.summary, self.budget = summary, budget
        self.scores = summary.ranked(budget)
        self.family = {m.name: m.family for m in summary.methods}
        useful = [s for s in self.scores if self.family[s.method] != "floor"]
        self.learned = [s for s in useful if any(self.above(s, floor) for floor in self.floors())]
        candidates = self.learned or useful or self.scores
        complete = [s for s in candidates if s.n >= summary.repeats] or candidates
        self.first = complete[0]
        some = [s for s in candidates if s in complete or s.n >= FEWEST]
        self.best = max(some, key=self.mean)
        near = [s for s in some if self.is_near(s)]
        sharpest = min(s.brier.mean for s in near)
        sharp = [s for s in near if summary.leading != "accuracy" or s.brier.mean <= sharpest + CLOSE]
        left = [s for s in sharp if s in complete] or sharp
        top = max(map(self.mean, left))
        self.chosen = min((s for s in left if self.mean(s) >= top - CLOSE - 1e-9), key=self.simplicity)

    def mean(self, score: ArmScore) -> float:
        """Return the leading measure; of an incomplete arm that of the best complete one and the difference to it.

        So the repeats that it has are compared with the same repeats of the other.
        """
        pair = self.summary.comparison(score.method, self.first.method, self.budget)
        mean = self.summary.leading_score(self.first).mean
        return self.summary.leading_score(score).mean if pair is None else mean + pair.difference.mean

    def is_near(self, score: ArmScore) -> bool:
        """Return whether the best method is ahead by no more than a standard error, or by less than CLOSE."""
        pair = self.summary.comparison(self.best.method, score.method, self.budget)
        if score is self.best or pair is None:
            return score is self.best
        mean, _, high = pair.difference
        error = (high - mean) / 2 if self.summary.leading == "accuracy" else 0.0
        return pair.verdict != "better" and mean <= max(CLOSE, error) + 1e-9

    def simplicity(self, score: ArmScore) -> tuple[int, float]:
        family = self.family[score.method]
        return SIMPLEST_FIRST.index(family) if family in SIMPLEST_FIRST else len(SIMPLEST_FIRST), score.seconds.median

    def floors(self) -> list[ArmScore]:
        return [s for s in self.scores if self.family[s.method] == "floor"]

    def above(self, score: ArmScore, floor: ArmScore) -> bool:
        """Return whether a method is shown to be better than the floor, with all that are compared with it in mind.

        It is where it was right more often and its answers surely have to do with the images: stats.guess_p, which
        holds with few images of a class too. Where images have groups, and in summaries of older versions, there is
        only the comparison with the floor.
        """
        ps, ahead = {}, False
        limit = 1 - LEVEL if score.guessing is None else GUESSED
        for other in self.scores:
            pair = self.summary.comparison(other.method, floor.method, self.budget)
            if self.family[other.method] != "floor" and pair:
                ps[other.method] = pair.p if other.guessing is None else other.guessing
                ahead = ahead or (other is score and pair.difference.mean > 0)
        return ahead and dict(zip(ps, holm(list(ps.values())), strict=True))[score.method] <= limit

    def unbeaten_floor(self) -> ArmScore | None:
        """Return the best method of the family "floor" where others were tried and none is better than it."""
        tried = any(self.family[s.method] != "floor" for s in self.scores)
        return next(iter(self.floors()), None) if tried and not self.learned else None

    def standings(self) -> dict[str, list[str]]:
        """Return the other methods by how the chosen one stands to them: "better", "ahead", "as good".

        "ahead": by the interval of the difference, of methods that have too few repeats for a verdict.
        """
        found: dict[str, list[str]] = {"better": [], "ahead": [], "as good": []}
        for score in self.scores:
            pair = self.summary.comparison(self.chosen.method, score.method, self.budget)
            if score is not self.chosen and pair and pair.verdict != "worse":
                few = min(self.chosen.n, score.n) < self.summary.repeats and pair.difference.low > 0
                found["better" if pair.verdict == "better" else "ahead" if few else "as good"].append(score.method)
        return found

    # Sentences.

    def words(self, budget: str) -> str:
        return budget_name(budget, self.summary.labels(budget))

    def sentence(self) -> str:
        mean, low, high = map(percent, self.summary.leading_score(self.chosen))
        balanced = self.summary.leading != "accuracy"
        what = "of each class right on average" if balanced else "of new images right"
        text = f"{self.chosen.method}: {mean} {what} with {self.words(self.budget)}, 95 % interval {low} to {high}"
        return text + (f" ({percent(self.chosen.accuracy.mean)} of all images)" if balanced else "")

    def details(self) -> str:
        """Return what stands below the headline: figures, how sure, what pretraining and the GAN brought."""
        text = self.sentence()
        if len(self.scores) > 1:
            text += f"; {self.standing()}"
        pretraining = self.ablation("pretraining", "features")
        for row in (pretraining, self.ablation("gan", "generated")):
            if row and row.n >= ENOUGH:
                name, unsure = INGREDIENT.get(row.kind, "the GAN"), "was not shown to help"
                if row.kind == "features":
                    name, unsure = f"{name} of {row.b}", "were not shown to help"
                said = {"better": "helped", "worse": "harmed", "tie": "made no difference that matters"}
                text += f"; {name} {said.get(row.verdict, unsure)}, {difference_words(row)}"
        return text

    def standing(self) -> str:
        if self.chosen.n < self.summary.repeats:
            return f"chosen by {self.chosen.n} of {plural(self.summary.repeats, 'repeat')}, too few to be sure"
        if self.best.n < ENOUGH:
            return f"with {plural(self.best.n, 'repeat')} no difference can be called real"
        beaten, ahead, others = self.standings().values()
        if not others and not ahead:
            every = "better than every other method" if len(beaten) > 1 else f"better than {some(beaten)}"
            return every if beaten else "compared with no other method"
        parts = [f"better than {some(beaten)}"] if beaten else []
        parts += [f"ahead of {some(ahead)} (too few repeats for a verdict)"] if ahead else []
        rest = f"not told apart from {some(others)}"
        if parts:
            return ", ".join([*parts, rest] if others else parts)
        simplest = all(self.simplicity(self.chosen) <= self.simplicity(self.score(name)) for name in others)
        if simplest or self.chosen is self.best:
            return f"{rest}, of which it is the {'simplest' if simplest else 'most accurate'} choice"
        return f"{rest}, of which its probabilities are among the best"

    def score(self, method: str) -> ArmScore:
        return next(s for s in self.scores if s.method == method)

    def reasons(self) -> Iterator[Reason]:
        chosen, best = self.chosen, self.best
        if chosen is not best:
            pair = self.summary.comparison(best.method, chosen.method, self.budget)
            shown = difference_words(pair) if pair else "a little more accurate"
            yield Reason(
                "accuracy",
                f"{best.method} was the most accurate on average ({shown}), but is not shown to be better than "
                f"{chosen.method}, {self.merit(best)}{self.cheaper(best)}",
            )
        elif best.n >= ENOUGH and (beaten := self.standings()["better"]):
            better = f"it is better than {listed(beaten)}; the test allows for all comparisons of the study"
            yield Reason("accuracy", better)
        yield from (Reason("ablation", text) for text in self.brought())
        if said := chosen.pretrained:
            yield Reason("pretrained", f"it builds on what was learned from other images ({said}), which come with it")
        yield Reason("more labels", self.more_labels())
        yield from (Reason("other budget", text) for text in self.elsewhere())
        yield Reason("time", f"one fit took {duration(chosen.seconds.median)}")
        yield from (Reason("gate", text) for text in self.gates())

    def merit(self, than: ArmScore) -> str:
        """Return what the chosen method has before one that is a little more accurate."""
        if than.brier.mean - self.chosen.brier.mean > CLOSE:
            scores = f"{self.chosen.brier.mean:.3f} against {than.brier.mean:.3f}"
            return f"whose probabilities are better (Brier score {scores})"
        return "which is simpler"

    def cheaper(self, than: ArmScore) -> str:
        fast, slow = self.chosen.seconds.median, than.seconds.median
        apart = fast and slow > 1.5 * fast and slow >= 0.1
        return f" and took {duration(fast)} instead of {duration(slow)}" if apart else ""

    def ablation(self, *kinds: str) -> Ablation | None:
        """Return the first of these at the budget of the advice."""
        found = [a for kind in kinds for a in self.summary.ablations if (a.kind, a.budget) == (kind, self.budget)]
        return found[0] if found else None

    def brought(self) -> Iterator[str]:
        """Yield what pretraining, unlabelled images, the GAN and generated images brought."""
        said = {
            "better": "better than without",
            "worse": "worse than without",
            "tie": "no difference that matters",
            "not enough evidence": "not enough evidence that this helps or harms",
        }
        for row in self.summary.ablations:
            if row.budget == self.budget:
                yield f"{row.what} ({row.a} against {row.b}): {difference_words(row)}, {said[row.verdict]}"
        for row in self.summary.unclean:
            if row.budget == self.budget:
                yield f"{row.what}: no clean comparison, because {row.reason}"

    def more_labels(self) -> str:
        """Return what more labels brought and may bring."""
        name = self.chosen.method
        known = {b.labels: s.accuracy.mean for b in self.summary.budgets if (s := self.summary.score(name, b.budget))}
        if len(known) < 2:
            return "one number of labels was tried: run two or more to see what more labels would bring"
        (few, low), (many, high) = sorted(known.items())[-2:]
        gain = f"from {few:,} to {many:,} labels {name} went from {percent(low)} to {percent(high)}"
        row = next((m for m in self.summary.more_labels if (m.method, m.budget) == (name, self.budget)), None)
        if row is None:
            return gain
        mean, lowest, highest = map(points, row.gain)
        if row.gain.high < WORTH_SAYING:
            return f"{gain}; twice as many would hardly bring more"
        return f"{gain}; at this pace twice as many would bring {mean} points more ({lowest} to {highest}; an estimate)"

    def elsewhere(self) -> Iterator[str]:
        """Yield the budgets at which other methods are better than the chosen one."""
        name = self.chosen.method
        for budget in (b.budget for b in self.summary.budgets if b.budget != self.budget):
            pairs = [self.summary.comparison(s.method, name, budget) for s in self.summary.ranked(budget)]
            if better := [pair.a for pair in pairs if pair and pair.verdict == "better"]:
                yield f"with only {self.words(budget)} {listed(better)} {'is' if len(better) == 1 else 'are'} better"

    def gates(self) -> Iterator[str]:
        """Yield how often generated images passed the gate."""
        gates = [g for g in self.summary.gates if g.budget == self.budget]
        for method in dict.fromkeys(g.method for g in gates):
            passed = [g.passed for g in gates if g.method == method]
            yield f"generated images passed the gate of {method} in {sum(passed)} of {len(passed)} fits"

    def why_not(self, score: ArmScore) -> str:
        pair = self.summary.comparison(self.chosen.method, score.method, self.budget)
        if pair is None:
            return "was not compared: no repeat succeeded for both"
        mean = pair.difference.mean
        apart = f"{points(abs(mean))} points {'less' if mean > 0 else 'more'} accurate on average"
        if pair.verdict == "better":
            return f"{apart}, a real difference"
        simpler = self.simplicity(self.chosen) < self.simplicity(score)
        dear = f"; {self.chosen.method} is simpler{self.cheaper(score)}" if simpler else ""
        known = {"worse": "a real difference", "tie": "a tie"}.get(pair.verdict, "which may be chance")
        return f"{apart}, {known}{dear}" if abs(mean) >= 5e-5 else f"as accurate on average{dear}"

    def warnings(self) -> Iterator[str]:
        """Yield what to know before relying on the recommendation, most serious first."""
        n, tested = self.summary.repeats, self.summary.test.images
        if n < ENOUGH:
            yield (
                f"no difference can be significant with n = {n}: the smallest p that {plural(n, 'repeat')} can "
                f"reach is {smallest_p(n):.2g}; run {ENOUGH} repeats"
            )
        learned = bool(self.learned)
        if not learned and self.floors() and not self.unbeaten_floor():
            yield "nothing is shown to be better than ignoring the images: check the labels, or give more of them"
        yield from failures(self.summary)
        yield from self.summary.notes
        if tested < SMALL_TEST:
            yield f"only {tested} test images: differences of a few points cannot be told from chance"
        if learned or not self.floors():
            yield from self.rare()
            yield from self.uneven()
        if (looks := self.summary.test.looks) > 1:
            earlier = self.summary.test.earlier
            before = f", {earlier} of them by an earlier study that tested on these images" if earlier else ""
            yield (
                f"the test labels were opened {looks} times{before}: choices made in between make the numbers look too "
                "good"
            )

    def rare(self) -> Iterator[str]:
        """Yield the classes with few test images, and how many more would be needed."""
        place = self.chosen.method, self.budget
        rows = [r for r in self.summary.per_class if (r.method, r.budget) == place and r.of < FEW_IMAGES]
        for row in sorted(rows, key=lambda r: r.of)[:3]:
            more = row.needed - row.of
            if more > 0:
                yield (
                    f"class {row.class_} has {row.of} test images: its recall {percent(row.recall)} may be "
                    f"{percent(row.low)} to {percent(row.high)}; about {more} more are needed for +-5 points"
                )
        if len(rows) > 3:
            yield f"{len(rows) - 3} more classes have fewer than {FEW_IMAGES} test images"

    def uneven(self) -> Iterator[str]:
        """Yield a sentence where a frequent class raises the accuracy."""
        overall, balanced = self.chosen.accuracy.mean, self.chosen.balanced_accuracy.mean
        if overall - balanced > 0.05:
            best = max(self.scores, key=lambda s: s.balanced_accuracy.mean)
            reached = percent(best.balanced_accuracy.mean)
            other = "" if best is self.chosen else f"; {best.method} reaches {reached}"
            yield (
                f"classes are uneven: {percent(overall)} of images are right, but on average only {percent(balanced)} "
                f"of each class{other}"
            )
