"""Whether the mean of a few methods is better than the best of them, on training images that were held out.

    python benchmarks/ensemble.py [cifar10:4 tiles:5 mnist:10 clothes:5 tiles:20 clothes:20 cifar10:40] [--draws 6]

Writes results/ensemble.md.
"""

import argparse
import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path

if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from few_labels import balanced, draw

from sparring.classifiers import METHODS
from sparring.classifiers.ensemble import MEMBERS

RESULTS = Path(__file__).parent / "results" / "ensemble.md"
PLACES = ("cifar10:4", "tiles:5", "mnist:10", "clothes:5", "tiles:20", "clothes:20", "cifar10:40")
HEAD = """# The ensemble and its members

Written by `python benchmarks/ensemble.py`. Balanced accuracy in %, mean over draws of labels, on other training images;
log-loss below it. "Best member by its labels": the member with the highest cross-validated accuracy. Single: in how
many draws the ensemble was one member alone. Seconds are those of a fit on one core, others running beside it.

"""


def measured(place: str, seed: int) -> dict[str, list[float]]:
    """Return balanced accuracy, log-loss and seconds of every method; of the ensemble also its weights."""
    name, labels = place.split(":")
    x, y, held_x, held_y = draw(name, int(labels), seed)
    found = {}
    for method in [*(m for m in MEMBERS if m in METHODS), "ensemble"]:
        start = time.process_time()
        made = METHODS[method].make(random_state=seed, threads=1).fit(x, y)
        seconds, proba = time.process_time() - start, made.predict_proba(held_x)
        loss = -np.log(proba[np.arange(len(held_y)), held_y].clip(1e-3)).mean()
        found[method] = [balanced(proba.argmax(1), held_y), float(loss), seconds]
        if method == "ensemble":
            found["weights"] = made.record_.chosen["weights"]
        elif made.record_.cross_validation:
            found[method].append(made.record_.cross_validation.accuracy or 0.0)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="*", default=PLACES)
    parser.add_argument("--draws", type=int, default=6)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for place in options.data:
        each = []
        for seed in range(options.draws):
            each.append(measured(place, seed))
            print(place, seed, json.dumps(each[-1]), flush=True)
        rows.append((place, each))
        write(rows)


def write(rows: list[tuple[str, list[dict]]]) -> None:
    members = [name for name in MEMBERS if name in rows[0][1][0]]
    columns = [*members, "best member by its labels", "ensemble", "difference (each draw)", "single", "weights", "s"]
    lines = [f"| data: labels a class | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for place, each in rows:
        best = [found[max(members, key=lambda m: found[m][3])][:2] for found in each]
        both = [found["ensemble"][:2] for found in each]
        differences = [ours[0] - theirs[0] for ours, theirs in zip(both, best, strict=True)]
        weights = {m: np.mean([found["weights"].get(m, 0.0) for found in each]) for m in members}
        cells = [in_words([found[m][:2] for found in each]) for m in members] + [in_words(best), in_words(both)]
        cells.append(f"**{np.mean(differences):+.1f}** ({' '.join(f'{d:+.1f}' for d in differences)})")
        cells.append(f"{sum(len(found['weights']) == 1 for found in each)} of {len(each)}")
        cells.append(", ".join(f"{m} {weight:.2f}" for m, weight in weights.items() if weight))
        cells.append(f"{np.mean([found['ensemble'][2] for found in each]):.1f}")
        lines.append(f"| {place} | {' | '.join(cells)} |")
    foot = f"\n{datetime.now(UTC):%Y-%m-%d}, AMD EPYC, one thread, {len(rows[0][1])} draws.\n"
    RESULTS.write_text(HEAD + "\n".join(lines) + "\n" + foot)


def in_words(values: list[list[float]]) -> str:
    accuracy, loss = np.mean(values, axis=0)
    return f"{accuracy:.1f} ({loss:.2f})"


if __name__ == "__main__":
    main()
