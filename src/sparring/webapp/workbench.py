"""All that one page shows of one data set: its images, the answers, and what is known of both."""

import threading
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from .. import files
from ..data import ImageSet
from ..data.tables import TABLE
from ..errors import UsageError
from .answers import JOURNAL, Answer, Answers, Why
from .background import Background, WorkStep, labels_now
from .drawing import Drawings
from .exports import write_labels
from .gallery import Gallery, Reading, gallery_of, open_gallery, remembered_gallery
from .jobs import RunQueue
from .known import NONE_YET, Question, top_of
from .restoring import Restoring
from .trying import Tryout

if TYPE_CHECKING:
    from .suggesting import Known

RANDOM_EVERY = 10  # each so many questions one is drawn at random
UNUSUAL = 1.5  # times the usual distance to others from which on an image counts as unlike them
PAGE = 60  # images of one predicted class that are shown together
MOST_GROUPS = 1000  # that can be chosen from
SAVE_AFTER = 2.0  # seconds after an answer in which labels.csv follows

Only = Literal["", "unlabelled", "labelled", "answered", "none", "suspects", "duplicates", "unusual"]
Mode = Literal["useful", "suspects"]


@dataclass(frozen=True)
class Wanted:
    """Which images to show. label, predicted, part, group: "" for any. below: a confidence."""

    only: Only = ""
    label: str = ""
    predicted: str = ""
    part: str = ""
    group: str = ""
    below: float = 1.0
    text: str = ""


@dataclass(frozen=True)
class Asked:
    """A question for the page. suggested, with `proba`: the most probable classes, the first the most probable."""

    i: int
    name: str
    why: Why
    label: str | None = None
    around: int = 0
    suggested: tuple[str, ...] = ()
    proba: tuple[float, ...] = ()


@dataclass(frozen=True)
class Tile:
    """What is shown of one image. answer: "label", "none" or "" where nobody was asked. suspect: the class that it
    seems to be instead of its label. confidence: of `predicted`."""

    i: int
    name: str
    label: str | None
    answer: str = ""
    part: str = ""
    group: str = ""
    predicted: str | None = None
    confidence: float | None = None
    suspect: str | None = None
    unusual: bool = False


@dataclass(frozen=True)
class Standing:
    """Where the work stands. right, low, high: of `tested` random images; None before there are any."""

    revision: int
    name: str
    images: int
    looked_at: int
    labelled: int
    answered: int
    classes: tuple[str, ...]
    counts: tuple[int, ...]
    parts: tuple[str, ...]
    groups: tuple[str, ...]
    suspects: int
    steps: tuple[WorkStep, ...]
    tested: int = 0
    right: float | None = None
    low: float | None = None
    high: float | None = None


