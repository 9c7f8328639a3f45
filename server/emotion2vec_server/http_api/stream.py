"""WS /v1/stream: a live stream. JSON and audio in, JSON events out.

The first message is a StreamConfig in JSON. Then come binary messages of audio; `{"end_utterance":
{}}` closes an utterance, and `{"end_of_stream": {}}` says that all has been sent: what is open is
finished, and the server closes. An error is one more message, `{"error": problem}`, before it does.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from itertools import count
from typing import Final
from urllib.parse import urlsplit

from emotion2vec.v1 import service_pb2
from emotion2vec_runtime.errors import InvalidRequestError, RequestError
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from emotion2vec_server.errors import CallerLeftError
from emotion2vec_server.http_api.edge import Edge, flat
from emotion2vec_server.http_api.problem import HttpError, problem_of, problem_response
from emotion2vec_server.serving import streams as streams_use_case
from emotion2vec_server.serving.gate import Call
from emotion2vec_server.serving.stream_config import OpenStream, StreamConfig
from emotion2vec_server.serving.streams import (
    StreamEvent,
    StreamRequest,
    Streams,
)
from emotion2vec_server.wire import requests, stream_replies
from emotion2vec_server.wire.json import from_json, to_json

SUBPROTOCOL: Final = "emotion2vec.v1"
_TOKEN_PREFIX: Final = "base64url.bearer.authorization."  # noqa: S105 - it holds none
"""Browsers can set no header: a token comes as a subprotocol beside ours, as Kubernetes has it."""
_END: Final = "end_of_stream"
# RFC 6455 and IANA's registry of close codes.
_CLOSE_CODES: Final = {
    "INVALID_ARGUMENT": 1008,
    "UNAUTHENTICATED": 1008,
    "NOT_FOUND": 1008,
    "RESOURCE_EXHAUSTED": 1013,
    "UNAVAILABLE": 1012,
    "DEADLINE_EXCEEDED": 1008,
}
_FAILED = 1011


class LiveStreams:
    """Serves WebSockets."""

    def __init__(self, streams: Streams, edge: Edge, origins: Sequence[str]) -> None:
        """`origins`: the web sites whose pages may call, beside the server's own."""
        self._streams = streams
        self._edge = edge
        self._origins = origins

    async def serve(self, socket: WebSocket) -> None:
        """One stream, to its end."""
        if not self._may_call(socket):
            await socket.send_denial_response(
                problem_response(HttpError(403, "pages of this site may not call: --cors-origin"))
            )
            return
        offered = socket.scope.get("subprotocols", [])
        _authorize(socket, offered)
        await socket.accept(SUBPROTOCOL if SUBPROTOCOL in offered else None)

        async def work(call: Call) -> None:
            try:
                await self._streams.run(
                    call.caller, _requests(call, socket), _renderer(), socket.send_text
                )
            except WebSocketDisconnect as error:
                raise CallerLeftError from error

        # A caller who has left hears nothing more.
        with suppress(CallerLeftError, WebSocketDisconnect):
            try:
                await self._edge.run(socket, streams_use_case.METHOD, work)
            except CallerLeftError:
                raise
            except RequestError as error:
                problem = {"error": problem_of(flat(error))}
                await socket.send_text(json.dumps(problem, ensure_ascii=False))
                await _close(socket, _CLOSE_CODES.get(error.status, _FAILED))
            else:
                await _close(socket, 1000)

    def _may_call(self, socket: WebSocket) -> bool:
        """Browsers let any page open a WebSocket to anywhere: it is for the server to look."""
        origin = socket.headers.get("origin")
        return (
            origin is None
            or "*" in self._origins
            or origin in self._origins
            or urlsplit(origin).netloc == socket.headers.get("host")
        )


async def _close(socket: WebSocket, code: int) -> None:
    if socket.application_state is WebSocketState.CONNECTED:
        await socket.close(code)


async def _requests(call: Call, socket: WebSocket) -> AsyncIterator[StreamRequest]:
    first = await socket.receive()
    if first["type"] != "websocket.receive":
        return
    text = first.get("text")
    if text is None:
        raise InvalidRequestError("config", "the first message must be the config, in JSON")
    config = service_pb2.StreamRecognizeRequest(config=from_json(service_pb2.StreamConfig, text))
    request = requests.stream_request(config)
    if isinstance(request, StreamConfig):
        call.request_id = request.request_id
    yield request
    while (message := await socket.receive())["type"] == "websocket.receive":
        data = message.get("bytes")
        if data is not None:
            yield data
            continue
        command = message.get("text") or ""
        if _is_end(command):
            return
        yield requests.stream_request(from_json(service_pb2.StreamRecognizeRequest, command))
    raise WebSocketDisconnect


def _is_end(text: str) -> bool:
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(message, dict) and list(message) == [_END]


def _renderer() -> Callable[[OpenStream, StreamEvent], str]:
    """Renders the events of one stream, which are numbered."""
    numbers = count()

    def render(opened: OpenStream, event: StreamEvent) -> str:
        message = stream_replies.stream_response(opened, event)
        message.sequence = next(numbers)
        return to_json(message)

    return render


def _authorize(socket: WebSocket, offered: list[str]) -> None:
    """Takes a token among the subprotocols for the header that browsers can't send."""
    coded = next((name for name in offered if name.startswith(_TOKEN_PREFIX)), None)
    if coded is None or "authorization" in socket.headers:
        return
    text = coded.removeprefix(_TOKEN_PREFIX)
    with suppress(binascii.Error, ValueError):
        token = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        socket.scope["headers"].append((b"authorization", b"Bearer " + token))
