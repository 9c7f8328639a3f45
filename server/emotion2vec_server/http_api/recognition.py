"""POST /v1/recognize: one recording, of any length, answered in the form that is asked for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TypeVar

from emotion2vec_runtime.errors import InvalidRequestError, RequestError, TooLargeError
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from emotion2vec_server.http_api.body import Body
from emotion2vec_server.http_api.collected import Collected, Shelf
from emotion2vec_server.http_api.edge import Edge, Presence, flat, presence
from emotion2vec_server.http_api.forms import (
    DEFAULTS,
    Form,
    acceptable,
    is_quick,
    line_of,
    render,
    wrapped,
)
from emotion2vec_server.http_api.parameters import recording_config
from emotion2vec_server.http_api.problem import problem_of, problem_response
from emotion2vec_server.serving import long_recordings as long_recordings_use_case
from emotion2vec_server.serving import recordings as recordings_use_case
from emotion2vec_server.serving.answer import Answer
from emotion2vec_server.serving.gate import Call
from emotion2vec_server.serving.long_recordings import (
    LongRecordings,
    RecordingConfig,
    RecordingMessage,
)
from emotion2vec_server.serving.recordings import RecordingRequest, Recordings
from emotion2vec_server.wire import requests

_SHORT_BYTES = 8 * 2**20
"""Bodies up to it go through Recognize: 47 s in CD quality. Such a body is held until it is known
not to be longer than that takes, which bounds what the others may be."""
_RENDER_THREADS = 2
"""They bound the memory for JSON, too."""

T = TypeVar("T")


class Recognition:
    """Answers requests for recordings."""

    def __init__(
        self,
        recordings: Recordings,
        long_recordings: LongRecordings,
        edge: Edge,
        *,
        max_body_bytes: int,
    ) -> None:
        """`max_body_bytes`: of a body that is read as a whole."""
        self._recordings = recordings
        self._long_recordings = long_recordings
        self._edge = edge
        self._short_bytes = min(_SHORT_BYTES, max_body_bytes)
        self._shelf = Shelf()
        self._executor = ThreadPoolExecutor(_RENDER_THREADS, "render")

    async def recognize(self, request: Request) -> Response:
        """One recording of any length; `Accept` chooses the form of the answer."""
        try:
            form = acceptable(request.headers.get("accept", ""))
        except RequestError as error:
            return problem_response(error)
        if form.comes_in_parts:
            return await self._in_parts(request, form)
        length = _length(request)
        if length is not None and length <= self._short_bytes:
            return await self._short(request, form, length)
        return await self._edge.respond(
            request,
            long_recordings_use_case.METHOD,
            lambda call: self._collect(call, request, form, Body(request)),
        )

    async def _short(self, request: Request, form: Form, length: int) -> Response:
        """Through Recognize; one that turns out to be long goes on as a long one. `length` is that
        of the body, in bytes."""
        content = b""

        async def work(call: Call) -> Response:
            body = Body(request)

            async def read() -> bytes:
                nonlocal content
                content = await body.whole(self._short_bytes)
                present.watch()
                return content

            def parse(data: bytes) -> RecordingRequest:
                config = _config(call, request, body, form)
                return RecordingRequest(config.request_id, config.config, config.audio, data)

            async with presence(request) as present:
                try:
                    answer = await self._recordings.recognize(
                        call.caller, read, parse, lambda answer: answer, length
                    )
                except TooLargeError:
                    config = _config(call, request, body, form)
                    return await self._run(call, _two(config, content), form)
                return await self._render(answer, form)

        return await self._edge.respond(request, recordings_use_case.METHOD, work)

    async def _collect(self, call: Call, request: Request, form: Form, body: Body) -> Response:
        async with presence(request) as present:
            return await self._run(call, _messages(call, request, body, form, present), form)

    async def _run(
        self, call: Call, messages: AsyncIterator[RecordingMessage], form: Form
    ) -> Response:
        async def take(_: None) -> None:
            pass

        with closing(Collected(self._shelf)) as collected:
            await self._long_recordings.run(call.caller, messages, collected.add, take)
            return await self._render(await self._off_loop(lambda: collected.answer), form)

    async def _render(self, answer: Answer, form: Form) -> Response:
        if is_quick(answer, form):
            return render(answer, form)
        return await self._off_loop(lambda: render(answer, form))

    async def _off_loop(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    async def _in_parts(self, request: Request, form: Form) -> Response:
        """Each part as it is ready. The first decides the status; an error after it is one more."""
        ready: asyncio.Queue[str | None] = asyncio.Queue(1)

        async def work(call: Call) -> None:
            with closing(Collected(self._shelf)) as collected:
                async with presence(request) as present:

                    async def put(line: str) -> None:
                        if present.has_sent_all or not form.waits_for_the_end:
                            await ready.put(line)

                    await self._long_recordings.run(
                        call.caller,
                        _messages(call, request, Body(request), form, present),
                        lambda opened, event: line_of(form, opened, event, collected),
                        put,
                    )

        async def run() -> None:
            try:
                await self._edge.run(request, long_recordings_use_case.METHOD, work)
            finally:
                # Whoever waits for the next part must not wait for ever.
                if not ready.full():
                    ready.put_nowait(None)

        running = asyncio.create_task(run())
        first = await ready.get()
        if first is None:
            try:
                await running
            except RequestError as error:
                return problem_response(flat(error))
        return _InParts(
            _parts(first, ready, running, form),
            media_type=form.value,
            headers={"Cache-Control": "no-store"},
        )


class _InParts(StreamingResponse):
    """Starlette's reads the request while it sends, to hear of a caller who leaves, and would eat
    the audio that still comes. Whoever reads that hears of it as well."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        await self.stream_response(send)


async def _parts(
    first: str | None, ready: asyncio.Queue[str | None], running: asyncio.Task[None], form: Form
) -> AsyncIterator[str]:
    line = first
    try:
        while line is not None:
            yield line
            if running.done() and ready.empty():
                break
            line = await ready.get()
        try:
            await running
        except RequestError as error:
            yield wrapped(form, "error", json.dumps({"error": problem_of(flat(error))}))
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def _length(request: Request) -> int | None:
    """Bytes of the body, where its sender says so; h11 lets no more in."""
    length = request.headers.get("content-length", "")
    return int(length) if length.isdecimal() else None


async def _messages(
    call: Call, request: Request, body: Body, form: Form, present: Presence
) -> AsyncIterator[RecordingMessage]:
    """The config, which may stand in a form before the file, and the audio."""
    first = await body.begin()
    known = len(body.fields)
    yield _config(call, request, body, form)
    yield first
    async for data in body.rest():
        yield data
    if len(body.fields) > known:
        raise InvalidRequestError(
            body.fields[known][0],
            "of a long recording the file comes last: put it behind the fields",
        )
    present.watch()


async def _two(config: RecordingConfig, content: bytes) -> AsyncIterator[RecordingMessage]:
    yield config
    yield content


def _config(call: Call, request: Request, body: Body, form: Form) -> RecordingConfig:
    message = recording_config(
        (*DEFAULTS.get(form, ()), *request.query_params.multi_items(), *body.fields)
    )
    call.request_id = message.request_id
    return RecordingConfig(
        message.request_id,
        requests.recognition_config(message.config),
        requests.audio_spec(message.audio_config),
    )
