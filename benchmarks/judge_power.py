"""Which score sees what is wrong? Real images, spoilt in known ways and shares, judged as fakes.

    python benchmarks/judge_power.py [mnist cifar10] [--features own] [--only alarms|power] [--repeats 10]
                                     [--count 2000] [--pool 60000] [--threads 1]

The extractor `own` learns from 5,000 labelled training images; efficientnet-lite0 learned from ImageNet, and names none
of these classes. In every repeat three other sets of --count training
images are drawn: one to compare with, a clean one, and one of which 5, 10 or 20 % are spoilt. A score sees the harm
when it is worse for the spoilt set than for the clean one by a one-sided test at 5 %, from the errors that the judge
itself states. The judge says it when one of its sentences about the spoilt set alone is a complaint. The table, of the
share of repeats in which a score saw it, is written to results/judge_power.md and into docs/judge.md; the column
`nothing` has a second clean set: about 5 % there is as it should be, much more is a defect. --pool: at most so many
images that sets are drawn from.
"""

import argparse
import datetime
import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = sys.argv[sys.argv.index("--threads") + 1] if "--threads" in sys.argv else "1"
    os.environ["SPARRING_CACHE"] = tempfile.mkdtemp()

import numpy as np
from games import device_name
from scipy.ndimage import gaussian_filter
from scoring import real_images

from sparring.data import ImageSet
from sparring.features import Extractor, own
from sparring.features.extractor import handmade
from sparring.features.learned import HANDMADE
from sparring.features.pretrained import imagenet
from sparring.judging.catalogue import METRICS
from sparring.judging.inputs import RealImages
from sparring.judging.scores import MetricScore, Pair
from sparring.judging.verdicts import compare_generators, sentences_about, tests_of_difference
from sparring.metrics import difference

HERE = Path(__file__).parent
SEEN, ALARMED = 5000, 1000  # images that the extractor learns from; a side, where nothing is to be seen
SHARES = (0.05, 0.10, 0.20)
BUILT_IN = "efficientnet-lite0"
TOLD = ("kernel", "coverage", "classes", "fidelity", "spectrum", "copies", "memorised")  # what its sentences are from
SAYS = "the judge says so"
Z = 1.6449  # one-sided 5 %
NAMES = [name for name, metric in METRICS.items() if not metric.asked and name != "class-frechet"]
NEED_CLASSES = [name for name in NAMES if METRICS[name].needs in ("classes", "labels")]


# --- images with their features, computed once -----------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Looked:
    """A side, and what the extractor makes of it."""

    side: ImageSet
    features: np.ndarray
    logits: np.ndarray  # of no class where it names none
    plain: np.ndarray  # features for copies

    def __len__(self) -> int:
        return len(self.side)

    def take(self, at: np.ndarray) -> "Looked":
        return Looked(self.side.take(at), self.features[at], self.logits[at], self.plain[at])

    def swapped_in(self, at: np.ndarray, others: "Looked") -> "Looked":
        """Others in the places `at`."""
        images, labels = self.side.images.copy(), self.side.labels.copy()
        features, logits, plain = self.features.copy(), self.logits.copy(), self.plain.copy()
        images[at], labels[at] = others.side.images, others.side.labels
        features[at], logits[at], plain[at] = others.features, others.logits, others.plain
        return Looked(replace(self.side, images=images, labels=labels), features, logits, plain)


def looked(side: ImageSet, extractor: Extractor) -> Looked:
    features, logits = extractor.features(side.images), extractor.logits(side.images)
    if logits is None:
        return Looked(side, features, np.zeros((len(side), 0), np.float32), features)
    return Looked(side, features, logits, handmade(HANDMADE[side.images.shape[3]]).features(side.images))


@dataclass(frozen=True, eq=False)
class World:
    """The extractor, the images that it learned from, and all others."""

    data: str
    extractor: Extractor
    classes: tuple[str, ...]
    seen: Looked
    rest: Looked

    @property
    def names(self) -> list[str]:
        """Of the scores that this extractor gives."""
        return [name for name in NAMES if self.extractor.classes or name not in NEED_CLASSES]

    @classmethod
    def of(cls, data: str, features: str = "own", pool: int = 60_000) -> "World":
        real = real_images(data)
        classes = tuple(map(str, range(int(real.y.max()) + 1)))
        origins = tuple(map(str, range(len(real.x))))
        whole = ImageSet(real.x, real.y, classes, origins, np.full(len(real.x), "", "<U5"), data)
        order = np.random.default_rng(0).permutation(len(whole))
        seen, rest = whole.take(order[:SEEN]), whole.take(order[SEEN : SEEN + pool])
        extractor = own(seen.images, seen.labels, classes) if features == "own" else imagenet()
        right = f"{100 * extractor.accuracy:.1f} % of {extractor.accuracy_of}" if extractor.accuracy else "no class"
        print(f"{data}: extractor {extractor.hash}, right on {right}", flush=True)
        return cls(data, extractor, classes, looked(seen, extractor), looked(rest, extractor))

    def pair(self, held: Looked, fake: Looked) -> Pair:
        reals = RealImages(self.data, self.classes, self.seen.side, held.side, True, "")
        pair = Pair(reals, fake.side, self.extractor)
        vars(pair).update(real_features=held.features, fake_features=fake.features)
        vars(pair).update(three=[self.seen.plain, held.plain, fake.plain])
        if self.extractor.classes:
            vars(pair).update(real_named=held.logits.argmax(1), fake_logits=fake.logits)
        return pair

    def drawn(self, random: np.random.Generator, parts: int, count: int) -> list[Looked]:
        """Disjoint sets of other images."""
        at = random.permutation(len(self.rest))[: parts * count]
        return [self.rest.take(part) for part in np.split(at, parts)]


