"""Images that are dark, light, empty, blurred or of an odd size, and images like no other."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ...data.properties import Greys
from ...metrics.nearest import Points, nearest_others
from .findings import AuditFinding

DARK, LIGHT = 40, 225  # grey level below or above which nearly all of an image lies
EMPTY = 4  # deviation of grey levels below which an image shows nothing
FAR = 4.0  # times the usual spread (of logarithms, from the quartiles) from which on a value is odd
USUAL = 0.2  # share of images from which on a fault is how these pictures are
NEIGHBOURS = 10
QUARTILE = 0.6745  # of the normal distribution


def unusual(x: np.ndarray) -> np.ndarray:
    """Return how far each image is from its nearest others, times what is usual: float64 [N], features float32 [N,F].

    The mean distance to the NEIGHBOURS nearest, over its median.
    """
    if len(x) < 3:
        return np.ones(len(x))
    centre, scale = Points.frame(x, x)
    found = nearest_others(Points(x, centre, scale), k=min(NEIGHBOURS, len(x) - 1))
    distance = np.sqrt(found.squared).mean(1)
    return distance / max(float(np.median(distance)), 1e-12)


def spreads(values: np.ndarray) -> np.ndarray:
    """Return by how many usual spreads the logarithm of each positive value is above the median, float64 [N]."""
    logs = np.log(np.maximum(values, 1e-6))
    low, middle, high = np.quantile(logs, (0.25, 0.5, 0.75))
    return (logs - middle) / max((high - low) / 2 / QUARTILE, 0.05)


@dataclass(frozen=True, eq=False)
class Rule:
    """What makes an image odd: which are, how much (the most first), and what is said of each by its value."""

    kind: str
    odd: np.ndarray  # bool [N]
    how_much: np.ndarray
    values: np.ndarray
    says: str


def faults(
    grey: Greys, file_sizes: np.ndarray | None, far: np.ndarray, origins: tuple[str, ...]
) -> Iterator[AuditFinding]:
    """Yield what is odd about single images; `far`: what `unusual` says of them. What many share is no fault."""
    for rule in (*grey_rules(grey), *size_rules(file_sizes), far_rule(far)):
        where = np.flatnonzero(rule.odd)
        if len(where) <= max(1, USUAL * len(origins)):
            for i in where[np.argsort(-rule.how_much[where], kind="stable")].tolist():
                yield AuditFinding(
                    rule.kind, origins[i], rule.says.format(rule.values[i]), round(float(rule.values[i]), 4)
                )


def grey_rules(grey: Greys) -> Iterator[Rule]:
    """Yield what grey levels say: an image that shows nothing is not called dark or blurred as well."""
    empty = grey.deviation < EMPTY
    says = "shows next to nothing: grey levels differ by {:.1f}"
    yield Rule("empty", empty, -grey.deviation, grey.deviation, says)
    dark, light = grey.light <= DARK, grey.dark >= LIGHT
    yield Rule("dark", dark & ~empty, -grey.light, grey.light, "nearly all of it is darker than {:.0f} of 255")
    yield Rule("light", light & ~empty, grey.dark, grey.dark, "nearly all of it is lighter than {:.0f} of 255")
    sharp = grey.edges / np.maximum(grey.deviation, 1.0)
    share = sharp / max(float(np.median(sharp)), 1e-12) if len(sharp) else sharp
    soft = (spreads(share) < -FAR) & ~(empty | dark | light)
    yield Rule("blurred", soft, -share, share, "its edges are {:.0%} as strong as usual")


def size_rules(file_sizes: np.ndarray | None) -> Iterator[Rule]:
    """Yield what the sizes of the files, int32 [N,2], say."""
    if file_sizes is None or not len(file_sizes):
        return
    height, width = file_sizes.T.astype(np.float64)
    sides = np.sqrt(height * width)
    for kind, values, says in (
        ("odd size", sides / np.median(sides), "its sides are {:.2g} times the usual ones"),
        ("odd shape", width / height, "its width is {:.2g} times its height"),
    ):
        how_much = np.abs(spreads(values))
        yield Rule(kind, how_much > FAR, how_much, values, says)


def far_rule(far: np.ndarray) -> Rule:
    """Return what the distance to other images says."""
    odd = spreads(far) > FAR if len(far) else far > FAR
    return Rule("unusual", odd, far, far, "{:.1f} times as far from the images most like it as is usual")
