"""Images -> features: hand-made ones by name, extractors for judging, and a cache keyed by content.

A classifier takes `extract(name, images)`. The judge takes an `Extractor`: `handmade("hog")`, `own(images, labels)`,
a small network trained on the user's own images, or `encoder("dinov2", folder)`, a published one.
"""

from .cache import CACHE, Cache, fingerprint
from .handmade import EXTRACTORS, candidates, colours, extract, pixels
from .histograms import gradients, hog
from .upright import deskew

__all__ = [
    "CACHE",
    "EXTRACTORS",
    "Cache",
    "candidates",
    "colours",
    "deskew",
    "extract",
    "fingerprint",
    "gradients",
    "hog",
    "pixels",
]
