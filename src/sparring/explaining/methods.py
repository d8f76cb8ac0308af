"""The table of explanations: what each shows, which classifiers it fits, and the function that computes it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ..errors import Table, UsageError

if TYPE_CHECKING:
    import numpy as np

    from ..classifiers import Classifier


@dataclass(frozen=True)
class ExplanationMethod:
    """One row of the table.

    `shows`: a heat map of the image, the parts of an answer, or labelled images. `fits`: in words, which methods it can
    explain. `function`, of a heat map: its name in heat.py, which is imported when it is used.
    """

    name: str
    title: str
    what: str
    shows: Literal["map", "parts", "images"]
    fits: str
    cites: tuple[str, ...] = ()
    function: str = ""

    def fits_model(self, model: "Classifier") -> bool:
        """Return whether it can explain what this fitted classifier says."""
        from . import heat

        return heat.is_network(model) if self.fits == NETWORKS else heat.looks(model)

    def heat(self, model: "Classifier", k: int, image: "np.ndarray") -> "np.ndarray":
        """Return float32 [H,W]: what each place of an image uint8 [H,W,C] adds to what is said of class number k."""
        from . import heat

        function: Callable[[Classifier, int, np.ndarray], np.ndarray] = getattr(heat, self.function)
        return function(model, k, image)


ANY, NETWORKS = "any method that looks at the image", "cnn, finetune, consistency, semi-gan, gan-augment"

_ROWS = (
    ExplanationMethod(
        "occlusion",
        "Occlusion",
        "By how much the answer falls when a window over a place is hidden: of any method.",
        "map",
        ANY,
        ("Zeiler & Fergus 2014, doi:10.1007/978-3-319-10590-1_53",),
        "occlusion_heat",
    ),
    ExplanationMethod(
        "grad-cam",
        "Grad-CAM",
        "Which places of a network's last map speak for the class: coarse, and the fastest.",
        "map",
        NETWORKS,
        ("Selvaraju et al. 2017, arXiv:1610.02391",),
        "grad_cam_heat",
    ),
    ExplanationMethod(
        "integrated-gradients",
        "Integrated gradients",
        "What each pixel adds on the way from one even colour to the image; all of it sums to the answer.",
        "map",
        NETWORKS,
        ("Sundararajan et al. 2017, arXiv:1703.01365",),
        "integrated_gradients_heat",
    ),
    ExplanationMethod(
        "parts",
        "Parts of the answer",
        "What gradients, textures, colours and pixels add to the answer, and where each.",
        "parts",
        "logistic, svm",
        ("Shapley 1953, doi:10.1515/9781400881970-018", "Lundberg & Lee 2017, arXiv:1705.07874"),
    ),
    ExplanationMethod(
        "labelled",
        "Labelled images",
        "The labelled images that an answer of spreading rests on, with their shares; of other methods those that the "
        "model sees as most alike, which are not its cause.",
        "images",
        ANY,
        ("Zhou et al. 2004, Learning with local and global consistency, NIPS 16",),
    ),
)

EXPLANATIONS = Table("explanation", {row.name: row for row in _ROWS}, columns=("fits", "what"))
MAPS = tuple(row.name for row in _ROWS if row.shows == "map")


def maps_named(names: tuple[str, ...]) -> list[ExplanationMethod]:
    """Return the heat maps by these names, or occlusion, the usual one. Raises UsageError for what is no heat map."""
    rows = [EXPLANATIONS[name] for name in names or (MAPS[0],)]
    if other := next((row.name for row in rows if row.shows != "map"), None):
        what = f"{other} is no heat map: it is shown wherever it fits"
        raise UsageError("not-a-map", what, fix=f"name heat maps: {', '.join(MAPS)}")
    return rows


def chosen_maps(model: "Classifier", names: tuple[str, ...]) -> list[ExplanationMethod]:
    """Return the heat maps by these names. Raises UsageError for one that does not fit.

    Without names the one that found planted marks best, if it fits: of networks integrated gradients, else occlusion
    (benchmarks/results/explain.md).
    """
    usual = "integrated-gradients" if EXPLANATIONS["integrated-gradients"].fits_model(model) else MAPS[0]
    rows = maps_named(names or (usual,))
    if names and (other := next((row for row in rows if not row.fits_model(model)), None)):
        method = type(model).__name__.removesuffix("Classifier").lower()
        what = f"{other.name} cannot explain {method}: it fits {other.fits}"
        raise UsageError("no-such-map", what, fix="use occlusion, which fits any method that looks at the image")
    return [row for row in rows if row.fits_model(model)]
