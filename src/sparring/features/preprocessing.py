"""How an encoder wants its images: size, crop and normalisation, by the preprocessor_config.json beside it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from ..errors import FileFormatError

SQUARING = ("ViT", "DeiT", "Beit", "Siglip")  # processors of transformers for which one number is height and width
CONVNEXT, LARGE = "ConvNext", 384  # which crops a share, below so many pixels
FILTERS = {2: "bilinear", 3: "bicubic"}  # by Pillow's number; others are refused


@dataclass(frozen=True)
class Preparation:
    """uint8 [N,H,W,C] -> float [N,3,h,w]: resized, rounded to whole numbers, cropped, then (x / 255 - mean) / std.

    `shorter`: the side that the shorter one is resized to, the aspect ratio kept; else `size` (height, width) is.
    `crop`: (height, width) cut from the middle, grey images shown as three equal channels.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    filter: str = "bicubic"
    shorter: int | None = None
    size: tuple[int, int] | None = None
    crop: tuple[int, int] | None = None

    @property
    def rule(self) -> str:
        """Return what is done, in one sentence."""
        steps = []
        if self.shorter:
            steps.append(f"the shorter side is resized to {self.shorter} pixels ({self.filter}, antialiased)")
        elif self.size:
            steps.append(f"images are resized to {self.size[0]} x {self.size[1]} ({self.filter}, antialiased)")
        if self.crop:
            steps.append(f"the middle {self.crop[0]} x {self.crop[1]} are cut out")
        mean, std = ("/".join(f"{value:.4g}" for value in values) for values in (self.mean, self.std))
        return f"{', '.join(steps or ['images are looked at in their own size'])}, mean {mean}, deviation {std}"

    def __call__(self, images: np.ndarray, device: str) -> Tensor:
        small = antialiased(images, self.target(*images.shape[1:3]), self.filter).to(device)
        x = middle_of(small, self.crop).expand(-1, 3, -1, -1).float()
        mean, std = (x.new_tensor(values)[:, None, None] for values in (self.mean, self.std))
        return (x / 255 - mean) / std

    def target(self, height: int, width: int) -> tuple[int, int]:
        """Return (height, width) after resizing."""
        if self.size:
            return self.size
        if not self.shorter:
            return height, width
        if height <= width:
            return self.shorter, int(self.shorter * width / height)
        return int(self.shorter * height / width), self.shorter


def antialiased(images: np.ndarray, size: tuple[int, int], filter: str) -> Tensor:
    """Return uint8 [N,C,h,w] of uint8 [N,H,W,C]: antialiased and rounded between the two passes, as Pillow does it."""
    x = torch.tensor(images).permute(0, 3, 1, 2)
    return x if size == images.shape[1:3] else interpolate(x, size, mode=filter, antialias=True, align_corners=False)


def middle_of(x: Tensor, size: tuple[int, int] | None) -> Tensor:
    """Return the middle of images [N,C,H,W], with black around it where they are smaller."""
    if size is None:
        return x
    missing = [max(0, wanted - side) for side, wanted in zip(x.shape[2:], size, strict=True)]
    if any(missing):
        (high, wide) = missing
        x = pad(x, (wide // 2, wide - wide // 2, high // 2, high - high // 2))
    top, left = ((side - wanted) // 2 for side, wanted in zip(x.shape[2:], size, strict=True))
    return x[:, :, top : top + size[0], left : left + size[1]]


def preparation_of(config: Mapping[str, Any], where: object) -> Preparation:
    """Return what a preprocessor_config.json asks for. Raises FileFormatError for what is not supported."""
    try:
        size = config.get("size") if config.get("do_resize", True) else None
        processor = str(config.get("image_processor_type") or config.get("feature_extractor_type") or "")
        if isinstance(size, int):
            square = processor.startswith(SQUARING)
            size = {"height": size, "width": size} if square else {"shortest_edge": size}
        size = size or {}
        if not set(size) <= {"shortest_edge", "height", "width"}:
            raise ValueError(f"size {size}")
        if abs(config.get("rescale_factor", 1 / 255) * 255 - 1) > 1e-6 or not config.get("do_rescale", True):
            raise ValueError(f"rescale_factor {config.get('rescale_factor')}")
        shorter = size.get("shortest_edge")
        square = (size["height"], size["width"]) if "height" in size else None
        crop = crop_of(config["crop_size"]) if config.get("do_center_crop") else None
        if share := config.get("crop_pct"):
            if not processor.startswith(CONVNEXT) or not shorter:
                raise ValueError(f"crop_pct {share}")
            whole = (shorter, shorter)
            shorter, square, crop = (int(shorter / share), None, whole) if shorter < LARGE else (None, whole, None)
        normal = config.get("do_normalize", True)
        return Preparation(
            mean=rgb_of(config["image_mean"]) if normal else (0.0,) * 3,
            std=rgb_of(config["image_std"]) if normal else (1.0,) * 3,
            filter=FILTERS[config.get("resample", 3)],
            shorter=shorter,
            size=square,
            crop=crop,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FileFormatError(
            "bad-preprocessor",
            f"{where} asks for what is not supported ({error})",
            fix="use an encoder whose images are resized (bilinear or bicubic), cropped and normalised",
        ) from error


def rgb_of(values: Iterable[float]) -> tuple[float, ...]:
    red, green, blue = values
    return float(red), float(green), float(blue)


def crop_of(size: int | Mapping[str, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size["height"], size["width"])
