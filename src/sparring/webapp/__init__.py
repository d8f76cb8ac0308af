"""The page: look at images, label, run, draw and try in a browser, on this machine alone.

    served = sparring.app("photos/")        # in a notebook; `sparring app photos/` on the command line
    print(served.link)

guard        who may ask: this machine, this browser, this page
gallery      the images by number, and pictures of them
answers      what a person answered, as lines that survive a kill; exports: the same as tables and folders
suggesting   which image is asked next, and what it seems to be; background: that work, beside the page
jobs         comparisons and trainings, one after the other; uploads: photographs that are tried
drawing      pictures that the generator of a run draws; restoring: images that it makes from images
workbench    all of these together; endpoints: the page's questions to it; serving: the server
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .serving import Served
    from .serving import serve as app

__all__ = ["Served", "app"]

_HOMES = {"app": "serve", "Served": "Served"}


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'sparring.webapp' has no attribute {name!r}")
    return getattr(import_module(".serving", __name__), _HOMES[name])
