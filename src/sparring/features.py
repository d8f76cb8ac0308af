"""Images -> features: named extractors without learned weights, and a cache keyed by content.

Every extractor takes uint8 [N,H,W,C] and gives float32 [N,F]. None is fitted, so none can leak from one part of the
data to another.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .errors import MachineError, pick
from .files import aside

SOFTEN = 0.05  # gradients far below this (of 1 = black to white) count as noise in a cell's norm
CHUNK = 1 << 17  # pixels worked on at a time: what fits in a processor's cache


def extract(name: str, images: np.ndarray) -> np.ndarray:
    """The features called `name` of uint8 images [N,H,W,C], float32 [N,F], read-only because cached."""
    compute = pick(EXTRACTORS, name, "extractor")
    return CACHE.get(("features", name, fingerprint(images)), lambda: {"features": compute(images)})["features"]


def pixels(images: np.ndarray) -> np.ndarray:
    """Grey or colour values from 0 to 1, float32 [N, H*W*C]."""
    return images.reshape(len(images), -1).astype(np.float32) / 255


def colours(images: np.ndarray) -> np.ndarray:
    """Mean colour of the cells of a 4 x 4 grid, float32 [N, 16*C] from 0 to 1."""
    _, height, width, _ = images.shape
    rows, columns = box_windows(height, 4), box_windows(width, 4)
    parts = [
        (rows @ torch.from_numpy(chunk).permute(0, 3, 1, 2).float() @ columns.T).flatten(1) / 255
        for chunk in chunks(images)
    ]
    return torch.cat(parts).numpy()


def coarse_hog(images: np.ndarray) -> np.ndarray:
    """`hog` with cells of a quarter of the shorter side: 7 pixels at 28."""
    return hog(images, cell=cell_size(images, 4))


def fine_hog(images: np.ndarray) -> np.ndarray:
    """`hog` with cells of a sixth of the shorter side: 5 pixels at 28."""
    return hog(images, cell=cell_size(images, 6))


def cell_size(images: np.ndarray, parts: int) -> int:
    side = min(images.shape[1:3])
    return max(3 if parts <= 4 else 2, round(side / parts))


def joined(*extractors: Callable) -> Callable[[np.ndarray], np.ndarray]:
    return lambda images: np.concatenate([compute(images) for compute in extractors], axis=1)


EXTRACTORS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "pixels": pixels,
    "hog": coarse_hog,
    "fine-hog": fine_hog,
    "hog+colours": joined(coarse_hog, colours),
    "deskewed pixels": lambda images: pixels(deskew(images)),
    "deskewed hog": lambda images: coarse_hog(deskew(images)),
    "deskewed fine-hog": lambda images: fine_hog(deskew(images)),
}


def candidates(shape: tuple[int, ...]) -> tuple[str, ...]:
    """Names of the extractors worth trying on images of this shape (H, W, C), the first to be used unless another is
    clearly better: deskewing is for grey images, colours are for colour images."""
    return ("hog", "deskewed hog", "pixels", "deskewed pixels") if shape[-1] == 1 else ("hog", "hog+colours", "pixels")


# Histograms of oriented gradients


def hog(images: np.ndarray, *, cell: int, stride: int | None = None, orientations: int = 8) -> np.ndarray:
    """Dense histograms of oriented gradients (Dalal & Triggs 2005), signed, with soft bins in angle and place.

    images uint8 [N,H,W,C] -> float32 [N, orientations * rows * columns]. Cells of `cell` pixels (triangular weights)
    stand every `stride` pixels (a ninth of the shorter side when left out); each is divided by its own length, softened
    by SOFTEN. Of several colour channels each pixel takes the one with the strongest gradient.
    """
    _, height, width, _ = images.shape
    stride = stride or max(1, round(min(height, width) / 9))
    rows, columns = windows(height, cell, stride), windows(width, cell, stride)
    out = np.empty((len(images), orientations * len(rows) * len(columns)), np.float32)
    done = 0
    for chunk in chunks(images, copies=orientations):
        maps = orientation_maps(torch.from_numpy(chunk), orientations)
        cells = rows @ maps @ columns.T  # [n, orientations, rows, columns]
        cells /= (cells.square().sum(1, keepdim=True) + SOFTEN**2).sqrt()
        out[done : done + len(chunk)] = cells.flatten(1).numpy()
        done += len(chunk)
    return out


def orientation_maps(images: Tensor, orientations: int) -> Tensor:
    """uint8 [N,H,W,C] -> float32 [N,orientations,H,W]: gradient strength, shared between the two nearest directions."""
    gx, gy = gradients(images)
    strength = torch.hypot(gx, gy)
    angle = torch.atan2(gy, gx) * (orientations / (2 * torch.pi)) % orientations  # in bins
    centre = torch.arange(orientations, dtype=torch.float32)[:, None, None]
    apart = (angle[:, None] - centre).abs_()
    apart = torch.minimum(apart, orientations - apart)
    return apart.neg_().add_(1).clamp_min_(0).mul_(strength[:, None])


def gradients(images: Tensor) -> tuple[Tensor, Tensor]:
    """Central differences float32 [N,H,W] per pixel, black to white = 1, of the channel where they are strongest."""
    x = F.pad(images.permute(0, 3, 1, 2).float() / 255, (1, 1, 1, 1), mode="replicate")
    gx = (x[:, :, 1:-1, 2:] - x[:, :, 1:-1, :-2]) / 2
    gy = (x[:, :, 2:, 1:-1] - x[:, :, :-2, 1:-1]) / 2
    if images.shape[3] == 1:
        return gx[:, 0], gy[:, 0]
    channel = (gx.square() + gy.square()).argmax(1, keepdim=True)
    return gx.gather(1, channel)[:, 0], gy.gather(1, channel)[:, 0]


def windows(side: int, cell: int, stride: int) -> Tensor:
    """Weights float32 [cells, side] of the pixels along one side in each cell: triangles, centred as a whole."""
    cell = min(cell, side)
    starts = torch.arange(0, side - cell + 1, stride)
    centres = starts + (side - cell - int(starts[-1])) / 2 + (cell - 1) / 2
    weights = (1 - (torch.arange(side) - centres[:, None]).abs() / ((cell + 1) / 2)).clamp_min(0)
    return weights / weights.sum(1, keepdim=True)


def box_windows(side: int, count: int) -> Tensor:
    """Weights [count, side] of `count` boxes of equal width that tile one side, pixels shared where they must be."""
    edges = torch.linspace(0, side, count + 1)
    left, right = torch.arange(side).float(), torch.arange(1, side + 1).float()
    overlap = (torch.minimum(right, edges[1:, None]) - torch.maximum(left, edges[:-1, None])).clamp_min(0)
    return overlap / overlap.sum(1, keepdim=True)


def chunks(images: np.ndarray, copies: int = 1):
    """Views of so many images that `copies` floats per pixel of them stay near the processor."""
    step = max(1, CHUNK // (images.shape[1] * images.shape[2] * copies) * 8)
    return (images[start : start + step] for start in range(0, len(images), step))


# Deskewing


def deskew(images: np.ndarray) -> np.ndarray:
    """Grey images [N,H,W,1] sheared along the rows until what stands out from the border's grey is upright, centred.

    The shear is the regression of columns on rows, weighted by the distance from the border's median grey; it is
    limited to 45 degrees. The ground around is filled with that grey. uint8 [N,H,W,1].
    """
    if images.shape[3] != 1:
        raise ValueError(f"deskew takes grey images, got {images.shape[3]} channels")
    return np.concatenate([sheared(torch.from_numpy(chunk[..., 0])).numpy() for chunk in chunks(images)])[..., None]


def sheared(images: Tensor) -> Tensor:
    """uint8 [N,H,W] -> uint8 [N,H,W]; see `deskew`."""
    _, height, width = images.shape
    border = torch.cat([images[:, 0], images[:, -1], images[:, 1:-1, 0], images[:, 1:-1, -1]], dim=1)
    ground = border.median(dim=1).values.float()[:, None, None]
    ink = images.float() - ground
    weight = ink.abs()
    y, x = torch.arange(height).float()[:, None] - (height - 1) / 2, torch.arange(width).float() - (width - 1) / 2
    mass = weight.sum((1, 2)).clamp_min(1e-6)
    cy, cx = ((weight * axis).sum((1, 2)) / mass for axis in (y, x))
    dy, dx = y - cy[:, None, None], x - cx[:, None, None]
    slope = (weight * dx * dy).sum((1, 2)) / (weight * dy * dy).sum((1, 2)).clamp_min(1e-6)
    slope = slope.clamp(-1, 1)[:, None, None]
    grid = torch.stack(
        (
            (x + slope * y + cx[:, None, None]) / ((width - 1) / 2),
            (y + cy[:, None, None]).expand(-1, -1, width) / ((height - 1) / 2),
        ),
        dim=-1,
    )
    moved = F.grid_sample(ink[:, None], grid, align_corners=True)[:, 0]
    return (moved + ground).round().clamp(0, 255).byte()


# Cache


def fingerprint(*arrays: np.ndarray) -> str:
    """32 hexadecimal digits that stand for these arrays' shapes, kinds and contents."""
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        digest.update(f"{array.shape} {array.dtype.str} ".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


class Cache:
    """Arrays by key, the most recently used kept in memory up to `limit` bytes; in `folder` too where one is set.

    A study sets `folder`, so that its processes compute features and graphs once. Files are .npz without pickle,
    written whole or not at all; one that cannot be read is computed again.
    """

    def __init__(self, limit: int = 1 << 29):
        self.limit, self.folder = limit, None
        self.kept: OrderedDict[str, dict[str, np.ndarray]] = OrderedDict()
        self.lock = threading.Lock()

    folder: Path | None

    def get(self, key: tuple, compute: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """What `compute` gives, or gave for the same key; arrays are read-only."""
        name = hashlib.blake2b(repr((1, key)).encode(), digest_size=16).hexdigest()
        with self.lock:
            if name in self.kept:
                self.kept.move_to_end(name)
                return self.kept[name]
        arrays = self.read(name)
        if arrays is None:
            arrays = compute()
            self.write(name, arrays)
        for array in arrays.values():
            array.flags.writeable = False
        self.keep(name, arrays)
        return arrays

    def keep(self, name: str, arrays: dict[str, np.ndarray]) -> None:
        with self.lock:
            self.kept[name] = arrays
            while (
                len(self.kept) > 1 and sum(a.nbytes for kept in self.kept.values() for a in kept.values()) > self.limit
            ):
                self.kept.popitem(last=False)

    def read(self, name: str) -> dict[str, np.ndarray] | None:
        path = self.folder / f"{name}.npz" if self.folder else None
        if path is None or not path.exists():
            return None
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                return {key: arrays[key] for key in arrays.files}
        except (OSError, ValueError, EOFError, KeyError, BadZipFile):
            return None

    def write(self, name: str, arrays: dict[str, np.ndarray]) -> None:
        if self.folder is None:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with aside(self.folder / f"{name}.npz") as temporary, temporary.open("wb") as file:
                np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]
        except (MachineError, OSError):
            pass  # a cache that cannot be written is only slower

    def clear(self) -> None:
        with self.lock:
            self.kept.clear()


CACHE = Cache()
