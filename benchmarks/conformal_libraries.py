"""Prediction sets beside those of MAPIE and crepes, on the same made-up probabilities.

    python -m venv LIBRARIES && LIBRARIES/bin/pip install mapie==1.6.0 crepes==0.9.1
    LIBRARIES/bin/python benchmarks/conformal_libraries.py write tests/fixtures/conformal.json   # their answers
    python benchmarks/conformal_libraries.py compare tests/fixtures/conformal.json               # ours beside them

The first needs the libraries and not sparring, the second sparring and not the libraries.
"""

import json
import sys
from pathlib import Path

import numpy as np

HELD_OUT, NEW, CLASSES = 60, 40, 4
LEVELS = (0.7, 0.8, 0.9)


def made_up() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return probabilities of held-out images, their labels, and probabilities of new images."""
    rng = np.random.default_rng(0)
    labels = np.arange(HELD_OUT) % CLASSES
    held = rng.dirichlet(np.ones(CLASSES), HELD_OUT) + 0.6 * np.eye(CLASSES)[labels]
    new = rng.dirichlet(np.ones(CLASSES) / 2, NEW)
    return held / held.sum(1, keepdims=True), labels, new


def by_mapie(held: np.ndarray, labels: np.ndarray, new: np.ndarray, level: float) -> np.ndarray:
    """Split conformal sets with the score LAC."""
    from mapie.classification import SplitConformalClassifier
    from sklearn.base import BaseEstimator, ClassifierMixin

    class Given(ClassifierMixin, BaseEstimator):
        """Its probabilities are what it is asked about."""

        def fit(self, X, y):
            self.classes_, self.n_features_in_, self.fitted_ = np.arange(CLASSES), CLASSES, True
            return self

        def predict_proba(self, X):
            return np.asarray(X)

        def predict(self, X):
            return np.asarray(X).argmax(1)

    found = SplitConformalClassifier(Given().fit(held, labels), confidence_level=level, conformity_score="lac")
    found.conformalize(held, labels)
    return found.predict_set(new)[1][:, :, 0].astype(bool)


def by_crepes(held: np.ndarray, labels: np.ndarray, new: np.ndarray, level: float, *, per_class: bool) -> np.ndarray:
    """Conformal sets, Mondrian by class or not, without random ties."""
    from crepes import ConformalClassifier

    scores = 1 - held[np.arange(len(labels)), labels]
    found = ConformalClassifier().fit(scores, bins=labels if per_class else None)
    if not per_class:
        return found.predict_set(1 - new, confidence=level, smoothing=False).astype(bool)
    columns = [
        found.predict_set((1 - new)[:, [k]], bins=np.full(len(new), k), confidence=level, smoothing=False)
        for k in range(CLASSES)
    ]
    return np.concatenate(columns, axis=1).astype(bool)


def write(path: Path) -> None:
    held, labels, new = made_up()
    answers = {
        str(level): {
            "mapie": by_mapie(held, labels, new, level).astype(int).tolist(),
            "crepes": by_crepes(held, labels, new, level, per_class=False).astype(int).tolist(),
            "crepes per class": by_crepes(held, labels, new, level, per_class=True).astype(int).tolist(),
        }
        for level in LEVELS
    }
    path.write_text(json.dumps(answers) + "\n", encoding="utf-8")


def compare(path: Path) -> None:
    from sparring.classifiers.doubt.conformal import prediction_sets, score_limits

    held, labels, new = made_up()
    for level, theirs in json.loads(path.read_text(encoding="utf-8")).items():
        for name, sets in theirs.items():
            limits = score_limits(held, labels, float(level), per_class=name.endswith("per class"))
            ours = prediction_sets(new, limits)
            same = (ours == np.array(sets, bool)).mean()
            print(
                f"{level} {name}: {same:.1%} of {ours.size} decisions are the same, mean size {ours.sum(1).mean():.2f}"
            )


if __name__ == "__main__":
    {"write": write, "compare": compare}[sys.argv[1]](Path(sys.argv[2]))
