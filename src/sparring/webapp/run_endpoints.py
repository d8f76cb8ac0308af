"""What the tab "Run" asks: runs have numbers, and their reports two names."""

from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .endpoints import answer_with, posted
from .jobs import PAGES, JobWanted
from .workbench import Workbench

# A report loads nothing and runs no script; should one that a stranger wrote try, it may not, and it is no part of
# this page.
REPORT_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; sandbox allow-same-origin"


@dataclass(frozen=True)
class JobNamed:
    """A run, by its number."""

    number: int


async def jobs(request: Request) -> Response:
    return answer_with(await run_in_threadpool(request.app.state.bench.jobs.shown))


def add_job(bench: Workbench, wanted: JobWanted) -> object:
    return {"number": bench.jobs.add(wanted).number}


def stop_job(bench: Workbench, named: JobNamed) -> object:
    bench.jobs.stop(named.number)
    return {}


def resume_job(bench: Workbench, named: JobNamed) -> object:
    bench.jobs.resume(named.number)
    return {}


def remove_job(bench: Workbench, named: JobNamed) -> object:
    bench.jobs.remove(named.number)
    return {}


async def report_page(request: Request) -> Response:
    """Answer with report.html or mistakes.html of a run."""
    page = request.path_params["page"]
    if page not in PAGES:
        raise HTTPException(404)
    content = await run_in_threadpool(request.app.state.bench.jobs.report, request.path_params["name"], page)
    return Response(content, media_type="text/html", headers={"Content-Security-Policy": REPORT_POLICY})


async def samples(request: Request) -> Response:
    """Answer with the newest samples of a training."""
    content = await run_in_threadpool(request.app.state.bench.jobs.samples, request.path_params["name"])
    return Response(content, media_type="image/png")


ROUTES_OF_RUNS = [
    Route("/api/jobs", jobs),
    Route("/api/jobs/add", posted(JobWanted, add_job), methods=["POST"]),
    Route("/api/jobs/stop", posted(JobNamed, stop_job), methods=["POST"]),
    Route("/api/jobs/resume", posted(JobNamed, resume_job), methods=["POST"]),
    Route("/api/jobs/remove", posted(JobNamed, remove_job), methods=["POST"]),
    Route("/runs/{name}/samples", samples),
    Route("/runs/{name}/{page}", report_page),
]
