"""From a game's curves, named after players and terms, to panels that a reader can make sense of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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
CALLED = "FractionReal"  # the gauge of how often the discriminator calls images real
PAIRED = (CALLED, "MeanScore", "R1")  # quantities whose two sides belong in one picture
SHARES = (CALLED, "PairAccuracy", "Accuracy")
MOST = 6


@dataclass(frozen=True)
class Panel:
    """One quantity, or two that belong together: (name, curves of every repeat) per line."""

    title: str
    lines: tuple[tuple[str, Sequence[Any]], ...]
    share: bool = False


def panels(rows: Sequence[Mapping[str, Any]]) -> list[Panel]:
    """The curves of one method at one budget, every repeat together; what real and generated images are called first,
    then the generator's."""
    named: dict[str, list] = {}
    for row in rows:
        for name, values in (row.get("curves") or {}).items():
            if values:
                named.setdefault(str(name), []).append(values)
    paired: dict[str, list[tuple[str, Sequence[Any]]]] = {}
    rest = []
    for name, runs in named.items():
        loss = term_of(name)
        if loss in PAIRED:
            paired.setdefault(TERMS[loss] + again(name), []).append((side(name), runs))
        else:
            rest.append(Panel(title(name), (("", runs),), share=loss in SHARES))
    rest.sort(key=lambda panel: not panel.title.startswith("generator"))
    return [Panel(name, tuple(lines), share=name.startswith(TERMS[CALLED])) for name, lines in paired.items()] + rest


def term_of(name: str) -> str:
    """`D/FractionReal/fake+` -> `FractionReal`."""
    return (name.split("/") + [""])[1].rstrip("+")


def again(name: str) -> str:
    """` (2)` for the second of a kind, which a log names with a plus."""
    return f" ({name.count('+') + 1})" if name.endswith("+") else ""


def side(name: str) -> str:
    """Which images a line is about: `D/FractionReal/fake` -> `generated`."""
    last = name.split("/")[-1].rstrip("+")
    return {"fake": "generated", "real": "real", CALLED: "real"}.get(last, last)


def title(name: str) -> str:
    """`D/Classify/labelled` -> `discriminator: loss on the labels`; an unknown name stays as it is."""
    player, _, loss = name.rstrip("+").partition("/")
    words = TERMS.get(loss) or TERMS.get(term_of(name))
    if not words or player not in PLAYERS:
        return name
    return ": ".join(part for part in (PLAYERS[player], words) if part) + again(name)
