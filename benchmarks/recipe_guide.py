# ruff: noqa: E501
"""Write docs/recipes.md: the field through its recipes, each as its difference from a neighbour, with our numbers.

    python benchmarks/recipe_guide.py [--pictures FOLDER]

Numbers come from benchmarks/results/games.jsonl (benchmarks/games.py), pictures from the folder that it wrote them to.
"""

import argparse
import difflib
import json
import shutil
import statistics
from collections import Counter
from dataclasses import replace
from pathlib import Path

from sparring.games.recipes import RECIPES
from sparring.records import pretty

ROOT = Path(__file__).parents[1]
LINES = Path(__file__).parent / "results" / "games.jsonl"
PAGE, PICTURES = ROOT / "docs" / "recipes.md", ROOT / "docs" / "pictures" / "recipes"

HEAD = """# The recipes

Written by `python benchmarks/recipe_guide.py`; the sentences are in that file, the numbers in
[benchmarks/results/games.md](../benchmarks/results/games.md).

A recipe lists the players and what each of them minimises. Nothing else tells one GAN from another here, and one loop trains them all
([Games and the loop](chapters/games.md)). So the shortest account of two dozen papers is what each changed. Below, every recipe is shown as
the difference of its Python from a neighbour's. `sparring recipes NAME` prints one in full, with its imports.

*Kernel* is the kernel distance of 5,000 samples to real test images, times 1,000, between features of a classifier trained on the real
training images: lower is better, and only numbers of one table compare. *Coverage* is the share of real images that have a sample
near them. *Fidelity* is the share of samples that a classifier calls by the class that was asked for.
"""

