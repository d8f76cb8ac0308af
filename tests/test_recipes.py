"""Recipes are values; what fits together trains, and what does not is refused at once, with the reason."""

import inspect
import itertools
import json
import random
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from toys import FACTS, pools, thin

from sparring.errors import UnknownName, UsageError
from sparring.games import checks
from sparring.games.augment import ADA, DiffAugment, LateDiffAugment, NoAugment
from sparring.games.builders import Recipe, augmented, can_augment, gan, solo
from sparring.games.constraints import NoConstraint, SpectralNorm, WeightClip
from sparring.games.curve_names import all_curves, curve_names
from sparring.games.heads import (
    Classes,
    ClassesAsScore,
    Codes,
    Patches,
    Projection,
    ProjectionAndClasses,
    Score,
    ScoreAndClasses,
)
from sparring.games.losses import (
    R1,
    Classify,
    ContinuousCodeLoss,
    Entropy,
    FeatureMatching,
    GradientPenalty,
    Hinge,
    HistoricalAverage,
    LeastSquares,
    Minimax,
    NonSaturating,
    Orthogonal,
    PullAway,
    Relativistic,
    Wasserstein,
)
from sparring.games.measures import FractionReal, Sign
from sparring.games.nodes import FAKE, REAL, Batch, Code, ContinuousCode, Discriminated, Labels, Noise, Output
from sparring.games.players import Discriminator, Generator, Player, Translator
from sparring.games.recipes import RECIPES, smooth
from sparring.games.training import new_state, training
from sparring.nets.classifiers import SmallCNN
from sparring.nets.dcgan import DCGAN
from sparring.nets.mlp import MLP
from sparring.nets.r3gan import R3GAN
from sparring.nets.resnet import ResNet
from sparring.nets.salimans2016 import MinibatchDiscrimination, VirtualBatchNorm
from sparring.nets.unet import PatchGAN, UNet
from sparring.records import RECORDS, from_json, to_json, walk

DATA = pools()


def tried(recipe):
    """One round: the state, what was measured, and the names of the networks that changed."""
    before, state = new_state(recipe, FACTS), new_state(recipe, FACTS)
    _, means = next(training(recipe, state, DATA, images=recipe.batch))
    moved = {
        name
        for name, net in state.nets.items()
        if any(not torch.equal(p, q) for p, q in zip(net.parameters(), before.nets[name].parameters(), strict=True))
    }
    assert all(p.isfinite().all() for net in state.nets.values() for p in net.state_dict().values())
    assert all(mean.isfinite() for mean in means.values()) and state.skipped == 0
    return state, means, moved


# --- any head, loss, penalty, constraint, augmentation and trunk -----------------------------------------------------

TRUNKS = {
    "mlp": MLP((16,)),
    "dcgan": DCGAN(4),
    "smooth": DCGAN(4, batchnorm=False),
    "resnet": ResNet(4, attention=True),
    "r3gan": R3GAN(4, group=4),
    "nearness": MinibatchDiscrimination(DCGAN(4, batchnorm=False), 3, 2),
    "virtual": VirtualBatchNorm(DCGAN(4)),
    "small cnn": SmallCNN((4, 4, 4)),
    "patches": PatchGAN(4),
}
AXES = {
    "head": [
        Score,
        Projection,
        "Projection, no labels",
        Classes,
        ClassesAsScore,
        ScoreAndClasses,
        ProjectionAndClasses,
        Codes,
        Patches,
    ],
    "adversarial": [NonSaturating, Minimax, LeastSquares, Hinge, Wasserstein, Relativistic, FeatureMatching],
    "loss": [None, "R1", "R2", "GradientPenalty", "Classify", "Entropy"],
    "constraint": [NoConstraint(), WeightClip(), SpectralNorm()],
    "augment": [NoAugment(), DiffAugment(), LateDiffAugment(after=16), ADA()],
    "trunk": list(TRUNKS),
    "generator": [
        MLP((16,)),
        DCGAN(4),
        VirtualBatchNorm(DCGAN(4)),
        ResNet(4),
        ResNet(4, layered=True),
        R3GAN(4, group=4),
    ],
}


