"""The forms in which an answer may be had, and its rendering."""

from __future__ import annotations

from enum import Enum
from typing import Final

from emotion2vec_runtime.recognition.result import Result
from starlette.responses import Response

from emotion2vec_server.http_api.collected import Collected
from emotion2vec_server.http_api.folder import zip_folder
from emotion2vec_server.http_api.problem import HttpError
from emotion2vec_server.serving.answer import Answer
from emotion2vec_server.serving.long_recordings import OpenRecording, RecordingEvent
from emotion2vec_server.wire import replies
from emotion2vec_server.wire.json import to_json

_MOST_NUMBERS = 4 * 2**20
"""Of an answer in JSON, where each takes 20 times the 4 bytes of a float: 155 minutes of frames, or
80 s of the large model's frame embeddings."""

_QUICK_NUMBERS = 2000
_QUICK_SECONDS = 30
"""Of audio. Both take about a millisecond."""


class Form(Enum):
    """What a result may be answered as: its media type."""

    JSON = "application/json"
    FOLDER = "application/zip"
    LINES = "application/x-ndjson"
    EVENTS = "text/event-stream"
    PROGRESS = "application/json-seq"
    """How far it is, once all has been sent, and the whole in the end: for browsers."""

    @property
    def comes_in_parts(self) -> bool:
        return self in (Form.LINES, Form.EVENTS, Form.PROGRESS)

    @property
    def waits_for_the_end(self) -> bool:
        """Whether nothing is said before the caller has sent all. Browsers read nothing before; and
        until then an error has a status of its own."""
        return self is Form.PROGRESS


DEFAULTS: Final = {
    Form.FOLDER: (
        ("granularity", "FRAME"),
        ("return_embedding", "true"),
        ("return_processed_audio", "true"),
    )
}
"""What a form holds unless told otherwise."""


def acceptable(accept: str) -> Form:
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


def is_quick(answer: Answer, form: Form) -> bool:
    """Whether an event loop may wait while it is rendered."""
    result = answer.result
    is_small = result.audio_seconds < _QUICK_SECONDS and _numbers(result) < _QUICK_NUMBERS
    return form is Form.JSON and is_small


def render(answer: Answer, form: Form) -> Response:
    """The answer as a whole. Takes long where `is_quick` says so.

    Raises:
        HttpError: it holds more than JSON can.
    """
    if form is Form.FOLDER:
        headers = {"Content-Disposition": 'attachment; filename="result.zip"'}
        return Response(zip_folder(answer), media_type=form.value, headers=headers)
    return Response(_json(answer), media_type=form.value)


def _json(answer: Answer) -> str:
    check_fits_json(answer.result)
    return to_json(replies.recognize_message(answer))


def check_fits_json(result: Result) -> None:
    """Refuses what would take the server too much to write in JSON.

    Raises:
        HttpError: it does.
    """
    numbers = _numbers(result)
    if numbers > _MOST_NUMBERS:
        raise HttpError(
            413,
            f"the answer holds {numbers} numbers; JSON takes {_MOST_NUMBERS} at most: ask for "
            "application/zip, or for application/x-ndjson, which comes in parts, or for less",
        )


def line_of(form: Form, opened: OpenRecording, event: RecordingEvent, collected: Collected) -> str:
    """A part, or the result, in a form that comes in parts.

    Raises:
        HttpError: the whole, where that is asked for, holds more than JSON can.
        OverloadedError: with the others it does.
    """
    if form is Form.PROGRESS:
        collected.add(opened, event)
        if isinstance(event, Answer):
            return wrapped(form, "response", f'{{"response": {_json(collected.answer)}}}')
        heard = event.part.stop / opened.model.manifest.sample_rate
        return wrapped(form, "progress", f'{{"progress": {{"end_offset": "{heard:.3f}s"}}}}')
    name = "result" if isinstance(event, Answer) else "part"
    return wrapped(form, name, to_json(replies.recording_message(opened, event)))


def wrapped(form: Form, name: str, text: str) -> str:
    """One event: a line of JSON, one of a sequence (RFC 7464), or of a browser's EventSource."""
    match form:
        case Form.EVENTS:
            return f"event: {name}\ndata: {text}\n\n"
        case Form.PROGRESS:
            return f"\x1e{text}\n"
        case _:
            return f"{text}\n"


def _numbers(result: Result) -> int:
    """How many the arrays hold that JSON would."""
    return sum(
        array.size
        for one in (result, *result.channels)
        for array in (one.frames, one.embedding, one.frame_embeddings)
        if array is not None
    )