# Recipe -> the neighbour that it is compared with, and what it added.
SECTIONS: dict[str, dict[str, tuple[str | None, str]]] = {
    "Without labels": {
        "mlp": (
            None,
            """Two fully connected networks. G turns 64 random numbers into an image; D scores how real an image looks. D learns to tell
real images from fakes. G learns to make fakes that D takes for real: its loss is -log D(G(z)), whose gradient is largest when D is sure.""",
        ),
        "minimax": (
            "mlp",
            """The loss as the first paper wrote it: G minimises log(1 - D(G(z))), the same number that D maximises. Where D is sure
that an image is a fake, that curve is flat, so G learns least when it needs to learn most. It is here for teaching.""",
        ),
        "dcgan": (
            "mlp",
            """Convolutions: D halves the image with strides instead of pooling, G doubles it, both with batch norm, and G's last layer
is a tanh. Nearly everything after it keeps this frame.""",
        ),
        "lsgan": (
            "dcgan",
            """Squared errors to 1 (real) and 0 (fake). A fake that D already takes for real still has a gradient if its score
overshoots, so scores stay where gradients are not flat.""",
        ),
        "wgan": (
            "dcgan",
            """D no longer classifies images as real or fake. It may be any function whose slope is bounded, and the largest difference
of its means is the distance between the two distributions. Clipping its weights bounds the slope, crudely. D takes two steps for each of
G, because the distance is only as good as D (the paper: five, which leave G few steps in minutes). The loss falls as samples get better,
which the losses above do not. The learning rate is larger than the paper's, which is for days of training, and falls to 0.""",
        ),
        "wgan-gp": (
            "wgan",
            """Clipping makes D simpler than necessary. Instead, its slope is pulled to 1 at points between real images and fakes. The
penalty is per image, so D must have no batch norm, which ties images together. Five steps of D for each of G. The learning rate is again
for minutes of training.""",
        ),
        "sngan": (
            "dcgan",
            """Another bound: every layer of D is divided by its largest singular value, found by one power iteration per pass. It
costs next to nothing. The hinge loss comes with it: an image whose score is beyond the margin has no gradient for D.""",
        ),
        "improved": (
            "dcgan",
            """Five losses and layers that any recipe can use. G matches the mean features of real images. D gets features that say how
near each image is to the others of its batch, so it can tell fakes that are all alike. D's target for real images is 0.9 instead of 1.
Weights are kept near their own average. G's norms use the statistics of a fixed batch. The learning rate, which falls to 0, and the batch
are chosen for minutes of training.""",
        ),
        "infogan": (
            "dcgan",
            """G also gets a code: one of ten values, and two continuous codes. D must read the code off the image, and G must make it
readable. Nobody says what codes mean; on digits the ten values become digits, the continuous codes slant and stroke width. Two losses are ours.
Without them, codes divide fakes, but need not divide real images in the same way: D also sorts real images by code, sure of each and with
all codes in use (`Information`), and an image and a strong view of it get the same code. No label is read. Without these two losses it is
the recipe of the paper.""",
        ),
        "sagan": (
            "sngan",
            """Residual networks, and one attention layer that connects every position of a map with every other, so that distant parts of
an image can agree. Spectral norm in G too. The paper's G has a quarter of D's learning rate, for days of training; here both have the same.""",
        ),
        "r3gan": (
            "dcgan",
            """Every real image is compared with one fake: which is more real? G cannot gain by leaving out a mode, because each real
image has a fake as its rival. The slope of D is penalised at real images and at fakes (R1 and R2); with both, training provably converges
locally. Learning rates and penalties fall along a cosine. Here with the networks of `dcgan`, which learn fastest on a CPU.""",
        ),
        "r3gan-quick": (
            "r3gan",
            """For minutes on a CPU: batches of a quarter of the images, so more steps in the same time, and the two penalties, which
are a third of the work, in every fourth step only, at four times the weight (lazy regularisation).""",
        ),
        "r3gan-deep": (
            "r3gan",
            """The networks of the paper: residual blocks of grouped convolutions, bilinear resizing, no norm, and blocks that start as the
identity. They pay off with many images and a GPU. On a CPU they are slow, so batches have 16 images, for more steps in the same minutes.""",
        ),
    },
    "With labels": {
        "cgan": (
            "dcgan",
            """Both networks are given the class. G gets it beside its noise, D as a direction in its feature space: a 7 must look real
and lie in the direction of sevens.""",
        ),
        "acgan": (
            "cgan",
            """D is not given the class but predicts it, and G is trained so that D predicts the class that was asked for. Classes come
out clear, at the price of variety: G avoids images that are hard to classify.""",
        ),
        "projection": (
            "sngan",
            """Hinge loss, spectral norm, labels by projection. Most later class-conditional GANs use this discriminator.""",
        ),
        "biggan": (
            "sagan",
            """In every block, the label (through one shared embedding) and a piece of the noise set the scale and shift of the norms, so
both act at every size. A penalty keeps G's filters different, and D takes two steps for each of G. Noise drawn closer to 0 gives better
and less varied samples (`sparring sample --truncation`). Unlike the paper's, this G has no spectral norm: with it, G ignored its noise in
the first minutes and made one image per class. The embedding starts with the same norm as the noise beside it.""",
        ),
        "r3gan-class": (
            "r3gan",
            """Each real image is compared with a fake of its own class; D gets the label by projection.""",
        ),
        "r3gan-class-quick": (
            "r3gan-class",
            """The same for minutes on a CPU, as `r3gan-quick`. D also names the class of real images, and G is to make images whose class D
names right: an auxiliary classifier beside the projection. It costs no pass more.""",
        ),
    },
    "Few labels": {
        "semi": (
            "dcgan",
            """D predicts the class of the few labelled images; any class at all means real. It learns from all images what is real, and
from few what the classes are. G matches features instead of fooling D, which makes poor images and good classifiers.""",
        ),
        "bad-gan": (
            "semi",
            """A perfect G would not help the classifier. One whose images lie between the classes does: the borders then run where there is
no data. So fakes are spread apart, and D must be sure about real images. (The paper also keeps G away from dense regions by a density
model; that is left out.)""",
        ),
        "classifier": (
            None,
            """No generator: the labelled images and cross-entropy, for comparison.""",
        ),
    },
    "Without a discriminator": {
        "autoencoder": (
            None,
            """One player with two networks: an image becomes 64 numbers and an image again. The numbers follow no known distribution, so
it cannot be sampled. It shows how good reconstruction can be.""",
        ),
        "vae": (
            "autoencoder",
            """The numbers become a mean and a variance, pulled to those of standard normal noise, which can then be decoded. It does not
collapse and covers all kinds of images; what it cannot decide, it blurs.""",
        ),
        "cvae": ("vae", """Both networks are given the class."""),
    },
    "From an image to an image": {
        "pix2pix": (
            None,
            """G is a U-Net that gets the source image. D gets source and result and scores patches of 26 pixels. D makes textures sharp,
the mean absolute difference puts them in the right place.""",
        ),
        "cyclegan": (
            "pix2pix",
            """No pairs: two translators, there and back. Each kind of image has a discriminator, and an image that is translated there
and back must be what it was.""",
        ),
        "inpaint": (
            "pix2pix",
            """The source is the image itself with a hole. The hole is a node of the recipe, drawn anew in each step; what is not missing
is kept as it is.""",
        ),
        "upscale": (
            "inpaint",
            """The source is the image made smaller and enlarged again; G adds the difference. The adversarial loss has a small weight, so
that pixels come first.""",
        ),
        "upscale-4x": (
            "upscale",
            """The same from a quarter of the pixels each way: most of what G adds is made up.""",
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
    lines = pretty(replace(RECIPES[name], about=""), width=60).splitlines()
    return [line for line in lines if "source=" not in line]


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
    written = {name for section in SECTIONS.values() for name in section}
    further = {name: (None, "") for name in RECIPES if name not in written}
    for title, section in (SECTIONS | ({"Further recipes": further} if further else {})).items():
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
    PAGE.write_text(page(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
