"""METRICS: each score's function, what it means, what it cannot see, and where it comes from.

The page and `sparring metrics` print these words. Reading the table loads no torch: a row names its function, whose
file is imported when the first score is computed. To add a metric, write a function that takes a Pair and returns a
MetricScore, and add a row with it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from importlib import import_module
from operator import attrgetter
from typing import TYPE_CHECKING, Literal

from ..errors import Table, pick
from .results import HEADLINE_FROM, LEAST_IMAGES, ScoreResult

if TYPE_CHECKING:
    from .scores import MetricScore, Pair

SHOWN_AS_ZERO = 1e-7  # values below it


@dataclass(frozen=True)
class Metric:
    """A score of fakes against real images.

    better         which way is good
    score          computes it from the images and features of both sides
    least          images that each side must have
    needs          "classes": an extractor that names them; "labels": of the fakes, too; "held": real images apart from
                   those that the generator was trained on
    of_training    it compares with the training images, of which it needs LEAST_IMAGES
    headline       verdicts speak of it, from `headline_from` images a side
    asked          computed only when named
    per_class      computed within each class and at each checkpoint, too
    times          shown multiplied by this; 100 is a share, shown in percent
    lowest         no interval goes below it, and none of a share above 1
    reference      how real images in the fakes' place are scored: "same" by the same function, "" not at all, else the
                   name in MetricScore.shows where the function left it
    """

    title: str
    better: Literal["lower", "higher"]
    score: Callable[["Pair"], "MetricScore"]
    means: str
    misses: str
    source: str
    least: int = LEAST_IMAGES
    needs: Literal["", "classes", "labels", "held"] = ""
    of_training: bool = False
    headline: bool = False
    headline_from: int = 0
    asked: bool = False
    per_class: bool = False
    times: float = 1.0
    lowest: float = 0.0
    reference: str = "same"

    def is_headline(self, images: int) -> bool:
        """Return whether verdicts speak of it, with so many images on the smaller side."""
        return self.headline and images >= self.headline_from

    @property
    def in_sentence(self) -> str:
        """Its title inside a sentence."""
        title = self.title.removesuffix(" x 1000")
        return title if title.startswith(("Frechet", "Inception")) else title[0].lower() + title[1:]

    def described(self) -> dict[str, str | int | float | bool | None]:
        """Return what JSON says of it: all fields but the function; null for an infinite one."""
        said = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "score"}
        return {name: None if value in (math.inf, -math.inf) else value for name, value in said.items()}

    def cut(self, low: float, high: float) -> tuple[float, float]:
        """Return an interval, cut where values end."""
        return max(low, self.lowest), min(high, 1.0) if self.times == 100 else high

    def shown_difference(self, mean: float, half: float) -> str:
        """Return a difference of two values with half of its 95 % interval: `+1.2 +- 0.4 points`, `0.31 +- 0.1`."""
        if self.times == 100:
            return f"{100 * mean:+.1f} +- {100 * min(half, 1.0):.1f} points"
        return f"{self.shown(mean)} +- {self.shown(half)}"

    def shown_score(self, score: ScoreResult | None) -> str:
        """Return a value and how far its 95 % interval goes from it, to the value's last digit: `50.0 % +-2.1`."""
        text = self.shown(score and score.value)
        if score is None or score.value is None or score.low is None or score.high is None:
            return text
        # the longer half, where one end is cut
        half = self.times * max(score.high - score.value, score.value - score.low)
        if "e" in text:
            return f"{text} +-{half:.2g}"
        decimals = len(text.removesuffix(" %").partition(".")[2])
        return f"{text} +-{half:.{decimals}f}"

    def shown_interval(self, score: ScoreResult) -> str:
        """Return `48.1 to 52.3 %`, or nothing."""
        if score.low is None or score.high is None:
            return ""
        return f"{self.shown(score.low).removesuffix(' %')} to {self.shown(score.high)}"

    def shown(self, value: float | None) -> str:
        """Return a value as a table prints it: `50.0 %`, `1.20`, `12,345`."""
        if value is None:
            return ""
        scaled = self.times * value if abs(value) > SHOWN_AS_ZERO else 0.0
        if self.times == 100:
            return f"{scaled:.1f} %"
        return f"{scaled:#.3g}".rstrip(".") if abs(scaled) < 1000 else f"{scaled:,.0f}"


