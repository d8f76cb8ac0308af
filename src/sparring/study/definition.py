"""What study.json holds, as frozen records: what a study is, and what was settled on its way."""

from collections.abc import Mapping
from dataclasses import field, replace

import numpy as np

from ..data import ImageSet
from ..records import record
from .records import MethodEntry, ShortArm, StudyData


@record
class StudySettings:
    """What every row of a study shares."""

    seed: int
    test: float  # share of each class for the test part, where the source has none
    minutes: float | None
    device: str = "cpu"  # "cpu", or the name of the GPU; those of older studies
    pretrained: str = "none"


@record
class SealedImages:
    """The hashes of the test images in their order, and a number for the group of each, () where they have none.

    Names are not kept: folders are classes, and groups may be people.
    """

    hashes: tuple[str, ...]
    groups: tuple[int, ...] = ()

    @property
    def grouped(self) -> np.ndarray | None:
        """The groups as int64 [T], None where the images have none."""
        return np.array(self.groups, np.int64) if self.groups else None


@record(renamed={"table": "labels"})
class ReadingOptions:
    """How the images were read: arguments of `sparring.load`."""

    size: int | str | tuple[int, int] | None
    unlabelled: str | None
    table: str | None
    label: str | None = None
    follow_links: bool = False
    group: str | None = None


@record
class Jobs:
    """Processes and threads of each, on a machine of so many cores."""

    cores: int
    jobs: int
    threads: int
    measured: Mapping[str, float] | None = None  # "processes x threads" -> training steps a second


@record
class LookAtTest:
    """One look at the test labels: when they were last opened for it, for rows of which hash, and how many."""

    when: str
    rows: str
    count: int
    asked: str = ""  # hash of what the study was asked


@record
class SavedModel:
    """The method that STUDY/model is a model of."""

    method: str


@record
class EarlierStudy:
    """The study that a study is compared with: its folder and data, and how often its test labels were opened."""

    folder: str
    fingerprint: str
    looks: int


@record
class Definition:
    """study.json: what a study is, and what was settled on its way."""

    format: int
    sparring: str
    created: str
    command: str | None
    source: str
    settings: StudySettings
    methods: tuple[MethodEntry, ...]
    budgets: tuple[str, ...]
    labels: Mapping[str, int]  # budget -> labels in all
    repeats: int
    fingerprint: str
    data: StudyData
    test: SealedImages
    load: ReadingOptions
    minutes_each: float | None = None  # the cap on a fit of a network, in studies of version 0.3 and older
    jobs: Jobs | None = None
    looks: tuple[LookAtTest, ...] = ()
    steps: Mapping[str, int] = field(default_factory=dict)  # budget -> steps under that cap
    features_seconds: float | None = None  # for the features of all images, computed once before the fits
    model: SavedModel | None = None
    short: tuple[ShortArm, ...] = ()  # what the time had no room for
    complete: bool = False  # whether all was done that the time has room for
    against: EarlierStudy | None = None
    groups: tuple[int, ...] = ()  # of all images, in their order: equal for those of one; () where they have none

    def grouped(self, images: ImageSet) -> ImageSet:
        """Return images, read again without groups that were given as values, with those of the study."""
        if not self.groups or self.load.group is not None or len(images) != len(self.groups):
            return images
        return replace(images, groups=np.array(self.groups).astype(np.str_))
