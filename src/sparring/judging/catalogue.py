"""METRICS: each score's function, what it means, what it cannot see, and where it comes from.

The page and `sparring metrics` print these words. Reading the table loads no torch: a row names its function in
scores.py, which is imported when the first score is computed. To add a metric, write a function that takes a Pair and
returns a MetricScore, and add a row with `score=` that function.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Literal

from ..errors import pick
from .results import HEADLINE_FROM, LEAST_IMAGES, ScoreRow

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
    means: str
    misses: str
    source: str
    score: Callable[["Pair"], "MetricScore"]
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

    @property
    def short_title(self) -> str:
        """Its title as the head of a narrow column."""
        return self.title.removesuffix(" x 1000")

    def cut(self, low: float, high: float) -> tuple[float, float]:
        """Return an interval, cut where values end."""
        return max(low, self.lowest), min(high, 1.0) if self.times == 100 else high

    def shown_difference(self, mean: float, half: float) -> str:
        """Return a difference of two values with half of its 95 % interval: `+1.2 +- 0.4 points`, `0.31 +- 0.1`."""
        if self.times == 100:
            return f"{100 * mean:+.1f} +- {100 * min(half, 1.0):.1f} points"
        return f"{self.shown(mean)} +- {self.shown(half)}"

    def shown_score(self, score: ScoreRow | None) -> str:
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

    def shown_interval(self, score: ScoreRow) -> str:
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


def _later(name: str) -> Callable[["Pair"], "MetricScore"]:
    """Return the function with this name in scores.py, which is imported when it is first called: it loads torch."""
    return lambda pair: getattr(import_module(".scores", __package__), name)(pair)


NEAR = "Kynkaanniemi et al. 2019, arXiv:1904.06991, eq. 1 and 2"
DENSE = "Naeem et al. 2020, arXiv:2002.09797, eq. 3 and 4"
LEARNT = "Ravuri & Vinyals 2019, arXiv:1905.10887 (classification accuracy score)"

METRICS: dict[str, Metric] = {
    "kernel": Metric(
        "Kernel distance x 1000",
        "lower",
        "How far the features of fakes are from those of real images as a whole. 0 on average when both come from the "
        "same source, at any number of images, so it may come out a little below 0.",
        "It does not say what is wrong, and hardly sees copies of training images.",
        "Binkowski et al. 2018, arXiv:1801.01401, section 4 (KID)",
        score=_later("kernel"),
        headline=True,
        times=1000,
        lowest=-math.inf,
        per_class=True,
    ),
    "frechet": Metric(
        "Frechet distance",
        "lower",
        "The same question, asked of the mean and the covariance of the features. The best known score (FID); its "
        "published values are through Inception v3 and are not comparable with another extractor's.",
        f"With few images it comes out too large: compare only numbers from as many images, never below {HEADLINE_FROM:,}. What "
        "mean and covariance do not show, it does not see; copies of training images score best of all.",
        "Heusel et al. 2017, arXiv:1706.08500, eq. 6 (FID)",
        score=_later("frechet"),
        headline=True,
        headline_from=HEADLINE_FROM,
        per_class=True,
        reference="",
    ),
    "frechet-infinity": Metric(
        "Frechet distance at infinity",
        "lower",
        "The Frechet distance that infinitely many images would give, from its fall with the number of images.",
        "The extrapolation is a straight line in 1/n, good for eight times as many images as features and more; its "
        "own doubt is large.",
        "Chong & Forsyth 2020, arXiv:1911.07023, section 4",
        score=_later("frechet_infinity"),
        asked=True,
        lowest=-math.inf,
    ),
    "precision": Metric(
        "Precision",
        "higher",
        "The share of fakes that lie among real images: how many look real.",
        "One strange real image far from the others makes room for many poor fakes (density does not fall for that). "
        "A generator that makes one good image again and again has the best precision.",
        NEAR,
        score=_later("precision"),
        times=100,
        per_class=True,
    ),
    "recall": Metric(
        "Recall",
        "higher",
        "The share of real images that lie among fakes: how much of the variety is there.",
        "Poor fakes that are strewn widely raise it (coverage does not rise for that).",
        NEAR,
        score=_later("recall"),
        times=100,
        per_class=True,
    ),
    "density": Metric(
        "Density",
        "higher",
        "How many real images' neighbourhoods a fake falls into, against what is expected: 1 for real images, more if "
        "fakes crowd where real images are densest.",
        "More than 1 is not better than 1: typical images only.",
        DENSE,
        score=_later("density"),
    ),
    "coverage": Metric(
        "Coverage",
        "higher",
        "The share of real images that have a fake in their neighbourhood: what of the real variety is reached.",
        "It falls with fewer fakes; compare it at equal numbers.",
        DENSE,
        score=_later("coverage"),
        headline=True,
        times=100,
        per_class=True,
    ),
    "diversity": Metric(
        "Diversity",
        "higher",
        "The mean distance between fakes over that between real images: 1 as diverse, 0 all alike.",
        "Noise is diverse.",
        "ours: a ratio of mean pairwise distances",
        score=_later("diversity"),
        per_class=True,
    ),
    "inception": Metric(
        "Class score",
        "higher",
        "The Inception score through the extractor's classes: fakes are named with certainty, and all classes occur. "
        "At most the number of classes.",
        "It never looks at real images: wrong classes, artefacts and copies go unseen.",
        "Salimans et al. 2016, arXiv:1606.03498, section 4",
        score=_later("inception"),
        needs="classes",
        lowest=1.0,
    ),
    "classes": Metric(
        "Classes out of balance",
        "lower",
        "The share of fakes that would have to be of another class for the classes, as the extractor names them, to be "
        "as frequent as among real images. A class that is never drawn shows here at once. Beside it what chance alone "
        "makes of two sets of real images.",
        "It does not look at how good the images of a class are.",
        "ours: total variation; the test is Pearson's chi-squared among random divisions",
        score=_later("class_balance"),
        needs="classes",
        headline=True,
        times=100,
        reference="chance",
    ),
    "fidelity": Metric(
        "Class fidelity",
        "higher",
        "The share of fakes that the extractor names as the class they were asked for: trained on real images, tested "
        "on generated ones.",
        "The extractor errs too: its own accuracy on real images is the yardstick. One good image of each class, again "
        "and again, scores 100 %.",
        "Shmelkov et al. 2018, arXiv:1807.09499 (GAN-test)",
        score=_later("fidelity"),
        needs="labels",
        headline=True,
        times=100,
        per_class=True,
    ),
    "class-frechet": Metric(
        "Frechet distance within classes",
        "lower",
        "The mean over classes of the Frechet distance between real images and fakes of one class. Large where fakes "
        "are good but of the wrong class, which the distance over all images hides.",
        "Few images a class make it too large: compare only generators that have as many of each class.",
        "Miyato & Koyama 2018, arXiv:1802.05637, section 4 (intra FID)",
        score=_later("class_frechet"),
        needs="labels",
        reference="",
    ),
    "spectrum": Metric(
        "Spectrum",
        "lower",
        "How far the mean strength of coarse and fine detail is from that of real images: checkerboards, blur and "
        "noise show here, also where the eye and the features miss them.",
        "It knows nothing of what is in the image.",
        "Durall et al. 2020, arXiv:2003.01826, section 3 (radial power spectrum); the distance and its test are ours",
        score=_later("spectrum"),
        lowest=-math.inf,
    ),
    "copies": Metric(
        "Near-copies",
        "lower",
        "The share of fakes that are nearly a training image: nearer to it than half the distance that all but one in "
        "a hundred real images keep from each other. Beside it the share of real images that are as near to others. "
        "The report shows the nearest pairs.",
        "Some real images are alike too: look at the pairs. Copies that are turned or recoloured may escape.",
        "ours",
        score=_later("copies"),
        headline=True,
        times=100,
        of_training=True,
        reference="twins",
    ),
    "authentic": Metric(
        "Authenticity",
        "higher",
        "The share of fakes whose nearest training image has a nearer neighbour among the training images: about half "
        "or more for a generator that invents, 0 for one that copies.",
        "Blurred fakes count as authentic.",
        "Alaa et al. 2022, arXiv:2102.08921, section 4",
        score=_later("authentic"),
        times=100,
        of_training=True,
        reference="",
    ),
    "memorised": Metric(
        "Memorised",
        "lower",
        "The balance of nearest neighbours: the share of fakes that lie nearer to the training images than real images "
        "that the generator never saw can explain: 0 for one that learned, 100 % for one that repeats its training "
        "images. The note has C_T, a mean of z-scores of the same question: far below 0 is bad.",
        "It needs real images that the generator never saw. A few copies in a hundred hide in its doubt.",
        "ours, tested by divisions of the real images; C_T: Meehan et al. 2020, arXiv:2004.05675, section 3",
        score=_later("memorised"),
        needs="held",
        times=100,
        lowest=-math.inf,
        of_training=True,
        reference="",
    ),
    "train-on-generated": Metric(
        "Trained on generated, tested on real",
        "higher",
        "Accuracy on real images of a classifier that saw fakes only. It needs images that are right, varied and of "
        "the right class at once: the hardest test here. Beside it as many real images, and what a fake is worth.",
        "It takes labels and minutes. Another classifier may learn more from the same images.",
        LEARNT,
        score=_later("train_on_generated"),
        needs="labels",
        asked=True,
        times=100,
        reference="real",
    ),
}

ALSO = {"fid": "frechet", "kid": "kernel", "is": "inception", "cas": "train-on-generated"}  # as papers call them


def metric_name(name: str) -> str:
    """The name in METRICS. Raises UsageError, with the nearest one, where there is none."""
    name = ALSO.get(name.lower(), name)
    pick(METRICS, name, "metric")
    return name
