"""What is said of images, as frozen records: explanations.json. Reading them loads no torch."""

from pathlib import Path

from .. import files
from ..records import read_record, record

FILE, PAGE, PICTURES = "explanations.json", "explanations.html", "pictures"
FORMAT = 1


@record
class MapVerdict:
    """One heat map, and whether it explains anything; None where it was not checked.

    `says`: that in words. `hot`: where its hottest places are, such as "in the upper left". `deletion`,
    `insertion`: areas under the curves of the class's probability, as the hottest pixels are hidden and as they are
    shown. `beaten`: of `of` maps that show nothing, how many do worse. `alike`: the least rank correlation with the
    maps of models that have forgotten what they learned.
    """

    by: str
    title: str
    hot: str
    says: str = ""
    explains: bool | None = None
    deletion: float | None = None
    insertion: float | None = None
    beaten: int = 0
    of: int = 0
    alike: float | None = None
    picture: str | None = None


@record
class PartShare:
    """What one part adds to the log-odds of the class, and a picture of where."""

    name: str
    adds: float
    picture: str | None = None


@record
class LabelledImage:
    """A labelled image: its share in the answer, or how far it is, in units of the mean distance of all of them."""

    name: str
    label: str
    share: float | None = None
    distance: float | None = None
    picture: str | None = None


@record
class Walked:
    """What would have to change for another class: `other`, with its `share` at the end of a walk through a generator.

    `off`: the mean difference, in grey levels of 255, of the image and the nearest one that is drawn; `changed`: of
    start and end. `picture`: the images on the way.
    """

    other: str
    share: float
    off: float
    changed: float
    says: str
    picture: str | None = None


@record
class Explained:
    """Why a model says what it says of one image. `problem`: why the image cannot be read; then there is nothing else.

    `about`: the class that is explained, mostly the most probable one, `label`; `share` its probability. Of a
    discriminator `label` is "real" or "drawn", which the image is, and no probability is known. `sentences`: all of it
    in words.
    """

    image: str
    label: str = ""
    confidence: float | None = None
    about: str = ""
    share: float | None = None
    maps: tuple[MapVerdict, ...] = ()
    parts: tuple[PartShare, ...] = ()
    labelled: tuple[LabelledImage, ...] = ()
    walk: Walked | None = None
    sentences: tuple[str, ...] = ()
    problem: str = ""
    picture: str | None = None


@record
class ExplainedList:
    """What explanations.json holds: of which model, and each image."""

    format: int
    model: str
    method: str
    title: str
    created: str
    classes: tuple[str, ...]
    images: tuple[Explained, ...]

    @classmethod
    def read(cls, folder: Path) -> "ExplainedList":
        """Return the explanations of a folder. Raises FileFormatError where there are none of this format."""
        path = folder / FILE
        return read_record(cls, files.read_json(path), name=str(path))
