"""Two layers of "Improved techniques for training GANs" that can be added to any architecture. Salimans et al. 2016."""

import torch
from torch import Tensor, nn

from ..records import record
from .dcgan import DCGAN
from .layers import Architecture, DataSpec, ImageTies

# Images in a reference batch.
REFERENCE_SIZE = 32


@record
class MinibatchDiscrimination(Architecture):
    """The trunk of `net` with features that say how near each image is to the others of its batch. Section 3.2.

    D can then tell a generator whose images are all alike. `kernels` sums of exp(-distance) are joined to the features,
    each distance in `dim` dimensions.
    """

    net: Architecture = DCGAN()
    kernels: int = 32
    dim: int = 8

    @property
    def image_ties(self) -> ImageTies:
        return ImageTies.MINIBATCH

    def trunk(self, data_spec: DataSpec, channels: int) -> tuple[nn.Module, int]:
        trunk, features = self.net.trunk(data_spec, channels)
        return nn.Sequential(trunk, Nearness(features, self.kernels, self.dim)), features + self.kernels


class Nearness(nn.Module):
    """[N,F] -> [N, F + kernels]."""

    def __init__(self, features: int, kernels: int, dim: int):
        super().__init__()
        self.shape, self.project = (kernels, dim), nn.Linear(features, kernels * dim, bias=False)
        nn.init.normal_(self.project.weight, 0.0, 0.02)

    def forward(self, h: Tensor) -> Tensor:
        m = self.project(h)
        m = m.float() if m.dtype == torch.bfloat16 else m
        m = m.unflatten(1, self.shape).permute(1, 2, 0).contiguous()  # [kernels, dim, N]
        distance = (m[..., None] - m[..., None, :]).abs().sum(1)  # [kernels, N, N]
        near = (-distance).exp().sum(2) - 1
        return torch.cat([h, near.T.to(h.dtype)], 1)


@record
class VirtualBatchNorm(Architecture):
    """The generator of `net` whose batch norms use the statistics of a fixed reference batch and the image itself.

    Section 3.5. An image then depends on no other image of its batch; it costs a second pass.
    """

    net: Architecture = DCGAN()

    def generator(self, data_spec: DataSpec, z: int, condition: int = 0) -> nn.Module:
        return Referred(self.net.generator(data_spec, z, condition), z, condition)


class Referred(nn.Module):
    """A body that is run on its reference batch and the batch together."""

    reference: Tensor

    def __init__(self, body: nn.Module, z: int, condition: int):
        super().__init__()
        for name, child in list(body.named_modules()):
            if isinstance(child, nn.BatchNorm2d):
                parent = body.get_submodule(name.rpartition(".")[0])
                setattr(parent, name.rpartition(".")[2], ReferredNorm(child.num_features))
        self.body = body
        classes = (
            torch.eye(condition).repeat(-(-REFERENCE_SIZE // condition), 1)[:REFERENCE_SIZE]
            if condition
            else torch.zeros(REFERENCE_SIZE, 0)
        )
        self.register_buffer("reference", torch.cat([torch.randn(REFERENCE_SIZE, z), classes], 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(torch.cat([self.reference.to(x.dtype), x]))[REFERENCE_SIZE:]


class ReferredNorm(nn.Module):
    """Batch norm of each image by the mean and variance of the reference batch and itself."""

    def __init__(self, channels: int):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        h = x.float() if x.dtype == torch.bfloat16 else x
        mean, square = h.mean((2, 3)), h.square().mean((2, 3))  # [N,C] of each image
        share = 1 / (REFERENCE_SIZE + 1)
        mean = share * mean + (1 - share) * mean[:REFERENCE_SIZE].mean(0)
        square = share * square + (1 - share) * square[:REFERENCE_SIZE].mean(0)
        scale = self.weight / (square - mean.square() + 1e-5).sqrt()
        return (h * scale[:, :, None, None] + (self.bias - mean * scale)[:, :, None, None]).to(x.dtype)
