"""How a command reads labelled images: the options that all commands share which read them, each written once.

A command takes one of these records as a parameter, and its fields are options. `vars(reading)` are the arguments of
`sparring.load` and of the verbs, under the same names.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from .typed import FollowLinks


@Parameter(name="*")
@dataclass(frozen=True)
class ReadingLabels:
    """Of any images that may have labels: some data cannot be read where it is not said which they are."""

    table: Annotated[
        Path | None,
        Parameter(help="a table of labels that lies elsewhere; none: the folders say it, whatever tables lie there."),
    ] = None
    label: Annotated[
        str | None,
        Parameter(help="the column of the labels, in a table or in Parquet."),
    ] = None
    follow_links: FollowLinks = False

    def source(self, named: str | None) -> object:
        """Return what may be read as a data set: what was named, or its images where options say how to read it."""
        from ..data import SMALL, load

        return load(named, limit=SMALL, **vars(self)) if named and any(vars(self).values()) else named


@Parameter(name="*")
@dataclass(frozen=True)
class ReadingGroups(ReadingLabels):
    """Of images that are held out from others, or compared with them: also their size and groups."""

    size: Annotated[
        str | None,
        Parameter(help="side, or height x width such as 48x64, that images are fitted to."),
    ] = None
    group: Annotated[
        str | None,
        Parameter(
            help="what says which images belong together (patient, slide, animal, video), so that no split parts them: "
            'a column of the table, "folders" for the folders below the classes, or "none" [default: such folders if '
            "any]."
        ),
    ] = None


@Parameter(name="*")
@dataclass(frozen=True)
class Reading(ReadingGroups):
    """Of images that are learned from: further ones without labels, too."""

    unlabelled: Annotated[
        Path | None,
        Parameter(
            help="a folder of further images without labels; none: no folder in DATA is one, whatever it is called."
        ),
    ] = None
