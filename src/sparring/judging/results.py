"""What `sparring judge` says, as frozen records: the JSON that it prints, and what the page and the terminal read.

Imports no torch. A share lies between 0 and 1. None stands where a number could not be had.
"""

from collections.abc import Mapping

from ..errors import FileFormatError
from ..records import read_record, record, to_json
from ..stats import Verdict

FORMAT_OF_JUDGEMENT = 1
HEADLINE_FROM = 2048  # images a side below which a Frechet distance is no headline
LEAST_IMAGES = 50  # a side; below, scores by neighbours say nothing


@record
class ScoreResult:
    """The value of a metric with its interval at 95 %.

    `p`: of "these fakes are no different from real images", where the metric has such a test. `note`: what is to be
    known about it, or why there is no value. `shows`: what a figure of it is drawn from, by name.
    """

    metric: str
    value: float | None
    low: float | None
    high: float | None
    p: float | None
    note: str
    shows: Mapping[str, tuple[float | tuple[float, ...], ...]]


@record
class NearestPair:
    """Where a fake and the real image that it is nearest to come from."""

    fake: str
    training: str


@record
class FakesResult:
    """The scores of one set of fakes. `how`: where they come from and what was done to them. `generator`: sets with the
    same one come from as many trainings of it. `classes`: scores within each class, by its name; `classes_left_out`
    says why some have none. `fingerprint`: of the images, in any order."""

    name: str
    generator: str
    images: int
    how: str
    fingerprint: str
    scores: tuple[ScoreResult, ...]
    classes_left_out: str
    classes: Mapping[str, tuple[ScoreResult, ...]]
    nearest: tuple[NearestPair, ...]


@record
class GeneratorResult:
    """The scores of a generator: of its fakes, or the means over several trainings."""

    name: str
    trainings: int
    scores: tuple[ScoreResult, ...]


@record
class ExtractorUsed:
    """What images were seen through. `accuracy`: the share of the images `accuracy_of` whose class it names right.
    `learned_from`: the other images that a published network learned from, in words, or "". `rounding`: what the last
    digits depend on besides, such as "bf16 cpu", or ""."""

    name: str
    hash: str
    resize: str
    accuracy: float | None
    accuracy_of: str
    classes: int
    learned_from: str = ""
    rounding: str = ""


@record
class RealImagesUsed:
    """`compared`: images that fakes are compared with. `training`: images that an extractor may learn from. `apart`:
    whether generators are known not to have been trained on the compared ones."""

    name: str
    compared: int
    training: int
    apart: bool
    how: str
    fingerprint: str
    training_fingerprint: str


@record
class JudgeProtocol:
    """What a number depends on beside the fakes. `fakes`: images of each set. `scores`: the version of the scores."""

    extractor: ExtractorUsed
    real: RealImagesUsed
    fakes: int
    pixels: str
    neighbours: int
    seed: int
    scores: int
    sparring: str


@record
class GeneratorComparison:
    """One score of generator a less that of b, half its interval at 95 %, and what may be said about a.

    `p_holm`: adjusted over all scores of all pairs (Holm 1979). `margin`: the largest difference that does not matter.
    """

    metric: str
    a: str
    b: str
    mean: float
    half: float
    p: float
    p_holm: float
    margin: float
    verdict: Verdict


@record
class JudgementResult:
    """All that a judgement says. `real`: scores of real images in the fakes' place. Sentences have no full stops."""

    format: int
    stamp: str
    protocol: JudgeProtocol
    sentences: tuple[str, ...]
    notes: tuple[str, ...]
    real: tuple[ScoreResult, ...]
    fakes: tuple[FakesResult, ...]
    generators: tuple[GeneratorResult, ...]
    verdicts: tuple[GeneratorComparison, ...]

    def to_json(self) -> object:
        return to_json(self, kinds=False)

    @classmethod
    def from_json(cls, data: object, *, name: str = "the judgement") -> "JudgementResult":
        """Read what `sparring judge --json` printed. Raises FileFormatError; `name` says where it was found."""
        if not isinstance(data, dict) or data.get("format") != FORMAT_OF_JUDGEMENT:
            what = f"{name} is no judgement of format {FORMAT_OF_JUDGEMENT}"
            raise FileFormatError("judgement-format", what, fix="judge again with this version of sparring")
        return read_record(cls, data, name=name)


@record
class CheckpointScores:
    """The scores of a run's generator after it had seen so many images."""

    images: int
    scores: tuple[ScoreResult, ...]


@record
class OverTime:
    """The scores of every checkpoint by the choosing half of the real images, and of the best one by the other half."""

    format: int
    stamp: str
    protocol: JudgeProtocol
    checkpoints: tuple[CheckpointScores, ...]
    best: CheckpointScores
    notes: tuple[str, ...]

    def to_json(self) -> object:
        return to_json(self, kinds=False)


@record
class BestScore:
    """A line of RUN/scores.json, as `sparring report RUN` shows it: the value times what its unit asks for."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    unit: str
    what: str


def by_metric(scores: tuple[ScoreResult, ...]) -> dict[str, ScoreResult]:
    """Return the scores by the name of their metric."""
    return {score.metric: score for score in scores}
