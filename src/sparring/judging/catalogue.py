"""The scores: what each means, what it cannot see, and where it comes from. The report prints these words."""

import math
from dataclasses import dataclass
from typing import Literal

from ..errors import pick

FEW = 2048  # images below which a Frechet distance is no headline
ROUNDING = 1e-7  # values below it are shown as 0
SOME = 50  # images a side below which scores by neighbours say nothing


@dataclass(frozen=True)
class Metric:
    """A score of fakes against real images.

    `better`: which way is good. `least`: images that each side must have. `needs`: "classes" (an extractor that names
    them), "labels" (of the fakes), "held" (real images apart from those that the generator was trained on). `headline`:
    what verdicts speak of, from so many images a side. `asked`: computed only when named. `times`: shown multiplied by
    this; 100 is shown in percent. `lowest`: no interval goes below it, and none of a share above 1.
    """

    title: str
    better: Literal["lower", "higher"]
    means: str
    misses: str
    source: str
    least: int = SOME
    needs: str = ""
    headline: bool = False
    headline_from: int = 0
    asked: bool = False
    times: float = 1.0
    lowest: float = 0.0

    def leads(self, images: int) -> bool:
        """Is it a headline with so many images on the smaller side?"""
        return self.headline and images >= self.headline_from

    def within(self, low: float, high: float) -> tuple[float, float]:
        """An interval, cut where values end."""
        return max(low, self.lowest), min(high, 1.0) if self.times == 100 else high

    def apart(self, mean: float, half: float) -> str:
        """A difference of two values with half of its 95 % interval."""
        if self.times == 100:
            return f"{100 * mean:+.1f} +- {100 * min(half, 1.0):.1f} points"
        return f"{self.shown(mean)} +- {self.shown(half)}"

    def around(self, value: float | None, low: float | None, high: float | None) -> str:
        """A value and how far its interval goes from it, to the value's last digit."""
        text = self.shown(value)
        if low is None or high is None:
            return text
        half = self.times * max(high - (value or 0.0), (value or 0.0) - low)  # the longer, where one end is cut
        if "e" in text:
            return f"{text} +-{half:.2g}"
        decimals = len(text.removesuffix(" %").partition(".")[2])
        return f"{text} +-{half:.{decimals}f}"

    def shown(self, value: float | None) -> str:
        """As a table prints it."""
        if value is None:
            return ""
        scaled = self.times * value if abs(value) > ROUNDING else 0.0
        if self.times == 100:
            return f"{scaled:.1f} %"
        return f"{scaled:#.3g}".rstrip(".") if abs(scaled) < 1000 else f"{scaled:,.0f}"


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
        headline=True,
        times=1000,
        lowest=-math.inf,
    ),
    "frechet": Metric(
        "Frechet distance",
        "lower",
        "The same question, asked of the mean and the covariance of the features. The best known score (FID); its "
        "published values are through Inception v3 and are not comparable with another extractor's.",
        f"With few images it comes out too large: compare only numbers from as many images, never below {FEW:,}. What "
        "mean and covariance do not show, it does not see; copies of training images score best of all.",
        "Heusel et al. 2017, arXiv:1706.08500, eq. 6 (FID)",
        headline=True,
        headline_from=FEW,
    ),
    "frechet-infinity": Metric(
        "Frechet distance at infinity",
        "lower",
        "The Frechet distance that infinitely many images would give, from its fall with the number of images.",
        "The extrapolation is a straight line in 1/n, good for eight times as many images as features and more; its "
        "own doubt is large.",
        "Chong & Forsyth 2020, arXiv:1911.07023, section 4",
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
        times=100,
    ),
    "recall": Metric(
        "Recall",
        "higher",
        "The share of real images that lie among fakes: how much of the variety is there.",
        "Poor fakes that are strewn widely raise it (coverage does not rise for that).",
        NEAR,
        times=100,
    ),
    "density": Metric(
        "Density",
        "higher",
        "How many real images' neighbourhoods a fake falls into, against what is expected: 1 for real images, more if "
        "fakes crowd where real images are densest.",
        "More than 1 is not better than 1: typical images only.",
        DENSE,
    ),
    "coverage": Metric(
        "Coverage",
        "higher",
        "The share of real images that have a fake in their neighbourhood: what of the real variety is reached.",
        "It falls with fewer fakes; compare it at equal numbers.",
        DENSE,
        headline=True,
        times=100,
    ),
    "diversity": Metric(
        "Diversity",
        "higher",
        "The mean distance between fakes over that between real images: 1 as diverse, 0 all alike.",
        "Noise is diverse.",
        "ours: a ratio of mean pairwise distances",
    ),
    "inception": Metric(
        "Class score",
        "higher",
        "The Inception score through the extractor's classes: fakes are named with certainty, and all classes occur. "
        "At most the number of classes.",
        "It never looks at real images: wrong classes, artefacts and copies go unseen.",
        "Salimans et al. 2016, arXiv:1606.03498, section 4",
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
        needs="classes",
        headline=True,
        times=100,
    ),
    "fidelity": Metric(
        "Class fidelity",
        "higher",
        "The share of fakes that the extractor names as the class they were asked for: trained on real images, tested "
        "on generated ones.",
        "The extractor errs too: its own accuracy on real images is the yardstick. One good image of each class, again "
        "and again, scores 100 %.",
        "Shmelkov et al. 2018, arXiv:1807.09499 (GAN-test)",
        needs="labels",
        headline=True,
        times=100,
    ),
    "class-frechet": Metric(
        "Frechet distance within classes",
        "lower",
        "The mean over classes of the Frechet distance between real images and fakes of one class. Large where fakes "
        "are good but of the wrong class, which the distance over all images hides.",
        "Few images a class make it too large: compare only generators that have as many of each class.",
        "Miyato & Koyama 2018, arXiv:1802.05637, section 4 (intra FID)",
        needs="labels",
    ),
    "spectrum": Metric(
        "Spectrum",
        "lower",
        "How far the mean strength of coarse and fine detail is from that of real images: checkerboards, blur and "
        "noise show here, also where the eye and the features miss them.",
        "It knows nothing of what is in the image.",
        "Durall et al. 2020, arXiv:2003.01826, section 3 (radial power spectrum); the distance and its test are ours",
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
        headline=True,
        times=100,
    ),
    "authentic": Metric(
        "Authenticity",
        "higher",
        "The share of fakes whose nearest training image has a nearer neighbour among the training images: about half "
        "or more for a generator that invents, 0 for one that copies.",
        "Blurred fakes count as authentic.",
        "Alaa et al. 2022, arXiv:2102.08921, section 4",
        times=100,
    ),
    "memorised": Metric(
        "Memorised",
        "lower",
        "The balance of nearest neighbours: the share of fakes that lie nearer to the training images than real images "
        "that the generator never saw can explain: 0 for one that learned, 100 % for one that repeats its training "
        "images. The note has C_T, a mean of z-scores of the same question: far below 0 is bad.",
        "It needs real images that the generator never saw. A few copies in a hundred hide in its doubt.",
        "ours, tested by divisions of the real images; C_T: Meehan et al. 2020, arXiv:2004.05675, section 3",
        needs="held",
        times=100,
        lowest=-math.inf,
    ),
    "train-on-generated": Metric(
        "Trained on generated, tested on real",
        "higher",
        "Accuracy on real images of a classifier that saw fakes only. It needs images that are right, varied and of "
        "the right class at once: the hardest test here. Beside it as many real images, and what a fake is worth.",
        "It takes labels and minutes. Another classifier may learn more from the same images.",
        LEARNT,
        needs="labels",
        asked=True,
        times=100,
    ),
}

ALSO = {"fid": "frechet", "kid": "kernel", "is": "inception", "cas": "train-on-generated"}  # as papers call them


def metric_name(name: str) -> str:
    """The name in METRICS. Raises UsageError, with the nearest one, where there is none."""
    name = ALSO.get(name.lower(), name)
    pick(METRICS, name, "metric")
    return name
