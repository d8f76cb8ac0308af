"""What does not fit together in a recipe, each as a sentence and a fix. Found when the recipe is built."""

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator

from ..nets.layers import Architecture, ImageTies
from ..records import walk
from .losses import AdversarialLoss, InputGradientPenalty
from .measures import Loss
from .nodes import Discriminated, Features, GeneratorInput, Output, Weights
from .players import Discriminator, Generator, NetworkSpec, Player, constraint_of, networks_of

RecipeProblem = tuple[str, str]  # what does not fit, and the fix
Networks = dict[str, NetworkSpec]


def problems(players: tuple[Player, ...]) -> Iterator[RecipeProblem]:
    """Yield each way in which the players of a recipe, their networks and their losses do not fit together."""
    nets = networks_of(players)
    averaged = {name for player in players if player.average is not None for name in player.owns}
    if twice := _repeated(name for player in players for name in player.owns):
        yield f"two networks are called {twice}", "give each network of a recipe its own name"
    for spec in nets.values():
        yield from _unbuildable(spec)
    for player in players:
        if twice := _repeated(player.losses):
            yield f"player {player.name} minimises {twice!r} twice", "use one of them, with twice the weight"
        if not any(loss.every == 1 for loss in player.losses):
            yield f"player {player.name} has steps without a loss", "give it a loss with every=1"
        for loss in (*player.losses, *player.measured):
            yield from _misfits(player, loss, nets, averaged)
    if idle := nets.keys() - {node.by for node in walk(players) if isinstance(node, (Output, Discriminated))}:
        yield f"no loss reads network {min(idle)}", "drop it, or add a loss that reads it"


def _repeated(values: Iterable[Hashable]) -> Hashable | None:
    return next((value for value, count in Counter(values).items() if count > 1), None)


def _unbuildable(spec: NetworkSpec) -> Iterator[RecipeProblem]:
    """Yield why a network cannot be built, or would have no effect."""
    chain, wanted = [spec.net], spec.architecture_method
    # An architecture that adds a layer to another one holds it as `net`.
    while isinstance(inner := getattr(chain[-1], "net", None), Architecture):
        chain.append(inner)
    for architecture in chain:
        if getattr(type(architecture), wanted) is getattr(Architecture, wanted):
            yield (
                f"{spec.name} is a {type(spec).__name__}, but {architecture!r} has no {wanted}",
                "choose another architecture",
            )
    innermost = chain[-1]
    if len(chain) > 1 and innermost.gives_maps:
        yield f"{type(spec.net).__name__} needs vectors, but {innermost!r} gives maps", "choose another trunk"
    if innermost.starts_at_zero and constraint_of(spec).divides_weights:
        yield (
            f"the blocks of {innermost!r} in {spec.name} start at zero, and zero has no spectral norm",
            "use it without the constraint, or another architecture",
        )
    if isinstance(spec, Discriminator) and spec.augment.needs_buffer and not spec.augment.buffers:
        kind = type(spec.augment).__name__
        yield (
            f"{kind} in {spec.name} has no measure to follow, so nothing would happen",
            f"use augmented(recipe, {kind}())",
        )


def _misfits(player: Player, loss: Loss, nets: Networks, averaged: set[str]) -> Iterator[RecipeProblem]:
    """Yield what a loss of a player asks that its networks cannot answer."""
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
        if isinstance(node, Discriminated):
            yield from _wrong_images(kind, node, nets[node.by])
        elif isinstance(node, Output):
            yield from _wrong_inputs(kind, node, nets[node.by])
    if loss in player.losses and not {node.by for node in nodes if not node.averaged} & set(player.owns):
        yield f"{kind} reads no network of player {player.name}, so it changes nothing", "drop it"
    for node in (value for value in vars(loss).values() if isinstance(value, Discriminated)):
        discriminator = nets[node.by]
        if isinstance(discriminator, Discriminator):
            yield from _unreadable(kind, loss, discriminator)
            yield from _wrong_codes(kind, loss, node, discriminator)
    features = [node.of.by for node in vars(loss).values() if isinstance(node, Features)]
    for by in features if loss.needs_vectors else ():
        if nets[by].net.gives_maps:
            yield f"{kind} compares one vector per image, but {by} gives maps", "drop it, or use another trunk"
    if isinstance(loss, AdversarialLoss) and loss.needs_lipschitz and loss in player.adversarial_losses:
        yield from _unbounded(kind, player, nets[loss.real.by])


