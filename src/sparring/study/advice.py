"""From a measured summary to a recommendation with reasons in plain words. Pure: a dict in, text and names out."""

from collections.abc import Iterator
from math import log
from typing import Any

from ..stats import ENOUGH, images_needed, points, smallest_p

FAMILIES = ("floor", "traditional", "network", "gan")  # simplest first
CLOSE = 0.01  # a simpler method of the best tie group is chosen when its mean is at most this far below the best
FEW_IMAGES = 30  # test images of a class below which its recall is rough
SMALL_TEST = 200  # test images below which most differences cannot be seen

Row = dict[str, Any]


def advise(summary: Row) -> tuple[Row, str]:
    """(recommendation, verdict) of a summary without them; the verdict is one sentence.

    Of the best tie group at the largest budget the simplest and cheapest method is chosen whose mean accuracy is
    within CLOSE of the best; the floor only where nothing else worked. With fewer than ENOUGH repeats nothing can be
    told apart: then means alone decide, and a warning says so.
    """
    budget = next((b for b in reversed(summary["budgets"]) if at(summary, b["budget"])), None)
    if budget is None:
        nothing = "No fit succeeded: there is nothing to recommend"
        return {"method": None, "budget": None, "sentence": nothing, "reasons": [], "not_chosen": [],
                "warnings": list(failures(summary)), "model": None}, nothing  # fmt: skip
    study = Study(summary, budget)
    chosen = study.chosen()
    recommendation = {
        "method": chosen["method"],
        "budget": budget["budget"],
        "sentence": study.sentence(chosen),
        "reasons": list(study.reasons(chosen)),
        "not_chosen": [{"method": s["method"], "reason": study.why_not(chosen, s)} for s in study.scores
                       if s is not chosen],
        "warnings": list(study.warnings(chosen)),
        "model": None,
    }  # fmt: skip
    return recommendation, study.verdict(chosen)


def at(summary: Row, budget: str) -> list[Row]:
    """The scores at a budget that have an accuracy, best first."""
    found = [s for s in summary["scores"] if s["budget"] == budget and s["n"] > 0]
    return sorted(found, key=lambda s: -s["accuracy"]["mean"])


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def labels(budget: Row) -> str:
    """`5 labels a class (50 in all)`"""
    if budget["budget"] == "all":
        return f"all {budget['labels']:,} labels"
    each = int(budget["budget"])
    return f"{each} label{'s' * (each != 1)} a class ({budget['labels']:,} in all)"


def difference(row: Row) -> str:
    """`+1.2 points (0.3 to 2.1)`"""
    d = row["difference"]
    sign = "+" if d["mean"] > 0 else ""
    interval = "" if d["low"] is None else f" ({points(d['low'])} to {points(d['high'])})"
    return f"{sign}{points(d['mean'])} points{interval}"


def failures(summary: Row) -> Iterator[str]:
    """One sentence for every method that failed anywhere."""
    for method in dict.fromkeys(e["method"] for e in summary["errors"]):
        mine = [e for e in summary["errors"] if e["method"] == method]
        fits = f"{len(mine)} fit{'s' * (len(mine) > 1)}"
        yield f"{method} failed in {fits} and is judged without them, or not at all: {mine[0]['reason']}"


