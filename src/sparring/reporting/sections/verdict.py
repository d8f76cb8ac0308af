"""The verdict: what to use and why, and what the unlabelled and the generated images brought."""

from dataclasses import dataclass

from ...stats import Verdict
from ...study.records import Ablation
from ..study_view import StudyView

# What the verdict about an ablation says of what was added.
HELPED: dict[Verdict, str] = {
    "better": "helped",
    "worse": "did harm",
    "tie": "made no difference",
    "not enough evidence": "not enough evidence",
}


@dataclass(frozen=True)
class VerdictSection:
    """Reasons that the fact cards do not give already, and one card for each ingredient: its rows, one per budget."""

    reasons: tuple[str, ...]
    facts: tuple[tuple[Ablation, ...], ...]
    helped: dict[Verdict, str]


def verdict_section(study: StudyView) -> VerdictSection:
    """Return what the template shows of the recommendation and of the ablations."""
    rows = study.summary.ablations
    facts = {row.kind: tuple(r for r in rows if r.kind == row.kind) for row in rows}
    reasons = tuple(r.text for r in study.summary.recommendation.reasons if r.kind != "ablation")
    return VerdictSection(reasons, tuple(facts.values()), HELPED)
