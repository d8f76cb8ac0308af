"""What the tab "Draw" asks: runs have numbers, and all settings of a picture stand in its address."""

from collections.abc import Callable

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .drawing import DrawingWanted, drawing_wanted
from .endpoints import Endpoint, answer_with
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


ROUTES_OF_DRAWING = [
    Route("/api/draw/runs", runs),
    Route("/api/draw/run", run),
    Route("/draw/picture.png", drawn(lambda bench, wanted: bench.drawings.picture(wanted), "image/png")),
    Route("/draw/film.webp", drawn(lambda bench, wanted: bench.drawings.film(wanted), "image/webp")),
]
