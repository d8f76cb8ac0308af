"""Text set in type: signs, narrow spaces, dates and sentences. Every text of a user passes through `shown`."""

import re
from collections.abc import Collection, Container
from datetime import datetime

from markupsafe import Markup, escape

from ..errors import printable
from ..words import MISSING, OptionalNumber, capitalised, is_number

NARROW_SPACE = "\u202f"  # does not break: between a number and its unit
MINUS = "\u2212"
JOINERS = "\u200c\u200d"  # invisible, but part of how Persian words and some emoji are written


def shown(text: object, limit: int | None = None) -> str:
    """Return one harmless line: control characters, direction overrides and lone surrogates are shown escaped.

    A text longer than `limit` characters loses its middle, because file names differ at both ends.
    """
    line = "".join(c if c in JOINERS else printable(c) for c in str(text))
    if limit is None or len(line) <= limit:
        return line
    tail = (limit - 1) // 3
    return line[: limit - 1 - tail] + "\u2026" + line[len(line) - tail :]


def typeset(text: str) -> str:
    """Return the text with minus signs, plus-minus signs, and narrow spaces between numbers and units."""
    text = re.sub(r"\+-(?=\d)", "\u00b1", text)
    text = re.sub(r"(?<=\d) (?=(?:%|s|ms|min|h|GiB)(?!\w))|(?<=<) (?=\d)", NARROW_SPACE, text)
    return re.sub(r"(?<![\w.,/-])-(?=\d)", MINUS, text)


def one_in(error: OptionalNumber) -> str:
    """Return a share of mistakes as 0.021 -> `1 in 48 wrong`, which is easier to picture than a percentage."""
    if not is_number(error):
        return MISSING
    return f"1 in {1 / error:.{1 if error > 0.1 else 0}f} wrong" if error > 0 else "none wrong"


def day(iso: str) -> str:
    """Return an ISO date as `20 November 2026, 23:40 UTC`, and any other text as it is."""
    try:
        moment = datetime.fromisoformat(iso)
    except ValueError:
        return shown(iso or MISSING)
    zone = f" {moment.tzname()}" if moment.tzinfo else ""
    return f"{moment.day} {moment:%B %Y, %H:%M}{zone}"


def sentence(text: str, names: Container[str] = ()) -> str:
    """Return a text as a sentence: a capital first, unless it begins with one of `names`, and one full stop last."""
    line = typeset(shown(text).strip().rstrip("."))
    return (line if re.split(r"[\s:,]", line)[0] in names else capitalised(line)) + "." if line else ""


def file_name(name: str, limit: int) -> Markup:
    """Return a file's name that breaks over lines behind its slashes, dashes and underscores first."""
    return Markup(re.sub(r"[/_-]", r"\g<0><wbr>", str(escape(shown(name, limit)))))


def prose(text: str, names: Collection[str]) -> Markup:
    """Return a sentence in which the methods' names stand out and do not break over a line."""
    html = str(escape(sentence(text, names)))
    if not names:
        return Markup(html)
    known_names = "|".join(re.escape(str(escape(n))) for n in sorted(names, key=len, reverse=True))
    alone = rf"(?<![\w./-])(?<!label )(?:{known_names})(?![\w/-]|\.\w)"  # label spreading: the words, not the name
    return Markup(re.sub(alone, r'<span class="name">\g<0></span>', html))
