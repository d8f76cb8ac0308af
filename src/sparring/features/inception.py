"""Inception v3 as published Frechet distances use it. Szegedy et al. 2016, arXiv:1512.00567; weights of 2015-12-05.

It differs from the usual network with ImageNet weights: means at the border leave out the padding, the last block pools
by the maximum, not the mean, and there are 1,008 classes. Tensors have the names of the usual PyTorch copies:
`Conv2d_1a_3x3.conv.weight`, `Mixed_5b.branch1x1.bn.running_mean`, `fc.weight`.
"""

from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, max_pool2d, relu

from ..errors import FileFormatError

INCEPTION_WIDTH, OUTPUTS = 2048, 1008
SIDE = 299  # pixels

Sizes = int | tuple[int, int]
Chain = tuple[str, ...]  # layers one after the other; "a|b" stands for both beside each other


class InceptionConv(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, before: int, after: int, kernel: Sizes, stride: int = 1, padding: Sizes | str = "same"):
        super().__init__()
        self.conv = nn.Conv2d(before, after, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(after, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return relu(self.bn(self.conv(x)), inplace=True)


class InceptionBlock(nn.Module):
    """Chains of layers from the same map, their outputs concatenated. "mean", "max" and "half" are pools."""

    def __init__(self, chains: Iterable[Chain], layers: dict[str, InceptionConv]):
        super().__init__()
        self.chains = tuple(chains)
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.along(chain, x) for chain in self.chains], 1)

    def along(self, chain: Chain, x: Tensor) -> Tensor:
        for names in chain:
            x = torch.cat([self.step(name, x) for name in names.split("|")], 1)
        return x

    def step(self, name: str, x: Tensor) -> Tensor:
        match name:
            case "mean":
                return avg_pool2d(x, 3, 1, 1, count_include_pad=False)
            case "max":
                return max_pool2d(x, 3, 1, 1)
            case "half":
                return max_pool2d(x, 3, 2)
        return self.get_submodule(name)(x)


def block_a(before: int, pooled: int) -> InceptionBlock:
    """35 x 35: figure 5 of the paper."""
    layers = {
        "branch1x1": InceptionConv(before, 64, 1),
        "branch5x5_1": InceptionConv(before, 48, 1),
        "branch5x5_2": InceptionConv(48, 64, 5),
        "branch3x3dbl_1": InceptionConv(before, 64, 1),
        "branch3x3dbl_2": InceptionConv(64, 96, 3),
        "branch3x3dbl_3": InceptionConv(96, 96, 3),
        "branch_pool": InceptionConv(before, pooled, 1),
    }
    double = ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3")
    return InceptionBlock((("branch1x1",), ("branch5x5_1", "branch5x5_2"), double, ("mean", "branch_pool")), layers)


