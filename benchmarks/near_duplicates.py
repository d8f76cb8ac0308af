"""How many near duplicates are found in real sets, and how many of planted ones: the evidence for the rule's constants.

    python benchmarks/near_duplicates.py digits path/to/mnist.npz path/to/cifar10 path/to/magnetic-tile.zip/images

For each set: pairs found among its own images (with `--pictures DIR` also as a picture, most doubtful pairs last: look
at it), then the share found of copies that were re-encoded, brightened, made noisy, shrunk or cropped.
"""

import argparse
import io
import time
from pathlib import Path

import numpy as np
from PIL import Image

from sparring.data import ImageSet, load
from sparring.data.duplicates import edge_distance, near_pairs
from sparring.images import grid, save_png

PLANTED = 150  # copies of each kind
RNG = np.random.default_rng(0)


def picture(image: np.ndarray) -> Image.Image:
    return Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    buffer = io.BytesIO()
    picture(image).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def brighter(image: np.ndarray) -> np.ndarray:
    return image * 1.15 + 8


def noisy(image: np.ndarray, deviation: float) -> np.ndarray:
    return image + RNG.normal(0, deviation, image.shape)


def zoomed(image: np.ndarray, *, through: float = 1.0, crop: float = 0.0) -> np.ndarray:
    """Resized to `through` of the size and back, or a border of `crop` cut off and the rest enlarged."""
    height, width = image.shape[:2]
    box = (crop * width, crop * height, (1 - crop) * width, (1 - crop) * height)
    small = picture(image).resize((max(1, round(through * width)), max(1, round(through * height))), 3, box=box)
    return np.asarray(small.resize((width, height), 3))


COPIES = {
    "jpeg 90": lambda image: jpeg(image, 90),
    "jpeg 75": lambda image: jpeg(image, 75),
    "jpeg 50": lambda image: jpeg(image, 50),
    "brighter": brighter,
    "noise 4": lambda image: noisy(image, 4),
    "noise 8": lambda image: noisy(image, 8),
    "through 3/4": lambda image: zoomed(image, through=0.75),
    "2 % cut each side": lambda image: zoomed(image, crop=0.02),
}


def planted(data: ImageSet) -> dict[str, float]:
    """kind of copy -> share found."""
    each = min(PLANTED, len(data) // len(COPIES))
    chosen = RNG.permutation(len(data))[: each * len(COPIES)].reshape(len(COPIES), each)
    copies = [
        np.clip(np.round(make(data.images[i])), 0, 255).astype(np.uint8).reshape(data.images[i].shape)
        for make, row in zip(COPIES.values(), chosen, strict=True)
        for i in row
    ]
    images = np.concatenate([data.images, np.stack(copies)])
    found = set(map(tuple, near_pairs(images, np.arange(len(images))).tolist()))
    hits = [(i, len(data) + n) in found for n, i in enumerate(chosen.ravel().tolist())]
    return dict(zip(COPIES, np.array(hits).reshape(chosen.shape).mean(axis=1).tolist(), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="+")
    parser.add_argument("--pictures", type=Path)
    options = parser.parse_args()
    for source in options.sources:
        data = load(source)
        start = time.process_time()
        pairs = near_pairs(data.images, np.arange(len(data)))
        seconds = time.process_time() - start
        clashes = (data.labels[pairs[:, 0]] != data.labels[pairs[:, 1]]).sum()
        across = (data.parts[pairs[:, 0]] != data.parts[pairs[:, 1]]).sum()
        share = len(set(pairs.ravel().tolist())) / len(data)
        print(
            f"{data.name}: {len(data)} images, {len(pairs)} pairs ({share:.2%} of the images), {across} across parts, "
        )
        print(f"  {clashes} of two classes, {seconds:.1f} s CPU")
        print("  " + ", ".join(f"{kind} {value:.3f}" for kind, value in planted(data).items()), flush=True)
        if options.pictures and len(pairs):
            order = np.argsort(edge_distance(data.images, pairs[:, 0], pairs[:, 1]))
            shown = pairs[order][np.unique(np.linspace(0, len(pairs) - 1, 120).astype(int))]
            save_png(options.pictures / f"{data.name}.png", grid(data.images[shown.ravel()], columns=24))


if __name__ == "__main__":
    main()
