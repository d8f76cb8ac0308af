"""From the curves of a training to panels with titles."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..records import CurveName

PLAYERS = {"D": "discriminator", "G": "generator", "E": "encoder", "C": "classifier", "P": ""}
AGAINST = "loss against the other"
TERMS = {
    # contests
    "NonSaturating": AGAINST,
    "Minimax": AGAINST,
    "LeastSquares": AGAINST,
    "Hinge": AGAINST,
    "Wasserstein": AGAINST,
    "Relativistic": AGAINST,
    "FeatureMatching": "loss on features",
    "TeacherMatching": "loss on teacher features",
    # penalties
    "R1": "penalty on its slope",
    "GradientPenalty": "penalty on its slope",
    "Orthogonal": "penalty on alike filters",
    "HistoricalAverage": "distance to its past weights",
    # labels, codes, views
    "Agree": "two views disagree",
    "Classify/labelled": "loss on the labels",
    "Classify/guess": "loss on guessed labels",
    "Classify": "loss on the labels",
    "ContinuousCodeLoss": "loss on the sliders",
    "Entropy": "doubt about the class",
    "Information": "information that codes hold, negative",
    "PullAway": "likeness of its features",
    # images
    "L1": "distance to the target",
    "SquaredError": "error of the image",
    "KL": "distance of its noise to normal",
    # not minimised
    "gradients": "size of the gradient",
    "FractionReal": "called real by the discriminator",
    "MeanScore": "score by the discriminator",
    "PairAccuracy": "real put above generated",
    "Sign": "sureness that drives the augmentation",
    "Accuracy": "class named right",
}
# What an older log calls them.
FORMER_LOSSES = {
    "SaysReal": "FractionReal",
    "Ahead": "PairAccuracy",
    "Right": "Accuracy",
    "GuessSliders": "ContinuousCodeLoss",
}
FRACTION = "FractionReal"
PAIRED = (FRACTION, "MeanScore", "R1")  # real and generated images belong in one picture
SHARES = (FRACTION, "PairAccuracy", "Accuracy")
MOST = 6
Curve = Sequence[Sequence[float | None]]  # [images, value] of each point


@dataclass(frozen=True)
class Panel:
    """One quantity, or two that belong together: (name, curves of every repeat) per line."""

    title: str
    lines: tuple[tuple[str, Sequence[Curve]], ...]
    share: bool = False
    is_gradient: bool = False


def panels(rows: Sequence[Mapping[str, Mapping[str, Curve]]], names: Mapping[str, CurveName] = {}) -> list[Panel]:
    """Return the curves of one method at one budget, every repeat together.

    First those of real and generated images in one picture, then the generator's. `names`: what the curves are called;
    one that is not there is named by its key.
    """
    curves: dict[str, list[Curve]] = {}
    for row in rows:
        for key, values in row["curves"].items():
            if values:
                curves.setdefault(str(key), []).append(values)
    paired: dict[str, list[tuple[CurveName, Sequence[Curve]]]] = {}
    rest = []
    for key, runs in curves.items():
        name = names[key] if key in names else _name_of(key)
        if name.of:
            paired.setdefault(name.panel, []).append((name, runs))
        else:
            rest.append(Panel(name.panel, (("", runs),), name.share, key.endswith("/gradients")))
    rest.sort(key=lambda panel: not panel.title.startswith("generator"))
    both = [
        Panel(title, tuple((name.of, runs) for name, runs in lines), lines[0][0].share)
        for title, lines in paired.items()
    ]
    return both + rest


def _name_of(key: str) -> CurveName:
    """Return the name of a curve whose run or study did not write one, such as D/Classify/labelled, from its key."""
    player, _, loss = key.rstrip("+").partition("/")
    kind = loss.split("/")[0]
    kind = FORMER_LOSSES.get(kind, kind)
    title = TERMS.get(loss) or TERMS.get(kind)
    if not title or player not in PLAYERS:
        return CurveName(key, "", key)
    title += f" ({key.count('+') + 1})" if key.endswith("+") else ""
    of = ("generated" if loss.endswith("/fake") else "real") if kind in PAIRED else ""
    return CurveName(key, PLAYERS[player], title, of, kind in SHARES)
