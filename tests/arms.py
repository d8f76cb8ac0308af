"""Quick methods for tests of studies, and a small data set on which they differ. Importable by a study's processes."""

import gc
import os
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from sparring.data import ImageSet


def stripes(
    images: int = 240, *, classes: int = 3, noise: float = 40.0, seed: int = 0, unlabelled: int = 0
) -> ImageSet:
    """Images 8x8 of one bright row per class, under noise; the classes come one after the other, as in a folder."""
    random = np.random.default_rng(seed)
    labels = np.sort(np.arange(images) % classes)
    pixels = random.normal(90, noise, (images, 8, 8, 1))
    pixels[np.arange(images), 2 * labels + 1] += 70
    hidden = labels.copy()
    hidden[random.permutation(images)[:unlabelled]] = -1
    return ImageSet(
        images=np.clip(pixels, 0, 255).astype(np.uint8),
        labels=hidden.astype(np.int64),
        classes=tuple("abcdef"[:classes]),
        origins=tuple(f"{'abcdef'[k]}/{i}.png" for i, k in enumerate(labels.tolist())),
        parts=np.full(images, "", "<U5"),
        name="stripes",
    )


@dataclass
class Estimator:
    """Nearest class mean of the rows' brightness, blurred by `blur`: a classifier in a millisecond."""

    random_state: int = 0
    minutes: float | None = None
    threads: int = 1
    blur: float = 0.0
    seconds: float = 0.0
    all_images: bool = False
    record_: dict = field(default_factory=dict)
    pictures_: dict = field(default_factory=dict)

    def fit(self, X, y):
        time.sleep(self.seconds)
        self.classes_ = np.unique(y[y >= 0])
        rows = self.rows(X)
        self.means = np.stack([rows[y == c].mean(0) for c in self.classes_])
        if self.all_images:  # one step of k-means over all images
            near = ((rows[:, None] - self.means) ** 2).sum(-1).argmin(1)
            self.means = np.stack([rows[near == k].mean(0) for k in range(len(self.classes_))])
        self.record_ = {"steps": 10, "curves": {"loss": [[10, 1.0], [20, float("nan")]]}}
        return self

    def rows(self, X):
        rows = np.asarray(X, float).mean((2, 3))
        return rows + np.random.default_rng(self.random_state).normal(0, self.blur, rows.shape)

    def predict_proba(self, X):
        near = -((self.rows(X)[:, None] - self.means) ** 2).sum(-1) / 200
        p = np.exp(near - near.max(1, keepdims=True))
        return p / p.sum(1, keepdims=True)


@dataclass(frozen=True)
class Arm:
    """A row of a table of methods, as a study wants it."""

    name: str
    family: str = "traditional"
    estimator: type = Estimator
    settings: dict = field(default_factory=dict)
    title: str = "A test arm"
    what: str = "nothing much"
    cites: tuple = ("Nobody 1900",)

    def make(self, **shared: Any):
        return self.estimator(**shared, **self.settings)


class Raises(Estimator):
    def fit(self, X, y):
        raise RuntimeError("the images are too stripy")


class Dies(Estimator):
    def fit(self, X, y):
        os.kill(os.getpid(), signal.SIGKILL)


class NotProbabilities(Estimator):
    def predict_proba(self, X):
        return np.full((len(X), len(self.classes_)), np.nan)


class RaisesOnce(Estimator):
    """Fails until the file named by the environment is there."""

    def fit(self, X, y):
        if not Path(os.environ["SPARRING_TEST_MARK"]).exists():
            raise RuntimeError("not yet")
        return super().fit(X, y)


class Noted(Estimator):
    """Leaves what it was given where the test finds it."""

    seen: ClassVar[list] = []

    def fit(self, X, y):
        self.seen.append({"X": np.array(X), "y": np.array(y), "seed": self.random_state, "minutes": self.minutes})
        return super().fit(X, y)


@dataclass
class OnDevice(Estimator):
    """Could compute on a GPU and use a pretrained network; notes what it was told."""

    device: str = "auto"
    pretrained: str = "untold"
    told: ClassVar[list] = []

    def fit(self, X, y):
        super().fit(X, y)
        self.told.append((self.device, self.pretrained, self.threads))
        trunk = None if self.pretrained == "none" else self.pretrained
        self.record_ |= {"device": self.device, "trunk": trunk, "pretrained": trunk and f"{trunk}: trunk"}
        return self


@dataclass
class Stepping(Estimator):
    """Takes optimiser steps: as many as it is told, of which it can afford `afford`."""

    steps: int | None = None
    afford: int = 10

    def steps_within(self, X, y):
        return self.afford

    def fit(self, X, y):
        super().fit(X, y)
        self.record_ = {"steps": self.steps or self.afford, "planned": 100}
        return self


@dataclass
class SteppingPretrained(Stepping):
    """Takes few steps, from a pretrained trunk."""

    afford: int = 5
    pretrained: str = "untold"

    def fit(self, X, y):
        super().fit(X, y)
        self.record_ |= {"trunk": self.pretrained, "pretrained": f"{self.pretrained}: trunk", "planned": 5}
        return self


class Painter(Estimator):
    """A stand-in for a GAN arm: pictures, curves, a gate."""

    def fit(self, X, y):
        super().fit(X, y)
        self.pictures_ = {"generated": np.zeros((9, 8, 8, 1), np.uint8), "real": np.array(X[:9])}
        self.record_ |= {"steps": 20, "gate": {"passed": False, "without": 0.9, "with": 0.8, "difference": -0.1,
                                               "low": -0.2, "high": 0.0, "sentence": "no"}}  # fmt: skip
        return self


class Spy(Estimator):
    """Looks for test labels wherever a fit could: in memory, in files beside its images, in its callers."""

    def fit(self, X, y):
        super().fit(X, y)
        held = [o for o in gc.get_objects() if type(o).__name__ in ("Sealed", "ImageSet", "Prepared", "Study")]
        frames, frame = [], sys._getframe()
        while frame is not None:
            frames += [type(value).__name__ for value in frame.f_locals.values()]
            frame = frame.f_back
        folder = Path(X.filename).parent.parent
        readable = {}
        for path in folder.rglob("*"):
            if path.is_file() and path.suffix in (".npy", ".npz", ".json", ".jsonl", ".bin"):
                readable[path.relative_to(folder).as_posix()] = path.stat().st_size
        self.record_ = {
            "held": [type(o).__name__ for o in held],
            "frames": [name for name in frames if name in ("Sealed", "ImageSet", "Prepared", "Study")],
            "files": readable,
            "study": (folder / "study.json").read_text(),
            "seal": (folder / "sealed.bin").read_bytes().hex(),
        }
        return self


class Thief(Estimator):
    """Wants to be fitted on what is under seal."""

    def fit(self, X, y):
        from sparring.study import Sealed

        sealed = next(o for o in gc.get_objects() if isinstance(o, Sealed))
        return super().fit(X, np.asarray(sealed))


def table(*arms: Arm) -> dict[str, Arm]:
    return {arm.name: arm for arm in arms}


SMALL = table(
    Arm("good"), Arm("blurred", settings={"blur": 20.0}), Arm("poor", family="floor", settings={"blur": 90.0})
)


class Tells(Estimator):
    """Says beforehand how long a fit takes."""

    def seconds_for(self, X, y) -> float:
        return self.seconds


class Dawdles(Estimator):
    """Takes far longer than it says."""

    def seconds_for(self, X, y) -> float:
        return 0.1

    def fit(self, X, y):
        time.sleep(60)
        return super().fit(X, y)
