"""The built-in pretrained network as an encoder: images -> float32 [N,1776], computed once for all fits and processes.

An encoder is an `Extractor`: a name, a hash, and a function of images. Whoever takes the features of one takes those of
any; `encoders.encoders_of` makes those that the setting `pretrained` names.
"""

import copy
from functools import cache

import numpy as np
import torch
from torch import Tensor

from ..devices import choose_device, choose_precision, keep_memory
from ..files import content_hash
from ..images import to_unit
from ..nets.efficientnet import (
    DEPTHS,
    ENLARGED_FOR_FEATURES,
    SHA256,
    SOURCE,
    WIDTH,
    Body,
    Convolution,
    enlarged,
    imagenet_weights,
    seen_at,
    turn,
)
from ..records import OnProgress, no_progress
from .extractor import HASH_DIGITS, Extractor

BUILT_IN = "efficientnet-lite0"
BUILT_IN_VERSION = 2  # to be raised with any change of a value beyond rounding
WIDTHS = (WIDTH, *DEPTHS.values())  # of the parts of the features: the last layer, then the four depths
SEEN_AT_ONCE = 1 << 19  # pixels as the network sees them; with more, two threads at once took half as long again
CPU_BATCH, GPU_BATCH = 64, 512  # images
RESIZE = (
    "images are resized so that the shorter side is 64 to 224 pixels, enlarged at most 5 times (bilinear, "
    "antialiased, the aspect ratio kept, multiples of 32); values are (v - 127) / 128"
)


def pretrained_features(images: np.ndarray, *, device: str = "auto", progress: OnProgress = no_progress) -> np.ndarray:
    """Return features float32 [N,1776] of uint8 images [N,H,W,1 or 3], read-only: cached on the disk by content.

    The first 1280 are the means of the last layer over the image, the other 496 those of four earlier depths. Raises
    DataError for other images, MachineError for a device that is not there or where the network is not installed.
    """
    return imagenet(device=device).features(images, progress)


def imagenet(*, device: str = "auto") -> Extractor:
    """Return EfficientNet-Lite0 with the weights of ImageNet as an encoder.

    It computes in bf16 where the machine has units for it; features are float32.
    """
    return _imagenet(choose_device(device))


@cache
def _imagenet(device: str) -> Extractor:
    precision = "bf16" if device.startswith("cuda") else choose_precision("auto")
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    body = turn(frozen_body()).to(device, dtype).to(memory_format=torch.channels_last)  # pyright: ignore
    keep_memory()
    on_gpu = device != "cpu"

    @torch.inference_mode()
    def compute(images: np.ndarray) -> tuple[np.ndarray, None]:
        size = features_at(*images.shape[1:3])
        step = len(images) if on_gpu else max(1, SEEN_AT_ONCE // (size[0] * size[1]))
        parts = [
            all_depths(body, enlarged(to_unit(part.to(device)), size).to(dtype).flip(2, 3))
            for part in torch.from_numpy(images).split(step)
        ]
        return torch.cat(parts).cpu().numpy(), None

    return Extractor(
        name=BUILT_IN,
        hash=content_hash("pretrained", BUILT_IN, BUILT_IN_VERSION, SHA256)[:HASH_DIGITS],
        weights=SHA256,
        learned_from=SOURCE,
        resize=RESIZE,
        compute=compute,
        width=sum(WIDTHS),
        last=WIDTH,
        batch=GPU_BATCH if on_gpu else CPU_BATCH,
        alone=on_gpu,
        rounding="" if precision == "fp32" else f"{precision} {device.partition(':')[0]}",
    )


def features_at(height: int, width: int) -> tuple[int, int]:
    """Return the (height, width) at which the network sees images when its features are taken."""
    return seen_at(height, width, enlarged=ENLARGED_FOR_FEATURES)


def frozen_body() -> Body:
    """Return the network with the weights of ImageNet, kernels multiplied by their scales: for use, not training."""
    body = Body()
    body.load_state_dict(copy.copy(imagenet_weights()))
    for layer in body.modules():
        if isinstance(layer, Convolution) and layer.scale is not None:
            with torch.no_grad():
                layer.weight.mul_(layer.scale[:, None, None, None])
            layer.scale = None
    return body.eval().requires_grad_(False)


def all_depths(body: Body, x: Tensor) -> Tensor:
    """Return float32 [N, 1280 + 496]: the means over the image of the last layer and of four depths."""
    maps = body.maps(x)
    return torch.cat([found.mean((2, 3), dtype=torch.float32) for found in (body.head(maps[-1]), *maps)], 1)