def block_b(before: int) -> InceptionBlock:
    """35 x 35 -> 17 x 17: figure 10."""
    layers = {
        "branch3x3": InceptionConv(before, 384, 3, 2, 0),
        "branch3x3dbl_1": InceptionConv(before, 64, 1),
        "branch3x3dbl_2": InceptionConv(64, 96, 3),
        "branch3x3dbl_3": InceptionConv(96, 96, 3, 2, 0),
    }
    return InceptionBlock((("branch3x3",), ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"), ("half",)), layers)


def block_c(before: int, inside: int) -> InceptionBlock:
    """17 x 17: figure 6, with n = 7."""
    wide, tall = (1, 7), (7, 1)
    layers = {
        "branch1x1": InceptionConv(before, 192, 1),
        "branch7x7_1": InceptionConv(before, inside, 1),
        "branch7x7_2": InceptionConv(inside, inside, wide),
        "branch7x7_3": InceptionConv(inside, 192, tall),
        "branch7x7dbl_1": InceptionConv(before, inside, 1),
        "branch7x7dbl_2": InceptionConv(inside, inside, tall),
        "branch7x7dbl_3": InceptionConv(inside, inside, wide),
        "branch7x7dbl_4": InceptionConv(inside, inside, tall),
        "branch7x7dbl_5": InceptionConv(inside, 192, wide),
        "branch_pool": InceptionConv(before, 192, 1),
    }
    once, twice = (
        tuple(name for name in layers if name.startswith(f"{kind}_")) for kind in ("branch7x7", "branch7x7dbl")
    )
    return InceptionBlock((("branch1x1",), once, twice, ("mean", "branch_pool")), layers)


def block_d(before: int) -> InceptionBlock:
    """17 x 17 -> 8 x 8."""
    layers = {
        "branch3x3_1": InceptionConv(before, 192, 1),
        "branch3x3_2": InceptionConv(192, 320, 3, 2, 0),
        "branch7x7x3_1": InceptionConv(before, 192, 1),
        "branch7x7x3_2": InceptionConv(192, 192, (1, 7)),
        "branch7x7x3_3": InceptionConv(192, 192, (7, 1)),
        "branch7x7x3_4": InceptionConv(192, 192, 3, 2, 0),
    }
    names = tuple(layers)
    return InceptionBlock((names[:2], names[2:], ("half",)), layers)


def block_e(before: int, pool: str) -> InceptionBlock:
    """8 x 8: figure 7."""
    layers = {
        "branch1x1": InceptionConv(before, 320, 1),
        "branch3x3_1": InceptionConv(before, 384, 1),
        "branch3x3_2a": InceptionConv(384, 384, (1, 3)),
        "branch3x3_2b": InceptionConv(384, 384, (3, 1)),
        "branch3x3dbl_1": InceptionConv(before, 448, 1),
        "branch3x3dbl_2": InceptionConv(448, 384, 3),
        "branch3x3dbl_3a": InceptionConv(384, 384, (1, 3)),
        "branch3x3dbl_3b": InceptionConv(384, 384, (3, 1)),
        "branch_pool": InceptionConv(before, 192, 1),
    }
    once = ("branch3x3_1", "branch3x3_2a|branch3x3_2b")
    twice = ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3a|branch3x3dbl_3b")
    return InceptionBlock((("branch1x1",), once, twice, (pool, "branch_pool")), layers)


class Inception(nn.Module):
    """Images [N,3,299,299] in [-1,1] -> features [N,2048]."""

    def __init__(self):
        super().__init__()
        self.Conv2d_1a_3x3 = InceptionConv(3, 32, 3, 2, 0)
        self.Conv2d_2a_3x3 = InceptionConv(32, 32, 3, 1, 0)
        self.Conv2d_2b_3x3 = InceptionConv(32, 64, 3)
        self.Conv2d_3b_1x1 = InceptionConv(64, 80, 1)
        self.Conv2d_4a_3x3 = InceptionConv(80, 192, 3, 1, 0)
        self.Mixed_5b = block_a(192, 32)
        self.Mixed_5c = block_a(256, 64)
        self.Mixed_5d = block_a(288, 64)
        self.Mixed_6a = block_b(288)
        self.Mixed_6b = block_c(768, 128)
        self.Mixed_6c = block_c(768, 160)
        self.Mixed_6d = block_c(768, 160)
        self.Mixed_6e = block_c(768, 192)
        self.Mixed_7a = block_d(768)
        self.Mixed_7b = block_e(1280, "mean")
        self.Mixed_7c = block_e(2048, "max")
        self.fc = nn.Linear(INCEPTION_WIDTH, OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        for name, layer in self.named_children():
            if name == "fc":
                break
            x = layer(x)
            if name in ("Conv2d_2b_3x3", "Conv2d_4a_3x3"):
                x = max_pool2d(x, 3, 2)
        return x.mean((2, 3))


def load_inception(files: list[Path]) -> nn.Module:
    """Return the network with the weights of these files, in eval mode. Raises FileFormatError."""
    tensors: dict[str, Tensor] = {}
    try:
        for path in files:
            tensors |= load_file(path)
        net = Inception()
        outputs = len(tensors.get("fc.bias", net.fc.bias))
        if outputs != OUTPUTS:
            raise ValueError(f"it names {outputs:,} classes; the network of Frechet distances names {OUTPUTS:,}")
        loaded = net.load_state_dict(tensors, strict=False)
        absent = [key for key in loaded.missing_keys if not key.endswith("num_batches_tracked") and key[:3] != "fc."]
        if wrong := [*absent, *loaded.unexpected_keys]:
            raise ValueError(f"{len(wrong)} tensors are missing or too many, such as {wrong[0]}")
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        reason = str(error).strip().replace("\n", " ")[:200]
        raise FileFormatError(
            "bad-encoder",
            f"{files[0]} does not hold Inception as Frechet distances use it: {reason}",
            fix="convert the weights of 2015-12-05 (pt_inception-2015-12-05-6726825d) to safetensors, names unchanged",
        ) from error
    return net.eval().requires_grad_(False)
