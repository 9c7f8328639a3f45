"""One connection, of HTTP or a WebSocket: uvicorn's, and what it leaves unbounded."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.flow_control import CLOSE_HEADER
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from emotion2vec_server.serving.gate import name_of
from emotion2vec_server.serving.places import Places

MAX_HEADER_BYTES = 32 * 1024
_PATIENCE_SECONDS = 10.0
"""In which the head of a request must have come, and what follows an answer to a request that was
not read to its end. The body that a handler reads has limits of its own."""


class Connection(H11Protocol):
    """Closes where a caller keeps it waiting, or has taken all `places` that are its.

    h11 bounds the head of a request by itself (`h11_max_incomplete_event_size`).
    """

    def __init__(self, places: Places, **settings: Any) -> None:
        super().__init__(**settings)
        self._places = places
        self._has_place = False
        self._waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._has_place = self._places.take(_caller(self.client))
        if self._has_place:
            self._wait()
        else:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._wait()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._wait()

    def shutdown(self) -> None:
        if self.cycle is not None:
            # uvicorn closes behind the answer, but does not say so: the next request would be lost.
            self.cycle.default_headers = [*self.cycle.default_headers, CLOSE_HEADER]
        super().shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        if self._has_place:
            self._places.give_back(_caller(self.client))
        super().connection_lost(exc)

    def _wait(self) -> None:
        """Has a timer run while the caller is to send something that no handler waits for."""
        is_answered = self.cycle is None or self.cycle.response_complete
        keeps_waiting = self.conn.their_state is h11.IDLE or (
            is_answered and self.conn.their_state is h11.SEND_BODY
        )
        if not keeps_waiting or not is_answered:
            self._stop_waiting()
        elif self._waiting is None:
            self._waiting = self.loop.call_later(_PATIENCE_SECONDS, self._give_up)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _give_up(self) -> None:
        self._waiting = None
        self.transport.abort()

    def handle_websocket_upgrade(self, event: Any) -> None:
        self._stop_waiting()
        super().handle_websocket_upgrade(event)


class WebSocketConnection(WebSocketsSansIOProtocol):
    """Has the place of the HTTP connection that it was."""

    def __init__(self, places: Places, **settings: Any) -> None:
        super().__init__(**settings)
        self._places = places

    def connection_lost(self, exc: Exception | None) -> None:
        self._places.give_back(_caller(self.client))
        super().connection_lost(exc)


def _caller(client: tuple[str, int] | None) -> str:
    return name_of(client[0]) if client else ""
