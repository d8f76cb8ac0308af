"""From images to a judgement, in one call."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain, combinations, count
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np

from .. import keyed_random
from ..devices import SPARRING_VERSION
from ..errors import DataError, UsageError, pick
from ..features import EXTRACTORS, Extractor, encoder, fingerprint, own
from ..features.encoders import FAMILIES
from ..features.extractor import handmade, hash_of
from .catalogue import METRICS, SOME, metric_name
from .inputs import Progress, Reals, Side, drawn, generator_of, quiet, read_fake, read_real, sizes
from .scores import NEIGHBOURS, VERSION, Pair, Score, finite, per_class, scored
from .verdicts import Compared, compared, in_words, over_trainings, ranked, remarks

MOST = 10_000  # images a side
FORMAT = 1
SHOWN = 48  # images of each side in a report
OF_TRAINING = ("copies", "authentic", "memorised")  # of real images they say nothing
COUNTED = ("frechet", "class-frechet")  # depend on the number of images, of which parts have fewer


@dataclass(frozen=True, eq=False)
class Judged:
    """The scores of one set of fakes; `classes`: within each class, `left_out` says of which there are none.
    `generator`: sets with the same one come from as many trainings of it."""

    generator: str
    fake: Side
    scores: dict[str, Score]
    classes: dict[str, dict[str, Score]]
    left_out: str = ""

    @property
    def nearest(self) -> np.ndarray:
        """Pairs of a fake and the image of Reals.all that it is nearest to, int64 [P,2], nearest first."""
        shows = self.scores["copies"].shows if "copies" in self.scores else {}
        return shows.get("pairs", np.zeros((0, 2), np.int64))

    def to_json(self, reals: Reals) -> dict[str, Any]:
        origins = reals.all.origins
        return {
            "name": self.fake.name,
            "generator": self.generator,
            "images": len(self.fake),
            "how": self.fake.how,
            "fingerprint": self.fake.content,
            "scores": [score.to_json() for score in self.scores.values()],
            "classes_left_out": self.left_out,
            "classes": {name: [s.to_json() for s in found.values()] for name, found in self.classes.items()},
            "nearest": [{"fake": self.fake.origins[i], "training": origins[j]} for i, j in self.nearest.tolist()],
        }


@dataclass(frozen=True, eq=False)
class Judgement:
    """The protocol that stamps every number, the scores of each set of fakes, and how they compare."""

    protocol: dict[str, Any]
    reals: Reals
    judged: list[Judged]
    verdicts: list[Compared]
    floor: dict[str, Score]  # real images in the fakes' place

    @property
    def sentences(self) -> list[str]:
        """What it comes to; without full stops."""
        said = [words for name, each in self.generators.items() for words in in_words(name, each)]
        for a, b in combinations(self.generators, 2):
            times = len(self.generators[a]), len(self.generators[b])
            about = [v for v in self.verdicts if (v.a, v.b) == (a, b)]
            said.append(f"{a} and {b} are the same images" if {a, b} in self.same else ranked(a, b, about, times))
        return said

    @property
    def same(self) -> list[set[str]]:
        """Pairs of generators whose fakes are the same images."""
        return same_images(self.judged)

    @property
    def generators(self) -> dict[str, list[dict[str, Score]]]:
        """The scores of each training of each generator."""
        return by_generator(self.judged)

    @property
    def notes(self) -> list[str]:
        """What is to be known about single scores; without full stops."""
        return remarks({one.fake.name: one.scores for one in self.judged})

    @property
    def stamp(self) -> str:
        return stamp(self.protocol)

    def pictures(self) -> dict[str, np.ndarray]:
        """uint8 [N,H,W,C] for a report: "real", "fakes 0" and so on, "nearest 0": fakes, each before its image."""
        seed = self.protocol["seed"]
        shown = {"real": some_of(self.reals.held, seed)}
        for number, one in enumerate(self.judged):
            shown[f"fakes {number}"] = some_of(one.fake, seed)
            if len(one.nearest):
                fake, training = one.nearest.T
                shown[f"nearest {number}"] = np.stack(
                    [one.fake.images[fake], self.reals.all.images[training]], 1
                ).reshape(-1, *one.fake.images.shape[1:])
        return shown

    def by_generator(self) -> list[dict[str, Any]]:
        """JSON of each generator's scores, over its trainings."""
        return [
            {"name": name, "trainings": len(each), "scores": [score.to_json() for score in of_generator(each)]}
            for name, each in self.generators.items()
        ]

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "stamp": self.stamp,
            "protocol": self.protocol,
            "sentences": self.sentences,
            "notes": self.notes,
            "real": [score.to_json() for score in self.floor.values()],
            "fakes": [one.to_json(self.reals) for one in self.judged],
            "generators": self.by_generator(),
            "verdicts": [{name: finite(v) for name, v in asdict(verdict).items()} for verdict in self.verdicts],
        }


