"""What the tab "Try" asks: the bytes of a photograph come in the request, nothing is fetched."""

from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..errors import UsageError
from ..images import encode_png
from .answers import Answer, class_name
from .endpoints import answer_with, posted
from .workbench import Workbench


@dataclass(frozen=True)
class Kept:
    """A photograph that was tried, and what it shows. suggested: what was said of it."""

    number: int
    label: str
    suggested: str | None = None


async def try_photograph(request: Request) -> Response:
    if request.headers.get("content-type") != "application/octet-stream":
        raise UsageError("request", "this is no photograph", fix="send the bytes of a file")
    content, bench = await request.body(), request.app.state.bench
    tried = await run_in_threadpool(bench.tryout.look, content, bench.known())
    like = await run_in_threadpool(bench.tiles, list(tried.like))
    return answer_with({**vars(tried), "like": like})


async def tried_heat(request: Request) -> Response:
    """Answer with a photograph in whose warm places the model saw what it says."""
    picture = await run_in_threadpool(request.app.state.bench.tryout.heat, request.path_params["number"])
    return Response(encode_png(picture), media_type="image/png")


def keep_photograph(bench: Workbench, kept: Kept) -> object:
    label = class_name(kept.label)
    image = bench.tryout.keep(kept.number)
    bench.add(Answer("label", (image,), label, "try", kept.suggested))
    return {"image": image}


ROUTES_OF_TRYING = [
    Route("/api/try", try_photograph, methods=["POST"]),
    Route("/try/{number:int}/heat", tried_heat),
    Route("/api/try/keep", posted(Kept, keep_photograph), methods=["POST"]),
]
