"""A classifier from five labels a class and many images without, as any scikit-learn estimator.

python examples/few_labels.py [method]
"""

import sys

import numpy as np

from sparring.classifiers import METHODS
from sparring.data import label_draw, load, split


def main(method: str = "spreading") -> float:
    digits = load("digits")
    parts = split(digits, seed=0)
    train, test = digits.take(parts.train), digits.take(parts.test)
    labels = label_draw(train.labels, 5, seed=0, repeat=0)  # all but five a class hidden: -1

    classifier = METHODS[method].make(random_state=0)
    classifier.fit(train.images, labels)
    right = float(np.mean(classifier.predict(test.images) == test.labels))
    print(f"{method}: {100 * right:.1f} % of {len(test)} test images right with {int((labels >= 0).sum())} labels")
    return right


if __name__ == "__main__":
    main(*sys.argv[1:2])
