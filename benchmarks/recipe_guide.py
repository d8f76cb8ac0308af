# ruff: noqa: E501
"""Writes docs/recipes.md: the field through its recipes, each as its difference from a neighbour, with our numbers.

    python benchmarks/recipe_guide.py [--pictures FOLDER]

Numbers come from benchmarks/results/games.jsonl (benchmarks/games.py), pictures from the folder that it wrote them to.
"""

import argparse
import difflib
import json
import shutil
import statistics
from collections import Counter
from pathlib import Path

from sparring.games.recipes import RECIPES
from sparring.records import pretty

ROOT = Path(__file__).parents[1]
LINES = Path(__file__).parent / "results" / "games.jsonl"
PAGE, PICTURES = ROOT / "docs" / "recipes.md", ROOT / "docs" / "pictures" / "recipes"

HEAD = """# The recipes

Written by `python benchmarks/recipe_guide.py`; the sentences are in that file, the numbers in
[benchmarks/results/games.md](../benchmarks/results/games.md).

A recipe is who plays and what each player minimises: nothing else tells one GAN from another here, and one loop trains them all
([Games and the loop](chapters/games.md)). So the shortest account of two dozen papers is what each changed. Below, every recipe is shown as
the difference of its Python from a neighbour's. `sparring recipes NAME` prints one in full.

*Kernel* is the kernel distance of 5,000 samples to real test images, times 1,000, between features of a classifier trained on the real
training images: lower is better, and only numbers of one table compare. *Coverage* is the share of real images that have a sample
near them. *Fidelity* is the share of samples that a classifier calls by the class that was asked for.
"""

