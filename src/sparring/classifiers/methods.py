"""The table of few-label classifiers, which commands, studies, reports and tests read; it imports nothing heavy."""

from dataclasses import dataclass, fields
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from ..errors import Table, UsageError

if TYPE_CHECKING:
    from .base import Classifier

WITHOUT = "svm"  # a method that takes nothing from other images
# Settings that every method may be given.
_SHARED = {"random_state", "minutes", "steps", "threads", "device", "pretrained"}


@dataclass(frozen=True)
class Method:
    """One row of the table: what a report says about a method, and how to make its estimator.

    `what`: one sentence. `estimator`: the class, or "file:Class" inside this folder, which is imported when needed.
    `needs_pretrained`: whether it cannot be without a pretrained network.
    """

    name: str
    title: str
    what: str
    family: Literal["floor", "traditional", "pretrained", "network", "gan", "ensemble"]
    estimator: "str | type[Classifier]"
    cites: tuple[str, ...] = ()
    needs_pretrained: bool = False

    def knows(self, setting: str) -> bool:
        """Return whether its estimator has a parameter of this name, such as `device`."""
        return setting in {field.name for field in fields(self.estimator_class())}

    def estimator_class(self) -> "type[Classifier]":
        if not isinstance(self.estimator, str):
            return self.estimator
        file, name = self.estimator.split(":")
        return getattr(import_module(f".{file}", __package__), name)

    def make(self, **settings: Any) -> "Classifier":
        """Return the estimator with these settings.

        `random_state`, `minutes`, `steps`, `threads`, `device` and `pretrained` are left out where the estimator has no
        such parameter; any other unknown name raises TypeError.
        """
        cls = self.estimator_class()
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in settings.items() if name in known or name not in _SHARED})


def refuse_none(method: Method, pretrained: str) -> None:
    """Raise UsageError for a method that cannot be without a pretrained network, where the setting is "none"."""
    if method.needs_pretrained and pretrained == "none":
        raise UsageError(
            "needs-pretrained",
            f"{method.name} is nothing without a pretrained network",
            fix=f"leave out --pretrained none, or take another method, such as {WITHOUT}",
        )


_ROWS = (
    Method(
        "majority",
        "Majority class",
        "The floor: class shares of the labelled images, whatever the image shows.",
        "floor",
        "majority:MajorityClassifier",
    ),
    Method(
        "logistic",
        "Logistic regression on image features",
        "Gradients, textures, colours or pixels, chosen by cross-validation, and multinomial logistic regression.",
        "traditional",
        "logistic:LogisticClassifier",
        ("Dalal & Triggs 2005, doi:10.1109/CVPR.2005.177", "Ojala et al. 2002, doi:10.1109/TPAMI.2002.1017623"),
    ),
    Method(
        "svm",
        "Support vector machine on image features",
        "Gradients, textures, colours or pixels, chosen by cross-validation, and an RBF support vector machine.",
        "traditional",
        "svm:SVMClassifier",
        ("Cortes & Vapnik 1995, doi:10.1007/BF00994018", "Dalal & Triggs 2005, doi:10.1109/CVPR.2005.177"),
    ),
    Method(
        "spreading",
        "Label spreading over a neighbour graph",
        "Gradient histograms or a pretrained network, whichever held-out labels prefer, a graph of neighbours over all "
        "images, and labels that spread along it: the traditional use of unlabelled images.",
        "traditional",
        "spreading:SpreadingClassifier",
        (
            "Zhou et al. 2004, Learning with local and global consistency, NIPS 16",
            "Keysers et al. 2007, doi:10.1109/TPAMI.2007.1153",
        ),
    ),
    Method(
        "probe",
        "Linear classifier on features of a pretrained network",
        "A network that learned from other images, as it is, and multinomial logistic regression on what it sees.",
        "pretrained",
        "probe:ProbeClassifier",
        ("Tan & Le 2019, arXiv:1905.11946", "Kornblith et al. 2019, arXiv:1805.08974"),
        needs_pretrained=True,
    ),
    Method(
        "cnn",
        "Convolutional network",
        "A small network on the labelled images alone, with strong augmentation and weight averaging.",
        "network",
        "cnn:CNNClassifier",
        ("LeCun et al. 1998, doi:10.1109/5.726791", "Simard et al. 2003, doi:10.1109/ICDAR.2003.1227801"),
    ),
    Method(
        "finetune",
        "Pretrained network, fine-tuned",
        "A network with the weights of ImageNet, trained end to end on the labelled images, strongly augmented.",
        "network",
        "finetune:FinetuneClassifier",
        (
            "Tan & Le 2019, arXiv:1905.11946",
            "Kumar et al. 2022, arXiv:2202.10054",
            "Wortsman et al. 2022, arXiv:2109.01903",
        ),
        needs_pretrained=True,
    ),
    Method(
        "consistency",
        "Convolutional network with unlabelled images",
        "A network, pretrained where held-out labels say so, which must also agree with its own average about two "
        "views of an unlabelled image.",
        "network",
        "consistency:ConsistencyClassifier",
        (
            "Sohn et al. 2020 (FixMatch), arXiv:2001.07685",
            "Wang et al. 2023 (FreeMatch), arXiv:2205.07246",
            "Zhou et al. 2004, Learning with local and global consistency, NIPS 16",
        ),
    ),
    Method(
        "semi-gan",
        "Semi-supervised GAN",
        "The same network with unlabelled images, which must also tell real images from those of a generator.",
        "gan",
        "semi_gan:SemiGANClassifier",
        ("Salimans et al. 2016, arXiv:1606.03498", "Sohn et al. 2020 (FixMatch), arXiv:2001.07685"),
    ),
    Method(
        "gan-augment",
        "Convolutional network with generated images",
        "The convolutional network with images of a conditional GAN beside the real ones, if a test on held-out "
        "labels says that they help more than copies of real images.",
        "gan",
        "gan_augment:GANAugmentClassifier",
        (
            "Mirza & Osindero 2014, arXiv:1411.1784",
            "Ravuri & Vinyals 2019, arXiv:1905.10887",
            "Pink 2026, PMLR 318:954-961",
        ),
    ),
    Method(
        "ensemble",
        "The best few methods together",
        "The mean of what probe and spreading say, unless held-out labels clearly prefer another mean of a few "
        "methods, or one of them.",
        "ensemble",
        "ensemble:EnsembleClassifier",
        ("Caruana et al. 2004, doi:10.1145/1015330.1015432",),
    ),
)

METHODS = Table("method", {row.name: row for row in _ROWS}, columns=("family", "what"))


def method_of(estimator: "Classifier") -> Method:
    """Return the row of METHODS that makes such an estimator. Raises UsageError where there is none."""
    for row in METHODS.values():
        if row.estimator_class() is type(estimator):
            return row
    kind = type(estimator).__name__
    raise UsageError("unknown-method", f"{kind} is not one of the methods", fix=f"save one of {', '.join(METHODS)}")
