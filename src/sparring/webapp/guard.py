"""Who may ask: only a browser on this machine that came by the link, and only from this page.

A server on the loopback address can be reached by every program and every user of the machine, and by every page that
is open in the browser. So a request needs the right Host (else a name that was bound anew to 127.0.0.1 would pass), a
cookie that only the link gives, and for anything that changes something an Origin that is this page.
"""

import hmac
import secrets

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

TOKEN = "token"
READING = ("GET", "HEAD")
POLICY = (
    "default-src 'self'; img-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
# A page that goes on at once: a cookie that is SameSite=Strict is not sent with a redirect that another site began,
# such as a notebook, but with a step that this page itself takes.
ENTRY = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>sparring</title>
<link rel="icon" href="/static/icon.svg">
<meta http-equiv="refresh" content="0;url=/"></head>
<body><p><a href="/">sparring</a></p></body></html>"""


class Guard:
    """Lets requests through to `app` that may ask; all others get a sentence. `port`: of the server."""

    def __init__(self, app: ASGIApp, *, port: int, token: str):
        self.app, self.token = app, token
        self.cookie, self.secret = f"sparring-{port}", secrets.token_urlsafe(32)
        self.hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        refused = self.refusal(Request(scope))

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await (self.app if refused is None else refused)(scope, receive, guarded)

    def refusal(self, request: Request) -> Response | None:
        """Return what to answer instead, None where the request may pass."""
        headers = request.headers
        if headers.get("host", "") not in self.hosts or len(headers.getlist("host")) != 1:
            return _refused("this server answers only to 127.0.0.1", 421)
        if not self._same_page(request.method, headers):
            return _refused("this request came from another page", 403)
        given = request.query_params.get(TOKEN)
        if given is not None and request.method in READING and request.url.path == "/":
            return self._entered(given)
        if not _equal(request.cookies.get(self.cookie, ""), self.secret):
            return _refused("open the link that sparring app printed: it ends with a token", 403)
        return None

    def _same_page(self, method: str, headers: Headers) -> bool:
        """Return whether no other page asks, as far as a browser says; what changes something must say it."""
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "same-origin")
        ours = origin is None if method in READING else False
        ours = ours or origin == f"http://{headers.get('host')}"
        return ours and (site in ("same-origin", "none") or headers.get("sec-fetch-dest") == "document")

    def _entered(self, token: str) -> Response:
        if not _equal(token, self.token):
            return _refused("this link is of another start: open the one that sparring app printed last", 403)
        answer = HTMLResponse(ENTRY)
        answer.set_cookie(self.cookie, self.secret, httponly=True, samesite="strict", path="/")
        return answer


def _equal(given: str, right: str) -> bool:
    return hmac.compare_digest(given.encode(), right.encode())


def _refused(sentence: str, status: int) -> Response:
    return PlainTextResponse(sentence, status)
