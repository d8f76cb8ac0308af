"""Recipes: who plays, in which order, and what each player minimises. Then the table of methods."""

from collections import Counter
from dataclasses import replace

from .augment import ADA, AsIs, Probability
from .cells import FAKE, Cell, Code, Given, Judged, Labels, Made, Noise, Sampled, Sliders, Weights
from .constraints import SpectralNorm, WeightClip
from .degradations import Grey, Hole, Shrunk
from .errors import UsageError
from .heads import Classes, ClassesAsScore, Codes, Patches, Projection, ScoreAndClasses
from .nets.dcgan import DCGAN
from .nets.improved import MinibatchDiscrimination, VirtualBatchNorm
from .nets.mlp import MLP
from .nets.r3gan import R3GAN
from .nets.resnet import ResNet
from .nets.unet import PatchGAN
from .objective import (
    KL,
    L1,
    R1,
    Classify,
    Contest,
    Cosine,
    Entropy,
    FeatureMatching,
    GradientPenalty,
    GuessSliders,
    Hinge,
    HistoricalAverage,
    LeastSquares,
    Linear,
    Minimax,
    NonSaturating,
    Orthogonal,
    PullAway,
    Relativistic,
    Right,
    Sign,
    SlopePenalty,
    SquaredError,
    Wasserstein,
)
from .parts import part, walk
from .players import Adam, AdamW, Encoder, Generator, Judge, Optimiser, Player, RMSprop, Translator


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
    cells = [cell for cell in walk(term) if isinstance(cell, (Made, Judged, Weights))]
    for cell in cells:
        if cell.by not in nets:
            yield (
                f"{kind} of player {player.name} reads network {cell.by!r}, but the recipe has {', '.join(nets)}",
                "name a network of the recipe",
            )
            return
        if cell.averaged and cell.by not in averaged:
            yield f"{kind} reads the weight average of {cell.by}, which keeps none", "give its player average=0.999"
        if not isinstance(cell, Weights):
            yield from (misjudged if isinstance(cell, Judged) else misfed)(kind, cell, nets[cell.by])
    if term in player.terms and not {cell.by for cell in cells if not cell.averaged} & set(player.owns):
        yield f"{kind} reads no network of player {player.name}, so it moves nothing", "drop it"
    for cell in (value for value in vars(term).values() if isinstance(value, Judged)):
        yield from unreadable(kind, term, nets[cell.by])
    if isinstance(term, Wasserstein) and term in player.terms and term.real.by in player.owns:
        yield from unbounded(player, nets[term.real.by])


def unbounded(player, judge):
    slopes = [t for t in player.terms if isinstance(t, SlopePenalty) and t.at.by == judge.name]
    if not slopes and not judge.constraint.lipschitz:
        yield (
            f"Wasserstein measures a distance only where {judge.name} is Lipschitz, and nothing keeps it so",
            "add GradientPenalty() or R1() to its player, or give it constraint=SpectralNorm() or WeightClip()",
        )


def unreadable(kind, term, judge):
    if lacking := [what for what in term.reads if what not in judge.head.gives]:
        yield (
            f"{kind} needs {lacking[0]} from {judge.name}, whose head {judge.head!r} gives "
            f"{' and '.join(judge.head.gives)} only",
            "choose another head, or drop the term",
        )
    if isinstance(term, SlopePenalty) and judge.net.ties_images:
        ties = "minibatch discrimination" if isinstance(judge.net, MinibatchDiscrimination) else "batch norm"
        yield (
            f"{kind} is a penalty per image, but {ties} in {judge.name} ties the images of a batch together",
            "use a trunk with batchnorm=False" if ties == "batch norm" else "use the trunk without it",
        )


def misjudged(kind, cell, judge):
    if not isinstance(judge, Judge):
        yield f"{kind} asks {cell.by} for a verdict, but it is a {type(judge).__name__}", "ask a Judge"
        return
    if (judge.head.wants_label or judge.source) and cell.about is None:
        what = "the images that they were made from" if judge.source else "their labels"
        yield f"{kind} shows {cell.by} images alone, but it also needs {what}", "use Judged(..., about=...)"
    if judge.head.wants_maps != judge.net.gives_maps:
        yield (
            f"head {judge.head!r} of {judge.name} reads {'maps' if judge.head.wants_maps else 'one vector per image'}, "
            f"but {judge.net!r} gives {'maps' if judge.net.gives_maps else 'vectors'}",
            "use Patches() with PatchGAN(), and other heads with other trunks",
        )
    if judge.source and (judge.augment.numbers or judge.head.wants_label):
        what = (
            "an augmentation would change an image and not its source" if judge.augment.numbers else "head wants labels"
        )
        yield f"{judge.name} sees a source image beside each image, and {what}", "drop one of the two"


