"""Numbers and names as people read them; every text of the report that comes from a user passes through `shown`."""

import math
import re
from collections.abc import Collection, Container
from datetime import datetime
from typing import TypeGuard

from markupsafe import Markup, escape

from ..errors import printable

THIN = "\u202f"  # narrow space that does not break: between a number and its unit
MINUS = "\u2212"
NOTHING = "\u2013"  # what stands where nothing was measured
JOINERS = "\u200c\u200d"  # invisible, but part of how Persian words and some emoji are written

Number = float | int | None


def shown(text: object, limit: int | None = None) -> str:
    """One harmless line: control characters, direction overrides and lone surrogates are shown escaped.

    Longer than `limit` characters, the middle gives way: file names differ at both ends.
    """
    line = "".join(c if c in JOINERS else printable(c) for c in str(text))
    if limit is None or len(line) <= limit:
        return line
    tail = (limit - 1) // 3
    return line[: limit - 1 - tail] + "\u2026" + line[len(line) - tail :]


def known(value: object) -> TypeGuard[float]:
    """Is it a finite number?"""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def number(value: Number, digits: int = 1) -> str:
    if not known(value):
        return NOTHING
    text = f"{value:,.{digits}f}"
    if not text.strip("-0.,"):
        text = text.lstrip("-")
    return text.replace("-", MINUS)


def count(value: Number) -> str:
    return number(value, 0)


def ordinal(index: Number) -> str:
    """Which one, counted from 1 as people do."""
    return count(index + 1) if known(index) else NOTHING


def tidy(value: Number) -> str:
    """A mean of counts: `36`, `35.8`."""
    return number(value, 0 if known(value) and abs(value - round(value)) < 0.05 else 1)


def plural(value: Number, one: str, many: str | None = None) -> str:
    """`1 image`, `1,797 images`."""
    return f"{count(value)} {one if value == 1 else many or one + 's'}"


def percent(value: Number, digits: int = 1) -> str:
    """0.9731 -> `97.3 %`."""
    return number(100 * value, digits) + THIN + "%" if known(value) else NOTHING


def share(value: Number, digits: int = 1) -> str:
    """0.9731 -> `97.3`, for a column whose head says percent."""
    return number(100 * value, digits) if known(value) else NOTHING


def within(value: Number) -> Number:
    """A share kept between 0 and 1: an interval of accuracies may reach beyond, an accuracy cannot."""
    return min(1.0, max(0.0, value)) if known(value) else None


def interval(low: Number, high: Number, digits: int = 1, scale: float = 100.0) -> str:
    """`96.8 to 97.8`; empty where there is none."""
    if not (known(low) and known(high)):
        return ""
    return f"{number(scale * low, digits)} to {number(scale * high, digits)}"


def signed(value: Number, digits: int = 1) -> str:
    """0.0123 -> `+1.2`, in points."""
    if not known(value):
        return NOTHING
    text = share(value, digits)
    return text if text.startswith(MINUS) or not text.strip("0.") else "+" + text


def points(value: Number, digits: int = 1) -> str:
    return signed(value, digits) + " points" if known(value) else NOTHING


def p_value(value: Number) -> str:
    if not known(value):
        return NOTHING
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def seconds(value: Number) -> str:
    """`0.02 s`, `17 s`, `4.5 min`, `2.1 h`."""
    if not known(value):
        return NOTHING
    if value < 0.095:
        return ("0" if value == 0 else f"{value:.2f}" if value >= 0.005 else f"<{THIN}0.01") + THIN + "s"
    if value < 60:
        return f"{value:.2g}" + THIN + "s" if value < 9.95 else f"{value:.0f}" + THIN + "s"
    if value < 5400:
        return f"{value / 60:.{1 if value < 570 else 0}f}".removesuffix(".0") + THIN + "min"
    return f"{value / 3600:.1f}".removesuffix(".0") + THIN + "h"


def one_in(error: Number) -> str:
    """0.021 -> `1 picture in 48 wrong`: easier to picture than a percentage."""
    if not known(error):
        return NOTHING
    if error <= 0:
        return "none wrong"
    return f"1 in {number(1 / error, 1 if error > 0.1 else 0)} wrong"


def half_width(share_right: Number, n: Number) -> float | None:
    """Half the Wilson 95 % interval of a share seen on n images (Wilson 1927, doi:10.1080/01621459.1927.10502953)."""
    if not known(share_right) or not known(n) or n < 1:
        return None
    z, p = 1.96, min(1.0, max(0.0, share_right))
    return z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)


def day(iso: object) -> str:
    """`20 November 2026, 23:40 UTC`."""
    try:
        moment = datetime.fromisoformat(str(iso))
    except ValueError:
        return shown(iso or NOTHING)
    zone = f" {moment.tzname()}" if moment.tzinfo else ""
    return f"{moment.day} {moment:%B %Y, %H:%M}{zone}"


def sentence(text: object, names: Container[str] = ()) -> str:
    """A text as a sentence: a capital first unless it begins with one of `names`, and one full stop last."""
    line = shown(text).strip().rstrip(".")
    if not line:
        return ""
    line = re.sub(r"\+-(?=\d)", "\u00b1", line)
    line = re.sub(r"(?<=\d) (?=(?:%|s|ms|h)(?!\w))", THIN, line)
    line = re.sub(r"-(?=\d[\d.]* (?:to|points?)\b)", MINUS, line)
    return (line if re.split(r"[\s:,]", line)[0] in names else line[0].upper() + line[1:]) + "."


def path(name: object, limit: int) -> Markup:
    """A file's name that breaks over lines behind its slashes, dashes and underscores first."""
    return Markup(re.sub(r"[/_-]", r"\g<0><wbr>", str(escape(shown(name, limit)))))


def prose(text: object, names: Collection[str]) -> Markup:
    """A sentence in which the methods' names stand out and do not break over a line."""
    html = str(escape(sentence(text, names)))
    if not names:
        return Markup(html)
    known_names = "|".join(re.escape(str(escape(n))) for n in sorted(names, key=len, reverse=True))
    return Markup(re.sub(rf"(?<![\w./-])(?:{known_names})(?![\w/-]|\.\w)", r'<span class="name">\g<0></span>', html))
