"""A gRPC server, in place of grpc.aio's: the same handlers, interceptors and servicers."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence

import grpc

from emotion2vec_server.rpc.limits import Limits
from emotion2vec_server.rpc.listening import listen
from emotion2vec_server.rpc.peer import Peer
from emotion2vec_server.rpc.routes import Handler, Routes

_RECEIVE_BYTES = 2**18
_FAREWELL_SECONDS = 1.0
"""For what was written last to be read."""
_log = logging.getLogger(__name__)


class Server:
    """Add handlers, `listen`, `start`, and `stop`, each once but the first two; all within one
    event loop."""

    def __init__(
        self,
        interceptors: Sequence[grpc.aio.ServerInterceptor] = (),
        limits: Limits | None = None,
    ) -> None:
        """The first interceptor is the outermost."""
        self.routes = Routes(interceptors)
        self.limits = limits or Limits()
        self.buffer = memoryview(bytearray(_RECEIVE_BYTES))
        self._peers: set[Peer] = set()
        self._news = asyncio.Event()
        self._sockets: list[tuple[socket.socket, ssl.SSLContext | None]] = []
        self._listeners: list[asyncio.Server] = []
        self._watch: asyncio.Task[None] | None = None

    def add_generic_rpc_handlers(self, handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        """Handlers that are asked, in order, for what is not registered."""
        self.routes.add(handlers)

    def add_registered_method_handlers(
        self, service_name: str, method_handlers: Mapping[str, Handler]
    ) -> None:
        """The methods of a service, by name: generated code calls this."""
        self.routes.register(service_name, method_handlers)

    def listen(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Takes a port on all addresses of `host`; 0 picks a free one. Returns its number.

        Over TLS, clients must ask for "h2" (ALPN), which is what gRPC's do.

        Raises:
            OSError: the port is taken, or the address is not this machine's.
        """
        if tls is not None:
            tls.set_alpn_protocols(["h2"])
        sockets = listen(host, port)
        self._sockets += [(each, tls) for each in sockets]
        chosen: int = sockets[0].getsockname()[1]
        return chosen

    async def start(self) -> None:
        """Accepts connections from now on."""
        loop = asyncio.get_running_loop()
        for each, tls in self._sockets:
            handshake = self.limits.patience.handshake if tls else None
            self._listeners.append(
                await loop.create_server(
                    lambda: Peer(self), sock=each, ssl=tls, ssl_handshake_timeout=handshake
                )
            )
        self._watch = loop.create_task(self._watch_peers())

    async def stop(self, grace: float | None, *, delivery: float = 0.0) -> None:
        """Takes no more calls. Answers that wait for their callers to take them may go out within
        `delivery` seconds; then calls under way may end within `grace` seconds, and the rest end
        as UNAVAILABLE."""
        for listener in self._listeners:
            listener.close()
        for each, _ in self._sockets:
            each.close()
        for peer in self._peers:
            peer.leave()
        await self._until(lambda: not any(peer.has_unsent for peer in self._peers), delivery)
        await self._until(lambda: all(peer.is_quiet for peer in self._peers), grace or 0.0)
        for peer in self._peers:
            peer.end_calls(grpc.StatusCode.UNAVAILABLE, "the server is shutting down")
            peer.close()
        await self._until(lambda: not self._peers, _FAREWELL_SECONDS)
        for peer in self._peers:
            peer.abort()
        if self._watch is not None:
            self._watch.cancel()

    # What connections call.

    def join(self, peer: Peer) -> bool:
        """A connection begins. False where there is no room for it."""
        if len(self._peers) >= self.limits.max_connections:
            _log.debug("too many connections", extra={"peer": peer.name})
            return False
        self._peers.add(peer)
        return True

    def part(self, peer: Peer) -> None:
        """A connection has ended, with all its calls."""
        self._peers.discard(peer)
        self._news.set()

    def settle(self) -> None:
        """A connection that is leaving has ended a call."""
        self._news.set()

    async def _until(self, condition: Callable[[], bool], seconds: float) -> None:
        """Returns when the condition holds, or after so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            pass

    async def _watch_peers(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self.limits.patience.check)
            for peer in tuple(self._peers):
                peer.check(loop.time())
