"""All commands, in the order of the help."""

from . import explaining, games, judging, sampling, serving, studies, suggestions, tables, translate
from .app import app, options

__all__ = [
    "app", "explaining", "games", "judging", "sampling", "serving", "studies", "suggestions", "tables", "translate",
]  # fmt: skip

for place, name in enumerate(name for name in app if not name.startswith("-")):
    app[name].sort_key = place  # help lists commands as this file does
for name in ("--help", "--version"):
    app[name].group = options
