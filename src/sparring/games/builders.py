"""A recipe, and the usual ways to write one down."""

from dataclasses import replace

from ..errors import UsageError
from ..nets.unet import PatchGAN
from ..records import record, walk
from .augment import ADA, NoAugment, Probability
from .checks import problems
from .heads import Patches
from .losses import L1, AdversarialLoss, NonSaturating, Relativistic, Sign, Wasserstein
from .nodes import Batch, Discriminated, Labels, Node, Output
from .players import Adam, Discriminator, Generator, Optimiser, Player, Translator

RISE = 64_000  # images that D sees while ADA's p goes from 0 to 1


@record
class Recipe:
    """Everything that tells one method from another. A round is one turn of each player, in this order."""

    source: str
    players: tuple
    batch: int = 64

    def __post_init__(self):
        if problem := next(problems(self), None):
            raise UsageError("recipe-misfit", *problem[:1], fix=problem[1])

    @property
    def nets(self) -> dict:
        return {spec.name: spec for player in self.players for spec in player.nets}

    @property
    def pools(self) -> set[str]:
        """Which pools of the data it reads."""
        return {p.pool for p in walk(self) if isinstance(p, (Batch, Labels))}


def gan(
    source: str,
    adversarial: AdversarialLoss,
    *,
    d: tuple = (),
    g: tuple = (),
    discriminator: Discriminator = Discriminator(),
    generator: Generator | Translator = Generator(),
    optim: Optimiser = Adam(),
    g_optim: Optimiser | None = None,
    d_steps: int = 1,
    d_average: float | None = None,
    batch: int = 64,
) -> Recipe:
    """Two players share a contest; each has further terms of its own. G is sampled through its weight average."""
    players = (
        Player("D", (discriminator,), (adversarial, *d), optim, steps=d_steps, average=d_average),
        Player("G", (generator,), (adversarial, *g), g_optim or optim, average=0.999),
    )
    return Recipe(source, players, batch)


def solo(
    source: str,
    nets: tuple,
    losses: tuple,
    optim: Optimiser = Adam(1e-3, (0.9, 0.999)),
    monitored: tuple = (),
) -> Recipe:
    """One player."""
    return Recipe(source, (Player("P", nets, losses, optim, average=0.999, monitored=monitored),))


def translation(
    source: str,
    of: Node,
    target: Node = Batch("x"),
    *,
    l1: float = 100.0,
    weight: float = 1.0,
    mask: bool = False,
    residual: bool = False,
    batch: int = 32,
) -> Recipe:
    """G makes the target of a source image; D sees both, patch by patch; `l1` pulls G to the target."""
    made = Output("G", of)
    adversarial = NonSaturating(weight, real=Discriminated("D", target, of), fake=Discriminated("D", made, of))
    discriminator = Discriminator(net=PatchGAN(), head=Patches(), source=True, mask=mask)
    generator = Translator(mask=mask, residual=residual)
    return gan(
        source,
        adversarial,
        g=(L1(l1, made=made, target=target),),
        discriminator=discriminator,
        generator=generator,
        batch=batch,
    )


def adversarial_losses(recipe: Recipe) -> dict[str, AdversarialLoss]:
    """The contest of each discriminator, by the discriminator's name."""
    losses = (
        (player, loss) for player in recipe.players for loss in player.losses if isinstance(loss, AdversarialLoss)
    )
    return {loss.real.by: loss for player, loss in losses if loss.real.by in player.owns}


def can_augment(recipe: Recipe) -> bool:
    """Is there a discriminator that sees an image alone, and not beside the one that it was made from?"""
    return any(not recipe.nets[name].source for name in adversarial_losses(recipe))


def augmented(recipe: Recipe, augment: NoAugment) -> Recipe:
    """The same recipe, its discriminators seeing every image through `augment`.

    ADA's gauge is set: how often the discriminator calls real images real, or, where scores mean nothing alone
    (Wasserstein, relativistic), puts them above the fakes beside them. Raises UsageError where there is no
    discriminator, or where it would see a changed image beside an unchanged source.
    """
    if not can_augment(recipe):
        raise UsageError("no-augment", "this recipe has no discriminator that could see its images changed",
                         fix="train it without an augmentation")  # fmt: skip
    seen = {
        name: seen_by(adversarial, augment, recipe.batch) for name, adversarial in adversarial_losses(recipe).items()
    }
    players = tuple(
        replace(p, nets=tuple(replace(s, augment=seen[s.name]) if s.name in seen else s for s in p.nets))
        for p in recipe.players
    )
    return replace(recipe, players=players)


def seen_by(adversarial: AdversarialLoss, augment: NoAugment, batch: int) -> NoAugment:
    if not isinstance(augment, ADA):
        return augment
    rival = adversarial.fake if isinstance(adversarial, (Wasserstein, Relativistic)) else None
    reading = Sign(of=adversarial.real, rival=rival)
    return replace(augment, buffers=(Probability(reading=reading, step=batch / RISE),))
