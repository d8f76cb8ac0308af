"""The verdict: what to use and why, and what the unlabelled and the generated images brought."""

from dataclasses import dataclass

from ...study.records import Ablation
from ..study_view import StudyView

HELPED = {"better": "helped", "worse": "did harm", "tie": "made no difference"}  # about what an ablation added


@dataclass(frozen=True)
class VerdictSection:
    """Reasons that the fact cards do not give already, and one card for each ingredient: its rows, one per budget."""

    reasons: tuple[str, ...]
    facts: tuple[tuple[Ablation, ...], ...]
    helped: dict[str, str]


def verdict_section(study: StudyView) -> VerdictSection:
    """Return what the template shows of the recommendation and of the ablations."""
    facts: dict[str, tuple[Ablation, ...]] = {}
    for row in study.summary.ablations:
        facts[row.kind] = (*facts.get(row.kind, ()), row)
    reasons = tuple(r.text for r in study.summary.recommendation.reasons if r.kind != "ablation")
    return VerdictSection(reasons, tuple(facts.values()), HELPED)
