"""A listing: images that were found but not decoded, with their labels and parts."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from ..images import Source
from .labels import checked_names, refuse_long
from .names import ordered


class ListedImage(NamedTuple):
    """Where an image comes from, its class (None: unlabelled), its part and its group ("" where none is named)."""

    origin: str
    label: str | None = None
    part: str = ""
    group: str = ""


@dataclass(eq=False)
class Listing:
    """Images found but not decoded: `read(i)` gives the encoded bytes or the path of `items[i]`.

    classes  names, index = label; by default those of the items in natural order
    others   files of other kinds, and `links` that were not followed: paths as in the origins of the items
    """

    name: str
    source: str
    layout: str
    items: list[ListedImage]
    read: Callable[[int], Source]
    classes: list[str] = field(default_factory=list)
    ignored: Counter = field(default_factory=Counter)
    bad_files: list[tuple[str, str]] = field(default_factory=list)  # (origin, reason)
    warnings: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    unread: list[tuple[str, str]] = field(default_factory=list)  # (table that was not used, why)

    def __post_init__(self):
        self.classes = self.classes or ordered({item.label for item in self.items if item.label is not None})
        checked_names(self.classes, self.source)
        refuse_long({item.group for item in self.items}, "group")

    @property
    def grouped(self) -> bool:
        """Whether any image is of a group."""
        return any(item.group for item in self.items)

    def __len__(self) -> int:
        return len(self.items)

    def classes_of(self, paths: Iterable[str]) -> Counter[str]:
        """Return how many of these files lie in folders of which all images are of one class."""
        labels: dict[str, set[str | None]] = {}
        for item in self.items if len(self.classes) > 1 else ():
            for folder in _folders_of(item.origin):
                labels.setdefault(folder, set()).add(item.label)
        nearest = (next((labels[f] for f in _folders_of(path) if f in labels), set()) for path in paths)
        found = (next(iter(one)) for one in nearest if len(one) == 1)
        return Counter(label for label in found if label is not None)

    def with_more(self, more: "Listing") -> "Listing":
        """Return a listing with the images of another one added without labels; name and classes stay."""
        cut = len(self)
        return replace(
            self,
            layout=f"{self.layout}, and {more.layout} in {more.source}",
            items=self.items + [ListedImage(f"{more.source}/{item.origin}") for item in more.items],
            read=lambda i: self.read(i) if i < cut else more.read(i - cut),
            ignored=self.ignored + more.ignored,
            bad_files=self.bad_files + [(f"{more.source}/{origin}", reason) for origin, reason in more.bad_files],
            warnings=self.warnings + more.warnings,
            others=self.others + [f"{more.source}/{path}" for path in more.others],
            links=self.links + [f"{more.source}/{path}" for path in more.links],
        )


def _folders_of(path: str) -> Iterator[str]:
    """Yield the folders that a path lies in, the innermost first."""
    while path := path.rpartition("/")[0]:
        yield path
