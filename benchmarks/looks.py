"""Which views the labels choose (`look_for`): of so many draws, how often mirror images and turns were allowed.

    python benchmarks/looks.py DATA [--labels 5 20] [--draws 20] [--features handmade pretrained]

DATA is the folder with cifar10/, clothes.zip, magnetic-tile.zip and mnist.npz; training parts only. "digits" are the
embedded 8x8 ones; "letters" are a b d e f g p q n u s z L J in the fonts of matplotlib, moved, turned and with noise.
Writes benchmarks/results/looks.md.
"""

import argparse
import time
from datetime import UTC, datetime
from pathlib import Path

import matplotlib as mpl
import numpy as np
from colour_features import images_of
from PIL import Image, ImageDraw, ImageFont
from sklearn.datasets import load_digits

from sparring.classifiers.looks import look_for
from sparring.features.cache import CACHE

RESULTS = Path(__file__).parent / "results" / "looks.md"
LETTERS = "abdefgpqnuszLJ"
RIGHT = {  # set -> (mirrored, upside down), None where either will do
    "mnist": (False, False),
    "digits": (False, False),
    "letters": (False, False),
    "tiles": (True, True),
    "clothes": (True, False),
    "grey clothes": (True, False),
    "cifar": (True, False),
    "grey cifar": (True, False),
}
HEAD = """# Views that the labels choose

Written by `python benchmarks/looks.py DATA`. Of so many draws of labels, how often each change was allowed: mirrored
(left and right), upside down, turned (by quarters), other colours. Training parts only. "Features": what tells whether
changed copies look the same; harm is always measured with handmade ones. Seconds are processor time of one choice on
one thread, pretrained features of the labelled images included.

"Keeps the class" is what people say; it is no order to the views. Mirrored views of tiles make `cnn` worse, those of
grey photographs better (LOG.md, November 2026): so networks ask the handmade features alone, which leave tiles alone.

| data | keeps the class | features | labels a class | draws | mirrored | upside down | turned | colours | seconds |
|---|---|---|---|---|---|---|---|---|---|
"""


def letters(each: int = 150) -> tuple[np.ndarray, np.ndarray]:
    """Return drawn letters, uint8 [N,28,28,1], and their number in LETTERS."""
    fonts = sorted((Path(mpl.get_data_path()) / "fonts" / "ttf").glob("DejaVu*.ttf"))
    fonts = [font for font in fonts if "Display" not in font.name]
    rng, images = np.random.default_rng(0), []
    for letter in LETTERS:
        for _ in range(each):
            drawn = Image.new("L", (56, 56))
            font = ImageFont.truetype(fonts[rng.integers(len(fonts))], int(rng.integers(28, 44)))
            at = (28 + int(rng.integers(-4, 5)), 28 + int(rng.integers(-4, 5)))
            ImageDraw.Draw(drawn).text(at, letter, font=font, fill=255, anchor="mm")
            drawn = drawn.rotate(rng.uniform(-12, 12), resample=Image.Resampling.BILINEAR).resize((28, 28))
            images.append(np.clip(np.asarray(drawn, float) + rng.normal(0, 12, (28, 28)), 0, 255).astype(np.uint8))
    return np.stack(images)[..., None], np.repeat(np.arange(len(LETTERS)), each)


def data_of(name: str, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    if name == "letters":
        return letters()
    if name == "digits":
        found = load_digits()
        return (found.images / 16 * 255).round().astype(np.uint8)[..., None], found.target
    x, y = images_of(name.removeprefix("grey "), folder)
    if name.startswith("grey"):
        x = (x.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)).round().astype(np.uint8)[..., None]
    return x, y


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", nargs="+", default=list(RIGHT))
    parser.add_argument("--labels", type=int, nargs="+", default=[5, 20])
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--features", nargs="+", default=["handmade", "pretrained"])
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    lines = []
    for kind in options.features:
        features = None
        if kind == "pretrained":
            from sparring.features.pretrained import imagenet

            features = imagenet(device="cpu").features
        for name in options.sets:
            x, y = data_of(name, options.data)
            for count in options.labels:
                looks, start = [], time.process_time()
                for draw in range(options.draws):
                    CACHE.clear()
                    rng, drawn = np.random.default_rng(draw), np.full(len(y), -1)
                    for k in range(y.max() + 1):
                        drawn[rng.permutation(np.flatnonzero(y == k))[:count]] = k
                    looks.append(look_for(x, drawn, seed=draw, features=features))
                seconds = (time.process_time() - start) / options.draws
                colour = sum(look.colour > 0 for look in looks) if x.shape[3] == 3 else "-"
                truth = ", ".join(w for w, r in zip(("mirrored", "upside down"), RIGHT[name], strict=True) if r) or "-"
                cells = [
                    name, truth, kind, count, options.draws, sum(look.flip for look in looks),
                    sum(look.flip_vertical for look in looks), sum(look.quarter_turns for look in looks), colour,
                    f"{seconds:.2f}",
                ]  # fmt: skip
                lines.append("| " + " | ".join(map(str, cells)) + " |\n")
                print(lines[-1], end="", flush=True)
                about = f"\n{datetime.now(UTC):%Y-%m-%d}, one thread.\n"
                options.out.write_text(HEAD + "".join(lines) + about, encoding="utf-8")


if __name__ == "__main__":
    main()
