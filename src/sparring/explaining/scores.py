"""What a classifier says of a class, as a number that explanations take apart: its log-odds."""

import copy
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ..classifiers import Classifier
from ..classifiers.ensemble import EnsembleClassifier
from ..classifiers.network import NetworkClassifier, seen_by
from ..features.cache import passing_cache
from ..images import to_unit
from .maps import Score

LEAST = 1e-12  # of a probability, before its logarithm
LEARNED = ("weights_", "dual_", "spread_")  # what methods learned: `forgetful` shuffles it
PLACES = 7  # rows and columns of a map that Grad-CAM needs, at least, if the network has such a map


def log_odds(p: np.ndarray, k: int) -> np.ndarray:
    """Return log(p / (1 - p)) of class number k by probabilities float64 [N,K], float64 [N]."""
    return np.log(p[:, k].clip(LEAST)) - np.log(np.delete(p, k, axis=1).sum(1).clip(LEAST))


def score_of(model: Classifier, k: int) -> Score:
    """Return the function that `maps` take apart: the log-odds of class number k of images as large as those of `fit`.

    Of a network they are those of its logits: its probabilities may be cut off, as those of `cnn` are.
    """

    def score(images: np.ndarray) -> np.ndarray:
        with passing_cache(), torch.no_grad():
            if not isinstance(model, NetworkClassifier):
                return log_odds(model.predict_proba(images), k)
            parts = (images[start : start + 64] for start in range(0, len(images), 64))
            found = [network_score(model, k, network_input(model, part)) for part in parts]
        return torch.cat(found).double().cpu().numpy()

    return score


def probability(model: Classifier, k: int, images: np.ndarray) -> np.ndarray:
    """Return float64 [N]: the probability of class number k of such images."""
    with passing_cache():
        return model.predict_proba(images)[:, k]


# --- networks --------------------------------------------------------------------------------------------------------


def network_score(model: NetworkClassifier, k: int, x: Tensor) -> Tensor:
    """Return [N]: the log-odds of class number k by the logits of a network; x [N,C,h,w] as `network_input` makes it.

    Where `log_odds` rests on probabilities that are cut off, such as those of `cnn`, this does not.
    """
    logits = model._built_network()(x).logits
    return logits[:, k] - torch.cat([logits[:, :k], logits[:, k + 1 :]], 1).logsumexp(1)


def network_input(model: NetworkClassifier, images: np.ndarray) -> Tensor:
    """Return float32 [N,C,h,w] in [-1,1]: uint8 images [N,H,W,C] as large as the network is given them."""
    device = next(model._built_network().parameters()).device
    return to_unit(torch.tensor(seen_by(model.discriminator_.net, images)).to(device))


class Map(NamedTuple):
    """A map inside a network, [C,h,w], and the gradient of a score by it."""

    activations: Tensor
    gradient: Tensor


def last_map(net: nn.Module, score: Callable[[Tensor], Tensor], x: Tensor) -> Map:
    """Return the last map of an image x [1,C,H,W] in a network that has PLACES rows and columns, or else the last one.

    score: a function of x -> [1], which calls the network. Raises ValueError for a network without maps.
    """
    kept: list[Tensor] = []

    def keep(module: nn.Module, given: object, out: object) -> None:
        if isinstance(out, Tensor) and out.ndim == 4 and out.requires_grad and len(out) == 1:
            kept.append(out)

    hooks = [module.register_forward_hook(keep) for module in net.modules()]
    try:
        said = score(x.detach().requires_grad_())
    finally:
        for hook in hooks:
            hook.remove()
    maps = [out for out in kept if min(out.shape[2:]) > 1]
    if not maps:
        raise ValueError("the network has no maps")
    found = next((out for out in reversed(maps) if min(out.shape[2:]) >= PLACES), maps[-1])
    (gradient,) = torch.autograd.grad(said.sum(), found)
    return Map(found[0].detach(), gradient[0])


# --- without what was learned ----------------------------------------------------------------------------------------


def forgetful(model: Classifier, seed: int) -> Classifier:
    """Return a copy of a fitted classifier that has forgotten what it learned: its weights are shuffled.

    Each array keeps its values, in another order (Adebayo et al. 2018, arXiv:1810.03292, section 3, draw new ones). Of
    `spreading` the images take each other's answers.
    """
    rng = np.random.default_rng(seed)
    twin = copy.copy(model)
    vars(twin).pop("_network", None)
    for name in LEARNED:
        if name in vars(twin) and not isinstance(twin, EnsembleClassifier):
            setattr(twin, name, _reordered(vars(twin)[name], rng, rows=name == "spread_"))
    if isinstance(twin, EnsembleClassifier):
        twin.members_ = [forgetful(member, seed + place) for place, member in enumerate(twin.members_)]
    return twin


def _reordered(value: object, rng: np.random.Generator, *, rows: bool = False) -> object:
    if isinstance(value, dict):
        return {name: _reordered(inner, rng) for name, inner in value.items()}
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f" or not value.ndim:
        return value
    return rng.permutation(value) if rows else rng.permutation(value.ravel()).reshape(value.shape)
