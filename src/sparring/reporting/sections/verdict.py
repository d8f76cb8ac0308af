"""The verdict: what to use and why, and what pretraining, unlabelled images, the GAN and generated images brought."""

from dataclasses import dataclass

from ...stats import Verdict
from ...study.headline import time_words
from ...study.records import Ablation, Unclean
from ..study_view import StudyView

# What the verdict about an ablation says of what was added.
HELPED: dict[Verdict, str] = {
    "better": "helped",
    "worse": "did harm",
    "tie": "made no difference",
    "not enough evidence": "not enough evidence",
}

NOTES = {"pretraining": "On the same labels; each takes the number of steps that its start needs."}


@dataclass(frozen=True)
class Card:
    """What one ingredient brought, a row for each budget, and the budgets at which nothing can be said, with reasons.

    `same`: whether all rows compare the same two methods.
    """

    what: str
    rows: tuple[Ablation, ...]
    unclean: tuple[Unclean, ...]
    note: str

    @property
    def same(self) -> bool:
        return len({(row.a, row.b) for row in self.rows}) == 1


@dataclass(frozen=True)
class VerdictSection:
    """Reasons that the fact cards do not give already, and one card for each ingredient."""

    reasons: tuple[str, ...]
    cards: tuple[Card, ...]
    helped: dict[Verdict, str]
    short: tuple[str, ...] = ()  # what the time had no room for, in sentences


def verdict_section(study: StudyView) -> VerdictSection:
    """Return what the template shows of the recommendation and of the ablations."""
    rows, unclean = study.summary.ablations, study.summary.unclean
    kinds = {row.kind: row.what for row in (*rows, *unclean)}
    order = [kind for kind in ("pretraining", "features", "unlabelled", "gan", "generated") if kind in kinds]
    cards = tuple(
        Card(
            kinds[kind],
            tuple(row for row in rows if row.kind == kind),
            tuple(row for row in unclean if row.kind == kind),
            NOTES.get(kind, ""),
        )
        for kind in order
    )
    reasons = tuple(r.text for r in study.summary.recommendation.reasons if r.kind != "ablation")
    measured = {score.method for score in study.summary.scores}
    return VerdictSection(reasons, cards, HELPED, tuple(time_words(study.summary.short, measured)))
