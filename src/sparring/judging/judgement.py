"""From images to a judgement, in one call."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, combinations, count
from numbers import Integral
from pathlib import Path

import numpy as np

from .. import keyed_random
from ..data import ImageSet
from ..devices import SPARRING_VERSION, choose_device
from ..errors import DataError, UsageError, pick
from ..features import EXTRACTORS, Extractor, encoder, own
from ..features.encoder_files import fetched
from ..features.encoders import FAMILIES
from ..features.extractor import handmade
from ..features.pretrained import BUILT_IN, imagenet
from ..files import content_hash
from ..images import SizeLike
from ..records import OnProgress, Progress, no_progress
from ..runs.folder import Run
from .catalogue import METRICS, metric_name
from .inputs import Fakes, RealImages, as_generator, at_most, common_size, random_subset, read_fakes, read_real
from .results import (
    FORMAT_OF_JUDGEMENT,
    LEAST_IMAGES,
    ExtractorUsed,
    FakesResult,
    GeneratorComparison,
    GeneratorResult,
    JudgementResult,
    JudgeProtocol,
    NearestPair,
    RealImagesUsed,
    ScoreResult,
)
from .scores import NEIGHBOUR_COUNT, MetricScore, Pair
from .scoring import SCORES_VERSION, compute_scores, scores_per_class
from .verdicts import (
    about_features,
    compare_generators,
    mean_over_trainings,
    remarks,
    sentence_on_two,
    sentences_about,
)

MOST_IMAGES = 10_000  # a side
IMAGES_SHOWN = 48  # of each side in a report


@dataclass(frozen=True)
class JudgeOptions:
    """What may be chosen of a judgement, as on the command line.

    metrics        names of METRICS, or fid, kid, is, cas, also as one text with commas; none: all but those `asked` for
    features       own, one of features.EXTRACTORS such as pixels or hog, efficientnet-lite0, which is built in, or
                   inception, dinov2, clip, encoder
    weights        of the last four: a folder, or the name of a model on the hub, which is in its cache on this machine
    weights_hash   what the sha256 of these weights must begin with
    download       fetch these weights from the hub where they are not on this machine; else no network is used
    held_out       real images that no generator was trained on, to be compared with
    size           what all images are fitted to
    images         at most so many a side
    seed           of what is drawn
    device         of features: auto, cpu or cuda
    follow_links   of folders, read also what links name that lead out of them
    table, label   of the real images, as `sparring.load` takes them
    group          of the real images: those of one are all compared with fakes, or none is

    Raises UsageError for what could not be judged, before anything is read.
    """

    metrics: Sequence[str] | str = ()
    features: str = "own"
    weights: str | Path | None = None
    weights_hash: str | None = None
    held_out: object = None
    size: SizeLike = None
    images: int = MOST_IMAGES
    seed: int = 0
    device: str = "auto"
    download: bool = False
    follow_links: bool = False
    table: str | Path | None = None
    label: str | None = None
    group: object = None

    def __post_init__(self):
        object.__setattr__(self, "metrics", tuple(map(metric_name, _split_names(self.metrics))))
        name, weights = self.features, self.weights
        pick({"own": own, **EXTRACTORS, BUILT_IN: imagenet, **FAMILIES}, name, "extractor")
        if (name in FAMILIES) != (weights is not None):
            what = f"the extractor {name} {'needs' if weights is None else 'takes no'} weights"
            fix = f"give {', '.join(FAMILIES)} a folder, or a name in the Hugging Face cache, with --weights; no other"
            raise UsageError("weights", what, fix=fix)
        if (self.weights_hash or self.download) and weights is None:
            what = "whose hash could be checked" if self.weights_hash else "to be downloaded"
            raise UsageError("no-weights", f"the extractor {name} has no weights {what}",
                             fix=f"leave that option out, or take {', '.join(FAMILIES)}")  # fmt: skip
        choose_device(self.device)
        if not isinstance(self.images, Integral) or self.images < LEAST_IMAGES:
            raise UsageError("bad-number", f"images={self.images!r} is not a whole number of {LEAST_IMAGES} or more",
                             fix=f"compare {LEAST_IMAGES} images a side, or more")  # fmt: skip

    def read(self, real: object, size: SizeLike, progress: OnProgress) -> tuple[RealImages, Extractor]:
        """Return the real images, fitted to `size` where none was chosen, and the extractor.

        `own` learns from the real images that fakes are not compared with.
        """
        if self.download:
            fetched(str(self.weights), progress)
        found = read_real(
            real, held_out=self.held_out, size=self.size or size, most=self.images, seed=self.seed,
            table=self.table, label=self.label, group=self.group, follow_links=self.follow_links, progress=progress,
        )  # fmt: skip
        if self.weights is not None:
            return found, encoder(self.features, self.weights, expected=self.weights_hash or "", device=self.device)
        if self.features == BUILT_IN:
            return found, imagenet(device=self.device)
        if self.features != "own":
            return found, handmade(self.features)
        train = found.train
        return found, own(train.images, train.labels, found.classes, progress, seed=self.seed, device=self.device)


def _split_names(names: Sequence[str] | str) -> list[str]:
    return [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names or ())


@dataclass(frozen=True, eq=False)
class Judged:
    """One set of fakes and its scores; `classes`: within each class, `left_out` says of which there are none.

    `generator`: sets with the same one come from as many trainings of it.
    """

    generator: str
    fakes: Fakes
    scores: dict[str, MetricScore]
    classes: dict[str, dict[str, MetricScore]]
    left_out: str = ""

    @property
    def name(self) -> str:
        return self.fakes.images.name

    @property
    def nearest(self) -> np.ndarray:
        """Pairs of a fake and the image of RealImages.all that it is nearest to, int64 [P,2], nearest first."""
        shows = self.scores["copies"].shows if "copies" in self.scores else {}
        return shows["pairs"] if "pairs" in shows else np.zeros((0, 2), np.int64)

    def result(self, reals: RealImages) -> FakesResult:
        made = self.fakes.images.origins
        real = reals.train.origins + reals.test.origins
        return FakesResult(
            name=self.name,
            generator=self.generator,
            images=len(self.fakes.images),
            how=self.fakes.how,
            fingerprint=self.fakes.fingerprint,
            scores=score_rows(self.scores),
            classes_left_out=self.left_out,
            classes={name: score_rows(scores) for name, scores in self.classes.items()},
            nearest=tuple(NearestPair(made[i], real[j]) for i, j in self.nearest.tolist()),
        )


def score_rows(scores: Mapping[str, MetricScore]) -> tuple[ScoreResult, ...]:
    return tuple(score.row(name) for name, score in scores.items())


@dataclass(frozen=True, eq=False)
class Judgement:
    """The protocol that stamps every number, the scores of each set of fakes, and how they compare.

    `reference`: the scores of real images in the fakes' place.
    """

    protocol: JudgeProtocol
    reals: RealImages
    judged: list[Judged]
    verdicts: tuple[GeneratorComparison, ...]
    reference: dict[str, MetricScore]

    def __str__(self) -> str:
        """Return a line for each score, and what it comes to."""
        lines = [
            f"{one.name}: {METRICS[name].title} {METRICS[name].shown_score(score.row(name))}"
            for one in self.judged
            for name, score in one.scores.items()
        ]
        return "\n".join([*lines, *(f"{sentence}." for sentence in self.sentences)])

    @property
    def sentences(self) -> list[str]:
        """What it comes to; without full stops."""
        each, same = _by_generator(self.judged), _same_images(self.judged)
        said = [words for name, trainings in each.items() for words in sentences_about(name, trainings)]
        for a, b in combinations(each, 2):
            about = [v for v in self.verdicts if (v.a, v.b) == (a, b)]
            on_two = sentence_on_two(a, b, about, (len(each[a]), len(each[b])))
            said.append(f"{a} and {b} are the same images" if {a, b} in same else on_two)
        return said

    @property
    def notes(self) -> list[str]:
        """What is to be known about single scores, and about the features; without full stops."""
        return [*remarks({one.name: one.scores for one in self.judged}), *about_features(self.protocol.extractor)]

    @property
    def stamp(self) -> str:
        return stamp_of(self.protocol)

    @property
    def result(self) -> JudgementResult:
        """All that it says, as a record: what --json prints and the page shows."""
        generators = _by_generator(self.judged).items()
        return JudgementResult(
            format=FORMAT_OF_JUDGEMENT,
            stamp=self.stamp,
            protocol=self.protocol,
            sentences=tuple(self.sentences),
            notes=tuple(self.notes),
            real=score_rows(self.reference),
            fakes=tuple(one.result(self.reals) for one in self.judged),
            generators=tuple(GeneratorResult(n, len(x), score_rows(_over_trainings(x))) for n, x in generators),
            verdicts=self.verdicts,
        )

    def to_json(self) -> object:
        return self.result.to_json()

    def pictures(self) -> dict[str, np.ndarray]:
        """Return images uint8 [N,H,W,C] for a report: "real", "fakes 0" and so on, "nearest 0" and so on.

        The last hold pairs: a fake, the image that it is nearest to, the next fake.
        """
        seed = self.protocol.seed
        shown = {"real": _some_images(self.reals.test, seed)}
        for number, one in enumerate(self.judged):
            fakes = one.fakes.images
            shown[f"fakes {number}"] = _some_images(fakes, seed)
            if len(one.nearest):
                fake, training = one.nearest.T
                pairs = np.stack([fakes.images[fake], self.reals.all.images[training]], 1)
                shown[f"nearest {number}"] = pairs.reshape(-1, *fakes.shape)
        return shown


def _some_images(images: ImageSet, seed: int) -> np.ndarray:
    """Return IMAGES_SHOWN images drawn at random: the first of a folder may all be of one class."""
    order = keyed_random.order(keyed_random.key(seed, "shown"), len(images))[:IMAGES_SHOWN]
    return images.images[order.numpy()]


def judge(
    real: object,
    *fakes: object,
    names: Sequence[str] | str = (),
    metrics: Sequence[str] | str = (),
    features: str = "own",
    weights: str | Path | None = None,
    weights_hash: str | None = None,
    held_out: object = None,
    per_class: bool = False,
    size: SizeLike = None,
    table: str | Path | None = None,
    label: str | None = None,
    group: object = None,
    images: int = MOST_IMAGES,
    seed: int = 0,
    device: str = "auto",
    download: bool = False,
    follow_links: bool = False,
    progress: OnProgress = no_progress,
) -> Judgement:
    """Score fakes against real images, each score with its interval at 95 %, and compare generators.

    real        what `sparring.load` takes; see `inputs.read_real` for what is compared with what
    fakes       the same, or a run, a model folder or a Sampler; several sets are cut to the size of the smallest
    names       of fakes, "" where the path gives one; sets with the same name are taken for so many trainings of one
                generator, and verdicts are then about generators
    per_class   also within each class

    The other options are those of JudgeOptions. Raises UsageError, DataError, MissingData, FileFormatError.
    """
    options = JudgeOptions(
        metrics, features, weights, weights_hash, held_out, size, images, seed, device, download, follow_links,
        table, label, group,
    )  # fmt: skip
    chosen = options.metrics or [name for name, metric in METRICS.items() if not metric.asked]
    names = _split_names(names)
    if not fakes:
        raise UsageError("missing", "there are no fakes to judge", fix="name a folder, a run or a model after REAL")
    if len(names) > len(fakes):
        raise UsageError("names", f"{len(names)} names for {len(fakes)} sets of fakes", fix="give a name to each")
    samplers = [as_generator(source) for source in fakes]
    common = None if size else common_size([sampler for sampler in samplers if sampler])
    reals, extractor = options.read(real, common, progress)
    generators = name_generators(fakes, names)
    opened = [sampler or source for sampler, source in zip(samplers, fakes, strict=True)]
    sets = [
        read_fakes(name, source, reals, seed=seed, follow_links=follow_links, progress=progress)
        for name, source in zip(number_repeats(generators), opened, strict=True)
    ]
    _refuse_equal_trainings(generators, sets)
    fewest = min(len(one.images) for one in sets)
    judged = []
    for generator, whole in zip(generators, sets, strict=True):
        cut = _cut(whole, fewest, seed)
        pair = Pair(reals, cut.images, extractor, progress)
        scores = compute_scores(pair, chosen)
        each = scores_per_class(pair, scores) if per_class else {}
        judged.append(Judged(generator, cut, scores, each, _too_few_of(pair, each) if per_class else ""))
    _refuse_nothing(judged)
    verdicts = compare_generators(_by_generator(judged), fewest, _same_images(judged))
    first = judged[0]
    reference = reference_scores(Pair(reals, first.fakes.images, extractor, progress), first.scores, seed)
    return Judgement(protocol_of(reals, extractor, fewest, seed), reals, judged, verdicts, reference)


def name_generators(fakes: Sequence[object], names: Sequence[str]) -> list[str]:
    """Return the name given to each set of fakes, or that of its path, numbered where another set has it."""
    given = [*names, *[""] * (len(fakes) - len(names))]
    taken = [name for name in given if name]
    of_paths = [_name_of_source(source) for source, name in zip(fakes, given, strict=True) if not name]
    paths = iter(number_repeats([*taken, *of_paths])[len(taken) :])
    return [name or next(paths) for name in given]


def _name_of_source(source: object) -> str:
    source = source.folder if isinstance(source, Run) else source
    if isinstance(source, str | Path):
        return Path(source).name or str(source)
    return source.name if isinstance(source, ImageSet) else "fakes"


def number_repeats(names: Sequence[str]) -> list[str]:
    """Return the names, with a number where one was there before."""
    found: list[str] = []
    for name in names:
        found.append(next(new for new in chain([name], (f"{name} ({i})" for i in count(2))) if new not in found))
    return found


def _refuse_equal_trainings(generators: Sequence[str], sets: Sequence[Fakes]) -> None:
    """Raise UsageError where two trainings of a generator gave the same images: they would count as two."""
    found = set()
    for name, one in zip(generators, sets, strict=True):
        if (name, one.fingerprint) in found:
            raise UsageError("same-images", f"two of the trainings of {name} are the same images",
                             fix="name each training once, or give the sets different names")  # fmt: skip
        found.add((name, one.fingerprint))


def _cut(fakes: Fakes, count: int, seed: int) -> Fakes:
    """Return as many images as the other sets have."""
    if len(fakes.images) == count:
        return fakes
    how = f"{fakes.how}, of which {count:,} were drawn, as many as of the others"
    return Fakes(at_most(fakes.images, count, seed), how)


def _too_few_of(pair: Pair, found: Mapping[str, Mapping[str, MetricScore]]) -> str:
    """Return which classes have too few images to be judged."""
    left = [name for name in pair.reals.classes if name not in found]
    if not pair.fake.labelled.any():
        return "class by class: its fakes have no labels that real images have"
    return f"class by class: fewer than {LEAST_IMAGES} images on a side of {', '.join(left)}" if left else ""


def _by_generator(judged: Sequence[Judged]) -> dict[str, list[dict[str, MetricScore]]]:
    """Return the scores of each training of each generator."""
    found: dict[str, list[dict[str, MetricScore]]] = {}
    for one in judged:
        found.setdefault(one.generator, []).append(one.scores)
    return found


def _over_trainings(trainings: Sequence[dict[str, MetricScore]]) -> dict[str, MetricScore]:
    """Return a generator's scores: those of one training, or the means over several, for new trainings and images."""
    if len(trainings) == 1:
        return trainings[0]
    found = {}
    for name in trainings[0]:
        each = [scores[name] for scores in trainings]
        classes = {tuple(score.shows["classes"]) for score in each if "classes" in score.shows}
        found[name] = MetricScore()
        # Scores that are means over classes have a mean only where these are the same classes.
        if all(score.value is not None for score in each) and len(classes) < 2:
            mean = mean_over_trainings(each)
            ends = METRICS[name].cut(mean.value - mean.half, mean.value + mean.half)
            found[name] = MetricScore(mean.value, *ends)
    return found