def misfed(kind, cell, net):
    fed, wanted = cell.of if isinstance(cell.of, tuple) else (cell.of,), getattr(net, "inputs", 1)
    if len(fed) != wanted:
        yield f"{kind} feeds {net.name} {len(fed)} inputs, but {net!r} takes {wanted}", "feed it what it takes"
    for cell_kind, field, takes in ((Noise, "dim", "z"), (Code, "values", "codes"), (Sliders, "dim", "sliders")):
        for cell in (c for c in fed if isinstance(c, cell_kind)):
            if getattr(cell, field) != getattr(net, takes, None):
                yield (
                    f"{kind} feeds {net.name} {cell!r}, but it takes {takes}={getattr(net, takes, 'none')}",
                    f"use {cell_kind.__name__}({field}) and Generator({takes}) with the same number",
                )


# --- ways to write a recipe down -------------------------------------------------------------------------------------


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


# --- the table -------------------------------------------------------------------------------------------------------

labelled, their_y = Given("x", "labelled"), Given("y", "labelled")
smooth = DCGAN(batchnorm=False)
real_y = Judged("D", labelled, their_y)
fake_y = Judged("D", Made("G", (Noise(), Labels())), Labels())
pair_y = Judged("D", Made("G", (Noise(), their_y)), their_y)  # fakes of the classes of the real images beside them
real_l = Judged("D", labelled)
fake_c = Judged("D", Made("G", (Noise(), Code(), Sliders())))
code, code_y = Made("E", Given()), Made("E", (labelled, their_y))
a, b = Given("x", "a"), Given("x", "b")
game_a = LeastSquares(real=Judged("D_a", a), fake=Judged("D_a", Made("G_a", b)))
game_b = LeastSquares(real=Judged("D_b", b), fake=Judged("D_b", Made("G_b", a)))
sngan_adam = Adam(2e-4, (0.0, 0.9))
gamma = Cosine(1.0, 0.1)
r3_adam = Adam(Cosine(4e-4, 5e-5), (0.0, 0.99))

