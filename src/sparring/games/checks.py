"""What does not fit together in a recipe, each as a sentence and a fix. Found when the recipe is built."""

from collections import Counter

from ..nets.layers import Family
from ..nets.r3gan import R3GAN
from ..nets.salimans2016 import MinibatchDiscrimination
from ..records import walk
from .augment import ADA
from .constraints import SpectralNorm
from .losses import Classify, GuessSliders, PullAway, SlopePenalty, Wasserstein
from .nodes import Code, Features, Judged, Made, Noise, Sliders, Weights
from .players import Encoder, Generator, Judge, Translator

BUILDS = {Generator: "generator", Translator: "translator", Encoder: "trunk", Judge: "trunk"}


def problems(recipe):
    """(What, fix), one for each way in which the parts of a recipe do not fit."""
    nets = recipe.nets
    averaged = {name for player in recipe.players if player.average is not None for name in player.owns}
    if twice := repeated(name for player in recipe.players for name in player.owns):
        yield f"two networks are called {twice}", "give each network of a recipe its own name"
    for spec in nets.values():
        yield from unbuildable(spec)
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


def unbuildable(spec):
    """Why a network cannot be built, or would come to nothing."""
    families, wanted = [spec.net], BUILDS[type(spec)]
    while hasattr(families[-1], "net"):  # one that adds a layer to another
        families.append(families[-1].net)
    for family in families:
        if getattr(type(family), wanted) is getattr(Family, wanted):
            yield f"{spec.name} is a {type(spec).__name__}, but {family!r} has no {wanted}", "choose another family"
    if len(families) > 1 and family.gives_maps:
        yield f"{type(spec.net).__name__} needs vectors, but {family!r} gives maps", "choose another trunk"
    if isinstance(family, R3GAN) and isinstance(getattr(spec, "constraint", None), SpectralNorm):
        yield (
            f"the blocks of {family!r} in {spec.name} start at zero, and zero has no spectral norm",
            "use it without the constraint, or another family",
        )
    if isinstance(getattr(spec, "augment", None), ADA) and not spec.augment.memories:
        yield f"ADA in {spec.name} has no gauge to follow, so nothing would happen", "use augmented(recipe, ADA())"


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
    yield from miscoded(kind, term, nets)
    if isinstance(term, PullAway) and isinstance(term.of, Features) and nets[term.of.of.by].net.gives_maps:
        yield f"{kind} compares one vector per image, but {term.of.of.by} gives maps", "drop it, or use another trunk"
    if isinstance(term, Wasserstein) and term in player.terms and term.real.by in player.owns:
        yield from unbounded(player, nets[term.real.by])


def miscoded(kind, term, nets):
    """A guess of codes that the generator never got, or that the head has no room for."""
    asked, has = {Classify: ("label", "values"), GuessSliders: ("sliders", "dim")}.get(type(term), ("", ""))
    code = getattr(term, asked, None)
    if not isinstance(code, (Code, Sliders)):
        return
    judge, said = nets[term.of.by], "sliders" if isinstance(code, Sliders) else "values"
    if code not in walk(term.of):
        yield f"{kind} asks {judge.name} for {code!r}, which no generator was given", f"feed a generator {code!r}"
    if getattr(judge.head, said, None) != getattr(code, has):
        yield f"{kind} asks for {code!r} from head {judge.head!r}", f"use Codes({said}={getattr(code, has)})"


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
    if cell.about is not None and not (judge.head.wants_label or judge.source):
        yield (
            f"{kind} tells {cell.by} about its images, but its head {judge.head!r} does not listen",
            "use Projection(), or Judged() without about",
        )
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
