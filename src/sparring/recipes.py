"""Recipes: who plays, in which order, and what each player minimises. Then the table of methods."""

from collections import Counter

from .cells import Given, Judged, Labels, Made, Noise, Sampled
from .errors import UsageError
from .heads import Classes, ClassesAsScore, Projection
from .nets.dcgan import DCGAN
from .nets.mlp import MLP
from .objective import (
    KL,
    Classify,
    Contest,
    FeatureMatching,
    GradientPenalty,
    Linear,
    NonSaturating,
    Right,
    SlopePenalty,
    SquaredError,
    Wasserstein,
)
from .parts import part, walk
from .players import SGD, Adam, AdamW, Encoder, Generator, Judge, Player


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


def problems(recipe: Recipe):
    """(What, fix), one for each way in which the parts of a recipe do not fit."""
    nets = recipe.nets
    averaged = {name for player in recipe.players if player.average is not None for name in player.owns}
    if twice := repeated(name for player in recipe.players for name in player.owns):
        yield f"two networks are called {twice}", "give each network of a recipe its own name"
    for player in recipe.players:
        if twice := repeated(player.terms):
            yield f"player {player.name} minimises {twice!r} twice", "use one of them, with twice the weight"
        if not any(term.every == 1 for term in player.terms):
            yield f"player {player.name} has moves without a loss", "give it a term with every=1"
        for term in (*player.terms, *player.measured):
            yield from misfits(player, term, nets, averaged)
    if idle := nets.keys() - {cell.by for cell in walk(recipe) if isinstance(cell, (Made, Judged))}:
        yield f"no term reads network {min(idle)}", "drop it, or add a term that reads it"


def repeated(values):
    return next((value for value, count in Counter(values).items() if count > 1), None)


def misfits(player, term, nets, averaged):
    kind = type(term).__name__
    cells = [cell for cell in walk(term) if isinstance(cell, (Made, Judged))]
    for cell in cells:
        if cell.by not in nets:
            yield (
                f"{kind} of player {player.name} reads network {cell.by!r}, but the recipe has {', '.join(nets)}",
                "name a network of the recipe",
            )
            return
        if cell.averaged and cell.by not in averaged:
            yield f"{kind} reads the weight average of {cell.by}, which keeps none", "give its player average=0.999"
        yield from (misjudged if isinstance(cell, Judged) else misfed)(kind, cell, nets[cell.by])
    if term in player.terms and not {cell.by for cell in cells if not cell.averaged} & set(player.owns):
        yield f"{kind} reads no network of player {player.name}, so it moves nothing", "drop it"
    for cell in (value for value in vars(term).values() if isinstance(value, Judged)):
        yield from unreadable(kind, term, nets[cell.by])


def unreadable(kind, term, judge):
    if lacking := [what for what in term.reads if what not in judge.head.gives]:
        yield (
            f"{kind} needs {lacking[0]} from {judge.name}, whose head {judge.head!r} gives "
            f"{' and '.join(judge.head.gives)} only",
            "choose another head, or drop the term",
        )
    if isinstance(term, SlopePenalty) and judge.net.ties_images:
        yield (
            f"{kind} is a penalty per image, but batch norm in {judge.name} ties the images of a batch together",
            "use a trunk with batchnorm=False",
        )


def misjudged(kind, cell, judge):
    if not isinstance(judge, Judge):
        yield f"{kind} asks {cell.by} for a verdict, but it is a {type(judge).__name__}", "ask a Judge"
    elif judge.head.wants_label and cell.about is None:
        yield f"{kind} shows {cell.by} images alone, but it also needs their labels", "use Judged(..., about=...)"


def misfed(kind, cell, net):
    fed, wanted = cell.of if isinstance(cell.of, tuple) else (cell.of,), getattr(net, "inputs", 1)
    if len(fed) != wanted:
        yield f"{kind} feeds {net.name} {len(fed)} inputs, but {net!r} takes {wanted}", "feed it what it takes"
    if isinstance(fed[0], Noise) and fed[0].dim != getattr(net, "z", None):
        yield (
            f"{kind} feeds {net.name} {fed[0].dim} noise values, but it takes {getattr(net, 'z', 'none')}",
            "use Noise(dim) and Generator(z) with the same number",
        )


# --- the table -------------------------------------------------------------------------------------------------------


def gan(
    source: str,
    contest: Contest,
    *,
    d: tuple = (),
    g: tuple = (),
    judge: Judge = Judge(),
    maker: Generator = Generator(),
    optim: Adam | AdamW | SGD = Adam(),
    d_steps: int = 1,
    d_average: float | None = None,
    batch: int = 64,
) -> Recipe:
    """Two players share a contest; each has further terms of its own. G is sampled through its weight average."""
    players = (
        Player("D", (judge,), (contest, *d), optim, steps=d_steps, average=d_average),
        Player("G", (maker,), (contest, *g), optim, average=0.999),
    )
    return Recipe(source, players, batch)


def solo(
    source: str,
    nets: tuple,
    terms: tuple,
    optim: Adam | AdamW | SGD = Adam(1e-3, (0.9, 0.999)),
    gauges: tuple = (),
) -> Recipe:
    """One player."""
    return Recipe(source, (Player("P", nets, terms, optim, average=0.999, gauges=gauges),))


labelled, their_y = Given("x", "labelled"), Given("y", "labelled")
smooth = DCGAN(batchnorm=False)
real_y = Judged("D", labelled, their_y)
fake_y = Judged("D", Made("G", (Noise(), Labels())), Labels())
code = Made("E", Given())

RECIPES: dict[str, Recipe] = {
    "mlp": gan(
        "Goodfellow et al. 2014, arXiv:1406.2661",
        NonSaturating(),
        judge=Judge(net=MLP()),
        maker=Generator(net=MLP()),
    ),
    "dcgan": gan("Radford et al. 2016, arXiv:1511.06434", NonSaturating()),
    "cgan": gan(
        "Mirza & Osindero 2014, arXiv:1411.1784, with the discriminator of Miyato & Koyama 2018, arXiv:1802.05637",
        NonSaturating(real=real_y, fake=fake_y),
        judge=Judge(head=Projection()),
        maker=Generator(labels=True),
    ),
    "wgan-gp": gan(
        "Gulrajani et al. 2017, arXiv:1704.00028",
        Wasserstein(),
        d=(GradientPenalty(10.0),),
        d_steps=5,
        judge=Judge(net=smooth),
        optim=Adam(1e-4, (0.0, 0.9)),
    ),
    "semi": gan(
        "Salimans et al. 2016, arXiv:1606.03498",
        FeatureMatching(),
        d=(Classify(of=Judged("D", labelled), label=their_y),),
        judge=Judge(net=smooth, head=ClassesAsScore()),
        optim=Adam(3e-4),
        d_average=0.999,
    ),
    "vae": solo(
        "Kingma & Welling 2014, arXiv:1312.6114",
        (Encoder(), Generator()),
        (SquaredError(made=Made("G", Sampled(code)), deviation=0.4), KL(of=code)),
    ),
    "classifier": solo(
        "LeCun et al. 1998, doi:10.1109/5.726791",
        (Judge(head=Classes()),),
        (Classify(of=Judged("D", labelled), label=their_y),),
        AdamW(Linear(1e-3)),
        gauges=(Right(of=Judged("D", labelled), label=their_y),),
    ),
}
