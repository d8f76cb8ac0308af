"""Logistic regression on the features of a pretrained network."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import softmax

from ..data.notes import size_words
from ..devices import choose_device, device_name
from ..features.encoders import encoders_of, names_of, same_encoder
from ..features.pretrained import BUILT_IN, features_at
from .base import Classifier
from .logistic import StandardisedFeatures, regression
from .methods import METHODS, refuse_none
from .selection import MOST, choose_in_turn, subset

C_VALUES = (0.03, 0.003, 0.3)  # inverse penalties, the preferred one first


@dataclass(eq=False, repr=False, kw_only=True)
class ProbeClassifier(Classifier):
    """Multinomial logistic regression on features of a pretrained network, which itself does not change.

    Encoder, penalty and the temperature of the probabilities are chosen by cross-validation on the labels; where a
    class has a single label these are the first encoder, 0.03 and 1. Classes are weighted alike, however many labels
    they have. Unlabelled images are not used. `pretrained`: encoders to choose from (`encoders.names_of`). `C`: the
    inverse of the penalty, None to choose. `device`: where features are computed.
    """

    pretrained: str = BUILT_IN
    device: str = "auto"
    C: float | None = None

    def _fit(self, images: np.ndarray, labels: np.ndarray) -> None:
        refuse_none(METHODS["probe"], self.pretrained)
        seed, labelled = self._seed(), np.flatnonzero(labels >= 0)
        known = labels[labelled]
        names = names_of(self.pretrained)
        encoders = dict(zip(names, encoders_of(self.pretrained, device=self.device), strict=True))
        # Of all images, not of the labelled ones: so the features serve every draw of labels.
        found = {name: rooted(name, encoder.features(images)[labelled]) for name, encoder in encoders.items()}
        few = subset(known, MOST, seed)
        spaces = {name: StandardisedFeatures(features[few]) for name, features in found.items()}

        def held_out(setting: tuple, train: np.ndarray, held: np.ndarray) -> np.ndarray:
            points = spaces[setting[0]].points
            weights, offset = regression(points[train], known[few][train], setting[1])
            return points[held] @ weights + offset

        strengths = [(C,) for C in (C_VALUES if self.C is None else (self.C,))]
        chosen = choose_in_turn(known[few], names, strengths, held_out, seed=seed, temperature=1.0)
        name, strength = chosen.settings
        space = spaces[name] if len(few) == len(known) else StandardisedFeatures(found[name])
        self.encoder_, self.encoder_hash_ = where_found(name), encoders[name].hash
        self.weights_, self.offset_ = space.for_raw_features(*regression(space.points, known, strength))
        self.temperature_ = chosen.temperature
        self._note(
            chosen={"features": encoders[name].name, "C": strength, "temperature": self.temperature_},
            cross_validation=chosen.measured,
            size=seen_by(name, images.shape),
            device=device_name(choose_device(self.device)),
            pretrained=f"{encoders[name].name}: features",
        )

    def _predict_proba(self, images: np.ndarray) -> np.ndarray:
        encoder = same_encoder(self.encoder_, self.encoder_hash_, device=self.device)
        scores = rooted(self.encoder_, encoder.features(images)) @ self.weights_ + self.offset_
        return softmax(scores.astype(np.float64) / self.temperature_, axis=1)


def rooted(name: str, features: np.ndarray) -> np.ndarray:
    """Return float32 [N,F]: of the built-in network the square roots, signs kept, else the features themselves.

    Its features are means of what is mostly zero, so a few large values would decide. With roots the accuracy was 0.5
    to 3 points higher with 5 labels a class, and not lower with 40.
    """
    return np.sign(features) * np.sqrt(np.abs(features)) if name == BUILT_IN else features


def where_found(name: str) -> str:
    """Return what finds the encoder again from any folder: of a folder its whole path, else the name itself."""
    return str(Path(name).absolute()) if name != BUILT_IN and Path(name).is_dir() else name


def seen_by(name: str, shape: tuple[int, ...]) -> str | None:
    """Return the size at which an encoder sees images [N,H,W,C] as a record has it, None where it is the encoder's."""
    return size_words(features_at(*shape[1:3])) if name == BUILT_IN else None
