"""Train a GAN in a loop of your own: the loop is a generator, and whatever you want to happen is its body.

python examples/own_loop.py [images] [picture.png]
"""

import sys

import torch

from sparring.data import load
from sparring.games.builders import gan
from sparring.games.losses import GradientPenalty, Wasserstein
from sparring.games.players import Adam, Discriminator, Generator
from sparring.games.training import new_state, training
from sparring.images import grid, save_png
from sparring.nets.dcgan import DCGAN
from sparring.nets.layers import DataSpec
from sparring.runs.sampler import draw


def main(images: int = 20_000, picture: str = "samples.png") -> None:
    # A recipe of your own: any networks, any losses. What does not fit together is refused by a sentence.
    recipe = gan(
        "WGAN-GP with thin networks",
        Wasserstein(),
        d=(GradientPenalty(10.0),),
        d_steps=2,
        discriminator=Discriminator(net=DCGAN(width=32, batchnorm=False)),
        generator=Generator(net=DCGAN(width=32)),
        optim=Adam(5e-4, (0.0, 0.9)),
    )
    digits = load("digits")
    data = {"all": {"x": torch.from_numpy(digits.images)}}
    state = new_state(recipe, DataSpec.of(digits.images), seed=0)

    for now, means in training(recipe, state, data, images=images, seed=0):
        if now.round % 50 == 0:
            losses = {
                f"{player} {type(loss).__name__}": round(float(mean), 3) for (player, loss), mean in means.items()
            }
            print(f"{now.round * recipe.batch:,} images: {losses}")

    samples = draw(state.best("G"), recipe.nets["G"], 64)
    save_png(picture, grid(samples, columns=8), generated=True)
    print(f"64 samples: {picture}")


if __name__ == "__main__":
    main(*(kind(word) for kind, word in zip((int, str), sys.argv[1:], strict=False)))
