"""Few-label image classifiers as scikit-learn estimators, and the table of them.

The table is read by the command line, the study and the tests. Listing it imports neither torch nor scikit-learn:
a method's own file is imported when the method is made.
"""

from dataclasses import dataclass, fields
from importlib import import_module
from typing import TYPE_CHECKING, Literal

from ..errors import pick

if TYPE_CHECKING:
    from .base import Classifier
    from .models import load_model, save_model

__all__ = ["METHODS", "Method", "load_model", "method", "save_model"]


@dataclass(frozen=True)
class Method:
    """One row of the table: what a report says about a method, and how to make its estimator."""

    name: str
    title: str
    what: str  # one sentence
    family: Literal["floor", "traditional", "network", "gan"]
    estimator: str  # "file:Class" inside this folder
    cites: tuple[str, ...] = ()

    def estimator_class(self) -> type["Classifier"]:
        file, name = self.estimator.split(":")
        return getattr(import_module(f".{file}", __name__), name)

    def make(self, **settings) -> "Classifier":
        """The estimator. What every method is told (`random_state`, `minutes`, `steps`, `threads`) goes to those that
        have such a parameter; any other unknown name raises TypeError."""
        cls = self.estimator_class()
        known = {field.name for field in fields(cls)}
        shared = {"random_state", "minutes", "steps", "threads"}
        return cls(**{name: value for name, value in settings.items() if name in known or name not in shared})


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method(
            "majority",
            "Majority class",
            "The floor: class shares of the labelled images, whatever the image shows.",
            "floor",
            "majority:Majority",
        ),
        Method(
            "logistic",
            "Logistic regression on image features",
            "Gradient histograms or pixels, chosen by cross-validation, and multinomial logistic regression.",
            "traditional",
            "logistic:Logistic",
            ("Dalal & Triggs 2005, doi:10.1109/CVPR.2005.177",),
        ),
        Method(
            "svm",
            "Support vector machine on image features",
            "Gradient histograms or pixels, chosen by cross-validation, and a support vector machine with RBF kernel.",
            "traditional",
            "svm:SVM",
            ("Cortes & Vapnik 1995, doi:10.1007/BF00994018", "Dalal & Triggs 2005, doi:10.1109/CVPR.2005.177"),
        ),
        Method(
            "spreading",
            "Label spreading over a neighbour graph",
            "Gradient histograms, a graph of nearest neighbours over all images, and labels that spread along it: the "
            "traditional use of unlabelled images.",
            "traditional",
            "spreading:Spreading",
            (
                "Zhou et al. 2004, Learning with local and global consistency, NIPS 16",
                "Keysers et al. 2007, doi:10.1109/TPAMI.2007.1153",
            ),
        ),
        Method(
            "cnn",
            "Convolutional network",
            "A small network on the labelled images alone, with strong augmentation and weight averaging.",
            "network",
            "cnn:CNN",
            ("LeCun et al. 1998, doi:10.1109/5.726791", "Simard et al. 2003, doi:10.1109/ICDAR.2003.1227801"),
        ),
        Method(
            "consistency",
            "Convolutional network with unlabelled images",
            "The same network, which must also agree with its own average about two views of an unlabelled image.",
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
            "semi_gan:SemiGAN",
            ("Salimans et al. 2016, arXiv:1606.03498", "Sohn et al. 2020 (FixMatch), arXiv:2001.07685"),
        ),
        Method(
            "gan-augment",
            "Convolutional network with generated images",
            "The convolutional network with images of a conditional GAN beside the real ones, if a test on held-out "
            "labels says that they help.",
            "gan",
            "gan_augment:GANAugment",
            ("Mirza & Osindero 2014, arXiv:1411.1784", "Ravuri & Vinyals 2019, arXiv:1905.10887"),
        ),
    )
}


def method(name: str) -> Method:
    """The row called `name`. Raises UsageError with the nearest name."""
    return pick(METHODS, name, "method")


def __getattr__(name: str):
    if name in ("load_model", "save_model"):  # they need torch and scikit-learn
        return getattr(import_module(".models", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
