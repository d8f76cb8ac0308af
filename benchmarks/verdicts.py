"""The verdicts of a study, by simulation: false ones, true ones that are found, coverage of intervals, early stops.

    python benchmarks/verdicts.py [--studies 1000]

A simulated study has eight methods, three label budgets, six repeats and 360 test images. Whether a method names an
image rightly in a repeat is a probit: a level, the method, the label draw, the draw with the method, the image, the
image with the method, and noise. The true accuracy of a method over all draws and images is known exactly. Verdicts
come from the code of the study (`comparisons`), and for comparison from the rule before it: Holm over all pairs of all
budgets with Satterthwaite's degrees of freedom alone, and all repeats must agree by a sign-flip test.

Kinds of studies: complete; interrupted (a random half of the methods has 1 to 5 repeats); stopped early (a method that
is `clearly_behind` the best one after three repeats gets no more). Writes benchmarks/results/verdicts.md.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from scipy.stats import norm

from sparring import stats
from sparring.devices import hardware
from sparring.study.analysis import Arm, comparisons
from sparring.study.records import FitNotes

RESULTS = Path(__file__).parent / "results" / "verdicts.md"
METHODS, REPEATS, IMAGES = tuple("abcdefgh"), 6, 360
BUDGETS = ("5", "20", "all")


@dataclass(frozen=True)
class World:
    """Standard deviations on the probit scale, and the share of images that a method names rightly."""

    name: str
    accuracy: float
    draw: float  # of the label draw, the same for all methods
    draw_method: float
    image: float
    image_method: float
    noise: float
    uneven: float = 0.0  # how much draw_method differs between methods: a factor exp(N(0, uneven))

    @property
    def scale(self) -> float:
        return float(np.sqrt(self.draw**2 + self.draw_method**2 + self.image**2 + self.image_method**2 + self.noise**2))

    def right(self, rng: np.random.Generator, effects: np.ndarray) -> np.ndarray:
        """Return what is right, bool [B,M,R,T], of methods with these effects on the probit scale."""
        budgets, methods = len(BUDGETS), len(effects)
        image = rng.normal(0, self.image, (1, 1, 1, IMAGES)) + rng.normal(0, self.image_method, (1, methods, 1, IMAGES))
        draw = rng.normal(0, self.draw, (budgets, 1, REPEATS, 1))
        steady = np.exp(rng.normal(0, self.uneven, (1, methods, 1, 1)))
        draw = draw + rng.normal(0, self.draw_method, (budgets, methods, REPEATS, 1)) * steady
        noise = rng.normal(0, self.noise, (budgets, methods, REPEATS, IMAGES))
        level = norm.ppf(self.accuracy) * np.sqrt(self.scale**2 + self.draw_method**2 * (steady**2 - 1))
        return level + effects[None, :, None, None] + image + draw + noise > 0

    def effect(self, points: float) -> float:
        """Return the effect on the probit scale that adds so many points of accuracy."""
        wanted = norm.ppf(self.accuracy + points / 100) - norm.ppf(self.accuracy)
        return float(wanted * self.scale)


WORLDS = (
    World("draws matter little", 0.90, draw=0.05, draw_method=0.1, image=1.5, image_method=0.7, noise=0.5),
    World("draws matter much", 0.80, draw=0.25, draw_method=0.25, image=1.0, image_method=0.5, noise=0.5),
    World("images matter much", 0.85, draw=0.05, draw_method=0.05, image=2.0, image_method=1.0, noise=0.3),
    World(
        "draws matter, unevenly", 0.80, draw=0.25, draw_method=0.25, image=1.0, image_method=0.5, noise=0.5, uneven=0.5
    ),
    World("much chance", 0.85, draw=0.1, draw_method=0.15, image=0.8, image_method=0.2, noise=1.0, uneven=0.5),
)


def arms_of(right: np.ndarray, counts: np.ndarray) -> dict[tuple[str, str], Arm]:
    """Return the arms of what is right [B,M,R,T], of which each has its first counts[B,M] repeats."""
    notes: Any = FitNotes()
    found = {}
    for (b, budget), (m, method) in ((b, m) for b in enumerate(BUDGETS) for m in enumerate(METHODS)):
        rows: Any = [SimpleNamespace(repeat=r, notes=notes) for r in range(counts[b, m])]
        nothing: Any = None
        mine = right[b, m, : counts[b, m]]
        found[method, budget] = Arm(method, budget, rows, mine, mine, mine, mine, nothing)
    return found


def counts_of(kind: str, right: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return how many repeats each method has at each budget, int [B,M]."""
    counts = np.full(right.shape[:2], REPEATS)
    if kind == "interrupted":
        cut = rng.random(counts.shape) < 0.5
        counts[cut] = rng.integers(1, REPEATS, cut.sum())
    elif kind == "stopped early":
        for b in range(len(BUDGETS)):
            best = right[b, :, :3].mean((1, 2)).argmax()
            for m in range(len(METHODS)):
                if m != best and stats.clearly_behind(right[b, m, :3], right[b, best, :3]):
                    counts[b, m] = 3
    return counts


