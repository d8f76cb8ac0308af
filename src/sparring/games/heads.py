"""Verdicts, and how labels enter the discriminator: a head reads a trunk's features."""

from typing import NamedTuple

from torch import Tensor, nn

from ..records import record


class DiscriminatorOutput(NamedTuple):
    """What a discriminator or classifier says about N images."""

    x: Tensor  # [N,C,H,W]  the images it was shown (a penalty differentiates by them)
    features: Tensor  # [N,F]      what it was read from
    score: Tensor | None = None  # [N]        higher = more real; unbounded. [N,P]: one for each patch
    logits: Tensor | None = None  # [N,K]      classes, or codes
    code_params: Tensor | None = None  # [N,2S]     mean and log variance of continuous codes


@record
class Score:
    """One number per image: real or not. Goodfellow et al. 2014."""

    gives = ("score",)
    wants_label = False
    wants_maps = False  # features as [N,F,H,W] instead of [N,F]

    def build(self, features: int, classes: int) -> nn.ModuleDict:
        return nn.ModuleDict({"score": nn.Linear(features, 1)})

    def read(self, net: nn.ModuleDict, h: Tensor, y: Tensor | None) -> dict[str, Tensor]:
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


@record(renamed={"continuous": "sliders"})
class Codes(Score):
    """Which code made this image: `values` logits, and a normal distribution for each of `continuous` codes.

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
    """One score for each patch: D judges texture, not the whole. Isola et al. 2017, section 3.2.2."""

    wants_maps = True

    def build(self, features: int, classes: int) -> nn.ModuleDict:
        return nn.ModuleDict({"score": nn.Conv2d(features, 1, 3, 1, 1)})

    def read(self, net: nn.ModuleDict, h: Tensor, y: Tensor | None) -> dict[str, Tensor]:
        return {"score": net["score"](h).flatten(1)}
