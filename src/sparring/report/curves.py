"""From a game's curves, named after players and terms, to panels that a reader can make sense of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PLAYERS = {"D": "discriminator", "G": "generator", "E": "encoder", "C": "classifier"}
TERMS = {
    "NonSaturating": "loss against the other",
    "Wasserstein": "loss against the other",
    "FeatureMatching": "loss on features",
    "TeacherMatching": "loss on teacher features",
    "GradientPenalty": "penalty on its slope",
    "Agree": "two views disagree",
    "Classify/labelled": "loss on the labels",
    "Classify/guess": "loss on guessed labels",
    "Classify": "loss on the labels",
}
CALLED = "SaysReal"  # the gauge of how often the discriminator calls images real
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
    called = {name: runs for name, runs in named.items() if CALLED in name.split("/")}
    rest = [Panel(title(name), (("", runs),)) for name, runs in named.items() if name not in called]
    rest.sort(key=lambda panel: not panel.title.startswith("generator"))
    first = [Panel("called real by the discriminator", tuple((side(n), r) for n, r in called.items()), share=True)]
    return (first if called else []) + rest


def side(name: str) -> str:
    """Which images a line is about: `D/SaysReal/fake` -> `generated`."""
    last = name.split("/")[-1]
    return {"fake": "generated", "real": "real", CALLED: "real"}.get(last, last)


def title(name: str) -> str:
    """`D/Classify/labelled` -> `discriminator: loss on the labels`; an unknown name stays as it is."""
    player, _, term = name.partition("/")
    words = TERMS.get(term) or TERMS.get(term.partition("/")[0])
    return f"{PLAYERS[player]}: {words}" if words and player in PLAYERS else name
