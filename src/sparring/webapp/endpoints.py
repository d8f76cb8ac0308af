"""What the page asks of its server. Images have numbers, commands have names of tables: nothing takes a path."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..errors import FileFormatError, SparringError, UsageError
from ..files import parse_json
from ..records import read_record, to_json
from .answers import Answer, Kind, Why
from .exports import Form, export
from .gallery import LARGE, THUMBNAIL
from .workbench import Mode, Wanted, Workbench

STATUS = {2: 400, 3: 422, 4: 409, 5: 507}  # by the exit code of an error
SIZES = {"small": THUMBNAIL, "large": LARGE}
MOST_TILES = 500
Given = TypeVar("Given")
Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class GivenAnswer:
    """What the page says of images. of: the answer that is taken back."""

    kind: Kind
    images: tuple[int, ...] = ()
    label: str | None = None
    why: Why = ""
    suggested: str | None = None
    of: int | None = None


@dataclass(frozen=True)
class QuestionsWanted:
    """have: the images that the page has already."""

    mode: Mode = "useful"
    count: int = 4
    have: tuple[int, ...] = ()


@dataclass(frozen=True)
class TilesWanted:
    """Which images, by number."""

    images: tuple[int, ...]


@dataclass(frozen=True)
class ImageWanted:
    """One image, by number."""

    i: int


@dataclass(frozen=True)
class PageWanted:
    """The images that are predicted as a class."""

    label: str


@dataclass(frozen=True)
class ExportWanted:
    """In which form labels are written."""

    form: Form


def answer_with(value: object, status: int = 200) -> Response:
    """Return JSON."""
    text = json.dumps(to_json(value, kinds=False), ensure_ascii=False, allow_nan=False)
    content = text.encode("utf-8", "backslashreplace")
    return Response(content, status, media_type="application/json")


def refused(request: Request, error: Exception) -> Response:
    """Return an error of ours as JSON."""
    assert isinstance(error, SparringError)
    return answer_with({"id": error.id, "error": str(error)}, STATUS.get(error.exit_code, 500))


def posted(kind: type[Given], does: Callable[[Workbench, Given], object]) -> Endpoint:
    """Return an endpoint that takes JSON of a record, in a thread, and answers with what `does` returns."""

    async def endpoint(request: Request) -> Response:
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            raise UsageError("request", "this is not JSON", fix="send application/json")
        try:
            given = read_record(kind, parse_json(await request.body()), name="the request")
        except (ValueError, FileFormatError) as error:
            said = error.problem if isinstance(error, FileFormatError) else str(error)
            raise UsageError("request", said, fix="reload the page") from None
        return answer_with(await run_in_threadpool(does, request.app.state.bench, given))

    return endpoint


async def standing(request: Request) -> Response:
    return answer_with(await run_in_threadpool(request.app.state.bench.standing))


async def find(request: Request) -> Response:
    """Answer with how many images a filter keeps, and which; `images` is null for all of them."""
    given: dict[str, Any] = {k: v for k, v in request.query_params.items() if v}
    try:
        if "below" in given:
            given["below"] = float(given["below"])
        wanted = read_record(Wanted, given, name="the filter")
    except (ValueError, FileFormatError):
        raise UsageError("filter", "there is no such filter", fix="reload the page") from None
    bench: Workbench = request.app.state.bench
    if bench.gallery is None:
        return answer_with({"total": 0, "images": None})
    numbers = await run_in_threadpool(bench.find, wanted)
    total = len(bench.images) if numbers is None else len(numbers)
    return answer_with({"total": total, "images": None if numbers is None else numbers.tolist()})


async def picture(request: Request) -> Response:
    """Answer with an image as PNG or JPEG, or that it is the one the browser has."""
    bench: Workbench = request.app.state.bench
    size = request.path_params["size"]
    if size not in SIZES:
        raise HTTPException(404)
    bench.background.page_first()
    i, longest = bench.number(request.path_params["i"]), SIZES[size]
    tag = f'"{await run_in_threadpool(bench.images.state, i)}-{longest}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    made = await run_in_threadpool(bench.images.picture, i, longest)
    return Response(made.content, headers=headers, media_type=made.kind)


def some_tiles(bench: Workbench, wanted: TilesWanted) -> object:
    return bench.tiles(list(wanted.images)[:MOST_TILES])


def one_image(bench: Workbench, wanted: ImageWanted) -> object:
    like = bench.like(wanted.i)
    found = bench.tiles([wanted.i, *like])
    return {"image": found[0], "like": found[1:]}


def questions(bench: Workbench, wanted: QuestionsWanted) -> object:
    have = [bench.number(i) for i in wanted.have[:MOST_TILES]]
    return bench.questions(wanted.mode, min(max(wanted.count, 1), 20), have)


def class_page(bench: Workbench, wanted: PageWanted) -> object:
    return bench.tiles(bench.page(wanted.label))


def answer(bench: Workbench, given: GivenAnswer) -> object:
    origins = tuple(bench.images.origins[bench.number(i)] for i in given.images)
    line = bench.add(Answer(given.kind, origins, given.label, given.why, given.suggested, given.of))
    return {"number": line.number}


def export_labels(bench: Workbench, wanted: ExportWanted) -> object:
    return {"place": str(export(wanted.form, bench.folder, bench.images, bench.answers))}


async def labels_csv(request: Request) -> Response:
    """Answer with labels.csv, to be kept."""
    bench: Workbench = request.app.state.bench
    place = await run_in_threadpool(export, "table", bench.folder, bench.images, bench.answers)
    headers = {"Content-Disposition": 'attachment; filename="labels.csv"'}
    return Response(place.read_bytes(), headers=headers, media_type="text/csv; charset=utf-8")


ROUTES = [
    Route("/api/standing", standing),
    Route("/api/find", find),
    Route("/api/tiles", posted(TilesWanted, some_tiles), methods=["POST"]),
    Route("/api/image", posted(ImageWanted, one_image), methods=["POST"]),
    Route("/api/questions", posted(QuestionsWanted, questions), methods=["POST"]),
    Route("/api/page", posted(PageWanted, class_page), methods=["POST"]),
    Route("/api/answer", posted(GivenAnswer, answer), methods=["POST"]),
    Route("/api/export", posted(ExportWanted, export_labels), methods=["POST"]),
    Route("/labels.csv", labels_csv),
    Route("/picture/{size}/{i:int}", picture),
]
