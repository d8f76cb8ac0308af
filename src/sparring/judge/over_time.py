"""Every checkpoint of a run, judged: the best by one half of the real images, its scores by the other.

A number that chose a checkpoint flatters it, so it is never the one that is reported.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..checkpoints import load_state
from ..errors import FileFormatError, UsageError
from ..files import write_json
from ..players import Generator
from ..runs import Run
from ..sample import Sampler
from .judgement import MOST, Progress, look, protocol, real_halves, stamp
from .scores import Pair, Score, scored
from .sides import Reals, read_fake, read_real
from .table import METRICS

NAMES = ("kernel", "frechet", "precision", "recall", "coverage", "diversity", "fidelity")


def over_time(
    real: Any, folder: Path | str, *, features: str = "own", images: int = MOST, seed: int = 0,
    progress: Progress = lambda text: None,
) -> dict[str, Any]:  # fmt: skip
    """Scores of every checkpoint that the run has kept, and RUN/scores.json for its report.

    {"checkpoints": [{"images", "scores"}], "best": {"images", "scores"}, "protocol", "stamp"}: the best has the
    lowest kernel distance to one half of the real images, and its scores are against the other. Raises UsageError for
    a run without a generator or checkpoints, and what `judge` raises.
    """
    run = Run.read(folder)
    size = (run.facts.height, run.facts.width)
    reals = read_real(real, size=size, most=images, seed=seed)
    halves = real_halves(reals, seed)
    if halves is None:
        raise UsageError("few-images", f"{len(reals.held)} real images cannot be parted to choose a checkpoint",
                         fix="give more real images")  # fmt: skip
    extractor = look(features, reals, None, None, seed, progress)
    choosing, reporting = halves[0], replace(reals, held=halves[1])
    found = []
    for number, (at, sampler) in enumerate(generators := samplers(run)):
        progress(f"checkpoint {number + 1} of {len(generators)}")
        fake = read_fake(f"{at:,} images", sampler, choosing, most=images, seed=seed)
        found.append((at, sampler, scored(Pair(choosing, fake, extractor), NAMES)))
    at, sampler, _ = min(found, key=lambda row: row[2]["kernel"].value or 0.0)
    fake = read_fake(f"{at:,} images", sampler, reporting, most=images, seed=seed)
    best = scored(Pair(reporting, fake, extractor), NAMES)
    about = protocol(reporting, extractor, len(fake), seed)
    write_json(run.folder / "scores.json", for_report(at, reporting, best, stamp(about)))
    return {
        "format": 1,
        "stamp": stamp(about),
        "protocol": about,
        "checkpoints": [{"images": at, "scores": rows(scores)} for at, _, scores in found],
        "best": {"images": at, "scores": rows(best)},
    }


def samplers(run: Run) -> list[tuple[int, Sampler]]:
    """(images seen, generator) of every checkpoint and healthy copy that verifies, oldest first."""
    spec = next((s for s in run.recipe.nets.values() if isinstance(s, Generator)), None)
    if spec is None:
        raise UsageError("no-generator", f"{run.folder} has no generator", fix="judge a run of a recipe that has one")
    found = {}
    for folder in [*sorted((run.folder / "copies").glob("step-*")), *run.checkpoints]:
        try:
            state, _ = load_state(run.recipe, folder)
        except FileFormatError:
            continue
        sampler = Sampler(state.best(spec.name).eval(), spec, run.facts, run.classes)
        found[state.round * run.recipe.batch] = sampler
    if not found:
        raise UsageError("no-checkpoint", f"{run.folder} has no checkpoint yet", fix="train it first")
    return sorted(found.items(), key=lambda item: item[0])


def rows(scores: Mapping[str, Score]) -> list[dict]:
    return [score.to_json() for score in scores.values()]


def for_report(at: int, reals: Reals, scores: Mapping[str, Score], stamped: str) -> list[dict]:
    """As `sparring report RUN` shows them."""
    where = f"Of the checkpoint at {at:,} images, against {len(reals.held):,} real ones; stamp {stamped}"
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
