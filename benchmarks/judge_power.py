"""Which score sees what is wrong? Real images, spoilt in known ways and shares, judged as fakes.

    python benchmarks/judge_power.py [mnist cifar10] [--repeats 20] [--count 2000] [--threads 1]

The extractor `own` learns from 5,000 labelled training images. In every repeat three other sets of --count training
images are drawn: one to compare with, a clean one, and one of which 5, 10 or 20 % are spoilt. A score sees the harm
when it is worse for the spoilt set than for the clean one by a one-sided test at 5 %, from the errors that the judge
itself states. The table, of the share of repeats in which a score saw it, is written to results/judge_power.md and
into docs/judge.md; the row `nothing` has a second clean set: about 5 % there is as it should be, much more is a defect.
"""

import argparse
import datetime
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = sys.argv[sys.argv.index("--threads") + 1] if "--threads" in sys.argv else "1"
    os.environ["SPARRING_CACHE"] = tempfile.mkdtemp()

import numpy as np
from games import device_name
from scipy.ndimage import gaussian_filter
from scoring import real_images

from sparring.features import own
from sparring.judge.scores import SCORERS, Pair, Score
from sparring.judge.sides import Reals, Side
from sparring.judge.table import METRICS
from sparring.metrics import difference

HERE = Path(__file__).parent
SEEN = 5000
SHARES = (0.05, 0.10, 0.20)
Z = 1.6449  # one-sided 5 %
NAMES = [name for name, metric in METRICS.items() if not metric.asked and name != "class-frechet"]


# --- what may be wrong -----------------------------------------------------------------------------------------------


def nothing(fake: Side, share: float, pool: Side, seen: Side, random: np.random.Generator) -> Side:
    return fake


def blur(fake: Side, share: float, pool: Side, seen: Side, random: np.random.Generator) -> Side:
    """A Gaussian of deviation 1 pixel."""
    return replaced(fake, chosen(fake, share, random), lambda x: gaussian_filter(x.astype(np.float64), (0, 1, 1, 0)))


def noise(fake: Side, share: float, pool: Side, seen: Side, random: np.random.Generator) -> Side:
    """Of deviation 15 of 255."""
    return replaced(fake, chosen(fake, share, random), lambda x: x + random.normal(0, 15, x.shape))


def dropped(fake: Side, share: float, pool: Side, seen: Side, random: np.random.Generator) -> Side:
    """So many images, all of the first classes, give way to images of the others."""
    order = np.argsort(fake.labels, kind="stable")[: round(share * len(fake))]
    others = np.flatnonzero(pool.labels > fake.labels[order].max())
    return swapped_in(fake, order, pool.take(random.permutation(others)[: len(order)]))


def copied(fake: Side, share: float, pool: Side, seen: Side, random: np.random.Generator) -> Side:
    """Training images."""
    at = chosen(fake, share, random)
    return swapped_in(fake, at, seen.take(random.permutation(len(seen))[: len(at)]))


def swapped(fake: Side, share: float, pool: Side, seen: Side, random: np.random.Generator) -> Side:
    """Labels that are another class's."""
    at, labels, classes = chosen(fake, share, random), fake.labels.copy(), fake.labels.max() + 1
    labels[at] = (labels[at] + random.integers(1, classes, len(at))) % classes
    return Side(fake.name, fake.images, labels, fake.origins)


def chosen(fake: Side, share: float, random: np.random.Generator) -> np.ndarray:
    return random.permutation(len(fake))[: round(share * len(fake))]


def replaced(fake: Side, at: np.ndarray, change: Callable[[np.ndarray], np.ndarray]) -> Side:
    images = fake.images.copy()
    images[at] = np.clip(np.rint(change(images[at])), 0, 255)
    return Side(fake.name, images, fake.labels, fake.origins)


def swapped_in(fake: Side, at: np.ndarray, others: Side) -> Side:
    images, labels = fake.images.copy(), fake.labels.copy()
    images[at], labels[at] = others.images, others.labels
    return Side(fake.name, images, labels, fake.origins)