def new_rule(arms: dict[tuple[str, str], Arm]) -> Iterator[tuple[str, str, str, str]]:
    """Yield (budget, a, b, verdict about a)."""
    for pair in comparisons(arms, BUDGETS, METHODS, repeats=REPEATS):
        yield pair.budget, pair.a, pair.b, pair.verdict


def old_rule(arms: dict[tuple[str, str], Arm]) -> Iterator[tuple[str, str, str, str]]:
    places = [(b, *pair) for b in BUDGETS for pair in combinations(METHODS, 2)]
    tests = []
    for budget, a, b in places:
        both = min(len(arms[a, budget].rows), len(arms[b, budget].rows))
        tests.append(stats.paired_test(arms[a, budget].right[:both], arms[b, budget].right[:both]))
    for (budget, a, b), test, p in zip(places, tests, stats.holm([plain_p(test) for test in tests]), strict=True):
        real = p <= 1 - stats.LEVEL and test.p_sign_flip <= 1 - stats.LEVEL and test.repeats >= stats.ENOUGH
        yield budget, a, b, ("better" if test.difference.mean > 0 else "worse") if real else "not enough evidence"


def plain_p(test: stats.Paired) -> float:
    """Return p of a t-test with the sum of both terms and Satterthwaite's degrees of freedom."""
    spread = test.spread
    variance, df = stats.summed((spread.of_repeats, spread.repeats), (spread.of_images, spread.images))
    return min(1.0, 2 * stats.t_tail(abs(test.difference.mean) / variance**0.5, df))


def false_verdicts(world: World, kind: str, studies: int) -> tuple[float, float]:
    """Return the share of studies of equal methods with any "better" or "worse": by the new rule, by the old one."""
    wrong = np.zeros((studies, 2), bool)
    for i in range(studies):
        rng = np.random.default_rng([i, 1])
        right = world.right(rng, np.zeros(len(METHODS)))
        arms = arms_of(right, counts_of(kind, right, rng))
        for j, rule in enumerate((new_rule, old_rule)):
            wrong[i, j] = any(said in ("better", "worse") for *_, said in rule(arms))
    return tuple(wrong.mean(0).tolist())


def found_differences(world: World, points: float, studies: int) -> tuple[float, float]:
    """Return how often the one better method comes out as better than another at the largest budget, by both rules."""
    effects = np.zeros(len(METHODS))
    effects[0] = world.effect(points)
    found = np.zeros(2)
    for i in range(studies):
        right = world.right(np.random.default_rng([i, 2]), effects)
        arms = arms_of(right, np.full(right.shape[:2], REPEATS))
        for j, rule in enumerate((new_rule, old_rule)):
            for budget, a, b, said in rule(arms):
                if budget == BUDGETS[-1] and "a" in (a, b):
                    found[j] += said == ("better" if a == "a" else "worse")
    new, old = found / (studies * (len(METHODS) - 1))
    return float(new), float(old)


