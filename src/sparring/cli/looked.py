"""What `sparring data` says of a data set: looked at, or known since the files were looked at last."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..devices import versions
from ..errors import FileFormatError
from ..files import files_state, parse_json
from ..records import News, read_record, to_json

if TYPE_CHECKING:
    import numpy as np

    from ..data import ImageSet
    from ..data.checks import Description

FORMAT = 1  # of what is kept; another one where descriptions or sheets change


class Looked(NamedTuple):
    """A description, its contact sheet as a PNG, and what loading has to tell."""

    found: "Description"
    sheet: bytes
    news: News


def look(
    data: str, options: Mapping[str, object], read: Callable[[], "ImageSet"], describing: Callable[[], None]
) -> Looked:
    """Return what there is to see in a data set; `read` loads it, and `describing` is called when that is done.

    Nothing is read where no file at or below DATA, or of the options, has changed since a look with the same options.
    """
    from ..features.cache import user_cache

    places = [place for text in (data, options["unlabelled"], options["table"]) if (place := _standing(text))]
    state = files_state(places) if _standing(data) else None
    key = ("description", FORMAT, repr(versions()), data, os.getcwd(), repr(sorted(options.items())), state)  # noqa: PTH109
    if state is not None and (kept := user_cache().peek(key)) and (known := _from_arrays(kept)):
        return known
    looked = _looked(read(), describing)
    if state is not None and files_state(places) == state:
        user_cache().get(key, lambda: _to_arrays(looked))
    return looked


def _standing(source: object) -> Path | None:
    """Return the file or folder that a source lies in: of file.zip/folder the zip. None where there is none."""
    path = Path(str(source)) if source is not None else None
    if path is None or path.exists():
        return path
    return next((place for place in path.parents if place.is_file()), None)


def _looked(images: "ImageSet", describing: Callable[[], None]) -> Looked:
    from ..data import contact_sheet, describe
    from ..data.doubts import data_news
    from ..images import encode_png

    describing()
    found = describe(images)
    text = {"Software": "sparring", "Title": f"contact sheet of {images.name}"}
    return Looked(found, encode_png(contact_sheet(images), text=text), data_news(images))


def _to_arrays(looked: Looked) -> "dict[str, np.ndarray]":
    import numpy as np

    words = json.dumps({"found": to_json(looked.found, kinds=False), "news": looked.news}).encode()
    return {"words": np.frombuffer(words, np.uint8), "sheet": np.frombuffer(looked.sheet, np.uint8)}


def _from_arrays(kept: "Mapping[str, np.ndarray]") -> Looked | None:
    """Return what was kept; None where it cannot be read any more."""
    from ..data.checks import Description

    try:
        words = parse_json(kept["words"].tobytes())
        short, full = words["news"]
        found = read_record(Description, words["found"])
    except (KeyError, ValueError, FileFormatError):
        return None
    return Looked(found, kept["sheet"].tobytes(), News(tuple(short), tuple(full)))
