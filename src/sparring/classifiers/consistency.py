"""The network of `cnn` with unlabelled images: it agrees with its own average about views of the same image."""

from dataclasses import dataclass

import numpy as np

from ..games.builders import Recipe
from ..games.heads import Classes
from ..games.losses import Classify
from ..games.nodes import Batch, Buffer, Discriminated
from ..games.players import Discriminator
from ..games.schedules import Window
from .cnn import SMOOTHING
from .network import Look, NetworkClassifier, Plan, Start, learner, supervised
from .pseudo_labels import Agree, Apart, Belief, Running
from .spreading import graph_guess

START = 0.4  # share of training on the graph's labels, where the graph is believed
SURE = 0.8  # threshold where labels are smoothed, so that 0.91 of 10 classes is as sure as the network gets
TRUSTED = 0.85  # accuracy of the graph on labelled images that were hidden from it, from which it is believed


@dataclass(eq=False, repr=False, kw_only=True)
class ConsistencyClassifier(NetworkClassifier):
    """Weak and strong views, an averaged teacher, thresholds and class shares that adapt: FixMatch and FreeMatch.

    Where label spreading over a graph of image features is right about labelled images that were hidden from it, its
    labels teach the first 40 % of the steps; they are worth more than any later refinement (2.4 % error without, 1.0 %
    with them on MNIST with 100 labels). Then, or from the start where the graph is not to be believed, the network's
    own average is the teacher: it sees a weak view, and what it is sure of is asked of the student on a strong one.

    Sohn et al. 2020, arXiv:2001.07685; Wang et al. 2023, arXiv:2205.07246; Berthelot et al. 2020, arXiv:1911.09785.
    """

    def start(self, images: np.ndarray, labels: np.ndarray, seed: int) -> Start:
        start = ask_graph(images, labels, seed)
        self.record_["graph"] = {
            "accuracy": start.accuracy,
            "believed": start.code_params is not None,
            "class_shares": list(start.prior),
        }
        return start

    def recipe(self, plan: Plan, look: Look, start: Start) -> Recipe:
        judge, losses = agreement(self.net, Classes(), plan, look, start)
        return Recipe("FixMatch and FreeMatch, started by label spreading", (learner(judge, losses),), plan.labelled)


def ask_graph(images: np.ndarray, labels: np.ndarray, seed: int) -> Start:
    """Label spreading over all images; its guess is left out where it is not to be believed."""
    code_params, accuracy = graph_guess(images, labels, seed)
    return Start(code_params if accuracy >= TRUSTED else None, accuracy)


def agreement(net, head: Classes, plan: Plan, look: Look, start: Start) -> tuple[Discriminator, tuple]:
    """The classifier that learns from all images, and what it minimises."""
    x = Batch("x", "all", plan.ratio)
    student = Discriminated("D", look.strong(x))
    teacher = Discriminated("D", look.weak(x), averaged=True)
    begin = 0.0 if start.code_params is None else START
    belief = Belief(Window(1.0, max(0.0, begin - 0.05), 1.0), of=teacher)  # a little earlier, to be ready
    agree = Agree(
        Window(1.0, begin, 1.0, ramp=0.0 if begin else 0.3),
        teacher=teacher,
        student=student,
        belief=Buffer("D", "belief"),
        prior=start.prior,
        threshold=SURE if start.code_params is None else 0.95,
    )
    judge = Discriminator("D", net, head, (Running("belief", belief),))
    if start.code_params is None:
        return judge, (supervised(look, judged=Apart, smoothing=SMOOTHING), agree)
    guessed = Classify(Window(1.0, 0.0, START), of=student, label=Batch("guess", "all", plan.ratio))
    return judge, (supervised(look, judged=Apart, weight=0.25), guessed, agree)
