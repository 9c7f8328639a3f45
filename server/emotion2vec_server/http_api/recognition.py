"""POST /v1/recognize: one recording, of any length, answered in the form that is asked for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import closing
from enum import Enum

from emotion2vec_runtime.errors import InvalidRequestError, RequestError, TooLargeError
from emotion2vec_runtime.recognition.result import Result
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from emotion2vec_server.http_api.body import Body
from emotion2vec_server.http_api.collected import Collected, Shelf
from emotion2vec_server.http_api.edge import Edge, Presence, flat, presence
from emotion2vec_server.http_api.folder import zip_folder
from emotion2vec_server.http_api.parameters import recording_config
from emotion2vec_server.http_api.problem import HttpError, problem_of, problem_response
from emotion2vec_server.serving import long_recordings as long_recordings_use_case
from emotion2vec_server.serving import recordings as recordings_use_case
from emotion2vec_server.serving.answer import Answer
from emotion2vec_server.serving.gate import Call
from emotion2vec_server.serving.long_recordings import (
    LongRecordings,
    OpenRecording,
    RecordingConfig,
    RecordingEvent,
    RecordingMessage,
)
from emotion2vec_server.serving.recordings import RecordingRequest, Recordings
from emotion2vec_server.wire import replies, requests
from emotion2vec_server.wire.json import to_json

_SHORT_BYTES = 8 * 2**20
"""Bodies up to it go through Recognize: 47 s in CD quality. Such a body is held until it is known
not to be longer than that takes, which bounds what the others may be."""
_MOST_NUMBERS = 2 * 2**20
"""Of an answer in JSON, where each takes 20 times the 4 bytes of a float: 77 minutes of frames, or
40 s of the large model's frame embeddings."""


class Form(Enum):
    """What a result may be answered as: its media type."""

    JSON = "application/json"
    FOLDER = "application/zip"
    LINES = "application/x-ndjson"
    EVENTS = "text/event-stream"

    @property
    def comes_in_parts(self) -> bool:
        return self in (Form.LINES, Form.EVENTS)


_DEFAULTS = {
    Form.FOLDER: (
        ("granularity", "FRAME"),
        ("return_embedding", "true"),
        ("return_processed_audio", "true"),
    )
}
"""What a form holds unless told otherwise."""


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

    async def recognize(self, request: Request) -> Response:
        """One recording."""
        try:
            form = _form(request.headers.get("accept", ""))
        except RequestError as error:
            return problem_response(error)
        if form.comes_in_parts:
            return await self._in_parts(request, form)
        if self._is_short(request):
            return await self._short(request, form)
        return await self._edge.respond(
            request,
            long_recordings_use_case.METHOD,
            lambda call: self._collect(call, request, form, Body(request)),
        )

    async def _short(self, request: Request, form: Form) -> Response:
        """Through Recognize; one that turns out to be long goes on as a long one."""
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
                    return await self._recordings.recognize(
                        call.caller, read, parse, lambda answer: _rendered(answer, form)
                    )
                except TooLargeError:
                    config = _config(call, request, body, form)
                    return await self._run(call, _two(config, content), form)

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
            return await asyncio.to_thread(lambda: _rendered(collected.answer, form))

    def _is_short(self, request: Request) -> bool:
        length = request.headers.get("content-length", "")
        return length.isdecimal() and int(length) <= self._short_bytes

    async def _in_parts(self, request: Request, form: Form) -> Response:
        """Each part as it is ready. The first decides the status; an error after it is one more."""
        ready: asyncio.Queue[str | None] = asyncio.Queue(1)

        async def work(call: Call) -> None:
            async with presence(request) as present:
                await self._long_recordings.run(
                    call.caller,
                    _messages(call, request, Body(request), form, present),
                    lambda opened, event: _line(form, opened, event),
                    ready.put,
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
        return _WhileReading(
            _parts(first, ready, running, form),
            media_type=form.value,
            headers={"Cache-Control": "no-store"},
        )


class _WhileReading(StreamingResponse):
    """Answers while the body is still read. Starlette's own would take what is left of the body,
    in waiting for the caller to leave: here the handler sees to both."""

    async def __call__(self, _: Scope, __: Receive, send: Send) -> None:
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
            yield _wrapped(form, "error", json.dumps({"error": problem_of(flat(error))}))
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


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
        (*_DEFAULTS.get(form, ()), *request.query_params.multi_items(), *body.fields)
    )
    call.request_id = message.request_id
    return RecordingConfig(
        message.request_id,
        requests.recognition_config(message.config),
        requests.audio_spec(message.audio_config),
    )


def _rendered(answer: Answer, form: Form) -> Response:
    if form is Form.FOLDER:
        headers = {"Content-Disposition": 'attachment; filename="result.zip"'}
        return Response(zip_folder(answer), media_type=form.value, headers=headers)
    numbers = sum(_numbers(one) for one in (answer.result, *answer.result.channels))
    if numbers > _MOST_NUMBERS:
        raise HttpError(
            413,
            f"the answer holds {numbers} numbers; JSON takes {_MOST_NUMBERS} at most: ask for "
            "application/zip, or for application/x-ndjson, which comes in parts, or for less",
        )
    return Response(to_json(replies.recognize_message(answer)), media_type=form.value)


def _numbers(result: Result) -> int:
    arrays = (result.frames, result.frame_embeddings)
    return sum(array.size for array in arrays if array is not None)


def _line(form: Form, opened: OpenRecording, event: RecordingEvent) -> str:
    name = "result" if isinstance(event, Answer) else "part"
    return _wrapped(form, name, to_json(replies.recording_message(opened, event)))


def _wrapped(form: Form, name: str, text: str) -> str:
    """One event, as a line of JSON or as an event of a browser's EventSource."""
    return f"event: {name}\ndata: {text}\n\n" if form is Form.EVENTS else f"{text}\n"


def _form(accept: str) -> Form:
    """The first of the forms that is acceptable; quality values are not weighed.

    Raises:
        HttpError: none is.
    """
    wanted = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    for kind in wanted:
        if kind in ("", "*/*", "application/*"):
            return Form.JSON
        for form in Form:
            if form.value == kind:
                return form
    known = ", ".join(form.value for form in Form)
    raise HttpError(406, f"nothing of {accept!r} can be had: ask for one of {known}")
