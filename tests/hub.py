"""A model hub on the loopback interface, with the endpoints of the real one that fetching a model needs."""

import hashlib
import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

COMMIT = "c" * 40


@contextmanager
def hub(models: dict[str, Path], monkeypatch, cache: Path):
    """Serve folders by their names on the hub, with an empty cache; yield the list of what is asked for."""
    from huggingface_hub import constants

    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(f"{self.command} {unquote(urlsplit(self.path).path)}")
            name = next((name for name in models if f"/{name}/" in self.path), "")
            if not name:
                return self.answer(401, b'{"error":"Repository not found"}', {"X-Error-Code": "RepoNotFound"})
            files = {path.name: path.read_bytes() for path in sorted(models[name].iterdir())}
            if "/revision/" in self.path:
                siblings = [{"rfilename": file} for file in files]
                return self.answer(200, json.dumps({"id": name, "sha": COMMIT, "siblings": siblings}).encode())
            if "/tree/" in self.path:
                rows = [{"type": "file", "path": file, "size": len(content), "oid": git_hash(content)}
                        for file, content in files.items()]  # fmt: skip
                return self.answer(200, json.dumps(rows).encode())
            content = files[self.path.rpartition("/")[2]]
            return self.answer(200, content, {"X-Repo-Commit": COMMIT, "ETag": f'"{git_hash(content)}"'})

        do_HEAD = do_GET

        def answer(self, status, content, headers=()):
            self.send_response(status)
            for key, value in {**dict(headers), "Content-Length": str(len(content))}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    try:
        yield asked
    finally:
        server.shutdown()
        server.server_close()


def git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
