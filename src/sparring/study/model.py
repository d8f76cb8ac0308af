"""The recommended method, refitted on every labelled image of the study, as a model folder."""

from collections.abc import Callable, Mapping
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import files
from ..classifiers import METHODS
from ..data import ImageSet
from ..devices import all_threads
from .plan import SUMMARY, Study, seed_of
from .pool import Pool
from .prepared import write_images
from .worker import described

FOLDER = "model"


@dataclass(frozen=True, eq=False)
class Refit:
    """What the process needs that fits the model; `images` is an ImageSet without its pixels, which are in `pixels`."""

    method: Any
    pixels: Path
    images: dict
    seed: int
    minutes: float | None
    threads: int
    folder: Path
    card: dict


def save_recommended(
    study: Study, summary: dict, images: ImageSet, methods: Mapping[str, Any], work: Path, pool: Pool, say: Callable
) -> dict:
    """Fits the recommended method on all images, the test part's labels included, and saves it as STUDY/model.

    Nothing is fitted where that model is there already. Returns the summary with its place, also written to its file;
    what goes wrong is a warning in it: the study is whole without a model.
    """
    advice = summary["recommendation"]
    name = advice["method"]
    method = methods.get(name) or METHODS.get(name)
    if method is None or advice["model"]:
        return summary
    say("model", message=f"fitting {name} on all labelled images")
    files.make_folder(work)
    write_images(work / "all.npy", images.images, np.arange(len(images)))
    told = study.told
    score = next(s for s in summary["scores"] if (s["method"], s["budget"]) == (name, advice["budget"]))
    task = Refit(
        method=method,
        pixels=work / "all.npy",
        images={f: getattr(images, f) for f in ("labels", "classes", "origins", "parts", "name")},
        seed=seed_of(told["settings"]["seed"], "model", 0),
        minutes=told["minutes_each"],
        threads=told["jobs"]["threads"],
        folder=study.folder / FOLDER,
        card=card(summary, name, score),
    )
    try:
        problem = refit(task) if pool.jobs == 0 else pool.submit(refit, task).result()
    except BrokenProcessPool:
        problem = {"reason": "the process of this fit was killed, perhaps for lack of memory"}
    if problem is None:
        told["model"] = {"method": name}
        study.save()
        advice["model"] = FOLDER
    else:
        advice["warnings"] = [*advice["warnings"], f"{name} could not be saved as a model: {problem['reason']}"]
    files.write_json(study.folder / SUMMARY, summary)
    return summary


def card(summary: dict, name: str, score: dict) -> dict:
    """What the model card says about where the model comes from."""
    return {
        "data": summary["name"],
        "trained_on": "all labelled images of the study, those of its test part included, and its unlabelled images",
        "measured": (
            f"accuracy {score['accuracy']['mean']:.4f} ({score['accuracy']['low']:.4f} to "
            f"{score['accuracy']['high']:.4f}) on {summary['test']['images']} test images, mean over {score['n']} fits "
            f"of {name} that saw fewer labels than this model ({score['budget']} a class) and no test label; the model "
            "itself was not tested"
        ),
        "fingerprint": summary["fingerprint"],
    }


def refit(task: Refit) -> dict | None:
    """Writes the model folder; returns what went wrong, as {"id", "reason", "fix"}, or None."""
    try:
        from ..classifiers import save_model

        with all_threads(task.threads):
            images = ImageSet(images=np.load(task.pixels, mmap_mode="c"), **task.images)
            estimator = task.method.make(random_state=task.seed, minutes=task.minutes, threads=task.threads)
            estimator.fit(images, images.labels)
            with files.atomic_folder(task.folder) as temporary:
                save_model(estimator, temporary, **task.card)
    except Exception as error:  # said in the summary
        return described(error)
    return None