class Study:
    """A summary seen from its largest budget."""

    def __init__(self, summary: Row, budget: Row):
        self.summary, self.budget = summary, budget
        self.scores = at(summary, budget["budget"])
        self.best = self.scores[0]
        self.family = {m["name"]: m["family"] for m in summary["methods"]}
        grouped = [g["groups"] for g in summary["tie_groups"] if g["budget"] == budget["budget"]]
        first = grouped[0][0] if grouped and grouped[0] else [self.best["method"]]
        self.group = [s for s in self.scores if s["method"] in first]

    def chosen(self) -> Row:
        """The score of the method to choose."""
        near = [s for s in self.group if s["accuracy"]["mean"] >= self.best["accuracy"]["mean"] - CLOSE]
        useful = [s for s in near if self.family[s["method"]] != "floor"]
        return min(useful or near, key=self.simplicity)

    def simplicity(self, score: Row) -> tuple:
        family, seconds = self.family[score["method"]], score["seconds"]["median"]
        return (FAMILIES.index(family) if family in FAMILIES else len(FAMILIES), seconds or 0.0)

    def pair(self, a: str, b: str, budget: str | None = None) -> Row | None:
        """The paired comparison of two methods, its verdict as a sees it."""
        for p in self.summary["pairs"]:
            if p["budget"] == (budget or self.budget["budget"]):
                if (p["a"], p["b"]) == (a, b):
                    return p
                if (p["a"], p["b"]) == (b, a):
                    other = {"better": "worse", "worse": "better"}
                    d = p["difference"]
                    turned = {"mean": -d["mean"], "low": opposite(d["high"]), "high": opposite(d["low"])}
                    return {**p, "a": a, "b": b, "difference": turned, "verdict": other.get(p["verdict"], p["verdict"])}
        return None

    def against(self, chosen: Row) -> dict[str, list[str]]:
        """Verdict of the chosen method against each other one -> their names."""
        found: dict[str, list[str]] = {}
        for score in self.scores:
            pair = self.pair(chosen["method"], score["method"])
            if score is not chosen and pair:
                found.setdefault(pair["verdict"], []).append(score["method"])
        return found

    # Sentences.

    def sentence(self, chosen: Row) -> str:
        a = chosen["accuracy"]
        return (
            f"Use {chosen['method']}: {percent(a['mean'])} of new images right with {labels(self.budget)}, 95 % "
            f"interval {percent(a['low'])} to {percent(a['high'])}"
        )

    def verdict(self, chosen: Row) -> str:
        """One sentence: what to use, how good it is, how sure that is, and what the GAN brought."""
        text = self.sentence(chosen)
        if len(self.scores) > 1:
            text += f"; {self.standing(chosen)}"
        gan = self.ablation("the GAN") or self.ablation("generated images")
        if gan and gan["n"] >= ENOUGH:
            said = {"better": "helped", "worse": "harmed", "tie": "made no difference that matters"}
            text += f"; the GAN {said.get(gan['verdict'], 'was not shown to help')}, {difference(gan)}"
        return text + "."

    def standing(self, chosen: Row) -> str:
        if self.best["n"] < ENOUGH:
            return f"with {self.best['n']} repeat{'s' * (self.best['n'] > 1)} no difference can be called real"
        against = self.against(chosen)
        beaten, others = against.get("better", []), [m for v, names in against.items() if v != "better" for m in names]
        if not others:
            return "better than every other method" if len(beaten) > 1 else f"better than {beaten[0]}"
        rest = f"not told apart from {listed(others)}"
        return f"better than {listed(beaten)}, {rest}" if beaten else f"{rest}, of which it is the simplest choice"

    def reasons(self, chosen: Row) -> Iterator[str]:
        name = chosen["method"]
        if chosen is not self.best:
            pair = self.pair(self.best["method"], name)
            shown = difference(pair) if pair else "a little more accurate"
            yield (
                f"{self.best['method']} was the most accurate on average ({shown}), but is not shown to be better than "
                f"{name}, which is simpler{self.cheaper(chosen, self.best)}"
            )
        elif self.best["n"] >= ENOUGH and (beaten := self.against(chosen).get("better")):
            yield f"it is better than {listed(beaten)} beyond chance, all comparisons of the study considered"
        yield from self.brought()
        yield from self.curve(name)
        yield from self.elsewhere(name)
        yield f"one fit took {seconds(chosen['seconds']['median'])}"
        yield from self.gates()

    def cheaper(self, a: Row, b: Row) -> str:
        fast, slow = a["seconds"]["median"], b["seconds"]["median"]
        return f" and took {seconds(fast)} instead of {seconds(slow)}" if fast and slow and slow > 1.5 * fast else ""

    def ablation(self, what: str) -> Row | None:
        found = (a for a in self.summary["ablations"] if a["what"] == what and a["budget"] == self.budget["budget"])
        return next(found, None)

    def brought(self) -> Iterator[str]:
        """What unlabelled images, the GAN and generated images brought."""
        said = {
            "better": "better than without",
            "worse": "worse than without",
            "tie": "no difference that matters",
            "not enough evidence": "not enough evidence that this helps or harms",
        }
        for row in self.summary["ablations"]:
            if row["budget"] == self.budget["budget"]:
                yield f"{row['what']} ({row['a']} against {row['b']}): {difference(row)}, {said[row['verdict']]}"

    def curve(self, name: str) -> Iterator[str]:
        """What more labels brought, and may bring: errors fall about as a power of the number of labels."""
        known = {b["budget"]: b["labels"] for b in self.summary["budgets"]}
        mine = [(known[s["budget"]], s["accuracy"]["mean"]) for s in self.summary["scores"]
                if s["method"] == name and s["n"] > 0]  # fmt: skip
        mine = sorted(dict(mine).items())
        if len(mine) < 2:
            yield "one number of labels was tried: run two or more to see what more labels would bring"
            return
        (few, low), (many, high) = mine[-2:]
        gain = f"from {few:,} to {many:,} labels {name} went from {percent(low)} to {percent(high)}"
        if high <= low or high >= 1 or many <= few:
            yield f"{gain}: more labels did not help it here"
            return
        pace = log((1 - low) / (1 - high)) / log(many / few)
        more = 1 - (1 - high) * 2**-pace
        yield f"{gain}; at this pace twice as many would give about {percent(more)} (reckoned, not measured)"

    def elsewhere(self, name: str) -> Iterator[str]:
        """Budgets at which another method is better than the chosen one."""
        for budget in self.summary["budgets"]:
            if budget["budget"] != self.budget["budget"]:
                ranked = [s["method"] for s in at(self.summary, budget["budget"])]
                better = [m for m in ranked if m != name and (p := self.pair(m, name, budget["budget"]))
                          and p["verdict"] == "better"]  # fmt: skip
                if better:
                    yield f"with only {labels(budget)} {listed(better)} {'is' if len(better) == 1 else 'are'} better"

    def gates(self) -> Iterator[str]:
        """How often generated images were let in."""
        gates = [g for g in self.summary["gates"] if g["budget"] == self.budget["budget"]]
        for method in dict.fromkeys(g["method"] for g in gates):
            mine = [g for g in gates if g["method"] == method]
            passed = sum(bool(g["passed"]) for g in mine)
            yield f"generated images passed the gate of {method} in {passed} of {len(mine)} fits"

    def why_not(self, chosen: Row, score: Row) -> str:
        pair = self.pair(chosen["method"], score["method"])
        if pair is None:
            return "was not compared: no repeat worked for both"
        d = pair["difference"]
        sign = "less" if d["mean"] > 0 else "more"
        apart = f"{points(abs(d['mean']))} points {sign} accurate on average"
        if pair["verdict"] == "better":
            return f"{apart}, a real difference"
        slower = self.cheaper(chosen, score)
        simpler = self.simplicity(chosen) < self.simplicity(score)
        dear = f"; {chosen['method']} is simpler{slower}" if simpler else ""
        known = {"worse": "a real difference", "tie": "a tie"}.get(pair["verdict"], "which may be chance")
        return f"{apart}, {known}{dear}" if abs(d["mean"]) >= 5e-5 else f"as accurate on average{dear}"

    def warnings(self, chosen: Row) -> Iterator[str]:
        """What to know before relying on the recommendation, most serious first."""
        n, tested = self.summary["repeats"], self.summary["test"]["images"]
        if n < ENOUGH:
            yield (
                f"no difference can be significant with n = {n}: the smallest p that {n} repeat{'s' * (n > 1)} can "
                f"reach is {smallest_p(n):.2g}; run {ENOUGH} repeats"
            )
        if self.family[chosen["method"]] == "floor":
            yield "nothing is shown to be better than ignoring the images: check the labels, or give more of them"
        yield from failures(self.summary)
        yield from self.summary.get("notes", ())
        if tested < SMALL_TEST:
            yield f"only {tested} test images: differences of a few points cannot be told from chance"
        yield from self.rare(chosen["method"])
        yield from self.uneven(chosen)
        if (looks := self.summary["test"]["looks"]) > 1:
            yield f"the test images were looked at {looks} times: what was chosen in between flatters the numbers"

    def rare(self, name: str) -> Iterator[str]:
        """Classes whose recall is rough, and how many more test images would settle it."""
        rows = [r for r in self.summary["per_class"] if r["method"] == name and r["budget"] == self.budget["budget"]]
        few = sorted((r for r in rows if r["of"] < FEW_IMAGES), key=lambda r: r["of"])
        for row in few[:3]:
            more = images_needed(row["recall"]) - row["of"]
            if more > 0:
                yield (
                    f"class {row['class']} has {row['of']} test images: its recall {percent(row['recall'])} may be "
                    f"{percent(row['low'])} to {percent(row['high'])}; about {more} more are needed for +-5 points"
                )
        if len(few) > 3:
            yield f"{len(few) - 3} more classes have fewer than {FEW_IMAGES} test images"

    def uneven(self, chosen: Row) -> Iterator[str]:
        """Accuracy that a frequent class carries."""
        plain, balanced = chosen["accuracy"]["mean"], chosen["balanced_accuracy"]["mean"]
        if plain - balanced > 0.05:
            best = max(self.scores, key=lambda s: s["balanced_accuracy"]["mean"])
            other = "" if best is chosen else f"; {best['method']} reaches {percent(best['balanced_accuracy']['mean'])}"
            yield (
                f"classes are uneven: {percent(plain)} of images are right, but on average only {percent(balanced)} of "
                f"each class{other}"
            )


def opposite(value: float | None) -> float | None:
    return None if value is None else -value


def seconds(value: float | None) -> str:
    if value is None:
        return "an unknown time"
    if value < 0.1:
        return "under 0.1 s"
    return f"{value:.2g} s" if value < 99.5 else f"{value / 60:.1f} minutes"
