"""The Jinja environment of every page: escaped by default, a misspelt field is an error, numbers set in type."""

from collections.abc import Callable
from functools import lru_cache
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template
from markupsafe import Markup

from .. import words
from . import typography

WORDING = (words.count, words.mean_count, words.number, words.plural, words.times, words.percent, words.percentage,
           words.interval, words.points, words.p_value, words.duration)  # fmt: skip
TYPOGRAPHY = (typography.shown, typography.day, typography.sentence, typography.file_name, typography.prose,
              typography.one_in)  # fmt: skip


@lru_cache
def environment() -> Environment:
    """Return the environment whose filters are the package's words. A template's name is its file, or its own text."""
    here = files("sparring.reporting")
    loader = FunctionLoader(lambda name: name if "<" in name else here.joinpath(name).read_text(encoding="utf-8"))
    made = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters |= {f.__name__: _in_type(f) for f in WORDING} | {f.__name__: f for f in TYPOGRAPHY}
    made.filters["capitalised"] = words.capitalised
    made.globals["style"] = Markup(palette() + here.joinpath("style.css").read_text(encoding="utf-8"))
    return made


def palette() -> str:
    """Return the colours of all pages, light and dark, as CSS."""
    return files("sparring.reporting").joinpath("palette.css").read_text(encoding="utf-8")


def template(name: str) -> Template:
    """Return the template of this file in the folder of the reports, or the template that `name` itself is."""
    return environment().get_template(name)


def _in_type(wording: Callable[..., str]) -> Callable[..., str]:
    return lambda *values, **options: typography.typeset(wording(*values, **options))