def some_of(side: Side, seed: int) -> np.ndarray:
    """SHOWN images drawn at random: the first of a folder may all be of one class."""
    order = keyed_random.order(keyed_random.key(seed, "shown"), len(side))[:SHOWN]
    return side.images[order.numpy()]


def judge(
    real: Any,
    *fakes: Any,
    names: Sequence[str] = (),
    scores: Sequence[str] = (),
    features: str = "own",
    weights: str | Path | None = None,
    weights_hash: str | None = None,
    held: Any = None,
    size: Any = None,
    classes: bool = False,
    images: int = MOST,
    seed: int = 0,
    progress: Progress = quiet,
) -> Judgement:
    """Scores of fakes against real images, each with its interval at 95 %.

    real, held   what `sparring.data.load` takes; see `read_real` for what is compared with what
    fakes        the same, or a run, a model folder or a Sampler
    names        of fakes, "" where the path does; sets with the same name are taken for so many trainings of one
                 generator, and verdicts are then about generators
    scores       names of METRICS, or fid, kid, is, cas; all but those marked `asked` when left out
    features     own, one of features.EXTRACTORS such as pixels or hog, dinov2, clip, or encoder
    weights      of the last three: a folder, or a name in the hub's cache; `weights_hash`: what the sha256 of its
                 weights must begin with
    classes      also within each class
    images       at most so many a side; several sets of fakes are cut to the size of the smallest

    Raises UsageError, DataError, MissingData, FileFormatError.
    """
    usual = [name for name, metric in METRICS.items() if not metric.asked]
    chosen = [metric_name(name) for name in names_of(scores)] or usual
    check_features(features, weights, weights_hash)
    names = names_of(names)
    check_fakes(fakes, names, images)
    samplers = [generator_of(source) for source in fakes]
    size = size or sizes([sampler for sampler in samplers if sampler])
    opened = [sampler or source for sampler, source in zip(samplers, fakes, strict=True)]
    reals = read_real(real, held=held, size=size, most=images, seed=seed, progress=progress)
    generators = generators_of(fakes, names)
    sides = [
        read_fake(name, fake, reals, seed=seed, progress=progress)
        for name, fake in zip(distinct(generators), opened, strict=True)
    ]
    refuse_twice(generators, sides)
    fewest = min(map(len, sides))
    extractor = look(features, reals, weights, weights_hash, seed, progress)
    judged = []
    for generator, side in zip(generators, sides, strict=True):
        pair = Pair(reals, alike(side, fewest, seed), extractor, progress)
        found = scored(pair, chosen)
        each = per_class(pair, found) if classes else {}
        judged.append(Judged(generator, pair.fake, found, each, few_of(pair, each) if classes else ""))
    refuse_nothing(judged)
    verdicts = compared(by_generator(judged), fewest, same_images(judged))
    floor = floor_of(Pair(reals, judged[0].fake, extractor, progress), judged[0].scores, seed)
    return Judgement(protocol(reals, extractor, fewest, seed), reals, judged, verdicts, floor)


def names_of(names: Sequence[str]) -> list[str]:
    """Of a list, or of a text with commas."""
    return [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names or ())


