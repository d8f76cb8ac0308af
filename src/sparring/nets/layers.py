"""What architectures know of the data, what they build, and the blocks that several of them share."""

from enum import StrEnum
from typing import Any, ClassVar, Protocol, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from ..records import record

N = TypeVar("N", bound=nn.Module)


class HasShape(Protocol):
    """An array or a tensor."""

    @property
    def shape(self) -> tuple[int, ...]: ...


@record(was="Facts")
class DataSpec:
    """What networks depend on in the data: images [channels, height, width], and the number of classes."""

    channels: int = 1
    height: int = 28
    width: int = 28
    classes: int = 0

    @classmethod
    def of(cls, images: HasShape, classes: int = 0) -> "DataSpec":
        """Return the description of images [N,H,W,C], an array or a tensor."""
        _, height, width, channels = images.shape
        return cls(channels, height, width, classes)

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.channels, self.height, self.width


class ImageTies(StrEnum):
    NOTHING = ""
    BATCH_NORM = "batch norm"
    MINIBATCH = "minibatch discrimination"


@record(was="Family")
class Architecture:
    """Base of architectures: each defines one or several of these methods.

    `generator(data_spec, z, condition)`: a module [N, z + condition] -> images [N,C,H,W], whose range is
    [-1,1] (by tanh, or by training alone); `condition`: how many numbers follow the noise, for labels and codes.
    `trunk(data_spec, channels)`: a module [N, channels, H, W] -> [N,F], and F; or -> [N,F,h,w] if it `gives_maps`.
    `translator(data_spec, channels)`: a module [N, channels, H, W] -> [N,C,H,W] of any range.
    """

    gives_maps: ClassVar[bool] = False
    # The blocks' last weights are zero when the network is built.
    starts_at_zero: ClassVar[bool] = False

    @property
    def image_ties(self) -> ImageTies:
        """What lets an image's features depend on the other images of its batch."""
        return ImageTies.NOTHING

    def generator(self, data_spec: DataSpec, z: int, condition: int = 0) -> nn.Module:
        raise NotImplementedError(f"{type(self).__name__} has no generator")

    def trunk(self, data_spec: DataSpec, channels: int) -> tuple[nn.Module, int]:
        raise NotImplementedError(f"{type(self).__name__} has no trunk")

    def translator(self, data_spec: DataSpec, channels: int) -> nn.Module:
        raise NotImplementedError(f"{type(self).__name__} has no translator")


class Crop(nn.Module):
    """The central [height, width] of larger images."""

    def __init__(self, height: int, width: int):
        super().__init__()
        self.height, self.width = height, width

    def forward(self, x: Tensor) -> Tensor:
        top, left = (x.shape[2] - self.height) // 2, (x.shape[3] - self.width) // 2
        return x[:, :, top : top + self.height, left : left + self.width]


class Attention(nn.Module):
    """Attention of every position of a map to every position of the same map at half its size; its sum starts at 0.

    Zhang et al. 2019, arXiv:1805.08318, eq. 1 to 3, with the smaller keys of Brock et al. 2019.
    """

    def __init__(self, channels: int):
        super().__init__()
        inside = max(1, channels // 8)
        self.query, self.key = nn.Conv2d(channels, inside, 1, bias=False), nn.Conv2d(channels, inside, 1, bias=False)
        self.value = nn.Conv2d(channels, channels // 2, 1, bias=False)
        self.back = nn.Conv2d(channels // 2, channels, 1, bias=False)
        self.amount = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        query = self.query(x).flatten(2)  # [N,c,P]
        key, value = (max_pool2d(layer(x), 2).flatten(2) for layer in (self.key, self.value))  # [N,c,P/4], [N,C/2,P/4]
        attention = (query.transpose(1, 2) @ key).softmax(2)  # [N,P,P/4]
        mixed = (value @ attention.transpose(1, 2)).unflatten(2, tuple(x.shape[2:]))
        return x + self.amount * self.back(mixed.contiguous(memory_format=torch.channels_last))


def channels_last(net: N, device: str = "cpu", dtype: torch.dtype | None = None) -> N:
    """Move a network to a device and type, its kernels with channels last in memory; return it."""
    # torch declares no overload of `to` with a memory format.
    return cast(Any, net).to(device=device, dtype=dtype, memory_format=torch.channels_last)


def normal_weights(module: nn.Module, deviation: float = 0.02) -> nn.Module:
    """Draw the weights of all convolutions and linear layers from N(0, deviation), set biases to 0; return the module.

    Radford et al. 2016, section 4.
    """
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            nn.init.normal_(layer.weight, 0.0, deviation)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return module


def parameters(net: nn.Module) -> int:
    """Return how many numbers a network learns."""
    return sum(p.numel() for p in net.parameters())
