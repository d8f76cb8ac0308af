"""Which of two sets of fakes is better, and can either be told from real images? With intervals, in a few seconds.

python examples/two_generators.py [report.html]
"""

import sys

import numpy as np

from sparring.data import load
from sparring.judging import judge
from sparring.reporting.judgement_page import write_judgement_page


def main(report: str | None = None) -> dict[str, str]:
    digits = load("digits")
    order = np.random.default_rng(0).permutation(len(digits))
    real, sharp, dull = (digits.take(part) for part in np.array_split(order, 3))

    # Stand-ins for two generators: real images that were held back, and others whose contrast is half lost.
    fakes = {"sharp": (sharp.images, sharp.labels), "dull": (dull.images // 2 + 32, dull.labels)}
    found = judge(real, *fakes.values(), names=list(fakes), features="hog")

    for sentence in found.sentences:
        print(sentence)
    for one in found.judged:
        kernel = one.scores["kernel"]
        print(f"{one.name}: kernel distance {kernel.value:.4f} ({kernel.low:.4f} to {kernel.high:.4f})")
    if report:
        write_judgement_page(report, found.result, found.pictures())
    return {verdict.metric: verdict.verdict for verdict in found.verdicts}


if __name__ == "__main__":
    main(*sys.argv[1:2])
