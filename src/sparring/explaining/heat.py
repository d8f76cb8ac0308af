"""The heat maps of EXPLANATIONS: of a fitted classifier, a class and an image."""

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from ..classifiers import Classifier
from ..classifiers.majority import MajorityClassifier
from ..classifiers.network import NetworkClassifier
from .hiding import smoothed
from .maps import grad_cam, integrated_gradients, occlusion
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
    """Return float32 [H,W]: `maps.grad_cam` of the last map that is fine enough (`scores.last_map`)."""
    x = network_input(model, image[None])
    found = last_map(model._built_network(), lambda x: network_score(model, k, x), x)
    return grad_cam(found.activations, found.gradient, (image.shape[0], image.shape[1])).cpu().numpy()


def integrated_gradients_heat(model: NetworkClassifier, k: int, image: np.ndarray) -> np.ndarray:
    """Return float32 [H,W]: `maps.integrated_gradients` from the image's mean colour, summed over colours, blurred."""
    x = network_input(model, image[None])[0]
    baseline = x.mean((1, 2), keepdim=True).expand_as(x)
    added = integrated_gradients(lambda x: network_score(model, k, x), x, baseline).sum(0)
    return smoothed(_enlarged(added, (image.shape[0], image.shape[1])), SMOOTH * min(image.shape[:2]))


def _enlarged(heat: Tensor, size: tuple[int, int]) -> np.ndarray:
    return F.interpolate(heat[None, None], size, mode="bilinear", align_corners=False)[0, 0].cpu().numpy()
