"""Use a trained translator: fill holes, sharpen, colour, turn one kind of image into another; keep it as a folder.

Whatever a translator was trained on is part of its model: the same degradation is undone here on whole images of any
size, and can be applied to intact images to see how well it is undone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .. import keyed_random
from ..artifacts import as_damage, quoted, read_artifact, write_artifact
from ..errors import DataError, UsageError, pick
from ..games.builders import Recipe
from ..games.degradations import Degradation
from ..games.losses import L1
from ..games.nodes import Node, Output
from ..games.players import Translator
from ..games.training import Data, ShardContext, Sharding, State, Step
from ..images import to_uint8, to_unit
from ..nets.layers import DataSpec
from ..nets.loading import checked_spec
from ..records import from_json, to_json, walk
from .checkpoints import network_arrays, read_network
from .own_code import admit, own_code

TILE = 512  # pixels: the side of a piece of a large image
REACH = 6  # in units of a U-Net's smallest map: so far see two convolutions on each level down and up


def made_from(recipe: Recipe, name: str) -> Node:
    """What translator `name` of a recipe starts from: a degradation, or images of another kind."""
    nodes = [node for node in walk(recipe) if isinstance(node, Output) and node.by == name]
    return next(node.of for node in nodes if isinstance(node.of, Node) and not isinstance(node.of, Output))


@dataclass
class Translating:
    """Trained translators with what is needed to use them; a recipe has one, a cycle two."""

    nets: dict[str, nn.Module]
    specs: dict[str, Translator]
    sources: dict[str, Node]
    data_spec: DataSpec

    def direction(self, to: str | None) -> str:
        """Return the network that makes images of kind `to`: of a cycle "a", as it was trained to make, or "b"."""
        return next(iter(self.nets)) if to is None else pick(self.kinds, to, "direction")

    @property
    def kinds(self) -> dict[str, str]:
        return {name.removeprefix("G_"): name for name in self.nets}

    @torch.no_grad()
    def translate(self, image: np.ndarray, *, mask: np.ndarray | None = None, to: str | None = None) -> np.ndarray:
        """Return uint8 [H,W,C] made of uint8 [H,W,C], or [factor * H, factor * W, C] from a model that sharpens.

        `mask`: bool [H,W], true where a model that fills holes is to fill. Raises UsageError where it lacks or does not
        fit, DataError where the image has other channels than those the model was trained on.
        """
        name = self.direction(to)
        if image.shape[2] != self.data_spec.channels:
            wanted = {1: "grey", 3: "colour"}[self.data_spec.channels]
            raise DataError("channels", f"the model takes {wanted} images", fix=f"convert the image to {wanted}")
        x, source = to_unit(image[None]), self.sources[name]
        if isinstance(source, Degradation):
            x = source.apply(x, None if mask is None else torch.tensor(mask))
        return to_uint8(tiled(self.nets[name], x))[0]

    @torch.no_grad()
    def undone(self, images: np.ndarray, *, seed: int = 0, batch: int = 64) -> dict[str, np.ndarray]:
        """Intact images uint8 [N,H,W,C], degraded as in training and restored: "source", "baseline" and "made".

        The baseline is what can be had without a network: the mean of the known pixels in a hole, bicubic enlargement,
        the grey image. Raises UsageError for a model whose sources are not made from their targets.
        """
        name = next(iter(self.nets))
        source = self.sources[name]
        if not isinstance(source, Degradation):
            raise UsageError(
                "no-degradation",
                "this model turns one kind of image into another, so intact images do not say what it should have made",
                fix="translate sources, and compare with their targets",
            )
        out: dict[str, list] = {"source": [], "baseline": [], "made": []}
        for start in range(0, len(images), batch):
            x = to_unit(images[start : start + batch])
            u = keyed_random.uniform(keyed_random.key("undone", seed), torch.arange(len(x)) + start, source.numbers)
            degraded = source.degraded(x, u)
            plain = degraded[:, : x.shape[1]]
            made = tiled(self.nets[name], degraded)
            for kind, y in (("source", plain), ("baseline", source.baseline(degraded)), ("made", made)):
                out[kind].append(to_uint8(y))
        return {kind: np.concatenate(parts) for kind, parts in out.items()}


def tiled(net: nn.Module, x: Tensor, side: int = TILE) -> Tensor:
    """net(x), [N,C,H,W], of large images piece by piece, so that memory does not grow with them.

    The same as in one piece: each is seen with as much around it as can change a result of a U-Net.
    """
    by = getattr(getattr(net, "body", None), "by", 0)
    if max(x.shape[2:]) <= side or not by:
        return net(x)
    reach, rows = REACH * by, []
    for top in range(0, x.shape[2], side):
        up, row = max(0, top - reach), []
        for left in range(0, x.shape[3], side):
            before = max(0, left - reach)
            piece = net(x[:, :, up : top + side + reach, before : left + side + reach])
            row.append(piece[:, :, top - up :, left - before :][:, :, :side, :side])
        rows.append(torch.cat(row, 3))
    return torch.cat(rows, 2)


# --- as a folder -----------------------------------------------------------------------------------------------------


def save_translators(
    nets: Mapping[str, nn.Module], recipe: Recipe, data_spec: DataSpec, folder: Path, **about: Any
) -> Path:
    """Writes a model folder and returns it."""
    method, source = (quoted(about.get(name, "")) for name in ("recipe_name", "source"))
    card = f"""# A translator of images

