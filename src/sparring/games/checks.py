"""What does not fit together in a recipe, each as a sentence and a fix. Found when the recipe is built."""

from collections import Counter

from ..nets.layers import Architecture
from ..nets.r3gan import R3GAN
from ..nets.salimans2016 import MinibatchDiscrimination
from ..records import walk
from .augment import ADA
from .constraints import SpectralNorm
from .losses import Classify, ContinuousCodeLoss, InputGradientPenalty, PullAway, Wasserstein
from .nodes import Code, ContinuousCode, Discriminated, Features, Noise, Output, Weights
from .players import Discriminator, Encoder, Generator, Translator

BUILDS = {Generator: "generator", Translator: "translator", Encoder: "trunk", Discriminator: "trunk"}


def problems(recipe):
    """(What, fix), one for each way in which the parts of a recipe do not fit."""
    nets = recipe.nets
    averaged = {name for player in recipe.players if player.average is not None for name in player.owns}
    if twice := repeated(name for player in recipe.players for name in player.owns):
        yield f"two networks are called {twice}", "give each network of a recipe its own name"
    for spec in nets.values():
        yield from unbuildable(spec)
    for player in recipe.players:
        if twice := repeated(player.losses):
            yield f"player {player.name} minimises {twice!r} twice", "use one of them, with twice the weight"
        if not any(loss.every == 1 for loss in player.losses):
            yield f"player {player.name} has moves without a loss", "give it a term with every=1"
        for loss in (*player.losses, *player.measured):
            yield from misfits(player, loss, nets, averaged)
    if idle := nets.keys() - {node.by for node in walk(recipe) if isinstance(node, (Output, Discriminated))}:
        yield f"no term reads network {min(idle)}", "drop it, or add a term that reads it"


def repeated(values):
    return next((value for value, count in Counter(values).items() if count > 1), None)


def unbuildable(spec):
    """Why a network cannot be built, or would come to nothing."""
    families, wanted = [spec.net], BUILDS[type(spec)]
    while hasattr(families[-1], "net"):  # one that adds a layer to another
        families.append(families[-1].net)
    for family in families:
        if getattr(type(family), wanted) is getattr(Architecture, wanted):
            yield f"{spec.name} is a {type(spec).__name__}, but {family!r} has no {wanted}", "choose another family"
    if len(families) > 1 and family.gives_maps:
        yield f"{type(spec.net).__name__} needs vectors, but {family!r} gives maps", "choose another trunk"
    if isinstance(family, R3GAN) and isinstance(getattr(spec, "constraint", None), SpectralNorm):
        yield (
            f"the blocks of {family!r} in {spec.name} start at zero, and zero has no spectral norm",
            "use it without the constraint, or another family",
        )
    if isinstance(getattr(spec, "augment", None), ADA) and not spec.augment.buffers:
        yield f"ADA in {spec.name} has no gauge to follow, so nothing would happen", "use augmented(recipe, ADA())"


def misfits(player, loss, nets, averaged):
    kind = type(loss).__name__
    nodes = [node for node in walk(loss) if isinstance(node, (Output, Discriminated, Weights))]
    for node in nodes:
        if node.by not in nets:
            yield (
                f"{kind} of player {player.name} reads network {node.by!r}, but the recipe has {', '.join(nets)}",
                "name a network of the recipe",
            )
            return
        if node.averaged and node.by not in averaged:
            yield f"{kind} reads the weight average of {node.by}, which keeps none", "give its player average=0.999"
        if not isinstance(node, Weights):
            yield from (misjudged if isinstance(node, Discriminated) else misfed)(kind, node, nets[node.by])
    if loss in player.losses and not {node.by for node in nodes if not node.averaged} & set(player.owns):
        yield f"{kind} reads no network of player {player.name}, so it moves nothing", "drop it"
    for node in (value for value in vars(loss).values() if isinstance(value, Discriminated)):
        yield from unreadable(kind, loss, nets[node.by])
    yield from miscoded(kind, loss, nets)
    if isinstance(loss, PullAway) and isinstance(loss.of, Features) and nets[loss.of.of.by].net.gives_maps:
        yield f"{kind} compares one vector per image, but {loss.of.of.by} gives maps", "drop it, or use another trunk"
    if isinstance(loss, Wasserstein) and loss in player.losses and loss.real.by in player.owns:
        yield from unbounded(player, nets[loss.real.by])


