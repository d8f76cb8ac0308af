"""Images -> features: handcrafted ones by name, extractors for judging, and a cache keyed by content.

A classifier takes `extract(name, images)`. The judge takes an `Extractor`: `handmade("hog")`, `own(images, labels)`,
a small network trained on the user's own images, or `encoder("dinov2", folder)`, a published one, and
`imagenet()`, the built-in one; `pretrained_features(images)` are its features.

Names load their file when they are first used: the cache alone needs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

_HOMES = {
    "EXTRACTORS": "handcrafted",
    "Extractor": "extractor",
    "colours": "handcrafted",
    "deskew": "deskewing",
    "encoder": "encoders",
    "extract": "handcrafted",
    "gradients": "gradient_histograms",
    "handmade": "extractor",
    "hog": "gradient_histograms",
    "imagenet": "pretrained",
    "own": "learned",
    "pixels": "handcrafted",
    "pretrained_features": "pretrained",
    "seen_size": "shrinking",
    "shrunk": "shrinking",
    "user_cache": "cache",
}
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
    "pretrained_features",
    "seen_size",
    "shrunk",
    "user_cache",
]

if TYPE_CHECKING:  # the same names for editors and type checkers
    from .cache import user_cache
    from .deskewing import deskew
    from .encoders import encoder
    from .extractor import Extractor, handmade
    from .gradient_histograms import gradients, hog
    from .handcrafted import EXTRACTORS, colours, extract, pixels
    from .learned import own
    from .pretrained import imagenet, pretrained_features
    from .shrinking import seen_size, shrunk


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'sparring.features' has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