# recipe -> the neighbour that it is told from, and what it added
SECTIONS: dict[str, dict[str, tuple[str | None, str]]] = {
    "Without labels": {
        "mlp": (
            None,
            """Two fully connected networks. G turns 64 random numbers into an image; D says how real an image looks. D learns to tell
real images from made ones, G learns to be taken for real: its loss is -log D(G(z)), which pulls hardest when D is sure.""",
        ),
        "minimax": (
            "mlp",
            """The game as the first paper wrote it: G minimises log(1 - D(G(z))), the very number that D maximises. Where D is sure
that an image is made, that curve is flat, so G learns least when it needs to learn most. It is here to be seen.""",
        ),
        "dcgan": (
            "mlp",
            """Convolutions: D halves the image with strides instead of pooling, G doubles it, both with batch norm, and G's last layer
is a tanh. Nearly everything after it keeps this frame.""",
        ),
        "lsgan": (
            "dcgan",
            """Squared errors to 1 (real) and 0 (made). A made image that D already takes for real still pulls at G if its score
overshoots, so scores stay where gradients are not flat.""",
        ),
        "wgan": (
            "dcgan",
            """D no longer names real and made: it is any function whose slope is bounded, and the largest difference of its means is
the distance between the two distributions. Clipping its weights bounds the slope, crudely. D takes two steps for each of G, because
the distance is only as good as D (the paper: five, which leave G few steps in minutes). The loss falls as samples get better, which the
losses before do not. The learning rate is larger than the paper's, which is for days of training, and falls to 0.""",
        ),
        "wgan-gp": (
            "wgan",
            """Clipping makes D simpler than it need be. Instead, its slope is pulled to 1 at points between real and made images. The
penalty is per image, so batch norm, which ties images together, must go from D. Five steps of D for each of G. The rate is again one for minutes.""",
        ),
        "sngan": (
            "dcgan",
            """Another bound: every layer of D is divided by its largest singular value, found by one step of power iteration per pass. It
costs next to nothing. With it goes the hinge loss, under which D stops pushing once an image is a margin away from the border.""",
        ),
        "improved": (
            "dcgan",
            """Five terms and layers that any recipe can take. G matches the mean features of real images; D sees how near each image is to
the others of its batch, so that images all alike give themselves away; D is told 0.9 instead of 1 for real; weights are held near
their own average; G's norms are measured on one batch that never changes. The learning rate, which falls to 0, and the batch are chosen for minutes.""",
        ),
        "infogan": (
            "dcgan",
            """G also gets a code: one of ten values, and two sliders. D must read it off the image, and G must make it readable. Nobody
says what codes mean; on digits the ten values become digits, the sliders slant and weight. Two terms are ours, without which codes part fakes
but need not part real images alike: D also sorts real images by code, sure of each and with all codes in use (`Information`), and an
image and a strong view of it get the same code. No label is read anywhere. Without these two it is the paper's game.""",
        ),
        "sagan": (
            "sngan",
            """Residual networks, and one layer in which every place of the map looks at every other: far parts of an image can agree.
Spectral norm in G too. The paper's G learns at a quarter of D's rate, which is for days of training; here at the same.""",
        ),
        "r3gan": (
            "dcgan",
            """Every real image is compared with one made image: which is more real? G cannot win by leaving a mode, because each real
image asks for a rival. The slope of D is penalised at real and at made images (R1 and R2), with which the game provably settles. Rates and
penalties fall along a cosine. Here on the networks of `dcgan`, which learn fastest on a CPU.""",
        ),
        "r3gan-deep": (
            "r3gan",
            """The networks of the paper: residual blocks of grouped convolutions, bilinear resizing, no norm anywhere, every block starting
as nothing. They pay off with many images and a GPU. On a CPU they are slow, so batches are of 16 images, to fit more moves into the
minutes.""",
        ),
    },
    "With labels": {
        "cgan": (
            "dcgan",
            """Both networks are told the class. G gets it beside its noise, D as a direction in its feature space: a real 7 must look real
and lie in the direction of sevens.""",
        ),
        "acgan": (
            "cgan",
            """D is not told the class but names it, and G is to be named right. Classes come out clear, at the price of variety: what is
hard to name is not made.""",
        ),
        "projection": (
            "sngan",
            """The hinge game with spectral norm, labels by projection. This is the usual discriminator of everything that follows.""",
        ),
        "biggan": (
            "sagan",
            """The label, through one shared embedding, and a piece of the noise set the scale and shift of the norms in every block, so that
both act at every size. G's filters are kept from being alike, D takes two steps for each of G. Samples can be traded between variety
and quality by drawing the noise closer to 0 (`sparring sample --truncation`). G has no spectral norm here, which the paper's has: with it G did
not hear its noise in the first minutes, and drew one picture per class. The embedding starts as loud as the noise beside it.""",
        ),
        "r3gan-class": (
            "r3gan",
            """Each real image is compared with a made image of its own class; D gets the label by projection.""",
        ),
    },
    "Few labels": {
        "semi": (
            "dcgan",
            """D names the class of the few labelled images; any class at all means real. All images teach it what is real, few what is what.
G matches features instead of fooling D, which makes poor pictures and good classifiers.""",
        ),
        "bad-gan": (
            "semi",
            """A perfect G would not help the classifier; one whose images lie between the classes does, for the borders then run where there is
no data. So made images are spread apart, and D is to be sure about real ones. (The paper also keeps G from dense regions by a
density model; that is left out.)""",
        ),
        "classifier": (
            None,
            """No game at all: the labelled images and cross-entropy, for comparison.""",
        ),
    },
    "Without a discriminator": {
        "autoencoder": (
            None,
            """One player with two networks: an image becomes 64 numbers and an image again. Nothing says what the numbers of other images
would be, so there is nothing to draw from; it is the floor for reconstruction.""",
        ),
        "vae": (
            "autoencoder",
            """The numbers become a mean and a variance, pulled to those of plain noise. Noise can then be decoded: it never collapses, it
covers every kind of image, and what it cannot decide it blurs.""",
        ),
        "cvae": ("vae", """Both networks are told the class."""),
    },
    "From an image to an image": {
        "pix2pix": (
            None,
            """G is a U-Net that gets the source image; D sees source and result and judges patches of 26 pixels: D asks for sharp
texture, the mean absolute difference for the right place.""",
        ),
        "cyclegan": (
            "pix2pix",
            """No pairs: two translators, there and back. Each side has a discriminator, and an image that went both ways must come back as it
was.""",
        ),
        "inpaint": (
            "pix2pix",
            """The source is the image itself with a hole. The hole is a cell of the recipe, drawn anew each time; what is not missing is
kept as it is.""",
        ),
        "upscale": (
            "inpaint",
            """The source is the image shrunk and blown up again; G makes what is missing in between. D's weight is small: pixels first.""",
        ),
        "upscale-4x": (
            "upscale",
            """The same from a quarter of the pixels each way: most of what G draws is made up.""",
        ),
        "restyle": ("upscale", """The source is the image without colour."""),
    },
}

