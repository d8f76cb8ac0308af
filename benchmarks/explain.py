"""Do heat maps find what decides? Planted marks: a small square of one of three colours, anywhere, is the class.

    python benchmarks/explain.py [DATA] [--images 40] [--methods svm,logistic,cnn,finetune,probe] [--seed 0]

DATA: colour images that the marks are put on, whatever `sparring data` takes; without it grey noise. 240 images are
learned from. Of each test image that is named rightly: does the hottest pixel lie on the mark, how much of the heat
does, and does the check accept the map? Beside that the same of models with shuffled weights, which know nothing, and
how often the check accepts a map that shows nothing: one moved to another place.
"""

import argparse
import time
from dataclasses import dataclass, field

import numpy as np

from sparring import EXPLANATIONS, METHODS, load
from sparring.classifiers import Classifier
from sparring.explaining.checks import CHANCE_MAPS, curves, moved_copies
from sparring.explaining.explaining import Explainer
from sparring.explaining.methods import ExplanationMethod
from sparring.explaining.results import warmth
from sparring.explaining.scores import forgetful, probability

SIDE, MARK, LEARNED, COLOURS = 32, 7, 240, ((230, 30, 30), (30, 200, 40), (40, 60, 230))
SETTINGS = {"cnn": {"steps": 250}, "finetune": {"steps": 60}}
DEAR = ("finetune", "probe")  # half as many images


def marked(backgrounds: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return images with a mark each, its colour int64 [N], and its pixels bool [N,H,W]."""
    images, colour = backgrounds.copy(), np.arange(len(backgrounds)) % len(COLOURS)
    mask = np.zeros(images.shape[:3], bool)
    for i, (top, left) in enumerate(random.integers(0, SIDE - MARK + 1, (len(images), 2))):
        mask[i, top : top + MARK, left : left + MARK] = True
        images[i][mask[i]] = (COLOURS[colour[i]] + random.integers(-15, 16, (MARK**2, 3))).clip(0, 255)
    return images, colour, mask


@dataclass
class Found:
    """Of each image what `measured` returns."""

    rows: list[tuple[float, ...]] = field(default_factory=list)

    def line(self) -> str:
        hit, heat, accepted, alike, lost, chance, seconds = np.array(self.rows).mean(0)
        cells = (f"{100 * hit:.0f}", f"{100 * heat:.0f}", f"{100 * accepted:.0f}", f"{alike:.2f}", f"{100 * lost:.0f}",
                 f"{100 * chance:.0f}", f"{seconds:.2f}")  # fmt: skip
        return f"{len(self.rows)} | {' | '.join(cells)}"


def measured(
    model: Classifier, row: ExplanationMethod, image: np.ndarray, k: int, mask: np.ndarray, seed: int
) -> tuple:
    explainer = Explainer(model, (row.name,), seed=seed)
    start = time.perf_counter()
    row.heat(model, k, image)
    seconds = time.perf_counter() - start
    found = explainer.heat_map(row, k, image)
    lost = warmth(row.heat(forgetful(model, seed + 100), k, image))
    nothing = moved_copies(found.heat, CHANCE_MAPS + 1, seed + 200)  # the first stands for a map that shows nothing
    mine, *rest = curves(lambda x: probability(model, k, x), image, nothing)
    by_chance = all(mine.merit > other.merit for other in rest)
    return (
        mask.flat[found.heat.argmax()],
        float((found.heat * mask).sum() / max(found.heat.sum(), 1e-9)),
        bool(found.verdict.explains),
        found.verdict.alike,
        mask.flat[lost.argmax()],
        by_chance,
        seconds,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?")
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--methods", default="svm,logistic,cnn,finetune,probe")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    random = np.random.default_rng(given.seed)
    count = LEARNED + given.images
    if given.data:
        all_images = load(given.data, size=SIDE).images
        backgrounds = all_images[np.sort(random.permutation(len(all_images))[:count])]
    else:
        backgrounds = random.integers(0, 256, (count, SIDE, SIDE, 1), np.uint8).repeat(3, 3)
    x, y, mask = marked(backgrounds, random)
    columns = ("method", "map", "images", "on the mark, %", "heat there, %", "accepted, %", "least likeness",
               "forgetful: on the mark, %", "moved: accepted, %", "seconds a map")  # fmt: skip
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    for name in given.methods.split(","):
        model = METHODS[name].make(random_state=given.seed, **SETTINGS.get(name, {})).fit(x[:LEARNED], y[:LEARNED])
        right = LEARNED + np.flatnonzero(model.predict(x[LEARNED:]) == y[LEARNED:])
        for row in EXPLANATIONS.values():
            if row.shows != "map" or not row.fits_model(model):
                continue
            found = Found()
            for i in right[: given.images // (2 if name in DEAR else 1)].tolist():
                found.rows.append(measured(model, row, x[i], int(y[i]), mask[i], given.seed + i))
            print(f"| {name} ({len(right)} of {given.images} right) | {row.name} | {found.line()} |", flush=True)


if __name__ == "__main__":
    main()
