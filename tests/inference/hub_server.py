"""A server on this machine that answers huggingface_hub's own client: repositories in memory, each with one commit."""

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

COMMIT = "a" * 40
Repos = dict[str, dict[str, bytes]]


class Hub(ThreadingHTTPServer):
    """repos: name -> file -> content. asked: the lines of all requests. tokens: the headers of those that write."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repos: Repos = {}
        self.asked: list[str] = []
        self.tokens: set[str | None] = set()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def running() -> Iterator[Hub]:
    """A server while the block works."""
    hub = Hub()
    thread = Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._serve(with_body=False)

    def do_GET(self) -> None:
        self._serve(with_body=True)

    def _serve(self, *, with_body: bool) -> None:
        self.server.asked.append(f"{self.command} {self.path}")
        parts = self.path.partition("?")[0].strip("/").split("/")
        if parts[0] == "api":
            files = self.server.repos.get("/".join(parts[2:4]))
            if files is None:
                self._answer(b"{}", 404, {"X-Error-Code": "RepoNotFound"})
                return
            listed = {
                "id": "/".join(parts[2:4]),
                "sha": COMMIT,
                "siblings": [{"rfilename": f} for f in files],
            }
            self._json(listed | {"private": False, "tags": [], "downloads": 0})
            return
        repo, name = "/".join(parts[:2]), "/".join(parts[4:])  # user/name/resolve/main/FILE
        content = self.server.repos.get(repo, {}).get(name)
        if content is None:
            self._answer(b"", 404, {"X-Error-Code": "EntryNotFound"})
            return
        etag = hashlib.sha256(content).hexdigest()
        self._answer(content, 200, {"X-Repo-Commit": COMMIT, "ETag": f'"{etag}"'}, with_body=with_body)

    def do_POST(self) -> None:
        self.server.asked.append(f"{self.command} {self.path}")
        self.server.tokens.add(self.headers.get("Authorization"))
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length) if length else self._chunks()
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
            self.server.repos.setdefault(name, {})
            self._json({"url": f"{self.server.address}/{name}"})
        elif self.path == "/api/validate-yaml":
            self._json({"warnings": [], "errors": []})
        elif "/preupload/" in self.path:
            files = json.loads(body)["files"]
            modes = [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files]
            self._json({"files": modes})
        else:
            self._commit(body)

    def _commit(self, body: bytes) -> None:
        name = "/".join(self.path.split("/")[3:5])
        files = self.server.repos[name]
        for line in body.splitlines():
            entry: dict[str, Any] = json.loads(line)
            if entry["key"] == "file":
                files[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
        where = f"{self.server.address}/{name}/commit/{COMMIT}"
        self._json({"success": True, "commitOid": COMMIT, "commitUrl": where})

    def _chunks(self) -> bytes:
        body = b""
        while "chunked" in self.headers.get("Transfer-Encoding", "") and (
            size := int(self.rfile.readline().split(b";")[0] or b"0", 16)
        ):
            body += self.rfile.read(size)
            self.rfile.readline()
        return body

    def _json(self, content: Any) -> None:
        self._answer(json.dumps(content).encode(), 200, {"Content-Type": "application/json"})

    def _answer(self, content: bytes, code: int, headers: dict[str, str], *, with_body: bool = True) -> None:
        self.send_response(code)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(content)
