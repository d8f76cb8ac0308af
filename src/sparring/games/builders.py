"""A recipe, and the usual ways to write one down."""

from dataclasses import replace

from ..errors import UsageError
from ..nets.unet import PatchGAN
from ..records import part, walk
from .augment import ADA, AsIs, Probability
from .checks import problems
from .heads import Patches
from .losses import L1, Contest, NonSaturating, Relativistic, Sign, Wasserstein
from .nodes import Cell, Given, Judged, Labels, Made
from .players import Adam, Generator, Judge, Optimiser, Player, Translator

RISE = 64_000  # images that D sees while ADA's p goes from 0 to 1


@part
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
        return {p.pool for p in walk(self) if isinstance(p, (Given, Labels))}


def gan(
    source: str,
    contest: Contest,
    *,
    d: tuple = (),
    g: tuple = (),
    judge: Judge = Judge(),
    maker: Generator | Translator = Generator(),
    optim: Optimiser = Adam(),
    g_optim: Optimiser | None = None,
    d_steps: int = 1,
    d_average: float | None = None,
    batch: int = 64,
) -> Recipe:
    """Two players share a contest; each has further terms of its own. G is sampled through its weight average."""
    players = (
        Player("D", (judge,), (contest, *d), optim, steps=d_steps, average=d_average),
        Player("G", (maker,), (contest, *g), g_optim or optim, average=0.999),
    )
    return Recipe(source, players, batch)


def solo(
    source: str,
    nets: tuple,
    terms: tuple,
    optim: Optimiser = Adam(1e-3, (0.9, 0.999)),
    gauges: tuple = (),
) -> Recipe:
    """One player."""
    return Recipe(source, (Player("P", nets, terms, optim, average=0.999, gauges=gauges),))


def translation(
    source: str,
    of: Cell,
    target: Cell = Given("x"),
    *,
    l1: float = 100.0,
    weight: float = 1.0,
    mask: bool = False,
    residual: bool = False,
    batch: int = 32,
) -> Recipe:
    """G makes the target of a source image; D sees both, patch by patch; `l1` pulls G to the target."""
    made = Made("G", of)
    contest = NonSaturating(weight, real=Judged("D", target, of), fake=Judged("D", made, of))
    judge = Judge(net=PatchGAN(), head=Patches(), source=True, mask=mask)
    maker = Translator(mask=mask, residual=residual)
    return gan(source, contest, g=(L1(l1, made=made, target=target),), judge=judge, maker=maker, batch=batch)


def contests(recipe: Recipe) -> dict[str, Contest]:
    """The contest of each discriminator, by the discriminator's name."""
    terms = ((player, term) for player in recipe.players for term in player.terms if isinstance(term, Contest))
    return {term.real.by: term for player, term in terms if term.real.by in player.owns}


def can_augment(recipe: Recipe) -> bool:
    """Is there a discriminator that sees an image alone, and not beside the one that it was made from?"""
    return any(not recipe.nets[name].source for name in contests(recipe))


def augmented(recipe: Recipe, augment: AsIs) -> Recipe:
    """The same recipe, its discriminators seeing every image through `augment`.

    ADA's gauge is set: how often the discriminator calls real images real, or, where scores mean nothing alone
    (Wasserstein, relativistic), puts them above the fakes beside them. Raises UsageError where there is no
    discriminator, or where it would see a changed image beside an unchanged source.
    """
    if not can_augment(recipe):
        raise UsageError("no-augment", "this recipe has no discriminator that could see its images changed",
                         fix="train it without an augmentation")  # fmt: skip
    seen = {name: seen_by(contest, augment, recipe.batch) for name, contest in contests(recipe).items()}
    players = tuple(
        replace(p, nets=tuple(replace(s, augment=seen[s.name]) if s.name in seen else s for s in p.nets))
        for p in recipe.players
    )
    return replace(recipe, players=players)


def seen_by(contest: Contest, augment: AsIs, batch: int) -> AsIs:
    if not isinstance(augment, ADA):
        return augment
    rival = contest.fake if isinstance(contest, (Wasserstein, Relativistic)) else None
    gauge = Sign(of=contest.real, rival=rival)
    return replace(augment, memories=(Probability(gauge=gauge, step=batch / RISE),))
