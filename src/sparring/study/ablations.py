"""What each ingredient brought: pairs of methods that differ in nothing else, and where there is no such pair."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from .records import Ablation, Comparison, FitRow, Ingredient, Unclean

# Ingredient, what it is called, the method with it, and the one without it: where its networks start from scratch, and
# where they start from the pretrained trunk.
ABLATIONS: tuple[tuple[Ingredient, str, str, str, str], ...] = (
    ("pretraining", "pretraining", "finetune", "cnn", "cnn"),
    ("unlabelled", "unlabelled images", "consistency", "cnn", "finetune"),
    ("gan", "the GAN", "semi-gan", "consistency", "consistency"),
    ("generated", "generated images", "gan-augment", "cnn", "finetune"),
)
FEATURES = "probe"  # the pretrained network's features, against the better of those that are made by hand
HANDMADE = ("logistic", "svm")


@dataclass(frozen=True)
class Start:
    """What the fits of an arm started from: the pretrained trunks (None: from scratch), and whether all is said by it.

    `elsewhere`: whether something of other images came in by another way than the trunk.
    """

    trunks: frozenset[str | None] = frozenset({None})
    elsewhere: bool = False
    cut_short: bool = False  # whether a fit took less than half of its steps

    @property
    def pretrained(self) -> bool:
        return self.trunks != {None}

    @property
    def words(self) -> str:
        return "from the pretrained network" if self.pretrained else "from scratch"


Starts = Mapping[tuple[str, str], Start]  # (method, budget) -> what its fits started from


def starts_of(fits: Mapping[tuple[str, str], Sequence[FitRow]]) -> Starts:
    """Return what the fits of each arm, (method, budget), started from."""
    found = {}
    for place, rows in fits.items():
        notes = [row.notes for row in rows]
        other = any(note.pretrained is not None and note.trunk is None for note in notes)
        cut = any(note.cut_short for note in notes)
        found[place] = Start(frozenset(note.trunk for note in notes), other, cut)
    return found


def ablations(pairs: Sequence[Comparison], starts: Starts = MappingProxyType({})) -> Iterator[Ablation]:
    """Yield what pretraining, unlabelled images, the GAN and generated images brought, of pairs that differ in it only.

    A method is compared with the baseline of the trunk that its own fits started from.
    """
    for kind, what, a, scratch, pretrained in ABLATIONS:
        for budget in dict.fromkeys(pair.budget for pair in pairs):
            b = pretrained if starts.get((a, budget), Start()).pretrained else scratch
            pair = turned(pairs, a, b, budget)
            if pair and not why_unclean(kind, a, b, budget, starts):
                yield brought(kind, what, pair)
        if kind == "pretraining":
            yield from features_ablations(pairs)


def features_ablations(pairs: Sequence[Comparison]) -> Iterator[Ablation]:
    """Yield what the pretrained network's features brought, against the better of those that are made by hand."""
    for budget in dict.fromkeys(pair.budget for pair in pairs):
        found = [pair for name in HANDMADE if (pair := turned(pairs, FEATURES, name, budget))]
        if found:
            yield brought("features", "pretrained features", min(found, key=lambda pair: pair.difference.mean))


def turned(pairs: Sequence[Comparison], a: str, b: str, budget: str) -> Comparison | None:
    """Return the comparison of a with b at a budget; None where there is none."""
    found = next((pair for pair in pairs if pair.budget == budget and {pair.a, pair.b} == {a, b}), None)
    return found if found is None or found.a == a else found.reversed()


def brought(kind: Ingredient, what: str, pair: Comparison) -> Ablation:
    return Ablation(kind, what, pair.budget, pair.a, pair.b, pair.difference, pair.n, pair.p_holm, pair.verdict)


def unclean(starts: Starts) -> Iterator[Unclean]:
    """Yield where a study has a method with an ingredient, and a baseline, but no pair that differs in that alone."""
    for kind, what, a, scratch, pretrained in ABLATIONS:
        for budget in dict.fromkeys(budget for _, budget in starts):
            if (a, budget) not in starts or not starts.keys() & {(scratch, budget), (pretrained, budget)}:
                continue  # the study does not ask
            b = pretrained if starts[a, budget].pretrained else scratch
            if reason := why_unclean(kind, a, b, budget, starts):
                yield Unclean(kind, what, budget, a, reason)


def why_unclean(kind: Ingredient, a: str, b: str, budget: str, starts: Starts) -> str:
    """Return why a - b says more than what an ingredient brought; "" where it does not."""
    first, second = (starts.get((name, budget), Start()) for name in (a, b))
    if first.cut_short or second.cut_short:
        what = {"gan": "its GAN has not begun to draw", "generated": "its GAN has not begun to draw"}.get(kind, "")
        name = a if first.cut_short else b
        return f"{name} took less than half of its steps{f': {what}' if what and first.cut_short else ''}"
    if kind == "pretraining":
        used = "started from" if second.pretrained else "used features of"
        return "" if second == Start() else f"{b} {used} the pretrained network too"
    for name, start in ((a, first), (b, second)):
        if len(start.trunks) > 1:
            return f"{name} started from scratch in some repeats and from the pretrained network in others"
    if starts and (b, budget) not in starts:
        return f"{a} started {first.words}, and {b}, which does so too, has no result"
    if first.trunks != second.trunks:
        return f"{a} started {first.words}, {b} {second.words}"
    if first.elsewhere != second.elsewhere:
        return f"only {a if first.elsewhere else b} used features of the pretrained network"
    return ""
