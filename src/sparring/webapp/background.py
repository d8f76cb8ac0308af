"""Work beside the page: list the files, look at the images, suggest, check labels; each step says how far it is."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np

from ..devices import choose_device
from ..errors import SparringError
from ..records import OnProgress, Progress
from .answers import Answers
from .gallery import Gallery

if TYPE_CHECKING:  # torch is loaded by the thread, not before the page is there
    from .suggesting import Known

EAGER = 5  # new answers after which suggestions are made again at once
PAUSE, FIRST_LOOK, LONGEST_WAIT = 0.7, 1.5, 10.0  # seconds: after a picture, for the first one to be asked, at most
QUIET = 1.0  # seconds without an answer after which they are, too
CHECKED_AGAIN = 1.2  # times the labels of the last check of labels
Value = TypeVar("Value")
State = Literal["waiting", "working", "done", "failed"]
STEPS = ("listing", "reading", "suggesting", "checking")


@dataclass(frozen=True)
class WorkStep:
    """How far one of STEPS has come; `total` is 0 while it is not known. `problem`: why it failed."""

    name: str
    state: State = "waiting"
    done: int = 0
    total: int = 0
    problem: str = ""


class Background:
    """One thread that keeps `known` up to date with the answers."""

    def __init__(
        self,
        find: Callable[[], Gallery],
        taken: Callable[[Gallery], None],
        answers: Answers,
        *,
        pretrained: str,
        device: str,
        seed: int,
        shown_at_once: bool,
    ):
        """`find` lists the images; `taken` is called with the gallery once it is there. shown_at_once: what is known
        from the last time is on the page already."""
        self.shown_at_once = shown_at_once
        self.find, self.taken, self.answers = find, taken, answers
        self.pretrained, self.device, self.seed = pretrained, device, seed
        self.steps = {name: WorkStep(name) for name in STEPS}
        self.known: Known | None = None
        self.revision = 0  # grows with whatever the page would show anew
        self.asked, self.ended = threading.Event(), threading.Event()
        self.seen_answers = -1
        self.labels_checked, self.page_asked = 0, time.monotonic() + FIRST_LOOK
        self.thread = threading.Thread(target=self.run, name="sparring-background", daemon=True)

    def page_first(self) -> None:
        """Let the work wait a moment: pictures were asked for."""
        self.page_asked = time.monotonic()

    def _after_the_page(self) -> None:
        """Return when no picture was asked for just now, so that the first ones come at once; soon in any case."""
        latest = time.monotonic() + LONGEST_WAIT
        while not self.ended.is_set() and time.monotonic() < min(latest, self.page_asked + PAUSE):
            time.sleep(0.05)

    def run(self) -> None:
        """Do all steps, then go on with every answer until the end."""
        if self.shown_at_once:
            self._after_the_page()
        gallery = self._step("listing", lambda tell: self.find())
        if gallery is None:
            return
        self.taken(gallery)
        self._after_the_page()
        if self._step("reading", lambda tell: self._read(gallery, tell)) is None:
            return
        while not self.ended.is_set():
            self.asked.clear()
            before = len(self.answers.lines)
            if self._step("suggesting", lambda tell: self._suggest(gallery, tell)) is None:
                return
            self._step("checking", lambda tell: self._check(gallery))
            self.seen_answers = before
            self.asked.wait()
            quiet = time.monotonic() + QUIET
            while len(self.answers.lines) - before < EAGER and time.monotonic() < quiet and not self.ended.is_set():
                time.sleep(0.05)

    def _step(self, name: str, work: Callable[[OnProgress], Value]) -> Value | None:
        """Return what a step gives, None where it failed, which is kept to be said."""

        def tell(progress: Progress) -> None:
            self._at(replace(self.steps[name], done=progress.done, total=progress.total))

        self._at(WorkStep(name, "working"))
        try:
            found = work(tell)
        except SparringError as error:
            self._at(WorkStep(name, "failed", problem=str(error)))
            return None
        except Exception as error:  # a bug of ours: the page goes on without this step, and says so
            self._at(WorkStep(name, "failed", problem=f"error[internal]: {type(error).__name__}: {error}"))
            return None
        self._at(replace(self.steps[name], state="done"))
        return found

    def _at(self, step: WorkStep) -> None:
        self.steps = self.steps | {step.name: step}
        self.revision += step.state != "working"

    def _read(self, gallery: Gallery, tell: OnProgress) -> "Known":
        from .suggesting import Known, Suggester, hold_out, looked_at  # loads torch

        members = looked_at(gallery.labels, self.seed)
        images = gallery.some(members, tell)
        members = np.array([gallery.place[origin] for origin in images.origins], np.int64)
        place = np.full(len(gallery), -1)
        place[members] = np.arange(len(members))
        held = hold_out(images, self.seed)
        self.known = Known(
            members, place, Suggester(images, held, self.pretrained, choose_device(self.device), self.seed)
        )
        return self.known

    def _suggest(self, gallery: Gallery, tell: OnProgress) -> "Known":
        assert self.known is not None
        if self.seen_answers < 0:
            self.known.suggester.compare(tell)
        labels, classes, skipped = labels_now(gallery, self.answers)
        here = self.known.members
        found = self.known.suggester.suggest(labels[here], len(classes), skipped[here])
        self.known = replace(self.known, suggestions=found, classes=classes)
        return self.known

    def _check(self, gallery: Gallery) -> "Known":
        """Check labels again where there are enough more of them; the first time also what features need."""
        assert self.known is not None
        labels, classes, _ = labels_now(gallery, self.answers)
        here = labels[self.known.members]
        if self.known.checked is None or (here >= 0).sum() >= CHECKED_AGAIN * max(20, self.labels_checked):
            self.labels_checked = int((here >= 0).sum())
            checked, unusual = self.known.suggester.check(here)
            self.known = replace(self.known, checked=checked, checked_classes=classes, unusual=unusual)
        return self.known


def labels_now(gallery: Gallery, answers: Answers) -> tuple[np.ndarray, tuple[str, ...], np.ndarray]:
    """Return labels int64 [N] with all answers, -1 = unlabelled, the classes, and which images are not to be asked.

    These are bool [N]: skipped, or said to show none of the classes.
    """
    classes = answers.classes(gallery.classes)
    number = {name: k for k, name in enumerate(classes)}
    labels, closed = gallery.labels.copy(), np.zeros(len(gallery), bool)
    for image in list(answers.about):
        i = gallery.place.get(image)
        if i is None:
            continue
        found = answers.latest(image)
        if found is not None:
            labels[i] = -1 if found.label is None else number[found.label]
            closed[i] = found.label is None
        closed[i] |= answers.skipped(image)
    return labels, classes, closed
