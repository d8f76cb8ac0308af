"""Images -> features: handcrafted ones by name, extractors for judging, and a cache keyed by content.

A classifier takes `extract(name, images)`. The judge takes an `Extractor`: `handmade("hog")`, `own(images, labels)`,
a small network trained on the user's own images, or `encoder("dinov2", folder)`, a published one, and
`imagenet()`, the built-in one; `pretrained_features(images)` are its features.
"""

from .cache import user_cache
from .deskewing import deskew
from .encoders import encoder
from .extractor import Extractor, handmade
from .gradient_histograms import gradients, hog
from .handcrafted import EXTRACTORS, colours, extract, pixels
from .learned import own
from .pretrained import imagenet, pretrained_features
from .shrinking import seen_size, shrunk

__all__ = [
    "EXTRACTORS",
    "Extractor",
    "colours",
    "deskew",
    "encoder",
    "extract",
    "gradients",
    "handmade",
    "hog",
    "imagenet",
    "own",
    "pixels",
    "seen_size",
    "shrunk",
    "pretrained_features",
    "user_cache",
]
