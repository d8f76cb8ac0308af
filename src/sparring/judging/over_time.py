"""Every checkpoint of a run, judged: the best by one half of the real images, its scores by the other.

A number that chose a checkpoint flatters it, so it is never the one that is reported: not on the same real images, and
not on the same fakes.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import FileFormatError, UsageError
from ..files import write_json
from ..runs.checkpoints import load_state
from ..runs.folder import Run
from ..runs.sampler import Sampler
from .catalogue import METRICS, metric_name
from .inputs import Progress, Reals, is_generator, quiet, read_fake, read_real
from .judgement import MOST, check_features, look, names_of, protocol, real_parts, stamp
from .scores import Pair, Score, scored
from .verdicts import compared, remarks

NAMES = ("kernel", "frechet", "precision", "recall", "coverage", "diversity", "fidelity")


def over_time(
    real: Any,
    folder: Path | str,
    *,
    scores: Sequence[str] = (),
    features: str = "own",
    weights: str | Path | None = None,
    weights_hash: str | None = None,
    held: Any = None,
    size: Any = None,
    images: int = MOST,
    seed: int = 0,
    progress: Progress = quiet,
) -> dict[str, Any]:
    """Scores of every checkpoint that the run has kept, and RUN/scores.json for its report.

    {"format", "checkpoints": [{"images", "scores"}], "best": {"images", "scores"}, "notes", "protocol", "stamp"}: the
    best has the lowest kernel distance to one half of the real images, and its scores are of other fakes against the
    other half. Arguments as for `judge`; `scores`: names of METRICS beside NAMES. Raises UsageError for a run without a
    generator or checkpoints, and what `judge` raises.
    """
    check_features(features, weights, weights_hash)
    run = Run.read(folder)
    names = list(dict.fromkeys([*NAMES, *map(metric_name, names_of(scores))]))
    if is_generator(real):
        raise UsageError("real-generator", f"{real} is a generator, not real images", fix="name real images first")
    size = size or (run.data_spec.height, run.data_spec.width)
    reals = read_real(real, held=held, size=size, most=images, seed=seed, progress=progress)
    halves = real_parts(reals, 1 / 2, seed)
    if halves is None:
        raise UsageError("few-images", f"{len(reals.held)} real images cannot be parted to choose a checkpoint",
                         fix="give more real images")  # fmt: skip
    extractor = look(features, reals, weights, weights_hash, seed, progress)
    how = f"{reals.how}; half of these chose the checkpoint, the other half is reported"
    choosing, reporting = halves[0], replace(reals, held=halves[1], how=how)
    generators = samplers(run)

    def judged(at: int, sampler: Sampler, against: Reals, seed: int) -> dict[str, Score]:
        fake = read_fake(f"{at:,} images", sampler, against, seed=seed)
        return scored(Pair(against, fake, extractor, progress), names)

    found = [(at, sampler, judged(at, sampler, choosing, seed)) for at, sampler in generators]
    at, sampler, _ = min(found, key=lambda row: infinite_if_none(row[2]["kernel"].value))
    best = judged(at, sampler, reporting, seed + 1)
    about = protocol(reporting, extractor, len(reporting.held), seed + 1)
    write_json(run.folder / "scores.json", for_report(at, reporting, best, stamp(about)))
    return {
        "format": 1,
        "stamp": stamp(about),
        "protocol": about,
        "checkpoints": [{"images": at, "scores": rows(each)} for at, _, each in found],
        "best": {"images": at, "scores": rows(best)},
        "notes": [*remarks({f"{at:,} images": best}), *as_good(at, {row[0]: row[2] for row in found})],
    }


def as_good(best: int, checkpoints: Mapping[int, Mapping[str, Score]]) -> list[str]:
    """How many of the others the choosing half of the real images does not tell from the best."""
    kernels = {f"{at:,}": [{"kernel": scores["kernel"]}] for at, scores in checkpoints.items()}
    about = [v for v in compared(kernels, 0) if f"{best:,}" in (v.a, v.b)]
    left = sum(v.verdict not in ("better", "worse") for v in about)
    return [f"{left} of {len(about)} other checkpoints may be as good in kernel distance"] if left else []


def infinite_if_none(value: float | None) -> float:
    return math.inf if value is None else value


def samplers(run: Run) -> list[tuple[int, Sampler]]:
    """(images seen, generator) of every checkpoint and healthy copy that verifies, oldest first."""
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


def rows(scores: Mapping[str, Score]) -> list[dict]:
    return [score.to_json() for score in scores.values()]


def for_report(at: int, reals: Reals, scores: Mapping[str, Score], stamped: str) -> list[dict]:
    """As `sparring report RUN` shows them."""
    where = (
        f"Of the checkpoint at {at:,} images, against {len(reals.held):,} real ones of {reals.name}; stamp {stamped}"
    )
    return [
        {
            "name": METRICS[name].title,
            "value": METRICS[name].times * score.value,
            "low": None if score.low is None else METRICS[name].times * score.low,
            "high": None if score.high is None else METRICS[name].times * score.high,
            "unit": "%" if METRICS[name].times == 100 else "",
            "what": f"{METRICS[name].means} {where}",
        }
        for name, score in scores.items()
        if score.value is not None
    ]
