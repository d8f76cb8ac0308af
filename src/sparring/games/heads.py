"""Heads: what a discriminator or classifier reads from the features of its trunk, and how labels enter it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor, nn

from ..records import record


@dataclass(frozen=True)
class DiscriminatorOutput:
    """The output of a discriminator or classifier for N images.

    `x`: the images [N,C,H,W] that it was given, by which penalties differentiate. `features` [N,F]: the output of its
    trunk. `by_head`: the tensors that its head computed from them. Raises KeyError for one that the head does not give;
    a recipe in which a loss would ask for it is refused when it is built.
    """

    x: Tensor
    features: Tensor
    by_head: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def score(self) -> Tensor:
        """[N], or [N,P] for P patches of each image: higher is more real, unbounded."""
        return self.by_head["score"]

    @property
    def logits(self) -> Tensor:
        """[N,K]: logits of K classes or codes."""
        return self.by_head["logits"]

    @property
    def code_params(self) -> Tensor:
        """[N,2S]: means and log variances of S continuous codes."""
        return self.by_head["code_params"]


@record
class Score:
    """One number per image: real or not. Goodfellow et al. 2014."""

    gives: ClassVar[tuple[str, ...]] = ("score",)
    wants_label: ClassVar[bool] = False
    # Features [N,F,H,W] instead of [N,F].
    wants_maps: ClassVar[bool] = False

    def build(self, features: int, classes: int) -> nn.ModuleDict:
        """Return the layers for `features` numbers per image and `classes` classes."""
        return nn.ModuleDict({"score": nn.Linear(features, 1)})

    def read(self, net: nn.ModuleDict, h: Tensor, y: Tensor | None) -> dict[str, Tensor]:
        """Return the outputs named in `gives`, from these layers, features h [N,F] and labels y [N]."""
        return {"score": net["score"](h).squeeze(1)}


@record
class Projection(Score):
    """score(h) + <embedding(y), h>: the label's own direction in feature space. Miyato & Koyama 2018, eq. 3."""

    wants_label = True

    def build(self, features: int, classes: int) -> nn.ModuleDict:
        label = nn.Embedding(classes, features)
        nn.init.normal_(label.weight, 0.0, 0.02)
        return nn.ModuleDict({"score": nn.Linear(features, 1), "label": label})

    def read(self, net: nn.ModuleDict, h: Tensor, y: Tensor | None) -> dict[str, Tensor]:
        return {"score": net["score"](h).squeeze(1) + (net["label"](y) * h).sum(1)}


@record
class Classes(Score):
    """Class logits alone: an ordinary classifier."""

    gives = ("logits",)

    def build(self, features: int, classes: int) -> nn.ModuleDict:
        return nn.ModuleDict({"classes": nn.Linear(features, classes)})

    def read(self, net: nn.ModuleDict, h: Tensor, y: Tensor | None) -> dict[str, Tensor]:
        return {"logits": net["classes"](h)}


@record
class ClassesAsScore(Classes):
    """K logits whose log-sum-exp is the score: of K+1 classes, "fake" has logit 0. Salimans et al. 2016, section 5."""

    gives = ("score", "logits")

    def read(self, net: nn.ModuleDict, h: Tensor, y: Tensor | None) -> dict[str, Tensor]:
        logits = net["classes"](h)
        return {"score": logits.logsumexp(1), "logits": logits}


@record
class ScoreAndClasses(Score):
    """Class logits beside the score. Odena et al. 2017, section 4 (AC-GAN)."""

    gives = ("score", "logits")

    def build(self, features: int, classes: int) -> nn.ModuleDict:
        return nn.ModuleDict({"score": nn.Linear(features, 1), "classes": nn.Linear(features, classes)})

    def read(self, net: nn.ModuleDict, h: Tensor, y: Tensor | None) -> dict[str, Tensor]:
        return {"score": net["score"](h).squeeze(1), "logits": net["classes"](h)}


@record
class ProjectionAndClasses(Projection):
    """Projection, and class logits beside the score: labels enter D, and D names them. Its two parts are as above."""

    gives = ("score", "logits")

    def build(self, features: int, classes: int) -> nn.ModuleDict:
        layers = super().build(features, classes)
        layers["classes"] = nn.Linear(features, classes)
        return layers

    def read(self, net: nn.ModuleDict, h: Tensor, y: Tensor | None) -> dict[str, Tensor]:
        return {**super().read(net, h, y), "logits": net["classes"](h)}


@record(renamed={"continuous": "sliders"})
class Codes(Score):
    """Which code an image was made from: `values` logits, and a normal distribution for each of `continuous` codes.

    Q of Chen et al. 2016 (InfoGAN), section 4: it shares D's trunk and has a layer of its own.
    """

    gives = ("score", "logits", "code_params")

    values: int = 10
    continuous: int = 2
    hidden: int = 128

    def build(self, features: int, classes: int) -> nn.ModuleDict:
        hidden = nn.Sequential(nn.Linear(features, self.hidden), nn.LeakyReLU(0.1))
        codes = nn.Linear(self.hidden, self.values + 2 * self.continuous)
        return nn.ModuleDict({"score": nn.Linear(features, 1), "hidden": hidden, "codes": codes})

    def read(self, net: nn.ModuleDict, h: Tensor, y: Tensor | None) -> dict[str, Tensor]:
        logits, code_params = net["codes"](net["hidden"](h)).split([self.values, 2 * self.continuous], 1)
        return {"score": net["score"](h).squeeze(1), "logits": logits, "code_params": code_params}


@record
class Patches(Score):
    """One score for each patch, so that D compares texture and not the whole. Isola et al. 2017, section 3.2.2."""

    wants_maps = True

    def build(self, features: int, classes: int) -> nn.ModuleDict:
        return nn.ModuleDict({"score": nn.Conv2d(features, 1, 3, 1, 1)})

    def read(self, net: nn.ModuleDict, h: Tensor, y: Tensor | None) -> dict[str, Tensor]:
        return {"score": net["score"](h).flatten(1)}
