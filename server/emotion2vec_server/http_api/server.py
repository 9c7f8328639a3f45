"""The HTTP server: uvicorn's, within our event loop, with this product's bounds."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple, cast

import uvicorn
from fastapi import FastAPI

from emotion2vec_server.errors import StartupError
from emotion2vec_server.http_api.connection import (
    MAX_HEADER_BYTES,
    Connection,
    WebSocketConnection,
)
from emotion2vec_server.serving.places import Places

_IDLE_SECONDS = 30
"""Of a connection that is kept for the next request."""
_BACKLOG = 2048
_PING_SECONDS = 20.0
"""After which a WebSocket is asked for a sign of life, and in which it must give it."""
_MAX_MESSAGE_BYTES = 2**20
"""Of a WebSocket: 5 s of speech at 48 kHz in 32-bit floats."""


class HttpTls(NamedTuple):
    """PEM files. With a `client_ca`, clients must show a certificate of its."""

    certificate: Path
    key: Path
    client_ca: Path | None


class _Uvicorn(uvicorn.Server):
    """Signals are the whole process's business."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class HttpServer:
    """`listen`, `start`, `close` and `stop`, each once; all within one event loop."""

    def __init__(self, app: FastAPI, *, max_connections: int) -> None:
        self._app = app
        self._max_connections = max_connections
        self._server: _Uvicorn | None = None
        self._socket: socket.socket | None = None
        self._serving: asyncio.Task[None] | None = None

    def listen(self, host: str, port: int, tls: HttpTls | None) -> int:
        """Takes a port; 0 picks a free one. Returns its number.

        Raises:
            StartupError: the port is taken, or the address is not this machine's.
        """
        places = Places(self._max_connections)
        config = uvicorn.Config(
            self._app,
            http=cast(type[Connection], partial(Connection, places)),
            ws=cast(type[WebSocketConnection], partial(WebSocketConnection, places)),
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            h11_max_incomplete_event_size=MAX_HEADER_BYTES,
            timeout_keep_alive=_IDLE_SECONDS,
            ws_max_size=_MAX_MESSAGE_BYTES,
            ws_ping_interval=_PING_SECONDS,
            ws_ping_timeout=_PING_SECONDS,
            ws_per_message_deflate=False,
            ssl_certfile=tls and tls.certificate,
            ssl_keyfile=tls and tls.key,
            ssl_ca_certs=str(tls.client_ca) if tls and tls.client_ca else None,
            ssl_cert_reqs=ssl.CERT_REQUIRED if tls and tls.client_ca else ssl.CERT_NONE,
        )
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._socket = socket.create_server(
                (host, port),
                family=family,
                backlog=_BACKLOG,
                # As gRPC has it: every address of the machine.
                dualstack_ipv6=host == "::" and socket.has_dualstack_ipv6(),
            )
        except OSError as error:
            raise StartupError(
                f"can't listen on {host}:{port}: {error.strerror or error}; choose another "
                "--http-port, or give --no-http"
            ) from error
        self._server = _Uvicorn(config)
        return int(self._socket.getsockname()[1])

    async def start(self) -> None:
        """Takes requests from now on."""
        assert self._server is not None  # noqa: S101 - see `listen`
        assert self._socket is not None  # noqa: S101
        self._serving = asyncio.create_task(self._server.serve([self._socket]))
        while not self._server.started and not self._serving.done():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        if self._serving.done():
            await self._serving

    def close(self) -> None:
        """Takes no more connections, and closes those on which nothing goes on; an answer under way
        tells its caller that its connection closes."""
        if self._server is None or self._socket is None or self._serving is None:
            return
        for server in self._server.servers:
            server.close()
        # uvloop listens on a copy of it: until both are closed the system takes connections.
        self._socket.close()
        for connection in list(self._server.server_state.connections):
            if isinstance(connection, Connection):
                connection.shutdown()

    async def stop(self, grace: float) -> None:
        """Ends: what is under way has `grace` seconds."""
        if self._server is None or self._serving is None:
            return
        self._server.config.timeout_graceful_shutdown = max(1, round(grace))
        self._server.should_exit = True
        await self._serving
