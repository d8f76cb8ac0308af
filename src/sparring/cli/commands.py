"""The commands: read what was typed, call the chapter that does it, draw what it says."""

from pathlib import Path

from cyclopts import App, Parameter

from .. import __version__
from .screen import Screen
from .typed import Count, Minutes, Seed

app = App(
    name="sparring",
    help="Two networks spar: one makes images, one judges them. Does that help to classify images when labels are few?",
    help_epilogue="Start here: sparring compare digits. Errors with a traceback: --debug, or SPARRING_DEBUG=1.",
    version=__version__,
    help_format="plaintext",
    default_parameter=Parameter(negative=""),
    suppress_keyboard_interrupt=False,
)


# Tables


@app.command
def recipes(*, json: bool = False):
    """The games that `train` knows.

    Args:
        json: print JSON.
    """
    from ..recipes import RECIPES

    screen = Screen(as_json=json)
    rows = [{"name": name, "players": len(recipe.players), "source": recipe.source} for name, recipe in RECIPES.items()]
    if json:
        screen.show_json(rows)
    else:
        screen.table(("recipe", "players", "source"), [tuple(row.values()) for row in rows], right="players")
        screen.note("\nTrain one: sparring train DATA -r dcgan. Your own: sparring train DATA -r my.py:recipe.")


@app.command
def methods(*, json: bool = False):
    """The classifiers that `compare` sets against each other.

    Args:
        json: print JSON.
    """
    from ..classify import METHODS

    screen = Screen(as_json=json)
    names = ("name", "family", "title", "what", "cites")
    if json:
        screen.show_json([{name: getattr(method, name) for name in names} for method in METHODS.values()])
    else:
        screen.table(("method", "family", "what it is"), [(m.name, m.family, m.what) for m in METHODS.values()])
