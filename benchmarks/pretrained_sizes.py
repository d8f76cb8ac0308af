"""At which size the pretrained network should see small images, and whether earlier layers help: a probe, 6 draws.

    python benchmarks/pretrained_sizes.py FILE.npz [--sizes 64 96 128 160 224] [--most 4000]

FILE.npz holds x_train uint8 [N,H,W,C] and y_train [N]. Two thirds of the first `most` images are for labels, one third
is for the score; the test part is not read. Standardised features, logistic regression, C = 0.03.
"""

import argparse

import numpy as np
import torch

from sparring.classifiers.logistic import StandardisedFeatures, regression
from sparring.features.pretrained import all_depths, frozen_body
from sparring.images import to_unit
from sparring.nets.efficientnet import WIDTH, enlarged

DRAWS, LABELS = 6, (5, 20, 40)


@torch.inference_mode()
def features(images: np.ndarray, side: int) -> np.ndarray:
    body = frozen_body().to(torch.bfloat16).to(memory_format=torch.channels_last)
    parts = torch.from_numpy(images).split(max(1, (1 << 18) // side**2))
    return torch.cat([all_depths(body, enlarged(to_unit(part), (side, side)).bfloat16()) for part in parts]).numpy()


def accuracy(x: np.ndarray, y: np.ndarray, labels: int, draw: int) -> float:
    order = np.random.default_rng([draw, labels]).permutation(len(y))
    pool, test = order[: len(y) * 2 // 3], order[len(y) * 2 // 3 :]
    train = np.concatenate([pool[y[pool] == k][:labels] for k in range(y.max() + 1)])
    space = StandardisedFeatures(x[train])
    weights, offset = space.for_raw_features(*regression(space.points, y[train], 0.03))
    return float(((x[test] @ weights + offset).argmax(1) == y[test]).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    parser.add_argument("--sizes", nargs="+", type=int, default=[64, 96, 128, 160, 224])
    parser.add_argument("--most", type=int, default=4000)
    options = parser.parse_args()
    with np.load(options.file) as arrays:
        images, y = arrays["x_train"][: options.most], arrays["y_train"][: options.most].astype(int)
    print("| seen at | layers |", " | ".join(f"{count} labels a class" for count in LABELS), "|")
    print("|---|---|" + "---|" * len(LABELS))
    for side in options.sizes:
        x = features(images, side)
        for name, part in (("last", x[:, :WIDTH]), ("all", x)):
            found = [[100 * accuracy(part, y, count, draw) for draw in range(DRAWS)] for count in LABELS]
            cells = " | ".join(f"{np.mean(row):.1f} ± {np.std(row):.1f}" for row in found)
            print(f"| {side} | {name} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
