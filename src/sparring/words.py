"""Numbers, shares, durations, budgets and lists as people read them: one wording for terminal, report and advice.

All text is ASCII with ordinary spaces ("97.3 %", "-1.2"); the report sets it in type afterwards. A number that is
missing (None, NaN or infinite) becomes MISSING.
"""

import math
import os
import re
from collections.abc import Sequence
from typing import TypeGuard

MISSING = "\u2013"
OptionalNumber = float | int | None


def from_home(text: str) -> str:
    """Return a text with paths in the home folder as ~/..., as a shell takes them: what is handed on names nobody."""
    home = os.path.expanduser("~").rstrip(os.sep)  # noqa: PTH111 Path raises where there is none
    if home in ("", "~"):
        return text
    return re.sub(rf"(?<![\w.~/-]){re.escape(home)}(?![\w.-])", "~", text)


def is_number(value: object) -> TypeGuard[float]:
    """Return whether `value` is a finite number (a bool is none)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def number(value: OptionalNumber, digits: int = 1) -> str:
    """Return 1796.96 as `1,797.0`, with no minus before a zero."""
    if not is_number(value):
        return MISSING
    text = f"{value:,.{digits}f}"
    return text if text.strip("-0.,") else text.lstrip("-")


def count(value: OptionalNumber) -> str:
    """Return a whole number with thousands separated: `1,797`."""
    return number(value, 0)


def mean_count(value: OptionalNumber) -> str:
    """Return a mean of counts, with a decimal only where it is no whole number: `36`, `35.8`."""
    return number(value, 0 if is_number(value) and abs(value - round(value)) < 0.05 else 1)


def plural(value: OptionalNumber, one: str, many: str | None = None) -> str:
    """Return a count with its noun: `1 image`, `1,797 images`."""
    return f"{count(value)} {one if value == 1 else many or one + 's'}"


def times(value: int) -> str:
    """Return how often: `once`, `3 times`."""
    return "once" if value == 1 else f"{count(value)} times"


def significant(value: float, digits: int = 3) -> str:
    """Return a number of unknown size, with so many significant digits."""
    return f"{value:.{digits}g}"


def short_count(value: float) -> str:
    """Return a large count in the width of an axis label: `9,999`, `12.5k`, `2.1M`."""
    return f"{value / 1e6:.3g}M" if value >= 1e6 else f"{value / 1e3:.3g}k" if value >= 1e4 else count(value)


def percentage(share: OptionalNumber, digits: int = 1) -> str:
    """Return 0.9731 as `97.3`, for a column whose head says percent."""
    return number(100 * share, digits) if is_number(share) else MISSING


def percent(share: OptionalNumber, digits: int = 1) -> str:
    """Return 0.9731 as `97.3 %`."""
    return f"{percentage(share, digits)} %" if is_number(share) else MISSING


def points(share: OptionalNumber, digits: int | None = None, *, signed: bool = False) -> str:
    """Return a difference of shares in percentage points: 0.0123 as `1.2`, or `+1.2` where signed.

    Without `digits` a difference below 0.95 points has two decimals and a larger one has one.
    """
    if not is_number(share):
        return MISSING
    if digits is None:
        digits = 2 if abs(100 * share) < 0.95 else 1
    text = number(100 * share, digits)
    return f"+{text}" if signed and not text.startswith("-") and text.strip("0.") else text


def interval(low: OptionalNumber, high: OptionalNumber, digits: int = 1, scale: float = 100.0) -> str:
    """Return `96.8 to 97.8`, and nothing where a bound is missing."""
    if not (is_number(low) and is_number(high)):
        return ""
    return f"{number(scale * low, digits)} to {number(scale * high, digits)}"


def p_value(p: OptionalNumber) -> str:
    """Return `0.031`, or `< 0.001`."""
    return MISSING if not is_number(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"


def duration(seconds: OptionalNumber, missing: str = MISSING) -> str:
    """Return a time: `0.02 s`, `1.7 s`, `17 s`, `4.5 min`, `45 min`, `2 h 05 min`."""
    if not is_number(seconds):
        return missing
    if seconds < 0.095:
        return "0 s" if seconds <= 0 else "< 0.01 s" if seconds < 0.005 else f"{seconds:.2f} s"
    if seconds < 90:
        return f"{seconds:.2g} s" if seconds < 9.95 else f"{seconds:.0f} s"
    if seconds < 570:
        return f"{seconds / 60:.1f}".removesuffix(".0") + " min"
    hours, minutes = divmod(round(seconds / 60), 60)
    if seconds < 5400:
        return f"{60 * hours + minutes} min"
    return f"{hours} h {minutes:02d} min" if minutes else f"{hours} h"


def budget_name(budget: str, labels: int | None) -> str:
    """Return a label budget with the labels that it comes to: `5 labels a class (50 in all)`, `all 1,000 labels`."""
    if budget == "all":
        return f"all {count(labels)} labels" if labels else "all labels"
    each = f"{plural(int(budget), 'label')} a class"
    return f"{each} ({count(labels)} in all)" if labels else each


def listed(items: Sequence[str]) -> str:
    """Return `a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(items[:-1]), items[-1]]) if len(items) > 1 else "".join(items)


def capitalised(text: str) -> str:
    """Return the text with a capital first and the rest as it is."""
    return text[:1].upper() + text[1:]