def built(head, adversarial, loss, constraint, augment, trunk, generator):
    """The recipe that a person would write for this choice."""
    labels, condition = Labels(), {}
    fed, takes = Noise(16), {"z": 16}
    if head is Codes:
        fed, takes = (Noise(16), Code(), ContinuousCode()), {"z": 16, "codes": 10, "continuous": 2}
    if head in (Projection, ProjectionAndClasses):
        fed, takes = (Noise(16), labels), {"z": 16, "labels": True}
        condition = {"real": Batch("y"), "fake": labels}
    real = Discriminated("D", Batch("x"), condition.get("real"))
    fake = Discriminated("D", Output("G", fed), condition.get("fake"))
    named = Classify(of=fake, label=Code()) if head is Codes else Classify(of=real)
    game = adversarial(real=real, fake=fake)
    d = {
        None: (),
        "R1": (R1(at=real),),
        "R2": (R1(at=fake),),
        "GradientPenalty": (GradientPenalty(at=Discriminated("D", GradientPenalty().at.of, condition.get("real"))),),
        "Classify": (named,),
        "Entropy": (Entropy(of=real),),
    }[loss]
    if loss == "GradientPenalty":
        between = replace(d[0].at.of, a=real.of, b=fake.of)
        d = (GradientPenalty(at=Discriminated("D", between, condition.get("real"))),)
    kind = Projection if isinstance(head, str) else head
    discriminator = Discriminator(
        net=TRUNKS[trunk], head=Codes(hidden=4) if kind is Codes else kind(), constraint=constraint, augment=NoAugment()
    )
    recipe = gan("ours", game, d=d, discriminator=discriminator, generator=Generator(net=generator, **takes), batch=8)
    return augmented(recipe, augment)


def refusal(head, adversarial, loss, constraint, augment, trunk, generator):
    """Every reason against a choice, thought out anew: a word of each sentence."""
    slope = loss in ("R1", "R2", "GradientPenalty")
    return {
        word
        for word, holds in {
            "their labels": head == "Projection, no labels",
            "gives vectors": head is Patches and trunk != "patches",
            "gives maps": head is not Patches and trunk == "patches",
            "needs score": head is Classes,
            "needs logits": loss in ("Classify", "Entropy")
            and head not in (Classes, ClassesAsScore, ScoreAndClasses, ProjectionAndClasses, Codes),
            "ties the images": slope and trunk in ("dcgan", "nearness", "small cnn"),
            "has no trunk": trunk == "virtual",  # a generator's
            "no spectral norm": trunk == "r3gan" and constraint == SpectralNorm(),  # it starts from zeros
            "Lipschitz": adversarial is Wasserstein and not slope and constraint == NoConstraint(),
        }.items()
        if holds
    }


def checked(choice):
    """True if it was accepted; fails where acceptance or the reason given is not what `refusal` says."""
    expected = refusal(*choice)
    try:
        built(*choice)
    except UsageError as error:
        assert any(word in str(error) for word in expected), (choice, str(error))
        assert error.id == "recipe-misfit" and error.fix
        return False
    assert not expected, (choice, "was accepted")
    return True


def test_what_does_not_make_sense_is_refused_and_nothing_else():  # B52
    """Every point of the product but for augmentation and generator, which nothing here depends on."""
    few = AXES | {"augment": [ADA()], "generator": AXES["generator"][:1]}
    accepted = [checked(choice) for choice in itertools.product(*few.values())]
    assert 2000 < sum(accepted) < len(accepted) - 2000  # both happen often enough to mean something