RECIPES: dict[str, Recipe] = {
    # without labels
    "mlp": gan(
        "Goodfellow et al. 2014, arXiv:1406.2661",
        NonSaturating(),
        judge=Judge(net=MLP()),
        maker=Generator(net=MLP()),
    ),
    "minimax": gan(
        "Goodfellow et al. 2014, arXiv:1406.2661, eq. 1",
        Minimax(),
        judge=Judge(net=MLP()),
        maker=Generator(net=MLP()),
    ),
    "dcgan": gan("Radford et al. 2016, arXiv:1511.06434", NonSaturating()),
    "lsgan": gan("Mao et al. 2017, arXiv:1611.04076", LeastSquares()),
    "wgan": gan(
        "Arjovsky et al. 2017, arXiv:1701.07875",
        Wasserstein(),
        d_steps=5,
        judge=Judge(constraint=WeightClip(0.01)),
        optim=RMSprop(5e-5),
    ),
    "wgan-gp": gan(
        "Gulrajani et al. 2017, arXiv:1704.00028",
        Wasserstein(),
        d=(GradientPenalty(10.0),),
        d_steps=5,
        judge=Judge(net=smooth),
        optim=Adam(1e-4, (0.0, 0.9)),
    ),
    "sngan": gan(
        "Miyato et al. 2018, arXiv:1802.05957",
        Hinge(),
        judge=Judge(net=smooth, constraint=SpectralNorm()),
        optim=sngan_adam,
    ),
    "improved": gan(
        "Salimans et al. 2016, arXiv:1606.03498, section 3",
        NonSaturating(smoothing=0.1),
        g=(FeatureMatching(), HistoricalAverage()),
        judge=Judge(net=MinibatchDiscrimination(DCGAN())),
        maker=Generator(net=VirtualBatchNorm(DCGAN())),
    ),
    "infogan": gan(
        "Chen et al. 2016, arXiv:1606.03657",
        NonSaturating(fake=fake_c),
        d=(Classify(of=fake_c, label=Code()), GuessSliders(0.1, of=fake_c)),
        g=(Classify(of=fake_c, label=Code()), GuessSliders(0.1, of=fake_c)),
        judge=Judge(head=Codes()),
        maker=Generator(codes=10, sliders=2),
        g_optim=Adam(1e-3),
    ),
    "sagan": gan(
        "Zhang et al. 2019, arXiv:1805.08318",
        Hinge(),
        judge=Judge(net=ResNet(attention=True), constraint=SpectralNorm()),
        maker=Generator(net=ResNet(attention=True), constraint=SpectralNorm()),
        optim=Adam(4e-4, (0.0, 0.9)),
        g_optim=Adam(1e-4, (0.0, 0.9)),
    ),
    "r3gan": gan(
        "Huang et al. 2024, arXiv:2501.05441",
        Relativistic(),
        d=(R1(gamma), R1(gamma, at=FAKE)),
        judge=Judge(net=R3GAN()),
        maker=Generator(net=R3GAN()),
        optim=r3_adam,
    ),
    # with labels
    "cgan": gan(
        "Mirza & Osindero 2014, arXiv:1411.1784, with the discriminator of Miyato & Koyama 2018, arXiv:1802.05637",
        NonSaturating(real=real_y, fake=fake_y),
        judge=Judge(head=Projection()),
        maker=Generator(labels=True),
    ),
    "acgan": gan(
        "Odena et al. 2017, arXiv:1610.09585",
        NonSaturating(real=real_l, fake=Judged("D", fake_y.of)),
        d=(Classify(of=real_l, label=their_y), Classify(of=Judged("D", fake_y.of), label=Labels())),
        g=(Classify(of=Judged("D", fake_y.of), label=Labels()),),
        judge=Judge(head=ScoreAndClasses()),
        maker=Generator(labels=True),
    ),
    "projection": gan(
        "Miyato & Koyama 2018, arXiv:1802.05637",
        Hinge(real=real_y, fake=fake_y),
        judge=Judge(net=smooth, head=Projection(), constraint=SpectralNorm()),
        maker=Generator(labels=True),
        optim=sngan_adam,
    ),
    "biggan": gan(
        "Brock et al. 2019, arXiv:1809.11096",
        Hinge(real=real_y, fake=fake_y),
        g=(Orthogonal(),),
        judge=Judge(net=ResNet(attention=True), head=Projection(), constraint=SpectralNorm()),
        maker=Generator(net=ResNet(attention=True, layered=True), labels=True, constraint=SpectralNorm()),
        optim=Adam(4e-4, (0.0, 0.999)),
        g_optim=Adam(1e-4, (0.0, 0.999)),
    ),
    "r3gan-class": gan(
        "Huang et al. 2024, arXiv:2501.05441",
        Relativistic(real=real_y, fake=pair_y),
        d=(R1(gamma, at=real_y), R1(gamma, at=pair_y)),
        judge=Judge(net=R3GAN(), head=Projection()),
        maker=Generator(net=R3GAN(), labels=True),
        optim=r3_adam,
    ),
    # few labels
    "semi": gan(
        "Salimans et al. 2016, arXiv:1606.03498, section 5",
        FeatureMatching(),
        d=(Classify(of=real_l, label=their_y),),
        judge=Judge(net=smooth, head=ClassesAsScore()),
        optim=Adam(3e-4),
        d_average=0.999,
    ),
    "bad-gan": gan(
        "Dai et al. 2017, arXiv:1705.09783",
        FeatureMatching(),
        d=(Classify(of=real_l, label=their_y), Entropy(0.1)),
        g=(PullAway(0.1),),
        judge=Judge(net=smooth, head=ClassesAsScore()),
        optim=Adam(3e-4),
        d_average=0.999,
    ),
    "classifier": solo(
        "LeCun et al. 1998, doi:10.1109/5.726791",
        (Judge(head=Classes()),),
        (Classify(of=real_l, label=their_y),),
        AdamW(Linear(1e-3)),
        gauges=(Right(of=real_l, label=their_y),),
    ),
    # no discriminator
    "autoencoder": solo(
        "Hinton & Salakhutdinov 2006, doi:10.1126/science.1127647",
        (Encoder(outputs=64), Generator()),
        (SquaredError(made=Made("G", code), deviation=0.4),),
    ),
    "vae": solo(
        "Kingma & Welling 2014, arXiv:1312.6114",
        (Encoder(), Generator()),
        (SquaredError(made=Made("G", Sampled(code)), deviation=0.4), KL(of=code)),
    ),
    "cvae": solo(
        "Kingma et al. 2014, arXiv:1406.5298; Sohn et al. 2015",
        (Encoder(labels=True), Generator(labels=True)),
        (SquaredError(made=Made("G", (Sampled(code_y), their_y)), target=labelled, deviation=0.4), KL(of=code_y)),
    ),
    # from image to image
    "pix2pix": translation("Isola et al. 2017, arXiv:1611.07004", Given("source", "pairs"), Given("x", "pairs")),
    "cyclegan": Recipe(
        "Zhu et al. 2017, arXiv:1703.10593",
        (
            Player(
                "D",
                (Judge("D_a", PatchGAN(), Patches()), Judge("D_b", PatchGAN(), Patches())),
                (game_a, game_b),
            ),
            Player(
                "G",
                (Translator("G_a"), Translator("G_b")),
                (
                    game_a,
                    game_b,
                    L1(10.0, made=Made("G_a", Made("G_b", a)), target=a),
                    L1(10.0, made=Made("G_b", Made("G_a", b)), target=b),
                    L1(5.0, made=Made("G_a", a), target=a),
                    L1(5.0, made=Made("G_b", b), target=b),
                ),
                average=0.999,
            ),
        ),
        batch=16,
    ),
    "inpaint": translation("Pathak et al. 2016, arXiv:1604.07379", Hole(), mask=True),
    "upscale": translation("Ledig et al. 2017, arXiv:1609.04802", Shrunk(), weight=0.1, residual=True),
    "restyle": translation("Isola et al. 2017, arXiv:1611.07004, section 4 (colour)", Grey(), residual=True),
}
