"""What the curves of a training are called: a key for logs, and words for reports."""

from collections.abc import Iterator

from ..records import CurveName, walk
from .builders import Recipe
from .losses import InputGradientPenalty
from .measures import Loss
from .nodes import Discriminated, Output
from .players import Discriminator, Generator, Player, Translator

CurveNames = dict[tuple[str, Loss], CurveName]


def curve_names(recipe: Recipe) -> CurveNames:
    """Return (player, loss or measure) -> the name of its curve. Keys are unique, such as "D/FractionReal/fake"."""
    names: CurveNames = {}
    keys: set[str] = set()
    for player in recipe.players:
        for loss in dict.fromkeys((*player.losses, *player.measured)):
            images = _images(loss, loss in player.measured)
            key = "/".join(filter(None, (player.name, type(loss).__name__, images, loss.detail())))
            number = 1
            while key + "+" * (number - 1) in keys:
                number += 1
            keys.add(key := key + "+" * (number - 1))
            title = loss.curve_title() + (f" ({number})" if number > 1 else "")
            of = {"real": "real", "fake": "generated"}.get(images, "") if loss.compares_real_and_fake else ""
            names[player.name, loss] = CurveName(key, _role(recipe, player), title, of, loss.share)
    return names


def all_curves(recipe: Recipe) -> Iterator[CurveName]:
    """Yield the name of every curve of a run: of its losses and measures, and of each player's gradient."""
    yield from curve_names(recipe).values()
    for player in recipe.players:
        yield CurveName(f"{player.name}/gradients", _role(recipe, player), "size of the gradient")


def _images(loss: Loss, measured: bool) -> str:
    """Return "real" or "fake" for a measure or a penalty at one discriminator output, else ""."""
    node = loss.at if isinstance(loss, InputGradientPenalty) else getattr(loss, "of", None) if measured else None
    if not isinstance(node, Discriminated):
        return ""
    return "fake" if any(isinstance(inner, Output) for inner in walk(node)) else "real"


def _role(recipe: Recipe, player: Player) -> str:
    """Return the player in a word; "" where there is only one."""
    if len(recipe.players) == 1:
        return ""
    for kind, word in ((Discriminator, "discriminator"), (Generator | Translator, "generator")):
        if all(isinstance(spec, kind) for spec in player.nets):
            return word
    return player.name