def check_features(name: str, weights: Any, weights_hash: str | None) -> None:
    """Raises UsageError for what could not be looked through, before anything is read."""
    pick({"own": own, **EXTRACTORS, **FAMILIES}, name, "extractor")
    if (name in FAMILIES) != (weights is not None):
        what = f"the extractor {name} {'needs' if weights is None else 'takes no'} weights"
        fix = f"give {', '.join(FAMILIES)} a folder, or a name in the Hugging Face cache, with --weights; no other"
        raise UsageError("weights", what, fix=fix)
    if weights_hash and weights is None:
        raise UsageError("no-weights", f"the extractor {name} has no weights whose hash could be checked",
                         fix=f"leave the hash out, or take {', '.join(FAMILIES)}")  # fmt: skip


def check_fakes(fakes: Sequence[Any], names: Sequence[str], images: int) -> None:
    """Raises UsageError for what could not be judged, before anything is read."""
    if not fakes:
        raise UsageError("missing", "there are no fakes to judge", fix="name a folder, a run or a model after REAL")
    if len(names) > len(fakes):
        raise UsageError("names", f"{len(names)} names for {len(fakes)} sets of fakes", fix="give a name to each")
    if not isinstance(images, Integral) or images < SOME:
        raise UsageError("bad-number", f"images={images!r} is not a whole number of {SOME} or more",
                         fix=f"compare {SOME} images a side, or more")  # fmt: skip


def generators_of(fakes: Sequence[Any], names: Sequence[str]) -> list[str]:
    """The name given to each set of fakes, or that of its path, which is no other's."""
    given = [*names, *[""] * (len(fakes) - len(names))]
    taken = [name for name in given if name]
    paths = iter(distinct([*taken, *(name_of(f) for f, name in zip(fakes, given, strict=True) if not name)]))
    for _ in taken:
        next(paths)
    return [name or next(paths) for name in given]


def refuse_twice(generators: Sequence[str], sides: Sequence[Side]) -> None:
    """Raises UsageError where two trainings of a generator gave the same images: they would count as two."""
    found = set()
    for name, side in zip(generators, sides, strict=True):
        if (name, side.content) in found:
            raise UsageError("same-images", f"two of the trainings of {name} are the same images",
                             fix="name each training once, or give the sets different names")  # fmt: skip
        found.add((name, side.content))


def few_of(pair: Pair, found: Mapping[str, Any]) -> str:
    """Which classes have too few images to be judged."""
    left = [name for name in pair.reals.classes if name not in found]
    if not (pair.fake.labels >= 0).any():
        return "class by class: its fakes have no labels that real images have"
    return f"class by class: fewer than {SOME} images on a side of {', '.join(left)}" if left else ""


def by_generator(judged: Sequence[Judged]) -> dict[str, list[dict[str, Score]]]:
    found: dict[str, list[dict[str, Score]]] = {}
    for one in judged:
        found.setdefault(one.generator, []).append(one.scores)
    return found


def of_generator(trainings: Sequence[dict[str, Score]]) -> list[Score]:
    """Its scores: of one training as they are; of several the means, for other trainings and other images."""
    if len(trainings) == 1:
        return list(trainings[0].values())
    found = []
    for name in trainings[0]:
        each = [scores[name] for scores in trainings]
        classes = {tuple(score.shows["classes"]) for score in each if "classes" in score.shows}
        if any(score.value is None for score in each) or len(classes) > 1:  # no mean of means over other classes
            found.append(Score(name))
            continue
        mean, half = (spread := over_trainings(each)).mean, spread.half
        found.append(Score(name, mean, *METRICS[name].within(mean - half, mean + half)))
    return found


def same_images(judged: Sequence[Judged]) -> list[set[str]]:
    alone = [one for one in judged if sum(other.generator == one.generator for other in judged) == 1]
    return [{a.generator, b.generator} for a, b in combinations(alone, 2) if a.fake.content == b.fake.content]


def refuse_nothing(judged: Sequence[Judged]) -> None:
    """Raises DataError where not one score could be had."""
    scores = [score for one in judged for score in one.scores.values()]
    if all(score.value is None for score in scores):
        what = f"none of these scores can be had: {scores[0].metric} {scores[0].note}"
        raise DataError("no-score", what, fix="give more images")


