"""Both hubs on 127.0.0.1, as far as their client libraries ask when they fetch a model."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

COMMIT = "a1b2c3d4" * 5


class HubStandIn:
    """Serves directories as repositories, and remembers what was asked for."""

    def __init__(self, repositories: dict[str, Path]) -> None:
        self.repositories = repositories
        self.asked: list[str] = []
        """File names, in turn, with "@offset" where a part was asked for."""
        self.revisions: set[str] = set()
        self.cuts = 0
        """So many more answers of more than 10 kB end in the middle."""
        self.url = ""

    def files(self, repository: str) -> list[dict[str, object]]:
        """ModelScope's entries."""
        return [
            {
                "Path": path.name,
                "Name": path.name,
                "Type": "blob",
                "Size": path.stat().st_size,
                "Sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                "Revision": COMMIT,
            }
            for path in sorted(self.repositories[repository].iterdir())
        ]

    def tree(self, repository: str) -> list[dict[str, object]]:
        """Hugging Face's entries."""
        return [
            {"type": "file", "path": entry["Path"], "size": entry["Size"], "oid": entry["Sha256"]}
            for entry in self.files(repository)
        ]


@contextmanager
def hub(repositories: dict[str, Path]) -> Iterator[HubStandIn]:
    stand_in = HubStandIn(repositories)

    class Handler(_Handler):
        hub = stand_in

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        stand_in.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield stand_in
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: HubStandIn

    def log_message(self, *args: object) -> None: ...

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        for pattern, answer in (
            (r"/api/models/(.+?/.+?)/revision/(.+)", self._info),
            (r"/api/models/(.+?/.+?)/tree/(.+)", self._tree),
            (r"/api/v1/models/(.+?/.+?)/repo/files", self._list),
            (r"/api/v1/models/(.+?/.+?)/repo", self._file),
            (r"/([^/]+/[^/]+)/resolve/[^/]+/(.+)", self._resolve),
        ):
            found = re.fullmatch(pattern, parts.path)
            if found and found[1] in self.hub.repositories:
                answer(found[1], *found.groups()[1:], **query)
                return
        self._send(404, b'{"Code": 404, "Message": "not found", "error": "Repository not found"}')

    def _info(self, repository: str, revision: str, **query: str) -> None:
        siblings = [{"rfilename": entry["path"]} for entry in self.hub.tree(repository)]
        self._json({"id": repository, "sha": COMMIT, "siblings": siblings})

    def _tree(self, repository: str, revision: str, **query: str) -> None:
        self._json(self.hub.tree(repository))

    def _list(self, repository: str, **query: str) -> None:
        self.hub.revisions.add(query["Revision"])
        self._json({"Code": 200, "Data": {"Files": self.hub.files(repository)}})

    def _file(self, repository: str, **query: str) -> None:
        self.hub.revisions.add(query["Revision"])
        self._resolve(repository, query["FilePath"])

    def _resolve(self, repository: str, name: str, **query: str) -> None:
        path = self.hub.repositories[repository] / name
        if not path.is_file():
            self._send(404, b"")
            return
        data = path.read_bytes()
        first = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        start = int(first[1]) if first else 0
        headers = {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Repo-Commit": COMMIT}
        if first:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        if self.command == "GET":
            self.hub.asked.append(f"{name}@{start}" if start else name)
        self._send(206 if first else 200, data[start:], headers)

    def _json(self, content: object) -> None:
        self._send(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.hub.cuts > 0 and len(body) > 10_000:
            self.hub.cuts -= 1
            body = body[: len(body) // 2]
            self.close_connection = True
        self.wfile.write(body)
