"""The kinds of data that a path can name: how each is recognised, and which function reads it.

To add one, write a file with a function `(path, options) -> Listing or ImageSet` and add its row to FORMATS. Messages
and the help of commands take their words from here. Nothing heavy is imported until a file is read.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from .imageset import ImageSet
    from .listing import Listing


Function = TypeVar("Function", bound=Callable)


@dataclass(frozen=True)
class LoadOptions:
    """How a path is to be read.

    inside        folder in an archive that holds the images, "" for all
    table         a table of labels that lies elsewhere; Path("none"): the folders say it, whatever tables there are
    label         the column of the labels, of a table or of Parquet, "" where it is to be found
    follow_links  also those that lead out of a folder
    unlabelled    whether labels are ignored
    pools         whether folders called unlabelled and the like hold images without labels; else they are classes
    without       a folder in it that is read on its own
    group         the column of groups, "folders", "none", or None to find out (groups.py)
    films         whether films count as images, of which frames are taken (extraction.py)
    """

    inside: str = ""
    table: Path | None = None
    label: str = ""
    follow_links: bool = False
    unlabelled: bool = False
    pools: bool = True
    without: str = ""
    group: str | None = None
    films: bool = False


@dataclass(frozen=True)
class Format:
    """One kind of data.

    suffix       how its files end, "" for a folder
    recognises   whether a path is of this kind; it also gets the first 32 bytes of a file
    reads        "module:function", imported when first used, or the function itself
    takes_table  whether its labels may be in a table elsewhere
    takes_label  whether a column of it may be named as the label
    """

    name: str
    suffix: str
    recognises: Callable[[Path, bytes], bool]
    reads: "str | Callable[[Path, LoadOptions], Listing | ImageSet]"
    takes_table: bool = False
    takes_label: bool = False

    def read(self, path: Path, options: LoadOptions) -> "Listing | ImageSet":
        return resolve(self.reads)(path, options)


def resolve(function: str | Function) -> Function:
    """Return the function that "module:function" names, or the function that was given."""
    if callable(function):
        return function
    module, _, name = function.partition(":")
    return getattr(import_module(module), name)


def _is_archive(start: bytes) -> bool:
    return start.startswith((b"PK\x03\x04", b"PK\x05\x06"))


FORMATS = (
    Format("folder", "", lambda path, start: path.is_dir(), "sparring.data.folders:read_folder",
           takes_table=True, takes_label=True),
    Format("zip", ".zip", lambda path, start: _is_archive(start) and path.suffix.lower() != ".npz",
           "sparring.data.folders:read_zip", takes_table=True, takes_label=True),
    Format("npz", ".npz", lambda path, start: _is_archive(start) and path.suffix.lower() == ".npz",
           "sparring.data.arrays:read_npz"),
    Format("npy", ".npy", lambda path, start: start.startswith(b"\x93NUMPY"), "sparring.data.arrays:read_npy"),
    Format("parquet", ".parquet", lambda path, start: start.startswith(b"PAR1"), "sparring.data.parquet:read_parquet",
           takes_label=True),
)  # fmt: skip
# data that need no file: name -> what makes its ImageSet
EMBEDDED: "dict[str, str | Callable[[], ImageSet]]" = {"digits": "sparring.data.arrays:digits"}


def file_suffixes() -> tuple[str, ...]:
    """Return how the files of all formats end."""
    return tuple(row.suffix for row in FORMATS if row.suffix)


def source_words() -> str:
    """Return what may be named as data, such as "digits, a folder, .zip, .npz, .npy or .parquet"."""
    *first, last = [*EMBEDDED, *(row.suffix or f"a {row.name}" for row in FORMATS)]
    return f"{', '.join(first)} or {last}"
