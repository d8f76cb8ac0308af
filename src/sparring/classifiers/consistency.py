"""The network of `cnn` with unlabelled images, on which it must agree with the average of its own weights."""

from dataclasses import dataclass

import numpy as np

from ..features.encoders import names_of
from ..features.pretrained import BUILT_IN
from ..games.builders import Recipe
from ..games.heads import Classes
from ..games.losses import Classify
from ..games.nodes import Batch, Buffer, Discriminated
from ..games.players import Discriminator
from ..games.schedules import Window
from ..nets.layers import Architecture
from .cnn import SMOOTHING
from .fit_record import GraphCheck
from .logistic import C_VALUES, LogisticClassifier
from .looks import HANDMADE, Look
from .network import NetworkClassifier, Plan, Start, learner, supervised
from .pseudo_labels import Agree, AgreeWithGuess, Apart, Belief, Running
from .selection import groups_at, subset
from .spreading import graph_guess
from .warm_start import WarmStart, warm_start

GRAPH_PHASE = 0.4  # share of training on the graph's labels, where the graph is believed
SURE = 0.8  # threshold where labels are smoothed: of 10 classes a network then gives at most 0.91
MOST_COMPARED = 1000  # labels
TRUSTED = 0.85  # of labelled images that were hidden from the graph, from which on it is believed


@dataclass(eq=False, repr=False, kw_only=True)
class ConsistencyClassifier(NetworkClassifier):
    """FixMatch and FreeMatch: weak and strong views, an averaged teacher, adaptive thresholds and class shares.

    First label spreading over a graph of image features is checked on labelled images that were hidden from it. Where
    it is right about TRUSTED of them, its labels teach the first 40 % of the steps. No later refinement is worth as
    much: on MNIST with 100 labels the error was 2.4 % without them, 1.0 % with them. After that, or from the start, the
    network's own average is the teacher: it sees a weak view, and the student must agree with it on a strong view.

    Where held-out labels prefer it, the network starts from ImageNet. Then its average and a first guess, of the probe
    and of label spreading, teach together from the first step (pseudo_labels.AgreeWithGuess).

    Sohn et al. 2020, arXiv:2001.07685; Wang et al. 2023, arXiv:2205.07246; Berthelot et al. 2020, arXiv:1911.09785.
    """

    pretrained: str = BUILT_IN

    def _prepare(self, images: np.ndarray, labels: np.ndarray, seed: int) -> Start:
        start = ask_graph(images, labels, seed, self._groups)
        warm = self._warm(images, labels, seed, start)
        if warm is not None:
            start = Start(accuracy=start.accuracy, warm=warm)
        self._note(graph=GraphCheck(start.accuracy, start.guess is not None, start.prior))
        return start

    def _warm(self, images: np.ndarray, labels: np.ndarray, seed: int, start: Start) -> WarmStart | None:
        """Return the pretrained start if held-out labels prefer it to all that is known without."""
        if BUILT_IN not in names_of(self.pretrained) or start.guess is not None:
            return None  # where the graph is right about TRUSTED of them, a network from scratch is as good
        warm = warm_start(images, labels, seed, device=self.device, guess=True, groups=self._groups)
        if warm.accuracy is None:  # no label can be held out: photographs have colours
            return warm if images.shape[3] == 3 else None
        handcrafted = handcrafted_accuracy(images, labels, seed, self._groups)
        return warm if warm.accuracy > max(start.accuracy or 0.0, handcrafted) else None

    def _recipe(self, plan: Plan, look: Look, start: Start) -> Recipe:
        discriminator, losses = agreement(self._trunk(start), Classes(), plan, look, start)
        return Recipe(
            "FixMatch and FreeMatch, started by label spreading", (learner(discriminator, losses),), plan.labelled
        )


def handcrafted_accuracy(images: np.ndarray, labels: np.ndarray, seed: int, groups: np.ndarray | None = None) -> float:
    """Return the balanced accuracy, on held-out labels, of logistic regression on handcrafted features.

    Of all of them at the usual penalty, with at most MOST_COMPARED labels: 5 fits, where choosing takes 40.
    """
    known = np.flatnonzero(labels >= 0)
    few = known[subset(labels[known], MOST_COMPARED, seed)]
    model = LogisticClassifier(features=HANDMADE[images.shape[3]], C=C_VALUES[0], random_state=seed)
    measured = model.fit(images[few], labels[few], groups=groups_at(groups, few)).record_.cross_validation
    return (measured.accuracy if measured else None) or 0.0


def ask_graph(images: np.ndarray, labels: np.ndarray, seed: int, groups: np.ndarray | None = None) -> Start:
    """Return label spreading over all images; its guess is left out where it is not to be believed."""
    guess, accuracy = graph_guess(images, labels, seed, groups=groups)
    return Start(guess if accuracy >= TRUSTED else None, accuracy)


def agreement(net: Architecture, head: Classes, plan: Plan, look: Look, start: Start) -> tuple[Discriminator, tuple]:
    """Return the classifier that learns from all images, and its losses."""
    x = Batch("x", "all", plan.ratio)
    student = Discriminated("D", look.strong(x))
    teacher = Discriminated("D", look.weak(x), averaged=True)
    begin = GRAPH_PHASE if start.guess is not None else 0.0
    # The running mean starts a little before it is needed.
    belief = Belief(Window(1.0, max(0.0, begin - 0.05), 1.0), of=teacher)
    discriminator = Discriminator("D", net, head, (Running("belief", belief),))
    about = Buffer("D", "belief")
    if start.warm is not None:
        guess = Batch("guess", "all", plan.ratio)
        agree = AgreeWithGuess(teacher=teacher, student=student, belief=about, guess=guess, prior=start.prior)
        return discriminator, (supervised(look, through=Apart), agree)
    agree = Agree(
        Window(1.0, begin, 1.0, ramp=0.0 if begin else 0.3),
        teacher=teacher,
        student=student,
        belief=about,
        prior=start.prior,
        threshold=SURE if start.guess is None else 0.95,
    )
    if start.guess is None:
        return discriminator, (supervised(look, through=Apart, smoothing=SMOOTHING), agree)
    guessed = Classify(Window(1.0, 0.0, GRAPH_PHASE), of=student, label=Batch("guess", "all", plan.ratio))
    return discriminator, (supervised(look, through=Apart, weight=0.25), guessed, agree)
