"""Every checkpoint of a run, judged: the best by one half of the real images, its scores by the other.

A number that chose a checkpoint flatters it, so it is never the one that is reported: not on the same real images, and
not on the same fakes.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ..errors import FileFormatError, UsageError
from ..files import write_json
from ..records import OnProgress, no_progress, to_json
from ..runs.checkpoints import load_state
from ..runs.folder import Run
from ..runs.sampler import Sampler
from .catalogue import METRICS
from .inputs import RealImages, is_generator, read_fakes
from .judgement import JudgeOptions, protocol_of, score_rows, split_real, stamp_of
from .results import BestScore, CheckpointScores, OverTime
from .scores import MetricScore, Pair
from .scoring import compute_scores
from .verdicts import about_features, compare_generators, remarks

FORMAT_OF_OVER_TIME = 1


def over_time(
    real: object, folder: Path | str, options: JudgeOptions | None = None, *, progress: OnProgress = no_progress
) -> OverTime:
    """Score every checkpoint that a run has kept, and write RUN/scores.json for its report.

    The best has the lowest kernel distance to one half of the real images, and its scores are of other fakes against
    the other half. Metrics are those with `per_class`, and those that are named. Raises UsageError for a run without a
    generator or checkpoints, and what `judge` raises.
    """
    options = options or JudgeOptions()
    run, seed = Run.read(folder), options.seed
    names = list(dict.fromkeys([*(name for name, m in METRICS.items() if m.per_class), *options.metrics]))
    if isinstance(real, Sampler) or is_generator(real):
        raise UsageError("real-generator", f"{real} is a generator, not real images", fix="name real images first")
    reals, extractor = options.read(real, (run.data_spec.height, run.data_spec.width), progress)
    halves = split_real(reals, 1 / 2, seed)
    if halves is None:
        raise UsageError("few-images", f"{len(reals.test)} real images cannot be parted to choose a checkpoint",
                         fix="give more real images")  # fmt: skip
    how = f"{reals.how}; half of these chose the checkpoint, the other half is reported"
    choosing, reporting = halves[0], replace(reals, test=halves[1], how=how)

    def score(images: int, sampler: Sampler, against: RealImages, seed: int) -> dict[str, MetricScore]:
        fakes = read_fakes(f"{images:,} images", sampler, against, seed=seed)
        return compute_scores(Pair(against, fakes.images, extractor, progress), names)

    found = [(images, sampler, score(images, sampler, choosing, seed)) for images, sampler in kept_generators(run)]
    best, sampler, _ = min(found, key=lambda row: math.inf if (v := row[2]["kernel"].value) is None else v)
    reported = score(best, sampler, reporting, seed + 1)
    protocol = protocol_of(reporting, extractor, len(reporting.test), seed + 1)
    where = f"{len(reporting.test):,} real ones of {reporting.name}; stamp {stamp_of(protocol)}"
    where = f"Of the checkpoint at {best:,} images, against {where}"
    lines = [_report_line(name, score, where) for name, score in reported.items() if score.value is not None]
    write_json(run.folder / "scores.json", [to_json(line, kinds=False) for line in lines])
    return OverTime(
        format=FORMAT_OF_OVER_TIME,
        stamp=stamp_of(protocol),
        protocol=protocol,
        checkpoints=tuple(CheckpointScores(images, score_rows(scores)) for images, _, scores in found),
        best=CheckpointScores(best, score_rows(reported)),
        notes=(
            *remarks({f"{best:,} images": reported}),
            *_as_good(best, {row[0]: row[2] for row in found}),
            *about_features(protocol.extractor),
        ),
    )


def _as_good(best: int, checkpoints: Mapping[int, Mapping[str, MetricScore]]) -> list[str]:
    """Return how many of the others the choosing half of the real images does not tell from the best."""
    kernels = {f"{images:,}": [{"kernel": scores["kernel"]}] for images, scores in checkpoints.items()}
    about = [v for v in compare_generators(kernels, 0) if f"{best:,}" in (v.a, v.b)]
    left = sum(v.verdict not in ("better", "worse") for v in about)
    return [f"{left} of {len(about)} other checkpoints may be as good in kernel distance"] if left else []


def kept_generators(run: Run) -> list[tuple[int, Sampler]]:
    """Return (images seen, generator) of every checkpoint and healthy copy that verifies, oldest first."""
    spec = run.recipe.generator
    if spec is None:
        raise UsageError("no-generator", f"{run.folder} has no generator", fix="judge a run of a recipe that has one")
    found = {}
    for folder in [*sorted((run.folder / "copies").glob("step-*")), *run.checkpoints]:
        try:
            state, _ = load_state(run.recipe, folder)
        except FileFormatError:
            continue
        sampler = Sampler(state.best(spec.name).eval(), spec, run.data_spec, run.classes)
        found[state.round * run.recipe.batch] = sampler
    if not found:
        raise UsageError("no-checkpoint", f"{run.folder} has no checkpoint yet", fix="train it first")
    return sorted(found.items(), key=lambda item: item[0])


def _report_line(name: str, score: MetricScore, where: str) -> BestScore:
    metric = METRICS[name]
    value, low, high = (None if x is None else metric.times * x for x in (score.value, score.low, score.high))
    unit = "%" if metric.times == 100 else ""
    return BestScore(metric.title, value, low, high, unit, f"{metric.means} {where}")