def miscoded(kind, loss, nets):
    """A guess of codes that the generator never got, or that the head has no room for."""
    asked, has = {Classify: ("label", "values"), ContinuousCodeLoss: ("code", "dim")}.get(type(loss), ("", ""))
    code = getattr(loss, asked, None)
    if not isinstance(code, (Code, ContinuousCode)):
        return
    discriminator, said = nets[loss.of.by], "continuous" if isinstance(code, ContinuousCode) else "values"
    if code not in walk(loss.of):
        yield (
            f"{kind} asks {discriminator.name} for {code!r}, which no generator was given",
            f"feed a generator {code!r}",
        )
    if getattr(discriminator.head, said, None) != getattr(code, has):
        yield f"{kind} asks for {code!r} from head {discriminator.head!r}", f"use Codes({said}={getattr(code, has)})"


def unbounded(player, discriminator):
    slopes = [t for t in player.losses if isinstance(t, InputGradientPenalty) and t.at.by == discriminator.name]
    if not slopes and not discriminator.constraint.lipschitz:
        yield (
            f"Wasserstein measures a distance only where {discriminator.name} is Lipschitz, and nothing keeps it so",
            "add GradientPenalty() or R1() to its player, or give it constraint=SpectralNorm() or WeightClip()",
        )


def unreadable(kind, loss, discriminator):
    if lacking := [what for what in loss.reads if what not in discriminator.head.gives]:
        yield (
            f"{kind} needs {lacking[0]} from {discriminator.name}, whose head {discriminator.head!r} gives "
            f"{' and '.join(discriminator.head.gives)} only",
            "choose another head, or drop the term",
        )
    if isinstance(loss, InputGradientPenalty) and discriminator.net.ties_images:
        ties = "minibatch discrimination" if isinstance(discriminator.net, MinibatchDiscrimination) else "batch norm"
        yield (
            f"{kind} is a penalty per image, but {ties} in {discriminator.name} ties the images of a batch together",
            "use a trunk with batchnorm=False" if ties == "batch norm" else "use the trunk without it",
        )


def misjudged(kind, node, discriminator):
    if not isinstance(discriminator, Discriminator):
        yield f"{kind} asks {node.by} for a verdict, but it is a {type(discriminator).__name__}", "ask a Discriminator"
        return
    if (discriminator.head.wants_label or discriminator.source) and node.condition is None:
        what = "the images that they were made from" if discriminator.source else "their labels"
        yield f"{kind} shows {node.by} images alone, but it also needs {what}", "use Discriminated(..., condition=...)"
    if node.condition is not None and not (discriminator.head.wants_label or discriminator.source):
        yield (
            f"{kind} tells {node.by} about its images, but its head {discriminator.head!r} does not listen",
            "use Projection(), or Discriminated() without condition",
        )
    if discriminator.head.wants_maps != discriminator.net.gives_maps:
        yield (
            f"head {discriminator.head!r} of {discriminator.name} reads "
            f"{'maps' if discriminator.head.wants_maps else 'one vector per image'}, "
            f"but {discriminator.net!r} gives {'maps' if discriminator.net.gives_maps else 'vectors'}",
            "use Patches() with PatchGAN(), and other heads with other trunks",
        )
    if discriminator.source and (discriminator.augment.numbers or discriminator.head.wants_label):
        what = (
            "an augmentation would change an image and not its source"
            if discriminator.augment.numbers
            else "head wants labels"
        )
        yield f"{discriminator.name} sees a source image beside each image, and {what}", "drop one of the two"


def misfed(kind, node, net):
    fed, wanted = node.of if isinstance(node.of, tuple) else (node.of,), getattr(net, "inputs", 1)
    if len(fed) != wanted:
        yield f"{kind} feeds {net.name} {len(fed)} inputs, but {net!r} takes {wanted}", "feed it what it takes"
    for cell_kind, field, takes in (
        (Noise, "dim", "z"),
        (Code, "values", "codes"),
        (ContinuousCode, "dim", "continuous"),
    ):
        for node in (c for c in fed if isinstance(c, cell_kind)):
            if getattr(node, field) != getattr(net, takes, None):
                yield (
                    f"{kind} feeds {net.name} {node!r}, but it takes {takes}={getattr(net, takes, 'none')}",
                    f"use {cell_kind.__name__}({field}) and Generator({takes}) with the same number",
                )
