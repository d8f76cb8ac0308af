"""Features by which the images of a data set are compared: those of a pretrained network, or handmade ones."""

from contextlib import suppress

import numpy as np

from ..errors import SparringError
from ..records import OnProgress, no_progress


def described(
    images: np.ndarray, pretrained: str, device: str, progress: OnProgress = no_progress
) -> tuple[str, np.ndarray]:
    """Return what the features are, in words, and float32 [N,F] of uint8 images [N,H,W,C], of length 1.

    Of several encoders the first one; handmade features where the network is not on this machine.
    """
    if pretrained != "none":
        with suppress(SparringError):
            return encoded(images, pretrained, device, progress)
    return handmade_description(images)


def encoded(
    images: np.ndarray, pretrained: str, device: str, progress: OnProgress = no_progress
) -> tuple[str, np.ndarray]:
    """Return the features of the first encoder that `pretrained` names."""
    from ..features.encoders import encoders_of, names_of
    from .probe import directions

    encoder = encoders_of(names_of(pretrained)[0], device=device)[0]
    encoder.features(images, progress)  # kept: what follows reads them
    return f"the features of {encoder.name}", directions(encoder, images)


def handmade_description(images: np.ndarray) -> tuple[str, np.ndarray]:
    """Return what is usually best of edges, textures and colours for images of this kind, each of length 1."""
    from ..features.handcrafted import blocks_of, candidate_features, extract
    from .probe import of_length

    blocks = blocks_of(candidate_features(images.shape[1:])[0])
    words = "edges" if len(blocks) == 1 else "edges, textures and colours"
    return f"{words} ({', '.join(blocks)})", np.hstack([of_length(extract(name, images), 1.0) for name in blocks])