NUMBERS = (  # in the lines of games.jsonl: key, title, factor, digits
    ("images", "images", 1e-3, "{:,.0f}k"),
    ("images_per_second", "images/s", 1, "{:,.0f}"),
    ("kernel_x1000", "kernel", 1, "{:.1f}"),
    ("coverage", "coverage", 1, "{:.2f}"),
    ("fidelity", "fidelity", 100, "{:.1f} %"),
    ("train_on_generated", "train on generated, test on real", 100, "{:.1f} %"),
    ("purity_real", "codes name the digit of real images", 100, "{:.1f} %"),
    ("accuracy", "test images right", 100, "{:.1f} %"),
    ("psnr", "PSNR dB", 1, "{:.2f}"),
    ("baseline_psnr", "PSNR without a network", 1, "{:.2f}"),
)


def difference(name: str, neighbour: str | None) -> str:
    """Markdown: the recipe, or the lines in which its Python differs from its neighbour's."""
    mine = lines_of(name)
    if neighbour is None:
        return "```python\n" + "\n".join(mine) + "\n```"
    lines = difflib.unified_diff(lines_of(neighbour), mine, lineterm="", n=0)
    kept = [line for line in lines if not line.startswith(("---", "+++", "@@"))]
    return f"From `{neighbour}`:\n\n```diff\n" + "\n".join(kept) + "\n```"


def lines_of(name: str) -> list[str]:
    """The recipe as short lines, so that a difference shows what differs and little else; without its source."""
    return [line for line in pretty(RECIPES[name], width=60).splitlines() if "source=" not in line]


def runs_of(name: str, lines: list[dict]) -> list[dict]:
    """The recipe's lines of one setting: the data that most recipes ran on, and the time that most recipes had."""
    usual = Counter((line["data"], line.get("budget")) for line in lines).most_common()
    places = {setting: place for place, (setting, _) in enumerate(usual)}
    mine = [line for line in lines if line["recipe"] == name and not line.get("labels")]
    settings = [(line["data"], line["budget"]) for line in mine]
    chosen = min(settings, key=lambda setting: places[setting], default=None)
    return [line for line in mine if (line["data"], line["budget"]) == chosen]


def measured(name: str, lines: list[dict]) -> str:
    """The medians of one setting, in a sentence."""
    mine = runs_of(name, lines)
    if not mine:
        return ""
    budget = mine[0]["budget"]
    found = [
        f"{title} {form.format(factor * statistics.median([line[key] for line in mine]))}"
        for key, title, factor, form in NUMBERS
        if all(line.get(key) is not None for line in mine)
    ]
    seeds = f"{len(mine)} seeds" if len(mine) > 1 else "1 seed"
    return f"Measured ({mine[0]['data']}, {budget:g} s of one thread, {seeds}): " + ", ".join(found) + "."


def page(lines: list[dict]) -> str:
    parts = [HEAD]
    for title, section in SECTIONS.items():
        parts.append(f"## {title}")
        for name, (neighbour, text) in section.items():
            parts.append(f"### {name}\n\n*{RECIPES[name].about}.* {RECIPES[name].source}.\n\n{text}")
            parts.append(difference(name, neighbour))
            if (PICTURES / f"{name}.png").exists():
                parts.append(f"![{name}](pictures/recipes/{name}.png)")
            if numbers := measured(name, lines):
                parts.append(numbers)
    return "\n\n".join(parts) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, help="folder with NAME*.png to take over")
    options = parser.parse_args()
    lines = [json.loads(line) for line in LINES.read_text().splitlines()] if LINES.exists() else []
    if options.pictures:
        PICTURES.mkdir(parents=True, exist_ok=True)
        for name in RECIPES:  # of the data whose numbers stand below it
            for path in {
                options.pictures / line.get("picture", "-") for line in runs_of(name, lines) if not line["seed"]
            }:
                if path.exists():
                    shutil.copy(path, PICTURES / f"{name}.png")
    missing = set(RECIPES) - {name for section in SECTIONS.values() for name in section}
    if missing:
        raise SystemExit(f"no section for {', '.join(sorted(missing))}")
    PAGE.write_text(page(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