def _wrong_codes(kind: str, loss: Loss, of: Discriminated, discriminator: Discriminator) -> Iterator[RecipeProblem]:
    """Yield that a loss asks for codes that the generator never got, or that the head has no room for."""
    code = loss.code_input()
    if code is None:
        return
    if code not in walk(of):
        yield (
            f"{kind} asks {discriminator.name} for {code!r}, which no generator was given",
            f"feed a generator {code!r}",
        )
    size = getattr(code, code.size_field)
    if getattr(discriminator.head, code.head_field, None) != size:
        yield (
            f"{kind} asks for {code!r} from head {discriminator.head!r}",
            f"use Codes({code.head_field}={size})",
        )


def _unbounded(kind: str, player: Player, discriminator: NetworkSpec) -> Iterator[RecipeProblem]:
    name = discriminator.name
    penalised = any(isinstance(loss, InputGradientPenalty) and loss.at.by == name for loss in player.losses)
    if not penalised and not constraint_of(discriminator).lipschitz:
        yield (
            f"{kind} measures a distance only where {name} is Lipschitz, and nothing keeps it so",
            "add GradientPenalty() or R1() to its player, or give it constraint=SpectralNorm() or WeightClip()",
        )


def _unreadable(kind: str, loss: Loss, discriminator: Discriminator) -> Iterator[RecipeProblem]:
    if lacking := [what for what in loss.reads if what not in discriminator.head.gives]:
        yield (
            f"{kind} needs {lacking[0]} from {discriminator.name}, whose head {discriminator.head!r} gives "
            f"{' and '.join(discriminator.head.gives)} only",
            "choose another head, or drop the loss",
        )
    if loss.input_gradients() and (ties := discriminator.net.image_ties):
        yield (
            f"{kind} is a penalty per image, but {ties} in {discriminator.name} ties the images of a batch together",
            "use a trunk with batchnorm=False" if ties is ImageTies.BATCH_NORM else "use the trunk without it",
        )


def _wrong_images(kind: str, node: Discriminated, discriminator: NetworkSpec) -> Iterator[RecipeProblem]:
    """Yield that a discriminator is shown something that it cannot read."""
    if not isinstance(discriminator, Discriminator):
        yield f"{kind} asks {node.by} for a score, but it is a {type(discriminator).__name__}", "ask a Discriminator"
        return
    if (discriminator.head.wants_label or discriminator.source) and node.condition is None:
        what = "the images that they were made from" if discriminator.source else "their labels"
        yield f"{kind} shows {node.by} images alone, but it also needs {what}", "use Discriminated(..., condition=...)"
    if node.condition is not None and not (discriminator.head.wants_label or discriminator.source):
        yield (
            f"{kind} gives {node.by} a condition, but its head {discriminator.head!r} takes none",
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
        yield f"{discriminator.name} is given a source image beside each image, and {what}", "drop one of the two"


def _wrong_inputs(kind: str, node: Output, net: NetworkSpec) -> Iterator[RecipeProblem]:
    """Yield that a network is fed other inputs than it takes."""
    wanted = 1 if isinstance(net, Discriminator) else net.inputs
    if len(node.inputs) != wanted:
        yield f"{kind} feeds {net.name} {len(node.inputs)} inputs, but {net!r} takes {wanted}", "feed it what it takes"
    for given in (x for x in node.inputs if isinstance(x, GeneratorInput)):
        field = given.generator_field
        takes = getattr(net, field) if isinstance(net, Generator) else "none"
        if getattr(given, given.size_field) != takes:
            yield (
                f"{kind} feeds {net.name} {given!r}, but it takes {field}={takes}",
                f"use {type(given).__name__}({given.size_field}) and Generator({field}) with the same number",
            )