class Workbench:
    """One data set on one page. `folder`: where answers go; it is held for this process until `close`."""

    def __init__(
        self, source: object, folder: Path, reading: Reading, *, pretrained: str, device: str,
        seed: int,
        given: dict[str, Path],
        model: Path | None,
    ):  # fmt: skip
        self.source, self.reading, self.seed = source, reading, seed
        self.folder = files.new_folder(folder, ours=(JOURNAL,), data=source)
        files.make_folder(self.folder)
        self.held = ExitStack()
        self.held.enter_context(files.locked(self.folder))
        try:
            reads = repr((str(source), sorted((k, str(v)) for k, v in reading.items())))
            self.gallery = self._at_once(reads)
            name = self.gallery.name if self.gallery else Path(str(source)).name
            self.answers = Answers(self.folder, name)
        except BaseException:
            self.held.close()
            raise
        self.background = Background(
            lambda: self._find(reads),
            self._taken,
            self.answers,
            pretrained=pretrained,
            device=device,
            seed=seed,
            shown_at_once=self.gallery is not None,
        )
        self.jobs = RunQueue(self.folder, source, reading, self._snapshot, given)
        self.tryout = Tryout(self.folder, model)
        self.drawings = Drawings(self.jobs)
        self.restoring = Restoring(self.drawings, lambda: self.images)
        self.saving = threading.Lock()
        self.unsaved: threading.Timer | None = None

    def start(self) -> None:
        """Begin the work beside the page."""
        self.background.thread.start()
        self.jobs.thread.start()

    def close(self) -> None:
        """End the work, write labels.csv, and let go of the folder."""
        self.background.ended.set()
        self.background.asked.set()
        self.jobs.close()
        if self.unsaved is not None:
            self.unsaved.cancel()
            self.save()
        self.held.close()

    def _at_once(self, reads: str) -> Gallery | None:
        if isinstance(self.source, ImageSet):
            return gallery_of(self.source)
        if not isinstance(self.source, str | Path) or not Path(self.source).is_dir():
            return None
        if self.reading.get("follow_links") or self.reading.get("unlabelled"):
            return None
        return remembered_gallery(self.folder, Path(self.source), reads)

    def _find(self, reads: str) -> Gallery:
        if isinstance(self.source, ImageSet):
            return gallery_of(self.source)
        found = open_gallery(self.source, self.reading)
        if isinstance(self.source, str | Path) and Path(self.source).is_dir():
            found.remember(self.folder, reads)
        return found

    def _taken(self, gallery: Gallery) -> None:
        self.gallery = gallery
        self.background.revision += 1

    # --- what is shown

    @property
    def images(self) -> Gallery:
        """The gallery. Raises UsageError before it is there."""
        if self.gallery is None:
            problem = self.background.steps["listing"].problem
            raise UsageError("listing", problem or "the images are still being listed", fix="wait a moment")
        return self.gallery

    def known(self) -> "Known | None":
        """What the background knows, None as long as it is about other images than those that are shown."""
        known = self.background.known
        return known if known is not None and self.gallery and len(known.place) == len(self.gallery) else None

    def number(self, i: int) -> int:
        """Return i where there is such an image. Raises UsageError."""
        if not 0 <= i < len(self.images):
            raise UsageError("image-number", f"there is no image {i}", fix="reload the page")
        return i

    def standing(self) -> Standing:
        """Return where the work stands."""
        gallery, known = self.gallery, self.known()
        steps, revision = tuple(self.background.steps.values()), self.background.revision + len(self.answers.lines)
        if gallery is None:
            return Standing(revision, Path(str(self.source)).name, 0, 0, 0, 0, (), (), (), (), 0, steps)
        labels, classes, _ = labels_now(gallery, self.answers)
        right = known.suggestions.right if known else None
        return Standing(
            revision=revision,
            name=gallery.name,
            images=len(gallery),
            looked_at=0 if known is None else len(known.members),
            labelled=int((labels >= 0).sum()),
            answered=len(self.answers.known()),
            classes=classes,
            counts=tuple(np.bincount(labels[labels >= 0], minlength=len(classes)).tolist()),
            parts=gallery.part_names,
            groups=gallery.group_names[:MOST_GROUPS],
            suspects=len(self.suspects()),
            steps=steps,
            tested=known.suggestions.tested if known else 0,
            right=right and round(right.mean, 4),
            low=right and round(right.low, 4),
            high=right and round(right.high, 4),
        )

    def suspects(self) -> list[int]:
        """Return the images whose labels are probably wrong and that nobody looked at since, the worst first."""
        known = self.known()
        if known is None or known.checked is None:
            return []
        errors, quality = known.checked.errors, known.checked.quality
        order = errors.index[np.argsort(quality[errors.index], kind="stable")]
        looked_at = self.answers.known()
        return [i for i in known.members[order].tolist() if self.images.origins[i] not in looked_at]

    def find(self, wanted: Wanted) -> np.ndarray | None:
        """Return the numbers of the images that are wanted, in order; None for all of them."""
        if wanted == Wanted():
            return None
        gallery, known = self.images, self.known()
        labels, classes, _ = labels_now(gallery, self.answers)
        kept = np.ones(len(gallery), bool)
        if wanted.label:
            kept &= labels == (classes.index(wanted.label) if wanted.label in classes else -2)
        if wanted.part:
            kept &= gallery.parts == wanted.part
        if wanted.group:
            kept &= gallery.groups == wanted.group if gallery.groups is not None else False
        if wanted.text:
            kept &= np.array([wanted.text.lower() in origin.lower() for origin in gallery.origins])
        kept &= self._only(wanted.only, labels)
        if wanted.predicted or wanted.below < 1:
            if known is None or known.suggestions.proba is None:
                return np.empty(0, np.int64)
            proba = known.suggestions.proba
            here = proba.max(1) <= wanted.below
            if wanted.predicted:
                here &= np.array(known.classes)[proba.argmax(1)] == wanted.predicted
            members = known.members[here & kept[known.members]]
            return members[np.argsort(proba.max(1)[known.place[members]], kind="stable")]
        if wanted.only == "suspects":
            return np.array([i for i in self.suspects() if kept[i]], np.int64)
        return np.flatnonzero(kept)

    def _only(self, only: Only, labels: np.ndarray) -> np.ndarray:
        """Return bool [N]: which images one of the simple filters keeps."""
        gallery, known = self.images, self.known()
        if only in ("", "suspects"):
            return np.ones(len(gallery), bool)
        if only in ("unlabelled", "labelled"):
            return (labels < 0) == (only == "unlabelled")
        if only in ("answered", "none"):
            answers = self.answers.known()
            places = [
                gallery.place[o] for o, a in answers.items() if o in gallery.place and only in ("answered", a.kind)
            ]
            return np.isin(np.arange(len(gallery)), places)
        kept = np.zeros(len(gallery), bool)
        if known is None or known.unusual is None:
            return kept
        if only == "unusual":
            kept[known.members[known.unusual > UNUSUAL]] = True
        else:
            groups = known.suggester.images.duplicates.near
            kept[known.members[[i for group in groups for i in group]]] = True
        return kept

    def tiles(self, numbers: list[int]) -> list[Tile]:
        """Return what is shown of each of these images."""
        gallery, known, classes = self.images, self.known(), self.answers.classes(self.images.classes)
        suspects: dict[int, str] = {}
        if known is not None and known.checked is not None:
            errors = known.checked.errors
            names = (known.checked_classes[k] for k in errors.suggested.tolist())
            suspects = dict(zip(known.members[errors.index].tolist(), names, strict=True))
        return [self._tile(self.number(i), gallery, known, classes, suspects) for i in numbers]

    def _tile(
        self, i: int, gallery: Gallery, known: "Known | None", classes: tuple[str, ...], suspects: dict[int, str]
    ) -> Tile:
        origin, answer = gallery.origins[i], self.answers.latest(gallery.origins[i])
        label = classes[gallery.labels[i]] if gallery.labels[i] >= 0 else None
        place = -1 if known is None else int(known.place[i])
        predicted, confidence, unusual = None, None, False
        if known is not None and place >= 0:
            if known.suggestions.proba is not None:
                ((k, confidence),) = top_of(known.suggestions.proba[place], 1)
                predicted = known.classes[k]
            unusual = known.unusual is not None and bool(known.unusual[place] > UNUSUAL)
        return Tile(
            i=i,
            name=origin,
            label=label if answer is None else answer.label,
            answer="" if answer is None else answer.kind,
            part=str(gallery.parts[i]),
            group="" if gallery.groups is None else str(gallery.groups[i]),
            predicted=predicted,
            confidence=confidence,
            suspect=suspects.get(i) if answer is None else None,
            unusual=unusual,
        )

    def like(self, i: int) -> list[int]:
        """Return the images nearest to one, the nearest first; none where it is not looked at."""
        known = self.known()
        if known is None or known.place[self.number(i)] < 0:
            return []
        return known.members[known.suggester.like(int(known.place[i]))].tolist()

    # --- what is asked

    def questions(self, mode: Mode, count: int, have: list[int]) -> list[Asked]:
        """Return what to ask next beyond the images that the page has already."""
        held = set(have)
        if mode == "suspects":
            tiles = self.tiles([i for i in self.suspects() if i not in held][:count])
            return [Asked(t.i, t.name, "suspect", t.label, suggested=(t.suspect,) if t.suspect else ()) for t in tiles]
        known = self.known()
        if known is None:
            return []
        labels, _, closed = labels_now(self.images, self.answers)
        open_ = (labels < 0) & ~closed
        open_[list(held)] = False
        done = self.answers.count(("label", "none", "skip"), ("chosen", "first", "random"))
        early = known.suggestions is NONE_YET
        order = self._drawn(known, ~known.suggester.held) if early else known.suggestions.order
        useful = [q for q in order if open_[known.members[q.place]]]
        drawn = [q for q in self._drawn(known, known.suggester.held) if open_[known.members[q.place]]]
        found: list[Asked] = []
        while len(found) < count and (useful or drawn):
            turn = (done + len(held) + len(found)) % RANDOM_EVERY == RANDOM_EVERY - 1
            if drawn and (turn or not useful):
                found.append(self._asked(known, drawn.pop(0), "random"))
            else:
                found.append(self._asked(known, useful.pop(0), "first" if early else "chosen"))
        return found

    def _drawn(self, known: "Known", which: np.ndarray) -> list[Question]:
        """Return questions about images bool [M], in a random order that stays."""
        places = np.flatnonzero(which)
        order = np.random.default_rng([self.seed, 2]).permutation(len(known.members))
        return [Question(i, 0) for i in places[np.argsort(order[places])].tolist()]

    def _asked(self, known: "Known", question: Question, why: Why) -> Asked:
        i, proba = int(known.members[question.place]), known.suggestions.proba
        top = () if proba is None else top_of(proba[question.place])
        return Asked(
            i, self.images.origins[i], why, around=question.around,
            suggested=tuple(known.classes[k] for k, _ in top), proba=tuple(p for _, p in top),
        )  # fmt: skip

    def page(self, label: str) -> list[int]:
        """Return unlabelled images that are predicted as a class, the surest first, as many as one page shows.

        None of those that are held out, and none that was said not to be of this class.
        """
        known = self.known()
        if known is None or known.suggestions.proba is None or label not in known.classes:
            return []
        labels, _, closed = labels_now(self.images, self.answers)
        proba, refused = known.suggestions.proba, self.answers.refused(label)
        here = (proba.argmax(1) == known.classes.index(label)) & ~known.suggester.held
        here &= ((labels < 0) & ~closed)[known.members]
        places = np.flatnonzero(here)
        order = places[np.argsort(-proba[places].max(1), kind="stable")]
        numbers = known.members[order].tolist()
        return [i for i in numbers if self.images.origins[i] not in refused][:PAGE]

    # --- what is answered

    def add(self, line: Answer) -> Answer:
        """Write an answer, and let everything follow it."""
        written = self.answers.add(line)
        self.background.asked.set()
        with self.saving:
            if self.unsaved is None:
                self.unsaved = threading.Timer(SAVE_AFTER, self.save)
                self.unsaved.daemon = True
                self.unsaved.start()
        return written

    def _snapshot(self, place: Path) -> bool:
        """Write the labels of now to a file. Return whether anybody answered anything."""
        if not self.answers.known():
            return False
        write_labels(place, self.images, self.answers)
        return True

    def save(self) -> None:
        """Write labels.csv."""
        with self.saving:
            self.unsaved = None
            if self.gallery is not None:
                write_labels(self.folder / TABLE, self.gallery, self.answers)
