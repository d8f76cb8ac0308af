"""A recipe, and the usual ways to write one down."""

from dataclasses import field, replace

from torch import Tensor

from ..errors import UsageError
from ..nets.unet import PatchGAN
from ..records import record, walk
from .augment import LateDiffAugment, NoAugment, Onset, Probability
from .checks import problems
from .heads import Patches
from .losses import L1, AdversarialLoss, NonSaturating
from .measures import Loss, Sign
from .nodes import Batch, Discriminated, Labels, Node, Output
from .players import Adam, Discriminator, Generator, NetworkSpec, Optimiser, Player, Translator, networks_of

FASTEST_RISE = 64_000  # images that D is given while ADA's p goes from 0 to 1


@record
class Recipe:
    """Everything that tells one method from another: the players, in the order of their steps in a round.

    `source`: the paper. `batch`: images in each step. `about`: what it is, in a few words; no part of what makes two
    recipes equal. Raises UsageError where its pieces do not fit together.
    """

    source: str
    players: tuple[Player, ...]
    batch: int = 64
    about: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        for problem, fix in problems(self.players):
            raise UsageError("recipe-misfit", problem, fix=fix)

    @property
    def nets(self) -> dict[str, NetworkSpec]:
        """The networks by name."""
        return networks_of(self.players)

    @property
    def pools(self) -> set[str]:
        """The pools of the data that it reads."""
        return {node.pool for node in walk(self) if isinstance(node, (Batch, Labels))}

    @property
    def generator(self) -> Generator | None:
        """The generator, which makes images from noise, if it has one."""
        return next((spec for spec in self.nets.values() if isinstance(spec, Generator)), None)

    @property
    def translators(self) -> tuple[Translator, ...]:
        """The networks that turn an image into another."""
        return tuple(spec for spec in self.nets.values() if isinstance(spec, Translator))

    @property
    def adversarial_losses(self) -> dict[str, AdversarialLoss]:
        """The adversarial loss of each discriminator that has one, by the discriminator's name."""
        return {loss.real.by: loss for player in self.players for loss in player.adversarial_losses}


def gan(
    source: str,
    adversarial: AdversarialLoss,
    *,
    d: tuple[Loss, ...] = (),
    g: tuple[Loss, ...] = (),
    discriminator: Discriminator = Discriminator(),
    generator: Generator | Translator = Generator(),
    optim: Optimiser = Adam(),
    g_optim: Optimiser | None = None,
    d_steps: int = 1,
    d_average: float | None = None,
    batch: int = 64,
    about: str = "",
) -> Recipe:
    """Return a recipe of two players that share an adversarial loss; `d` and `g` are further losses of each.

    Samples are made by G's weight average.
    """
    players = (
        Player("D", (discriminator,), (adversarial, *d), optim, steps=d_steps, average=d_average),
        Player("G", (generator,), (adversarial, *g), g_optim or optim, average=0.999),
    )
    return Recipe(source, players, batch, about)


def solo(
    source: str,
    nets: tuple[NetworkSpec, ...],
    losses: tuple[Loss, ...],
    optim: Optimiser = Adam(1e-3, (0.9, 0.999)),
    monitored: tuple[Loss, ...] = (),
    about: str = "",
) -> Recipe:
    """Return a recipe of one player."""
    player = Player("P", nets, losses, optim, average=0.999, monitored=monitored)
    return Recipe(source, (player,), about=about)


def translation(
    source: str,
    of: Node[Tensor],
    target: Node[Tensor] = Batch("x"),
    *,
    l1: float = 100.0,
    weight: float = 1.0,
    mask: bool = False,
    residual: bool = False,
    batch: int = 32,
    about: str = "",
) -> Recipe:
    """Return a recipe in which G makes the target of a source image, and D scores patches of both side by side.

    `l1`: weight of the distance to the target. `weight`: of the adversarial loss. `mask`, `residual`: see Translator.
    """
    made = Output("G", of)
    adversarial = NonSaturating(weight, real=Discriminated("D", target, of), fake=Discriminated("D", made, of))
    discriminator = Discriminator(net=PatchGAN(), head=Patches(), source=True, mask=mask)
    generator = Translator(mask=mask, residual=residual)
    g = (L1(l1, made=made, target=target),)
    return gan(source, adversarial, g=g, discriminator=discriminator, generator=generator, batch=batch, about=about)


def can_augment(recipe: Recipe) -> bool:
    """Say whether a discriminator is given single images, and not images beside those that they were made from."""
    return bool(_augmentable(recipe))


def augmented(recipe: Recipe, augment: NoAugment) -> Recipe:
    """Return the same recipe with discriminators that are given every image through `augment`.

    ADA is given the measure that its p follows: how often the discriminator calls real images real, or, where scores
    are relative (Wasserstein, relativistic), puts them above the fakes beside them. Raises UsageError where there is no
    discriminator, or where it would be given a changed image beside an unchanged source.
    """
    specs = _augmentable(recipe)
    changed = {name: replace(spec, augment=_with_buffer(recipe, name, augment)) for name, spec in specs.items()}
    if not changed:
        raise UsageError("no-augment", "this recipe has no discriminator whose images could be changed",
                         fix="train it without an augmentation")  # fmt: skip
    players = tuple(replace(p, nets=tuple(changed.get(s.name, s) for s in p.nets)) for p in recipe.players)
    return replace(recipe, players=players)


def _augmentable(recipe: Recipe) -> dict[str, Discriminator]:
    against = {name: recipe.nets[name] for name in recipe.adversarial_losses}
    return {name: spec for name, spec in against.items() if isinstance(spec, Discriminator) and not spec.source}


def _with_buffer(recipe: Recipe, name: str, augment: NoAugment) -> NoAugment:
    if not augment.needs_buffer:
        return augment
    adversarial = recipe.adversarial_losses[name]
    reading = Sign(of=adversarial.real, rival=adversarial.fake if adversarial.relative else None)
    if isinstance(augment, LateDiffAugment):
        return replace(augment, buffers=(Onset(reading=reading, steps=max(1, augment.after // recipe.batch)),))
    return replace(augment, buffers=(Probability(reading=reading, step=recipe.batch / FASTEST_RISE),))
