"""What the tab "Draw" asks: runs have numbers, and all settings of a picture stand in its address."""

from collections.abc import Callable

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..errors import UsageError
from .drawing import DrawingWanted, drawing_wanted
from .endpoints import Endpoint, answer_with
from .restoring import restoring_wanted
from .workbench import Workbench


async def runs(request: Request) -> Response:
    return answer_with(await run_in_threadpool(request.app.state.bench.drawings.runs))


async def run(request: Request) -> Response:
    """Answer with what the model of a run can do."""
    wanted = drawing_wanted(request.query_params.multi_items())
    return answer_with(await run_in_threadpool(request.app.state.bench.drawings.shown, wanted.run))


def drawn(draws: Callable[[Workbench, DrawingWanted], bytes], kind: str) -> Endpoint:
    """Return an endpoint that answers with what a link asks for, as an encoded image."""

    async def endpoint(request: Request) -> Response:
        wanted = drawing_wanted(request.query_params.multi_items())
        return Response(await run_in_threadpool(draws, request.app.state.bench, wanted), media_type=kind)

    return endpoint


async def posted_bytes(request: Request) -> bytes:
    """Return the bytes of a file that came with the request. Raises UsageError."""
    if request.headers.get("content-type") != "application/octet-stream":
        raise UsageError("request", "this is no image", fix="send the bytes of a file")
    return await request.body()


async def give_photograph(request: Request) -> Response:
    content = await posted_bytes(request)
    return answer_with(await run_in_threadpool(request.app.state.bench.restoring.give, content))


async def source(request: Request) -> Response:
    """Answer with an image as a run is given it."""
    wanted = restoring_wanted(request.query_params.multi_items())
    content = await run_in_threadpool(request.app.state.bench.restoring.source, wanted)
    return Response(content, media_type="image/png")


async def restored(request: Request) -> Response:
    """Answer with what a run makes of an image; the request's bytes are the mask."""
    mask = await posted_bytes(request)
    wanted = restoring_wanted(request.query_params.multi_items())
    content = await run_in_threadpool(request.app.state.bench.restoring.made, wanted, mask)
    return Response(content, media_type="image/png")


ROUTES_OF_DRAWING = [
    Route("/api/draw/runs", runs),
    Route("/api/draw/run", run),
    Route("/draw/picture.png", drawn(lambda bench, wanted: bench.drawings.picture(wanted), "image/png")),
    Route("/draw/film.webp", drawn(lambda bench, wanted: bench.drawings.film(wanted), "image/webp")),
    Route("/api/draw/photo", give_photograph, methods=["POST"]),
    Route("/draw/source.png", source),
    Route("/api/draw/restored", restored, methods=["POST"]),
]
