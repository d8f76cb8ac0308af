"""Which recipe is taken when none is named, and when D sees its images changed."""

import numpy as np
import pytest
from toys import striped

from sparring.data import load
from sparring.errors import UsageError
from sparring.games.augment import ADA, DiffAugment, LateDiffAugment, NoAugment
from sparring.games.builders import augmented
from sparring.games.measures import Sign
from sparring.games.players import Discriminator
from sparring.games.recipes import RECIPES
from sparring.runs.defaults import FEW, PER_CLASS, find_recipe, suggested, with_augment


def images(labels, channels=3):
    x, _ = striped(count=len(labels), channels=channels)
    return load((x.numpy(), np.asarray(labels)))


def discriminators(recipe):
    return [spec for spec in recipe.nets.values() if isinstance(spec, Discriminator)]


def test_enough_labels_of_every_class_ask_for_a_game_of_classes():
    name, why = suggested(images([0, 1, 2] * PER_CLASS))
    assert (
        name == "r3gan-class-quick"
        and why == f"there are 3 classes with {PER_CLASS} labelled images or more, in colour"
    )
    assert suggested(images([0, 1] * PER_CLASS, channels=1))[0] == "projection"
    name, why = suggested(images([0, 1, 2] * (PER_CLASS - 1) + [0, 1]))
    assert name == "r3gan" and f"class 2 has {PER_CLASS - 1} labelled images" in why
    assert suggested(images([-1] * 30))[0] == suggested(images([0] * 200))[0] == "r3gan"
    name, why = suggested(images([0, 1] * PER_CLASS + [-1] * (2 * PER_CLASS + 2)))
    assert name == "r3gan" and "only 100 of 202 images have a label" in why


def test_what_is_named_is_taken():
    data = images([0, 1, 2] * PER_CLASS)
    assert find_recipe("mlp", data) == ("mlp", RECIPES["mlp"], "")
    assert find_recipe("auto", data)[:2] == ("r3gan-class-quick", RECIPES["r3gan-class-quick"])
    with pytest.raises(UsageError, match="did you mean wgan-gp"):
        find_recipe("wgan_gp", data)


def test_few_images_are_shown_changed_unless_the_recipe_says_what_d_sees():
    few, why = with_augment(RECIPES["dcgan"], "auto", FEW - 1)
    assert few == augmented(RECIPES["dcgan"], LateDiffAugment(after=199_980)) and "9,999 images are few" in why
    assert [spec.augment.buffers[0].steps for spec in discriminators(few)] == [3124]  # of 64 images: twenty epochs
    assert with_augment(RECIPES["dcgan"], "auto", FEW) == (RECIPES["dcgan"], "")
    own = augmented(RECIPES["dcgan"], DiffAugment(cut=0.0))
    assert with_augment(own, "auto", 10) == (own, "")
    for name in ("classifier", "vae", "inpaint"):  # no discriminator, or one that sees pairs
        assert with_augment(RECIPES[name], "auto", 10) == (RECIPES[name], "")
    both = discriminators(with_augment(RECIPES["cyclegan"], "auto", 10)[0])
    assert [type(spec.augment) for spec in both] == [LateDiffAugment] * 2


def test_an_augmentation_that_is_asked_for_is_used_or_refused():
    assert with_augment(RECIPES["dcgan"], "none", 10) == (RECIPES["dcgan"], "")
    assert with_augment(augmented(RECIPES["dcgan"], DiffAugment()), "none", 10)[0] == RECIPES["dcgan"]
    assert with_augment(RECIPES["vae"], "none", 10) == (RECIPES["vae"], "")
    with pytest.raises(UsageError, match="no discriminator whose images could be changed"):
        with_augment(RECIPES["inpaint"], "ada", 10)
    with pytest.raises(UsageError, match="did you mean diffaugment"):
        with_augment(RECIPES["dcgan"], "difaugment", 10)
    assert NoAugment().numbers == 0


@pytest.mark.parametrize(("name", "alone"), [("dcgan", True), ("cgan", True), ("wgan-gp", False), ("r3gan", False)])
def test_adas_gauge_reads_the_verdicts_of_the_contest(name, alone):
    """Otherwise D would judge other images for it, or a score that means nothing alone."""
    recipe, _ = with_augment(RECIPES[name], "ada", 10**6)
    (spec,) = discriminators(recipe)
    (buffer,) = spec.augment.buffers
    adversarial = next(t for t in recipe.players[0].losses if hasattr(t, "fake"))
    assert isinstance(spec.augment, ADA) and isinstance(buffer.reading, Sign)
    assert buffer.reading.of == adversarial.real and buffer.reading.rival == (None if alone else adversarial.fake)