Trained with {method} ({source}) on {about.get("images", 0):,} images.

    sparring translate {folder.parent} photo.png --out translated/

What it fills in is made up. Mark its pictures as generated wherever you show them, and measure nothing on them.
"""
    config = {
        "translators": {name: to_json(recipe.nets[name]) for name in nets},
        "sources": {name: to_json(made_from(recipe, name)) for name in nets},
        "facts": to_json(data_spec),
    }
    own = own_code(recipe)
    config |= {"own": own.to_json()} if own else {}
    return write_artifact(folder, "translator", network_arrays(nets), {**config, **about}, card=card)


def load_translators(folder: Path | str, *, trust_code: bool = False) -> Translating:
    """Return the translators in a model folder or in the run that made it.

    `trust_code`: the run's own Python code may be run. Raises FileFormatError when the folder holds none, or is
    damaged, UsageError when it needs code that is not trusted.
    """
    folder = Path(folder)
    folder = folder / "model" if (folder / "model" / "config.json").exists() else folder
    found = read_artifact(folder, "translator", fix="pass a run of pix2pix, cyclegan, inpaint or upscale")
    config = found.config
    admit(folder.parent, config.get("own"), trust_code=trust_code)
    with as_damage(folder, "translator"):
        data_spec = checked_spec(from_json(config["facts"]))
        specs = {name: from_json(spec) for name, spec in config["translators"].items()}
        sources = {name: from_json(node) for name, node in config["sources"].items()}
        if not specs or specs.keys() != sources.keys() or any(key.split("/")[0] not in specs for key in found.tensors):
            raise ValueError("it holds other networks than its translators")
        if not all(isinstance(s, Translator) for s in specs.values()) or not all(
            isinstance(s, Node) for s in sources.values()
        ):
            raise ValueError("it does not say what its networks start from")
        nets = {name: read_network(spec, data_spec, name, found.tensors) for name, spec in specs.items()}
    return Translating(nets, specs, sources, data_spec)


@torch.no_grad()
def preview(recipe: Recipe, state: State, data: Data, *, count: int = 8) -> np.ndarray:
    """Rows of `count` images, uint8 [rows * count,H,W,C]: sources, what each translator makes of them, and the targets
    where the recipe knows them. The same images each time.
    """
    rows = []
    for player in recipe.players:
        losses = [loss for loss in player.losses if isinstance(loss, L1)]
        context = ShardContext(Step(player, 0, 0.0, count, 0), state, data, Sharding(), (0, count))
        for spec in (s for s in player.nets if isinstance(s, Translator)):
            state.best(spec.name).eval()
            source = made_from(recipe, spec.name)
            made = Output(spec.name, source, averaged=spec.name in state.averages)
            target = next((loss.target for loss in losses if loss.made == replace(made, averaged=False)), None)
            shown = [
                context[source][:, : state.data_spec.channels],
                context[made],
                *([context[target]] if target else []),
            ]
            rows += [to_uint8(x) for x in shown]
    return np.concatenate(rows)