def scores(pair: Pair, names: Sequence[str] = NAMES) -> dict[str, MetricScore]:
    return {name: METRICS[name].score(pair) for name in names}


# --- what may be wrong -----------------------------------------------------------------------------------------------

Harm = Callable[[Looked, float, Looked, World, np.random.Generator], Looked]


def nothing(fake: Looked, share: float, pool: Looked, world: World, random: np.random.Generator) -> Looked:
    return fake


def changing(change: Callable[[np.ndarray, np.random.Generator], np.ndarray]) -> Harm:
    """Some images give way to themselves, changed."""

    def harm(fake: Looked, share: float, pool: Looked, world: World, random: np.random.Generator) -> Looked:
        at = chosen(fake, share, random)
        some = fake.side.take(at)
        images = np.clip(np.rint(change(some.images.astype(np.float64), random)), 0, 255).astype(np.uint8)
        return fake.swapped_in(at, looked(replace(some, images=images), world.extractor))

    return harm


def dropped(fake: Looked, share: float, pool: Looked, world: World, random: np.random.Generator) -> Looked:
    """So many images, all of the first classes, give way to images of the others."""
    order = np.argsort(fake.side.labels, kind="stable")[: round(share * len(fake))]
    others = np.flatnonzero(pool.side.labels > fake.side.labels[order].max())
    return fake.swapped_in(order, pool.take(random.permutation(others)[: len(order)]))


def copied(fake: Looked, share: float, pool: Looked, world: World, random: np.random.Generator) -> Looked:
    """Some images give way to training images."""
    at = chosen(fake, share, random)
    return fake.swapped_in(at, world.seen.take(random.permutation(len(world.seen))[: len(at)]))


def mislabelled(fake: Looked, share: float, pool: Looked, world: World, random: np.random.Generator) -> Looked:
    """Labels that are another class's."""
    at, labels = chosen(fake, share, random), fake.side.labels.copy()
    labels[at] = (labels[at] + random.integers(1, len(world.classes), len(at))) % len(world.classes)
    return replace(fake, side=replace(fake.side, labels=labels))


def chosen(fake: Looked, share: float, random: np.random.Generator) -> np.ndarray:
    return random.permutation(len(fake))[: round(share * len(fake))]


HARMS: dict[str, Harm] = {
    "nothing": nothing,
    "blur": changing(lambda x, random: gaussian_filter(x, (0, 1, 1, 0))),  # a deviation of 1 pixel
    "noise": changing(lambda x, random: x + random.normal(0, 15, x.shape)),  # of 255
    "class dropped": dropped,
    "copies of training images": copied,
    "labels swapped": mislabelled,
}


# --- who sees it -----------------------------------------------------------------------------------------------------


def sees(name: str, spoilt: MetricScore, clean: MetricScore) -> bool:
    """Is the spoilt set worse, beyond the doubt of both?"""
    assert spoilt.estimate is not None and clean.estimate is not None  # noqa: PT018
    apart = difference(spoilt.estimate, clean.estimate)
    worse = apart.value if METRICS[name].better == "lower" else -apart.value
    return worse > Z * apart.error


def power(world: World, repeats: int, count: int) -> dict[tuple[str, float], dict[str, float]]:
    """(harm, share) -> metric -> share of repeats in which it saw the harm."""
    found: dict[tuple[str, float], dict[str, float]] = {}
    for repeat in range(repeats):
        random = np.random.default_rng(repeat + 1)
        held, clean, fake, pool = world.drawn(random, 4, count)
        base = scores(world.pair(held, clean), world.names)
        for harm, spoil in HARMS.items():
            for share in SHARES if harm != "nothing" else (0.0,):
                now = scores(world.pair(held, spoil(fake, share, pool, world, random)), world.names)
                row = found.setdefault((harm, share), {})
                for name in world.names:
                    row[name] = row.get(name, 0.0) + sees(name, now[name], base[name]) / repeats
                row[SAYS] = row.get(SAYS, 0.0) + bool(complaints(now)) / repeats
        print(f"{world.data}: repeat {repeat + 1} of {repeats}", flush=True)
    return found


def complaints(scores: dict[str, MetricScore]) -> list[str]:
    return [words for words in sentences_about("these", [scores]) if not words.startswith("no test tells")]