def floor_of(pair: Pair, scores: Mapping[str, Score], seed: int) -> dict[str, Score]:
    """What these scores are of real images in the fakes' place: of one part of them against the rest, in the proportion
    of fakes and real images; none of those that depend on how many there are."""
    pair.progress("real images against each other")
    parts = real_parts(pair.reals, len(pair.fake) / (len(pair.fake) + len(pair.reals.held)), seed)
    by_chance = {"classes": "chance", "copies": "twins", "train-on-generated": "real"}  # where the score itself knows
    left = {*OF_TRAINING, *COUNTED, *by_chance}
    names = [name for name in scores if name not in left and not METRICS[name].asked]
    found = scored(Pair(*parts, pair.extractor, pair.progress), names) if parts else {}
    known = {name: scores[name].shows.get(what) for name, what in by_chance.items() if name in scores}
    return found | {name: Score(name, float(value.mean())) for name, value in known.items() if value is not None}


def real_parts(reals: Reals, share: float, seed: int) -> tuple[Reals, Side] | None:
    """The real images that fakes are compared with, a share of them in the fakes' place; None where these are few."""
    count = round(share * len(reals.held))
    if min(count, len(reals.held) - count) < SOME:
        return None
    first = np.isin(np.arange(len(reals.held)), drawn(len(reals.held), count, seed + 1))
    other = replace(reals.held.take(np.flatnonzero(first)), name="real images")
    return replace(reals, held=reals.held.take(np.flatnonzero(~first))), other


def look(name: str, reals: Reals, weights: Any, weights_hash: str | None, seed: int, progress: Progress) -> Extractor:
    """The extractor with this name; `own` learns from the real images that fakes are not compared with."""
    if weights is not None:
        return encoder(name, weights, expected=weights_hash or "")
    if name != "own":
        return handmade(name)
    seen = reals.seen
    return own(
        seen.images,
        seen.labels,
        reals.classes,
        lambda done, of, what: progress(f"{what} {100 * done // of} %"),
        seed=seed,
    )


def alike(side: Side, count: int, seed: int) -> Side:
    """As many images as the others."""
    if len(side) == count:
        return side
    return replace(side.some(count, seed), how=f"{side.how}, of which {count:,} were drawn, as many as of the others")


def name_of(source: Any) -> str:
    if isinstance(source, str | Path):
        return Path(source).name or str(source)
    return getattr(source, "name", "fakes")


def distinct(names: Sequence[str]) -> list[str]:
    """Numbered where they repeat."""
    found: list[str] = []
    for name in names:
        found.append(next(new for new in chain([name], (f"{name} ({i})" for i in count(2))) if new not in found))
    return found


# --- the protocol ----------------------------------------------------------------------------------------------------


def protocol(reals: Reals, extractor: Extractor, count: int, seed: int) -> dict[str, Any]:
    """What a number depends on beside the fakes themselves."""
    height, width, channels = reals.shape
    return {
        "extractor": {
            "name": extractor.name,
            "hash": extractor.hash,
            "resize": extractor.resize,
            "accuracy": extractor.accuracy,
            "accuracy_of": extractor.accuracy_of,
            "classes": len(extractor.classes),
        },
        "real": {
            "name": reals.name,
            "compared": len(reals.held),
            "training": len(reals.seen),
            "apart": reals.apart,
            "how": reals.how,
            "fingerprint": fingerprint(reals.held.images, reals.held.labels),
            "training_fingerprint": fingerprint(reals.seen.images, reals.seen.labels),
        },
        "fakes": count,
        "pixels": f"uint8, 0 to 255, {height}x{width}x{channels}",
        "neighbours": NEIGHBOURS,
        "seed": seed,
        "scores": VERSION,
        "sparring": SPARRING_VERSION,
    }


def stamp(protocol: dict[str, Any]) -> str:
    """Eight hexadecimal digits: numbers with different stamps are not to be compared."""
    real, extractor = protocol["real"], protocol["extractor"]
    parts = [real[name] for name in ("fingerprint", "training_fingerprint", "apart")]
    parts += [protocol[name] for name in ("fakes", "pixels", "neighbours", "seed", "scores", "sparring")]
    return hash_of(extractor["hash"], *parts)[:8]
