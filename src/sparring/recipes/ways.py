"""A recipe, and the usual ways to write one down."""

from dataclasses import replace

from ..augment import ADA, AsIs, Probability
from ..cells import Cell, Given, Judged, Labels, Made
from ..errors import UsageError
from ..heads import Patches
from ..nets.unet import PatchGAN
from ..objective import L1, Contest, NonSaturating, Relativistic, Sign, Wasserstein
from ..parts import part, walk
from ..players import Adam, Generator, Judge, Optimiser, Player, Translator
from .fits import problems


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
) -> Recipe:
    """G makes the target of a source image; D sees both, patch by patch; `l1` pulls G to the target."""
    made = Made("G", of)
    contest = NonSaturating(weight, real=Judged("D", target, of), fake=Judged("D", made, of))
    judge = Judge(net=PatchGAN(), head=Patches(), source=True, mask=mask)
    maker = Translator(mask=mask, residual=residual)
    return gan(source, contest, g=(L1(l1, made=made, target=target),), judge=judge, maker=maker, batch=32)


def augmented(recipe: Recipe, augment: AsIs) -> Recipe:
    """The same recipe, its discriminators seeing every image through `augment`; what is no discriminator stays.

    ADA's gauge is set: how often the discriminator calls real images real, or, where scores mean nothing alone
    (Wasserstein, relativistic), puts them above the fakes beside them.
    """
    contests = {t.real.by: t for p in recipe.players for t in p.terms if isinstance(t, Contest) and t.real.by in p.owns}

    def seeing(spec):
        contest = contests.get(spec.name)
        if contest is None or not isinstance(spec, Judge) or spec.source:
            return spec
        alone = not isinstance(contest, (Wasserstein, Relativistic))
        gauge = Sign(of=contest.real) if alone else Sign(of=contest.real, rival=contest.fake)
        driven = (
            ADA(**{**vars(augment), "memories": (Probability(gauge=gauge),)}) if isinstance(augment, ADA) else augment
        )
        return replace(spec, augment=driven)

    players = tuple(replace(p, nets=tuple(seeing(spec) for spec in p.nets)) for p in recipe.players)
    return replace(recipe, players=players)