def _same_images(judged: Sequence[Judged]) -> list[set[str]]:
    """Return the pairs of generators, trained once each, whose fakes are the same images."""
    alone = [one for one in judged if sum(other.generator == one.generator for other in judged) == 1]
    pairs = combinations(alone, 2)
    return [{a.generator, b.generator} for a, b in pairs if a.fakes.fingerprint == b.fakes.fingerprint]


def _refuse_nothing(judged: Sequence[Judged]) -> None:
    """Raise DataError where not one score could be had."""
    scores = [(name, score) for one in judged for name, score in one.scores.items()]
    if all(score.value is None for _, score in scores):
        what = f"none of these scores can be had: {scores[0][0]} {scores[0][1].note}"
        raise DataError("no-score", what, fix="give more images")


def reference_scores(pair: Pair, scores: Mapping[str, MetricScore], seed: int) -> dict[str, MetricScore]:
    """Return the same scores with one part of the real images in the fakes' place, and the rest as real images.

    They are split in the ratio of fakes to real images. Scores that depend on how many images there are, or on training
    images, are left out.
    """
    pair.progress(Progress("real images against each other"))
    split = split_real(pair.reals, len(pair.fake) / (len(pair.fake) + len(pair.reals.test)), seed)
    names = [name for name in scores if METRICS[name].reference == "same" and not METRICS[name].asked]
    found = compute_scores(Pair(*split, pair.extractor, pair.progress), names) if split else {}
    for name in METRICS:
        if name in scores and METRICS[name].reference in scores[name].shows:
            found[name] = MetricScore(float(scores[name].shows[METRICS[name].reference].mean()))
    return found