def alarms(world: World, repeats: int, count: int) -> dict[str, float]:
    """What the judge says of images that are no different: share of repeats in which it says that they are."""
    found: dict[str, float] = {}
    told = [name for name in TOLD if name in world.names]
    for repeat in range(repeats):
        held, *sets = world.drawn(np.random.default_rng(10_000 + repeat), 4, count)
        each = {name: scores(world.pair(held, side), told) for name, side in zip("abc", sets, strict=True)}
        of_a, said = each["a"], sentences_about("a", [each["a"]])
        fired = {
            "the judge says: different from real images": bool(tests_of_difference(of_a)[1]),
            "the judge says: near-copies": any("copies" in words for words in said),
            "the judge says: memorised": any("by heart" in words for words in said),
            "the judge says: one of two sets is better in a score": ranks({k: [each[k]] for k in "ab"}, count),
            "the judge says: one of three sets is better in a score": ranks({k: [each[k]] for k in "abc"}, count),
        }
        for name in [name for name in ("kernel", "classes", "spectrum", "fidelity", "memorised") if name in told]:
            for level in (0.05, 0.01):
                fired[f"test of {name} at {100 * level:.0f} %"] = (1 if of_a[name].p is None else of_a[name].p) <= level
        for name, yes in fired.items():
            found[name] = found.get(name, 0.0) + bool(yes) / repeats
    return found


def ranks(generators: dict, count: int) -> bool:
    return any(verdict.verdict in ("better", "worse") for verdict in compare_generators(generators, count))


# --- the tables ------------------------------------------------------------------------------------------------------


def table(found: list[dict]) -> str:
    heads = ["score", *(f"{at['harm']} {100 * at['share']:.0f} %" if at["share"] else at["harm"] for at in found)]
    titles = {SAYS: "**The judge says so**"} | {name: METRICS[name].title for name in NAMES}
    rows = [[title, *(f"{100 * at['seen'][name]:.0f}" for at in found)] for name, title in titles.items()
            if all(name in at["seen"] for at in found)]  # fmt: skip
    return "\n".join("| " + " | ".join(row) + " |" for row in (heads, ["---"] * len(heads), *rows))


def written(results: dict) -> None:
    """results/judge_power.md, and the tables of docs/judge.md."""
    blocks, tables = [], []
    for data, of in results.items():
        if alarm := of.get("alarms"):
            fired = "\n".join(f"| {name} | {100 * share:.1f} % |" for name, share in alarm["fired"].items())
            blocks.append(f"## {data}\n\nFalse alarms in {alarm['repeats']} repeats with {alarm['count']:,} images a "
                          f"side, all real ({alarm['date']}):\n\n| | fires in |\n| --- | --- |\n{fired}")  # fmt: skip
        if seen := of.get("power"):
            title = f"{data}, {seen['count']:,} images a side, {seen['repeats']} repeats"
            tables.append(f"### {title}\n\n{table(seen['found'])}")
            blocks.append(f"{title} ({seen['date']}):\n\n{table(seen['found'])}")
    head = "# Which score sees what\n\nWritten by `python benchmarks/judge_power.py` from judge_power.json. Share of "
    head += f"repeats, in percent, in which a score saw the harm. {device_name('cpu')}."
    (HERE / "results" / "judge_power.md").write_text("\n\n".join([head, *blocks]) + "\n")
    page = HERE.parent / "docs" / "judge.md"
    before, _, rest = page.read_text().partition("<!-- power -->")
    after, text = rest.partition("<!-- end of power -->")[2], "\n\n".join(tables)
    page.write_text(f"{before}<!-- power -->\n\n{text}\n\n<!-- end of power -->{after}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="*", default=["mnist", "cifar10"])
    parser.add_argument("--features", choices=["own", BUILT_IN], default="own")
    parser.add_argument("--pool", type=int, default=60_000, help="images that sets are drawn from, at most")
    parser.add_argument("--only", choices=["alarms", "power"])
    parser.add_argument("--repeats", type=int, default=10, help="of each harm")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--alarms", type=int, default=200, help="repeats with nothing to see")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    path = HERE / "results" / "judge_power.json"
    for data in options.data:
        world, date = World.of(data, options.features, options.pool), str(datetime.date.today())
        entry = data if options.features == "own" else f"{data} through {options.features}"
        results = json.loads(path.read_text()) if path.exists() else {}
        if options.only != "power":
            fired = alarms(world, options.alarms, ALARMED)
            of = {"date": date, "repeats": options.alarms, "count": ALARMED, "fired": fired}
            results.setdefault(entry, {})["alarms"] = of
        if options.only != "alarms":
            found = power(world, options.repeats, options.count)
            rows = [{"harm": harm, "share": share, "seen": seen} for (harm, share), seen in found.items()]
            of = {"date": date, "repeats": options.repeats, "count": options.count, "found": rows}
            results.setdefault(entry, {})["power"] = of
        path.write_text(json.dumps(results, indent=1) + "\n")
        written(results)


if __name__ == "__main__":
    main()