def covering(seed=0):
    """Few sensible choices in which every two values of two axes meet that can meet."""
    draw = random.Random(seed)
    drawn = [tuple(draw.choice(values) for values in AXES.values()) for _ in range(4000)]
    pairs = {c: set(itertools.combinations(enumerate(map(str, c)), 2)) for c in drawn if not refusal(*c)}
    left, chosen = set().union(*pairs.values()), []
    while left:
        chosen.append(max(pairs, key=lambda choice: len(pairs[choice] & left)))
        left -= pairs[chosen[-1]]
    return chosen


def test_what_makes_sense_trains():
    """Pairwise coverage: most faults of combinations show when two particular values meet."""
    for choice in covering():
        _, _, moved = tried(built(*choice))
        assert moved == {"G", "D"}, choice


def test_the_tests_of_combinations_would_notice(monkeypatch):
    """A rule too few and a rule too many both fail."""
    smooth_r1 = (Score, Hinge, "R1", NoConstraint(), ADA(), "smooth", MLP((16,)))
    monkeypatch.setitem(TRUNKS, "smooth", DCGAN(4))
    with pytest.raises(AssertionError):
        checked(smooth_r1)
    monkeypatch.setitem(TRUNKS, "dcgan", DCGAN(4, batchnorm=False))
    with pytest.raises(AssertionError, match="was accepted"):
        checked((*smooth_r1[:5], "dcgan", MLP((16,))))


# --- every refusal, its sentence and its fix -------------------------------------------------------------------------

game = NonSaturating()
fake_c = Discriminated("D", Output("G", (Noise(), Code(), ContinuousCode())))
coder = Generator(codes=10, continuous=2)
sourced = Discriminated("D", Batch(), Noise())
conditional = {"generator": Generator(labels=True)}
labelled = Batch("x", "labelled")