def coverage(world: World, studies: int) -> tuple[float, float, float]:
    """Return how often intervals hold the true value: an accuracy, a difference of 2 points in a study of eight methods
    and in one of two."""
    effects = np.zeros(len(METHODS))
    effects[0] = world.effect(2)
    accuracy, among, alone = [], [], []
    for i in range(studies):
        right = world.right(np.random.default_rng([i, 3]), effects)[0]
        for m in range(2):
            interval = stats.share_interval(right[m])
            accuracy.append(interval.low <= world.accuracy + (0.02 if m == 0 else 0) <= interval.high)
        family = [stats.paired_test(right[a], right[b]) for a, b in combinations(range(len(METHODS)), 2)]
        among += [pair.difference.low <= 0.02 <= pair.difference.high for pair in stats.moderated(family)[:7]]
        alone += [pair.difference.low <= 0.02 <= pair.difference.high for pair in family[:7]]
    return float(np.mean(accuracy)), float(np.mean(among)), float(np.mean(alone))


def early_stops(world: World, studies: int) -> tuple[float, float, float]:
    """Return how often a method stops after three repeats: an equal one, one 5 points and one 15 points behind."""
    effects = np.zeros(len(METHODS))
    effects[1], effects[2] = world.effect(-5), world.effect(-15)
    stopped = []
    for i in range(studies):
        right = world.right(np.random.default_rng([i, 4]), effects)
        counts = counts_of("stopped early", right, np.random.default_rng(0))
        stopped.append([(counts[:, 3:] == 3).mean(), (counts[:, 1] == 3).mean(), (counts[:, 2] == 3).mean()])
    return tuple(np.mean(stopped, 0).tolist())


def percent(share: float) -> str:
    return f"{100 * share:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=1000)
    n = parser.parse_args().studies
    lines = [
        "# Verdicts, by simulation",
        "",
        f"{time.strftime('%d %B %Y')}, {hardware()['cpu']}. `python benchmarks/verdicts.py --studies {n}`: eight "
        f"methods, three label budgets, six repeats, {IMAGES} test images; {n:,} studies for every number.",
        "",
        "## False verdicts: studies of equal methods with any \u201cbetter\u201d, in %",
        "",
        "| world | study | today | before |",
        "|---|---|---|---|",
    ]
    for world in WORLDS:
        for kind in ("complete", "interrupted", "stopped early"):
            shares = " | ".join(map(percent, false_verdicts(world, kind, n)))
            lines.append(f"| {world.name} | {kind} | {shares} |")
            print(lines[-1], flush=True)
    lines += ["", "## True differences found at the largest budget, of one method better by so much, in %", "",
              "| world | points | today | before | ratio |", "|---|---|---|---|---|"]  # fmt: skip
    for world in WORLDS:
        for points in (2, 4, 8):
            new, old = found_differences(world, points, n // 2)
            ratio = f"{new / old:.1f}" if old else "-"
            lines.append(f"| {world.name} | {points} | {percent(new)} | {percent(old)} | {ratio} |")
            print(lines[-1], flush=True)
    lines += [
        "",
        "## Coverage of 95 % intervals, in %",
        "",
        "| world | accuracy | difference, of eight methods | difference, of two |",
        "|---|---|---|---|",
    ]
    for world in WORLDS:
        lines.append(f"| {world.name} | {' | '.join(map(percent, coverage(world, n)))} |")
        print(lines[-1], flush=True)
    lines += ["", "## Methods that stop after three repeats, in %", "",
              "| world | equal to the best | 5 points behind | 15 points behind |", "|---|---|---|---|"]  # fmt: skip
    for world in WORLDS:
        lines.append(f"| {world.name} | {' | '.join(map(percent, early_stops(world, n)))} |")
        print(lines[-1], flush=True)
    RESULTS.write_text("\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
