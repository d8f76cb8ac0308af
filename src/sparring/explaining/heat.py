"""The heat maps of EXPLANATIONS: of a fitted classifier, a class and an image."""

from functools import partial

import numpy as np
import torch.nn.functional as F
from torch import Tensor, nn

from ..classifiers import Classifier
from ..classifiers.majority import MajorityClassifier
from ..classifiers.network import NetworkClassifier
from .hiding import smoothed
from .maps import Differentiable, grad_cam, integrated_gradients, occlusion
from .scores import last_map, network_input, network_score, score_of

SMOOTH = 1 / 24  # of the shorter side: by how much integrated gradients, which are noisy, are blurred


def is_network(model: Classifier) -> bool:
    return isinstance(model, NetworkClassifier)


def looks(model: Classifier) -> bool:
    """Return whether a classifier looks at the image at all."""
    return not isinstance(model, MajorityClassifier)


def occlusion_heat(model: Classifier, k: int, image: np.ndarray) -> np.ndarray:
    """Return float32 [H,W]: `maps.occlusion` of the log-odds of class number k."""
    return occlusion(score_of(model, k), image)


def grad_cam_heat(model: NetworkClassifier, k: int, image: np.ndarray) -> np.ndarray:
    """Return float32 [H,W]: `network_heat` of class number k by Grad-CAM."""
    return _classifier_heat("grad-cam", model, k, image)


def integrated_gradients_heat(model: NetworkClassifier, k: int, image: np.ndarray) -> np.ndarray:
    """Return float32 [H,W]: `network_heat` of class number k by integrated gradients."""
    return _classifier_heat("integrated-gradients", model, k, image)


def _classifier_heat(by: str, model: NetworkClassifier, k: int, image: np.ndarray) -> np.ndarray:
    x, size = network_input(model, image[None]), (image.shape[0], image.shape[1])
    return network_heat(by, model._built_network(), partial(network_score, model, k), x, size)


def network_heat(by: str, net: nn.Module, score: Differentiable, x: Tensor, size: tuple[int, int]) -> np.ndarray:
    """Return float32 [H,W] of a size: what each place of an image x [1,C,h,w] adds to the score, by a network's inside.

    Grad-CAM takes the last map that is fine enough (`scores.last_map`). Integrated gradients begin at the image's mean
    colour; they are summed over colours, and blurred.
    """
    if by == "grad-cam":
        found = last_map(net, score, x)
        return grad_cam(found.activations, found.gradient, size).cpu().numpy()
    baseline = x[0].mean((1, 2), keepdim=True).expand_as(x[0])
    added = integrated_gradients(score, x[0], baseline).sum(0)
    heat = F.interpolate(added[None, None], size, mode="bilinear", align_corners=False)[0, 0]
    return smoothed(heat.cpu().numpy(), SMOOTH * min(size))