REFUSED = {
    "is a penalty per image, but batch norm in D ties": (lambda: gan("x", game, d=(R1(),)), "batchnorm=False"),
    "but minibatch discrimination in D ties": (
        lambda: gan("x", game, d=(R1(),), discriminator=Discriminator(net=MinibatchDiscrimination(smooth))),
        "use the trunk without it",
    ),
    "needs logits from D": (lambda: gan("x", game, d=(Classify(),)), "another head"),
    "needs score from D": (lambda: solo("x", (Discriminator(head=Classes()),), (FractionReal(),)), "another head"),
    "needs code_params from D": (lambda: gan("x", game, d=(ContinuousCodeLoss(of=REAL),)), "another head"),
    "reads the weight average of D, which keeps none": (
        lambda: gan("x", game, d=(FractionReal(of=Discriminated("D", Batch(), averaged=True)),)),
        "average=0.999",
    ),
    "feeds G 1 inputs": (lambda: gan("x", game, **conditional), "what it takes"),
    "feeds G Noise(dim=3), but it takes z=64": (
        lambda: gan("x", NonSaturating(fake=Discriminated("D", Output("G", Noise(3))))),
        "the same number",
    ),
    "feeds G Code(values=4), but it takes codes=10": (
        lambda: gan(
            "x",
            NonSaturating(fake=Discriminated("D", Output("G", (Noise(), Code(4), ContinuousCode())))),
            generator=coder,
        ),
        "the same number",
    ),
    "feeds G ContinuousCode(dim=3), but it takes continuous=2": (
        lambda: gan(
            "x",
            NonSaturating(fake=Discriminated("D", Output("G", (Noise(), Code(), ContinuousCode(3))))),
            generator=coder,
        ),
        "the same number",
    ),
    "no loss reads network E": (
        lambda: solo("x", (Discriminator(head=Classes()), Discriminator("E")), (Classify(),)),
        "drop it",
    ),
    "reads network 'H', but the recipe has D, G": (
        lambda: gan("x", NonSaturating(fake=Discriminated("D", Output("H", Noise())))),
        "name a network",
    ),
    "so it changes nothing": (lambda: gan("x", game, g=(FractionReal(of=REAL),)), "drop it"),
    "minimises Classify() twice": (
        lambda: solo("x", (Discriminator(head=Classes()),), (Classify(), Classify())),
        "twice the weight",
    ),
    "two networks are called D": (lambda: gan("x", game, generator=Generator("D")), "its own name"),
    "has steps without a loss": (lambda: gan("x", NonSaturating(every=2)), "every=1"),
    "only where D is Lipschitz": (lambda: gan("x", Wasserstein()), "GradientPenalty()"),
    "asks G for a score, but it is a Generator": (
        lambda: gan("x", NonSaturating(fake=Discriminated("G", Output("G", Noise())))),
        "ask a Discriminator",
    ),
    "also needs their labels": (lambda: gan("x", game, discriminator=Discriminator(head=Projection())), "condition="),
    "gives D a condition, but its head Score() takes none": (
        lambda: gan("x", NonSaturating(real=sourced, fake=sourced)),
        "without condition",
    ),
    "also needs the images that they were made from": (
        lambda: gan("x", game, discriminator=Discriminator(source=True)),
        "condition=",
    ),
    "reads maps, but MLP() gives vectors": (
        lambda: gan("x", game, discriminator=Discriminator(net=MLP(), head=Patches())),
        "PatchGAN()",
    ),
    "reads one vector per image, but PatchGAN() gives maps": (
        lambda: gan("x", game, discriminator=Discriminator(net=PatchGAN())),
        "Patches()",
    ),
    "an augmentation would change an image and not its source": (
        lambda: gan(
            "x",
            NonSaturating(real=sourced, fake=sourced),
            discriminator=Discriminator(source=True, augment=DiffAugment()),
        ),
        "drop one",
    ),
    "and head wants labels": (
        lambda: gan(
            "x", NonSaturating(real=sourced, fake=sourced), discriminator=Discriminator(source=True, head=Projection())
        ),
        "drop one",
    ),
    "D is a Discriminator, but UNet() has no trunk": (
        lambda: gan("x", game, discriminator=Discriminator(net=UNet())),
        "another architecture",
    ),
    "G is a Generator, but PatchGAN() has no generator": (
        lambda: gan("x", game, generator=Generator(net=PatchGAN())),
        "another architecture",
    ),
    "G is a Translator, but DCGAN() has no translator": (
        lambda: gan(
            "x", NonSaturating(fake=Discriminated("D", Output("G", labelled))), generator=Translator(net=DCGAN())
        ),
        "another architecture",
    ),
    "has no generator": (
        lambda: gan("x", game, generator=Generator(net=MinibatchDiscrimination(MLP()))),
        "another architecture",
    ),
    "MinibatchDiscrimination needs vectors": (
        lambda: gan("x", game, discriminator=Discriminator(net=MinibatchDiscrimination(PatchGAN()))),
        "another trunk",
    ),
    "in G start at zero, and zero has no spectral norm": (
        lambda: gan("x", game, generator=Generator(net=R3GAN(), constraint=SpectralNorm())),
        "another architecture",
    ),
    "ADA in D has no measure to follow": (
        lambda: gan("x", game, discriminator=Discriminator(augment=ADA())),
        "augmented(recipe, ADA())",
    ),
    "compares one vector per image, but D gives maps": (
        lambda: gan("x", game, g=(PullAway(),), discriminator=Discriminator(net=PatchGAN(), head=Patches())),
        "drop it",
    ),
    "asks D for Code(values=4), which no generator was given": (
        lambda: gan("x", game, d=(Classify(of=FAKE, label=Code(4)),), discriminator=Discriminator(head=Codes(4))),
        "feed a generator Code(values=4)",
    ),
    "asks for Code() from head Codes(values=4)": (
        lambda: gan(
            "x",
            NonSaturating(fake=fake_c),
            d=(Classify(of=fake_c, label=Code()),),
            discriminator=Discriminator(head=Codes(4)),
            generator=coder,
        ),
        "Codes(values=10)",
    ),
    "asks for ContinuousCode() from head Codes(continuous=3)": (
        lambda: gan(
            "x",
            NonSaturating(fake=fake_c),
            d=(ContinuousCodeLoss(of=fake_c),),
            discriminator=Discriminator(head=Codes(continuous=3)),
            generator=coder,
        ),
        "Codes(continuous=2)",
    ),
    "no discriminator whose images could be changed": (
        lambda: augmented(RECIPES["vae"], DiffAugment()),
        "without an augmentation",
    ),
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_what_does_not_fit_is_refused_by_a_sentence_and_a_fix(sentence):
    attempt, fix = REFUSED[sentence]
    with pytest.raises(UsageError) as caught:
        attempt()
    assert sentence in caught.value.problem and fix in caught.value.fix
    assert re.fullmatch(r"error\[[a-z-]+\]: .+\. Fix: .+[^.]\.", str(caught.value))


def test_the_table_of_refusals_is_complete():
    """As many sentences in the module as here, but for the one on labels and sources that is two."""
    said = len(re.findall(r"\byield (?!from)", inspect.getsource(checks)))
    assert len(REFUSED) >= said


# --- recipes are values ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_a_value(name):
    recipe = RECIPES[name]
    assert from_json(json.loads(json.dumps(to_json(recipe)))) == recipe
    assert eval(repr(recipe), dict(RECORDS)) == recipe
    assert hash(eval(repr(recipe), dict(RECORDS))) == hash(recipe)
    assert "arXiv" in recipe.source or "doi" in recipe.source
    assert all(type(p) in RECORDS.values() for p in walk(recipe))


def test_every_recipe_is_described_and_different():
    assert all(recipe.about for recipe in RECIPES.values())
    assert replace(RECIPES["mlp"], about="another word") == RECIPES["mlp"]
    assert len(set(RECIPES.values())) == len(RECIPES)


def test_smooth_has_no_batch_norm():
    assert not smooth.image_ties and DCGAN().image_ties == "batch norm" and FAKE != REAL


# --- names of curves -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RECIPES)
def test_every_curve_has_a_key_of_its_own_and_a_title(name):
    names = curve_names(RECIPES[name])
    assert len({curve.key for curve in names.values()}) == len(names)
    assert set(names.values()) < set(all_curves(RECIPES[name]))
    for (player, loss), curve in names.items():
        assert curve.key.startswith(f"{player}/{type(loss).__name__}") and curve.title[0].islower()
        assert curve.share == loss.share and curve.of in ("", "real", "generated")


def test_curves_of_real_and_generated_images_share_a_picture():
    by_key = {curve.key: curve for curve in curve_names(RECIPES["r3gan"]).values()}
    assert by_key["D/R1/real"].panel == by_key["D/R1/fake"].panel == "penalty on the discriminator's slope"
    assert (by_key["D/R1/real"].of, by_key["D/R1/fake"].of) == ("real", "generated")
    assert by_key["G/Relativistic"].panel == "generator: loss against the other"
    assert by_key["D/PairAccuracy/real"].share
    titles = [curve.title for curve in curve_names(RECIPES["infogan"]).values() if "/Classify" in curve.key]
    assert titles == ["loss on the codes", "loss on guessed labels", "loss on the codes"]
    assert {c.panel for c in all_curves(RECIPES["vae"])} >= {"error of the image", "size of the gradient"}


# --- augmentation ----------------------------------------------------------------------------------------------------

ALONE = [name for name, recipe in RECIPES.items() if can_augment(recipe)]
NOT_ALONE = {"autoencoder", "vae", "cvae", "classifier", "pix2pix", "inpaint", "upscale", "upscale-4x", "restyle"}


def test_without_a_discriminator_of_single_images_nothing_is_augmented():
    assert set(ALONE) == RECIPES.keys() - NOT_ALONE
    for name in NOT_ALONE:
        with pytest.raises(UsageError, match="train it without"):
            augmented(RECIPES[name], DiffAugment())


@pytest.mark.parametrize("augment", [DiffAugment(), ADA()], ids=repr)
@pytest.mark.parametrize("name", ALONE)
def test_every_recipe_trains_augmented(name, augment):
    plain = replace(thin(RECIPES[name]), batch=4)
    recipe = augmented(plain, augment)
    assert from_json(json.loads(json.dumps(to_json(recipe)))) == recipe == eval(repr(recipe), dict(RECORDS))
    discriminators = {n: spec for n, spec in recipe.nets.items() if isinstance(spec, Discriminator)}
    assert all(type(spec.augment) is type(augment) for spec in discriminators.values())
    assert {n: replace(spec, augment=NoAugment()) for n, spec in discriminators.items()}.items() <= plain.nets.items()
    state, means, moved = tried(recipe)
    assert moved == set(recipe.nets)
    for n in discriminators if isinstance(augment, ADA) else ():
        (reading,) = (loss for _, loss in means if isinstance(loss, Sign) and loss.of.by == n)
        alone = not name.startswith(("wgan", "r3gan"))  # the others' scores mean nothing alone
        assert (reading.rival is None) == alone
        p = recipe.batch / 64_000 * recipe.players[0].steps  # up from 0 in every step, or kept there
        assert 0 <= state.nets[n].augment_probability <= p + 1e-9


def test_an_augmentation_changes_the_loss():
    recipe = replace(thin(RECIPES["dcgan"]), batch=8)
    plain, changed = (tried(r)[1] for r in (recipe, augmented(recipe, DiffAugment())))
    assert plain["D", game] != changed["D", game]


# --- a recipe of one's own -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("generator", AXES["generator"], ids=repr)
def test_losses_on_weights_train_every_generator(generator):
    recipe = gan(
        "ours",
        Hinge(),
        g=(Orthogonal(1e-2), HistoricalAverage()),
        discriminator=Discriminator(net=MLP((16,))),
        generator=Generator(net=generator),
        batch=8,
    )
    _, means, moved = tried(recipe)
    assert moved == {"G", "D"} and means["G", Orthogonal(1e-2)] > 0 and means["G", HistoricalAverage()] == 0


def test_a_recipe_written_by_hand_is_the_one_from_the_short_way():
    players = (
        Player("D", (Discriminator(),), (game,)),
        Player("G", (Generator(),), (game,), average=0.999),
    )
    assert Recipe("x", players) == gan("x", game)


# --- the guide -------------------------------------------------------------------------------------------------------

DOCS = Path(__file__).parents[1] / "docs"


def code_in(page):
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(r"^```(?:python|diff)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", ["recipes.md", "gans.md", "chapters/games.md"])
def test_code_in_the_guide_has_todays_names(page):
    code = "".join(code_in(page))
    kinds, defined = re.findall(r"(?<![\w.])([A-Z]\w*)(?=\()", code), re.findall(r"^class (\w+)", code, re.MULTILINE)
    assert kinds and set(kinds) <= RECORDS.keys() | set(defined)


def test_recipes_of_ones_own_in_the_guide_train():
    blocks = [code for code in code_in("gans.md") if "recipe = " in code]
    for code in blocks:
        namespace: dict = {"__name__": "guide"}
        exec(code, namespace)
        _, _, moved = tried(replace(namespace["recipe"], batch=4))
        assert moved == {"D", "G"}
    assert blocks


def test_an_unknown_recipe_is_refused_with_the_nearest_name_and_the_table_shows_what_each_is():  # B49
    with pytest.raises(UnknownName, match="unknown recipe 'dcgn', did you mean dcgan"):
        RECIPES["dcgn"]
    assert re.search("dcgan +strided convolutions and batch norm", repr(RECIPES))
    assert next(iter(RECIPES)) == "mlp" and RECIPES.get("dcgn") is None