HARMS = {
    "nothing": nothing,
    "blur": blur,
    "noise": noise,
    "class dropped": dropped,
    "copies of training images": copied,
    "labels swapped": swapped,
}


# --- who sees it -----------------------------------------------------------------------------------------------------


def sees(name: str, spoilt: Score, clean: Score) -> bool:
    """Is the spoilt set worse, beyond the doubt of both?"""
    assert spoilt.estimate is not None and clean.estimate is not None  # noqa: PT018
    apart = difference(spoilt.estimate, clean.estimate)
    worse = apart.value if METRICS[name].better == "lower" else -apart.value
    return worse > Z * apart.error


def measured(data: str, repeats: int, count: int) -> dict[tuple[str, float], dict[str, float]]:
    """(harm, share) -> metric -> share of repeats in which it saw the harm."""
    real = real_images(data)
    classes = tuple(map(str, range(int(real.y.max()) + 1)))
    whole = Side(data, real.x, real.y, tuple(map(str, range(len(real.x)))))
    order = np.random.default_rng(0).permutation(len(whole))
    seen, rest = whole.take(order[:SEEN]), whole.take(order[SEEN:])
    extractor = own(seen.images, seen.labels, classes, lambda done, of, what: None)
    print(
        f"{data}: extractor {extractor.hash}, right on {extractor.accuracy:.1%} of {extractor.accuracy_of}", flush=True
    )
    found: dict[tuple[str, float], dict[str, float]] = {}
    for repeat in range(repeats):
        random = np.random.default_rng(repeat + 1)
        parts = np.split(random.permutation(len(rest))[: 4 * count], 4)
        held, clean, fake, pool = (rest.take(part) for part in parts)
        reals = Reals(data, classes, "", seen, held, True, "")
        base = scores(Pair(reals, clean, extractor))
        for harm, spoil in HARMS.items():
            for share in SHARES if harm != "nothing" else (0.0,):
                spoilt = spoil(fake, share, pool, seen, random)
                now, row = scores(Pair(reals, spoilt, extractor)), found.setdefault((harm, share), {})
                for name in NAMES:
                    row[name] = row.get(name, 0.0) + sees(name, now[name], base[name]) / repeats
        print(f"{data}: repeat {repeat + 1} of {repeats}", flush=True)
    return found


def scores(pair: Pair) -> dict[str, Score]:
    return {name: SCORERS[name](pair) for name in NAMES}


# --- the tables ------------------------------------------------------------------------------------------------------


def table(found: dict[tuple[str, float], dict[str, float]]) -> str:
    columns = list(found)
    heads = ["score", *(f"{harm} {100 * share:.0f} %" if share else harm for harm, share in columns)]
    rows = [[METRICS[name].title, *(f"{100 * found[at][name]:.0f}" for at in columns)] for name in NAMES]
    return "\n".join("| " + " | ".join(row) + " |" for row in (heads, ["---"] * len(heads), *rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="*", default=["mnist", "cifar10"])
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    blocks = []
    for data in options.data:
        found = measured(data, options.repeats, options.count)
        blocks.append(f"### {data}, {options.count:,} images a side, {options.repeats} repeats\n\n{table(found)}")
        text = "\n\n".join(blocks)
        made = f"{datetime.date.today()}, {device_name('cpu')}, `python benchmarks/judge_power.py`"
        head = "# Which score sees what\n\nShare of repeats, in percent, in which a score saw the harm; "
        (HERE / "results" / "judge_power.md").write_text(f"{head}{made}.\n\n{text}\n")
        page = HERE.parent / "docs" / "judge.md"
        before, _, rest = page.read_text().partition("<!-- power -->")
        after = rest.partition("<!-- end of power -->")[2]
        page.write_text(f"{before}<!-- power -->\n\n{text}\n\n<!-- end of power -->{after}")
        print(table(found), flush=True)


if __name__ == "__main__":
    main()
