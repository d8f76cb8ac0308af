"""The server: on this machine's own address alone, with a link that nobody can guess."""

import secrets
import socket
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from ..data import ImageSet
from ..errors import MachineError, MissingData, UsageError
from ..files import folder_name
from ..images import SizeLike, quiet_decoders
from .drawing import name_of_run
from .workbench import Workbench

if TYPE_CHECKING:
    from starlette.applications import Starlette

ADDRESS = "127.0.0.1"
LARGEST_BODY = 33 << 20  # bytes of a request
TURN = 0.001  # seconds that the work beside the page may keep Python for itself while a request waits
READY = 10.0  # seconds within which a server answers, or something is wrong


class Served:
    """A page that is being served, until `close`. `link`: where; it holds a token, so treat it as a password."""

    def __init__(self, bench: Workbench, port: int):
        from uvicorn import Config, Server

        self.bench, self.open = bench, ExitStack()
        listening = _listening(port)
        self.port, token = listening.getsockname()[1], secrets.token_urlsafe(32)
        self.link = f"http://{ADDRESS}:{self.port}/?token={token}"
        self.open.enter_context(quiet_decoders())
        self.open.callback(sys.setswitchinterval, sys.getswitchinterval())
        sys.setswitchinterval(TURN)
        settings = Config(
            application(bench, self.port, token), log_config=None, access_log=False, lifespan="off", ws="none",
            server_header=False, proxy_headers=False, timeout_graceful_shutdown=2,
        )  # fmt: skip
        self.server = Server(settings)
        self.thread = threading.Thread(target=self.server.run, args=([listening],), name="sparring-app", daemon=True)
        self.thread.start()
        bench.start()

    def wait(self) -> None:
        """Return when the server has ended."""
        while self.thread.is_alive():
            self.thread.join(0.5)  # a signal is heard in between

    def close(self) -> None:
        """End the server. Every answer is on the disk already."""
        self.server.should_exit = True
        self.thread.join(READY)
        self.bench.close()
        self.open.close()

    def __enter__(self) -> "Served":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<the page of {self.bench.source}: {self.link}>"

    def _repr_html_(self) -> str:
        return f'<p><a href="{escape(self.link)}" target="_blank" rel="noopener">Open the page</a></p>'


def _model(model: str | Path | None, study: str | Path | None) -> Path | None:
    """Return the folder of the model that is asked. Raises MissingData where it is not there."""
    place = Path(model) if model is not None else None if study is None else Path(study) / "model"
    if place is not None and not place.is_dir():
        raise MissingData("no-model", f"there is no model folder {place}", fix="name one that compare or fit wrote")
    return place


def application(bench: Workbench, port: int, token: str) -> "Starlette":
    """Return what answers requests, behind its guard."""
    from starlette.applications import Starlette
    from starlette.middleware import Middleware

    from ..errors import SparringError
    from .draw_endpoints import ROUTES_OF_DRAWING
    from .endpoints import ROUTES, refused
    from .guard import Guard
    from .pages import ROUTES_OF_PAGES
    from .run_endpoints import ROUTES_OF_RUNS
    from .try_endpoints import ROUTES_OF_TRYING

    made = Starlette(
        routes=[*ROUTES, *ROUTES_OF_RUNS, *ROUTES_OF_DRAWING, *ROUTES_OF_TRYING, *ROUTES_OF_PAGES],
        middleware=[Middleware(Guard, port=port, token=token)],
        exception_handlers={SparringError: refused},
        max_body_size=LARGEST_BODY,
    )
    made.state.bench = bench
    return made


def _listening(port: int) -> socket.socket:
    """Return a socket that listens. `port`: 0 for any that is free. Raises MachineError."""
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((ADDRESS, port))
        made.listen(128)
    except (OSError, OverflowError) as error:
        made.close()
        reason = str(getattr(error, "strerror", None) or error).lower()
        what = f"port {port} cannot be used: {reason}"
        raise MachineError("port", what, fix="leave --port out, then a free one is taken") from None
    return made


def serve(
    data: object,
    *,
    out: str | Path | None = None,
    model: str | Path | None = None,
    study: str | Path | None = None,
    run: str | Path | Sequence[str | Path] | None = None,
    port: int = 0,
    size: SizeLike = None,
    unlabelled: str | Path | None = None,
    table: str | Path | None = None,
    label: str | None = None,
    group: object = None,
    follow_links: bool = False,
    pretrained: str = "efficientnet-lite0",
    device: str = "auto",
    seed: int = 0,
) -> Served:
    """Serve the page of a data set on this machine, and return at once; the link is in what is returned.

    data: an ImageSet, or what `load` takes, which is then read with the other options. out: the folder of the answers,
    labels.csv and what is run; by default NAME-labels here. Answers that are there count. model, study: what "Try"
    uses: a model folder, or the model of a study. run: a training run, or several, which "Draw" draws from. port: 0 for
    any that is free. pretrained, device: as `next_images` takes them. seed: of what is drawn at random. Raises
    UsageError where a package is missing, MachineError for a port or folder that is in use, FileFormatError for a model
    that cannot be read, MissingData for a model or run that is not there.
    """
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        what = f"the page needs {error.name}, which is not installed"
        raise UsageError("no-app", what, fix="install it: pip install 'sparring[app]'") from None
    reading = {
        "size": size, "unlabelled": unlabelled, "table": table, "label": label, "group": group,
        "follow_links": follow_links,
    }  # fmt: skip
    name = data.name if isinstance(data, ImageSet) else Path(str(data)).stem
    folder = Path(out) if out is not None else Path(f"{folder_name(name)}-labels")
    runs = [] if run is None else [run] if isinstance(run, str | Path) else list(run)
    named = [("study", study), *((name_of_run(k), place) for k, place in enumerate(runs))]
    given = {name: Path(place) for name, place in named if place is not None}
    for name, place in given.items():
        if name != "study" and not place.is_dir():
            raise MissingData("no-run", f"there is no run folder {place}", fix="name one that train wrote")
    bench = Workbench(
        data, folder, reading, pretrained=pretrained, device=device, seed=seed, given=given, model=_model(model, study)
    )
    try:
        return Served(bench, port)
    except BaseException:
        bench.close()
        raise
