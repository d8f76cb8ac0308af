"""Logistic regression on the features of a pretrained network: a linear probe."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import softmax

from ..data.notes import size_words
from ..devices import choose_device, device_name
from ..features.encoders import encoders_of, names_of, place_of, same_encoder
from ..features.extractor import Extractor
from ..features.pretrained import BUILT_IN, features_at
from .base import Classifier
from .methods import METHODS, refuse_none
from .regression import regression
from .selection import choose_in_turn, groups_at, subset

C_VALUES = (10.0, 100.0, 1000.0, 1.0)  # inverse penalties on features of length 1, the preferred one first
MOST_HELD = 1000  # labelled images that take part in cross-validation
EARLIER = 0.7  # length of the features of earlier layers
ENOUGH = 1e-3  # gradient at which a regression of cross-validation ends


@dataclass(eq=False, repr=False, kw_only=True)
class ProbeClassifier(Classifier):
    """Multinomial logistic regression on the features of a network that learned from other images.

    Of every feature the root is taken, its sign kept, and each image's features are divided by their length
    (`directions`). The encoder, whether its earlier layers join the last one, the penalty and the temperature of the
    probabilities are chosen by cross-validation on the labels. Where a class has a single label these are the first
    encoder, its last layer, 10 and 1. Classes are weighted alike.

    `pretrained`: "efficientnet-lite0", which is built in, or encoders as `features.encoders.names_of` takes them. `C`:
    the inverse of the penalty, None to choose. `device`: where features are computed.
    """

    pretrained: str = BUILT_IN
    C: float | None = None
    device: str = "auto"

    def _fit(self, images: np.ndarray, labels: np.ndarray) -> None:
        refuse_none(METHODS["probe"], self.pretrained)
        encoders = dict(zip(names_of(self.pretrained), encoders_of(self.pretrained, device=self.device), strict=True))
        found = chosen_probe(encoders, images, labels, self._seed(), self.C, groups=self._groups)
        self.encoder_, self.encoder_hash_, self.earlier_ = place_of(found.name), found.encoder.hash, found.earlier
        self.weights_, self.offset_, self.temperature_ = found.weights, found.offset, found.temperature
        self._note(
            size=seen_by(found.name, images.shape), device=device_name(choose_device(self.device)), **found.noted
        )

    def _predict_proba(self, images: np.ndarray) -> np.ndarray:
        encoder = same_encoder(self.encoder_, self.encoder_hash_, device=self.device)
        scores = directions(encoder, images, earlier=self.earlier_) @ self.weights_ + self.offset_
        return softmax(scores.astype(np.float64) / self.temperature_, axis=1)


class Probe(NamedTuple):
    """A fitted probe: the encoder and the name that it was asked by, weights [F,K], offset [K], temperature.

    `earlier`: whether its earlier layers count. `noted`: what a record says of it.
    """

    name: str
    encoder: Extractor
    earlier: bool
    weights: np.ndarray
    offset: np.ndarray
    temperature: float
    noted: dict

    def scores(self, images: np.ndarray) -> np.ndarray:
        """Return logits float32 [N,K] of images, at the temperature."""
        x = directions(self.encoder, images, earlier=self.earlier)
        return (x @ self.weights + self.offset) / np.float32(self.temperature)


def chosen_probe(
    encoders: Mapping[str, Extractor],
    images: np.ndarray,
    labels: np.ndarray,
    seed: int,
    C: float | None = None,
    *,
    groups: np.ndarray | None = None,
) -> Probe:
    """Return the probe of the encoder, layers and penalty that held-out labels choose; labels [N], -1 unlabelled.

    Features are computed of all images, not of the labelled ones: so they serve every draw of labels."""
    known = np.flatnonzero(labels >= 0)
    y = labels[known]
    few = subset(y, MOST_HELD, seed)
    points: dict[str, tuple[str, bool, np.ndarray]] = {}
    for asked, encoder in encoders.items():
        for earlier in (False, True) if encoder.last else (False,):
            name = f"{encoder.name}, all layers" if earlier else encoder.name
            points[name] = asked, earlier, directions(encoder, images, earlier=earlier)[known]

    def held_out(setting: tuple[str, float], train: np.ndarray, held: np.ndarray) -> np.ndarray:
        x = points[setting[0]][2][few]
        weights, offset = regression(x[train], y[few][train], setting[1], tolerance=ENOUGH)
        return x[held] @ weights + offset

    strengths = [(C,) for C in (C_VALUES if C is None else (C,))]
    few_groups = groups_at(groups, known[few])
    chosen = choose_in_turn(y[few], tuple(points), strengths, held_out, seed=seed, temperature=1.0, groups=few_groups)
    name, strength = chosen.settings
    asked, earlier, x = points[name]
    encoder = encoders[asked]
    noted = {
        "chosen": {"features": name, "C": strength, "temperature": chosen.temperature},
        "cross_validation": chosen.measured,
        "pretrained": f"{encoder.name}: features",
    }
    return Probe(asked, encoder, earlier, *regression(x, y, strength), chosen.temperature, noted)


def directions(encoder: Extractor, images: np.ndarray, *, earlier: bool = False) -> np.ndarray:
    """Return features float32 [N,F] of the encoder's last layer, as roots with their sign, of length 1.

    On features that are never negative this is the Hellinger kernel, which tells histograms apart better than their
    distance. `earlier`: those of earlier layers join, of length EARLIER. On photographs of 224 pixels roots were worth
    0.7 to 1.1 points, on photographs of 32 pixels earlier layers 1 point.
    """
    features = encoder.features(images)
    last = features if encoder.last is None else features[:, : encoder.last]
    x = of_length(last, 1.0)
    return np.hstack([x, of_length(features[:, encoder.last :], EARLIER)]) if earlier else x


def of_length(features: np.ndarray, length: float) -> np.ndarray:
    x = np.sign(features) * np.sqrt(np.abs(features))
    return x * (length / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12))


def seen_by(name: str, shape: tuple[int, ...]) -> str | None:
    """Return the size at which an encoder sees images [N,H,W,C] as a record has it, None where it is the encoder's."""
    return size_words(features_at(*shape[1:3])) if name == BUILT_IN else None