def _later(name: str, module: str = "scores", *, of: str = "") -> Callable[["Pair"], "MetricScore"]:
    """Return a function of judging/MODULE.py, which is imported when it is first called: it loads torch.

    It is called with a Pair, or with what the pair has under `of`.
    """
    return lambda pair: getattr(import_module(f".{module}", __package__), name)(attrgetter(of)(pair) if of else pair)


IMPROVED_PRECISION = "Kynkaanniemi et al. 2019, arXiv:1904.06991, eq. 1 and 2"
DENSITY_COVERAGE = "Naeem et al. 2020, arXiv:2002.09797, eq. 3 and 4"

# fmt: off
METRICS: Table[Metric] = Table("metric", {
    "kernel": Metric(
        "Kernel distance x 1000", "lower", _later("score_kernel"),
        "The distance between the features of fakes and those of real images, as two sets. Its mean is 0 where both "
        "come from one source, at any number of images, so a value may be a little below 0.",
        "It does not say what is wrong, and hardly notices copies of training images.",
        "Binkowski et al. 2018, arXiv:1801.01401, section 4 (KID)",
        headline=True, times=1000, lowest=-math.inf, per_class=True,
    ),
    "frechet": Metric(
        "Frechet distance", "lower", _later("score_frechet"),
        "The distance between two Gaussians fitted to the features: it compares means and covariances. The best known "
        "score (FID). Published values use Inception v3, and are not comparable with another extractor's.",
        f"With few images it is too large: compare only values from the same number of images, "
        f"{HEADLINE_FROM:,} or more. "
        "It sees nothing but means and covariances. Copies of training images score best of all.",
        "Heusel et al. 2017, arXiv:1706.08500, eq. 6 (FID)",
        headline=True, headline_from=HEADLINE_FROM, per_class=True, reference="",
    ),
    "frechet-infinity": Metric(
        "Frechet distance at infinity", "lower", _later("score_frechet_infinity"),
        "The Frechet distance that infinitely many images would give, extrapolated from subsets of the images.",
        "The extrapolation is a straight line in 1/n. It takes at least eight times as many images as features, and "
        "its interval is wide.",
        "Chong & Forsyth 2020, arXiv:1911.07023, section 4",
        asked=True, lowest=-math.inf,
    ),
    "precision": Metric(
        "Precision", "higher", _later("proportion", of="neighbours.precision"),
        "The share of fakes that lie among real images: how many look real.",
        "One real image far from the others makes room for many poor fakes (density is robust to that). A generator "
        "that repeats one good image has the best precision.",
        IMPROVED_PRECISION,
        times=100, per_class=True,
    ),
    "recall": Metric(
        "Recall", "higher", _later("proportion", of="neighbours.recall"),
        "The share of real images that lie among fakes: how much of the real variety the fakes cover.",
        "Poor fakes that are spread widely raise it (coverage is robust to that).",
        IMPROVED_PRECISION,
        times=100, per_class=True,
    ),
    "density": Metric(
        "Density", "higher", _later("from_estimate", of="neighbours.density"),
        "The number of real images' neighbourhoods that a fake lies in, over its expectation: 1 for real images, more "
        "where fakes crowd together in the densest regions.",
        "More than 1 is no better than 1: it means typical images only.",
        DENSITY_COVERAGE,
    ),
    "coverage": Metric(
        "Coverage", "higher", _later("proportion", of="neighbours.coverage"),
        "The share of real images that have a fake in their neighbourhood: how much of the real variety is reached.",
        "It falls with fewer fakes: compare only values from the same number of fakes.",
        DENSITY_COVERAGE,
        headline=True, times=100, per_class=True,
    ),
    "diversity": Metric(
        "Diversity", "higher", _later("score_diversity"),
        "The mean distance between fakes over that between real images: 1 where they are as diverse, 0 where all "
        "fakes are the same.",
        "Noise is diverse, too.",
        "ours: a ratio of mean pairwise distances",
        per_class=True,
    ),
    "inception": Metric(
        "Inception score (own classes)", "higher", _later("score_inception"),
        "The Inception score with the extractor's classes: large where it is certain of the class of each fake, and "
        "all classes occur. At most the number of classes.",
        "It never looks at real images, so it misses wrong classes, artefacts and copies.",
        "Salimans et al. 2016, arXiv:1606.03498, section 4",
        needs="classes", lowest=1.0,
    ),
    "classes": Metric(
        "Classes out of balance", "lower", _later("score_class_balance"),
        "The share of fakes that would have to be of another class for all classes to be as frequent as among real "
        "images; the extractor names the classes. A class that the generator never makes shows here at once. The "
        "column of real images has the mean value of two sets of real images.",
        "It does not look at how good the images of a class are.",
        "ours: total variation; the test is Pearson's chi-squared among random divisions",
        needs="classes", headline=True, times=100, reference="chance",
    ),
    "fidelity": Metric(
        "Class fidelity", "higher", _later("score_fidelity"),
        "The share of fakes that the extractor names as the class that was asked for. It was trained on real images "
        "and is tested on generated ones.",
        "The extractor makes mistakes, too: compare with its accuracy on real images. A generator that repeats one "
        "good image of each class scores 100 %.",
        "Shmelkov et al. 2018, arXiv:1807.09499 (GAN-test)",
        needs="labels", headline=True, times=100, per_class=True,
    ),
    "class-frechet": Metric(
        "Frechet distance within classes", "lower", _later("score_class_frechet"),
        "The mean over classes of the Frechet distance between real images and fakes of one class. Large where fakes "
        "are good but of the wrong class, which the distance over all images does not show.",
        "Few images of a class make it too large: compare only generators that have as many of each class.",
        "Miyato & Koyama 2018, arXiv:1802.05637, section 4 (intra FID)",
        needs="labels", reference="",
    ),
    "spectrum": Metric(
        "Spectrum", "lower", _later("score_spectrum"),
        "The distance between the mean power spectra of fakes and of real images. Checkerboards, blur and noise show "
        "here, even where the eye and the features miss them.",
        "It does not know what an image shows.",
        "Durall et al. 2020, arXiv:2003.01826, section 3 (radial power spectrum); the distance and its test are ours",
        lowest=-math.inf,
    ),
    "copies": Metric(
        "Near-copies", "lower", _later("score_copies"),
        "The share of fakes that are nearly a training image: nearer to it than half the distance that 99 of 100 real "
        "images keep from each other. The column of real images has the share of them that are as near to others. The "
        "report shows the nearest pairs.",
        "Some real images are alike, too: look at the pairs. Copies that are rotated or recoloured may go unnoticed.",
        "ours",
        headline=True, times=100, of_training=True, reference="twins",
    ),
    "authentic": Metric(
        "Authenticity", "higher", _later("score_authentic"),
        "The share of fakes that are farther from their nearest training image than another training image is: about "
        "half or more for a generator that makes new images, 0 for one that copies.",
        "Blurred fakes count as authentic.",
        "Alaa et al. 2022, arXiv:2102.08921, section 4",
        times=100, of_training=True, reference="",
    ),
    "memorised": Metric(
        "Memorised", "lower", _later("score_memorised"),
        "The share of fakes that are nearest to a training image, beyond what real images that the generator never "
        "saw explain: 0 where it learned, 100 % where it repeats its training images. The note has C_T, a mean of "
        "z-scores for the same question: far below 0 is bad.",
        "It needs real images that the generator never saw. A few copies in a hundred are less than its interval.",
        "ours, tested by divisions of the real images; C_T: Meehan et al. 2020, arXiv:2004.05675, section 3",
        needs="held", times=100, lowest=-math.inf, of_training=True, reference="",
    ),
    "train-on-generated": Metric(
        "Trained on generated, tested on real", "higher", _later("score_train_on_generated"),
        "The accuracy on real images of a classifier that was trained on fakes only. Fakes must look right, be varied "
        "and be of the right class: the hardest test here. The column of real images has the accuracy from as many "
        "real images; the note says how many real images one fake is worth.",
        "It needs labels and takes minutes. Another classifier may learn more from the same images.",
        "Ravuri & Vinyals 2019, arXiv:1905.10887 (classification accuracy score)",
        needs="labels", asked=True, times=100, reference="real",
    ),
}, columns=("title",))
# fmt: on

ALSO = {"fid": "frechet", "kid": "kernel", "is": "inception", "cas": "train-on-generated"}  # as papers call them


def metric_name(name: str) -> str:
    """Return the name in METRICS, also of what papers call otherwise. Raises UsageError where there is none."""
    name = ALSO.get(name.lower(), name)
    pick(METRICS, name, "metric")
    return name
