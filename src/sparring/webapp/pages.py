"""The pages: one template and one script for each tab, in English or Chinese."""

import json
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files as resources

from jinja2 import Environment, FunctionLoader, StrictUndefined
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from ..reporting.html import palette
from .workbench import Workbench

HERE = resources("sparring.webapp")
TABS = {"look": "/", "label": "/label", "run": "/run", "draw": "/draw", "try": "/try"}
STATIC = (
    "page.css", "icon.svg", "page.js", "look.js", "label.js", "run.js", "draw.js", "draw.css", "restore.js", "try.js",
)  # fmt: skip
MEDIA_TYPES = {"css": "text/css", "svg": "image/svg+xml", "js": "text/javascript"}
LANGUAGES = ("en", "zh")


@lru_cache
def texts(language: str) -> dict[str, str]:
    """Return what the page says, by key."""
    said = json.loads(HERE.joinpath("texts.json").read_text(encoding="utf-8"))
    return {key: words[LANGUAGES.index(language)] for key, words in said.items()}


@lru_cache
def page_environment() -> Environment:
    loader = FunctionLoader(lambda name: HERE.joinpath(name).read_text(encoding="utf-8"))
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def language_of(request: Request) -> str:
    """Return the language that ?lang names, or the cookie that keeps it, or that the browser prefers."""
    for asked in (request.query_params.get("lang"), request.cookies.get("sparring-lang")):
        if asked in LANGUAGES:
            return str(asked)
    preferred = request.headers.get("accept-language", "").lower()
    return "zh" if preferred.startswith("zh") else "en"


def choices_of(name: str) -> Mapping[str, tuple[str, ...]]:
    """Return what the template of a tab offers to choose from."""
    if name != "run":
        return {}
    from ..classifiers.methods import METHODS
    from ..games.recipes import RECIPES

    return {"methods": tuple(METHODS), "recipes": tuple(RECIPES)}


def rendered(name: str, bench: Workbench, language: str) -> str:
    """Return the HTML of a tab."""
    return page_environment().get_template(f"{name}.html").render(
        t=texts(language), tab=name, tabs=TABS, language=language, languages=LANGUAGES, bench=bench,
        data=bench.gallery.name if bench.gallery else str(bench.source), **choices_of(name),
    )  # fmt: skip


def tab(name: str) -> Route:
    """Return the route of a tab."""

    async def endpoint(request: Request) -> Response:
        language = language_of(request)
        answer = HTMLResponse(await run_in_threadpool(rendered, name, request.app.state.bench, language))
        if request.query_params.get("lang") in LANGUAGES:
            answer.set_cookie("sparring-lang", language, samesite="strict", path="/")
        return answer

    return Route(TABS[name], endpoint)


async def static(request: Request) -> Response:
    name = request.path_params["name"]
    if name == "palette.css":
        return Response(palette(), media_type="text/css")
    if name not in STATIC:
        raise HTTPException(404)
    return Response(HERE.joinpath(name).read_text(encoding="utf-8"), media_type=MEDIA_TYPES[name.rpartition(".")[2]])


ROUTES_OF_PAGES = [*(tab(name) for name in TABS), Route("/static/{name}", static)]
