"""A small network whose weights are a formula, and what captum 0.9 says of it: written to tests/fixtures/captum.json.

captum is no dependency: `python tests/oracles/captum_maps.py` needs it, the test that reads the file does not.
"""

import json
from pathlib import Path

import torch
from torch import nn

FIXTURE = Path(__file__).parents[1] / "fixtures" / "captum.json"
CLASS = 1


def network() -> nn.Sequential:
    """Images [N,2,9,11] -> logits [N,3]."""
    layers = (
        nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 5, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(),
        nn.Linear(5 * 5 * 6, 3),
    )  # fmt: skip
    net = nn.Sequential(*layers).double()
    with torch.no_grad():
        for number, p in enumerate(net.parameters()):
            p.copy_(waves(p.shape, number) / max(1, p[0].numel()) ** 0.5)
    return net.eval()


def waves(shape: tuple[int, ...], number: int) -> torch.Tensor:
    return torch.sin(torch.arange(torch.Size(shape).numel(), dtype=torch.float64) * 1.7 + number).reshape(shape)


def image_and_baseline() -> tuple[torch.Tensor, torch.Tensor]:
    return waves((2, 9, 11), 50), waves((2, 9, 11), 60) / 4


if __name__ == "__main__":
    from captum.attr import IntegratedGradients, LayerGradCam

    net, (x, baseline) = network(), image_and_baseline()
    added = IntegratedGradients(net).attribute(
        x[None], baseline[None], target=CLASS, n_steps=32, method="riemann_middle"
    )
    cam = LayerGradCam(net, net[3]).attribute(x[None], target=CLASS, relu_attributions=True)
    found = {"integrated_gradients": added[0].tolist(), "grad_cam": cam[0, 0].tolist()}
    FIXTURE.write_text(json.dumps(found) + "\n")