def split_real(reals: RealImages, share: float, seed: int) -> tuple[RealImages, ImageSet] | None:
    """Return the real images that fakes are compared with in two: those that stay, and a share to stand for fakes.

    No group is in both. None where either would be fewer than LEAST_IMAGES.
    """
    test = reals.test
    count = round(share * len(test))
    first = np.isin(np.arange(len(test)), random_subset(len(test), count, seed + 1, test.groups))
    if min(first.sum(), (~first).sum()) < LEAST_IMAGES:
        return None
    return replace(reals, test=test.take(~first)), replace(test.take(first), name="real images")


# --- the protocol ----------------------------------------------------------------------------------------------------


def protocol_of(reals: RealImages, extractor: Extractor, fakes: int, seed: int) -> JudgeProtocol:
    """Return what a number depends on beside the fakes themselves."""
    height, width, channels = reals.shape
    e, train, test = extractor, reals.train, reals.test
    fingerprint, of_train = (content_hash(images.images, images.labels) for images in (test, train))
    return JudgeProtocol(
        extractor=ExtractorUsed(
            e.name, e.hash, e.resize, e.accuracy, e.accuracy_of, len(e.classes), e.learned_from, e.rounding
        ),
        real=RealImagesUsed(reals.name, len(test), len(train), reals.disjoint, reals.how, fingerprint, of_train),
        fakes=fakes,
        pixels=f"uint8, 0 to 255, {height}x{width}x{channels}",
        neighbours=NEIGHBOUR_COUNT,
        seed=seed,
        scores=SCORES_VERSION,
        sparring=SPARRING_VERSION,
    )


def stamp_of(protocol: JudgeProtocol) -> str:
    """Return eight hexadecimal digits: numbers with different stamps are not to be compared."""
    p, real = protocol, protocol.real
    of_real = (real.fingerprint, real.training_fingerprint, real.apart)
    extractor = f"{p.extractor.hash} {p.extractor.rounding}".rstrip()
    return content_hash(extractor, *of_real, p.fakes, p.pixels, p.neighbours, p.seed, p.scores, p.sparring)[:8]
