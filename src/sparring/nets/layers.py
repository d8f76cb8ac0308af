"""What every family is told about the data, what it builds, and the blocks that two families share."""

from torch import Tensor, nn

from ..parts import part


@part
class Facts:
    """What the data dictates: images [channels, height, width], and how many classes."""

    channels: int = 1
    height: int = 28
    width: int = 28
    classes: int = 0

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.channels, self.height, self.width


@part
class Family:
    """A family of networks.

    `generator(facts, inputs)`: a module [N, inputs] -> images [N,C,H,W] in [-1,1].
    `trunk(facts, channels)`: a module [N, channels, H, W] -> [N,F], and F.
    """

    @property
    def ties_images(self) -> bool:
        """Does the trunk let an image's features depend on the other images of its batch?"""
        return False

    def generator(self, facts: Facts, inputs: int) -> nn.Module:
        raise NotImplementedError(f"{type(self).__name__} has no generator")

    def trunk(self, facts: Facts, channels: int) -> tuple[nn.Module, int]:
        raise NotImplementedError(f"{type(self).__name__} has no trunk")


class Crop(nn.Module):
    """The central [height, width] of larger images."""

    def __init__(self, height: int, width: int):
        super().__init__()
        self.height, self.width = height, width

    def forward(self, x: Tensor) -> Tensor:
        top, left = (x.shape[2] - self.height) // 2, (x.shape[3] - self.width) // 2
        return x[:, :, top : top + self.height, left : left + self.width]


def normal_weights(module: nn.Module, deviation: float = 0.02) -> nn.Module:
    """Weights of convolutions and linear layers ~ N(0, deviation), biases 0. Radford et al. 2016, section 4."""
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            nn.init.normal_(layer.weight, 0.0, deviation)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return module
