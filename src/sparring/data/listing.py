"""A listing: images that were found but not decoded, with their labels and parts."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from ..images import Source
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

    def __post_init__(self):
        self.classes = self.classes or ordered({item.label for item in self.items if item.label is not None})

    @property
    def grouped(self) -> bool:
        """Whether any image is of a group."""
        return any(item.group for item in self.items)

    def __len__(self) -> int:
        return len(self.items)

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
        )
