"""gRPC failure -> RecognitionError."""

from __future__ import annotations

from typing import Any, Protocol, cast

import grpc
from google.protobuf.message import DecodeError

from emotion2vec_client.errors import (
    DeadlineExceededError,
    InvalidAudioError,
    InvalidRequestError,
    NotFoundError,
    OverloadedError,
    RecognitionError,
    TooLargeError,
    UnauthenticatedError,
    UnavailableError,
)
from emotion2vec_client.foreign_messages import BadRequest, RetryInfo, Status

_DETAILS_KEY = "grpc-status-details-bin"

# Anywhere in the path: a stream's are "config.audio_config.encoding" and the like.
_AUDIO_FIELDS = {"audio", "audio_config"}

_CLASSES: dict[grpc.StatusCode, type[RecognitionError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequestError,
    grpc.StatusCode.NOT_FOUND: NotFoundError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: TooLargeError,
    grpc.StatusCode.UNAVAILABLE: UnavailableError,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceededError,
    grpc.StatusCode.UNAUTHENTICATED: UnauthenticatedError,
    grpc.StatusCode.PERMISSION_DENIED: UnauthenticatedError,
}


class _Failure(Protocol):
    """What the errors of grpc and of grpc.aio have in common, though no base class says so."""

    def code(self) -> grpc.StatusCode: ...
    def details(self) -> str | None: ...
    def trailing_metadata(self) -> Any: ...


def translate(error: grpc.RpcError, server: str) -> RecognitionError:
    """The error to raise for a failed call to `server`."""
    failure = cast(_Failure, error)
    code = failure.code()
    field, retry_after = _read_details(failure.trailing_metadata())
    return _class_of(code, field, retry_after)(
        _message(code, failure.details() or code.name, server, retry_after),
        code=code,
        field=field,
        retry_after=retry_after,
    )


def _class_of(
    code: grpc.StatusCode, field: str | None, retry_after: float | None
) -> type[RecognitionError]:
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and retry_after is not None:
        return OverloadedError
    if code is grpc.StatusCode.INVALID_ARGUMENT and _AUDIO_FIELDS & set((field or "").split(".")):
        return InvalidAudioError
    return _CLASSES.get(code, RecognitionError)


def _message(code: grpc.StatusCode, details: str, server: str, retry_after: float | None) -> str:
    """The server's own sentence; what gRPC itself says is put into words for its user."""
    if code is grpc.StatusCode.UNAVAILABLE and retry_after is None:
        # Our server always says when to come back: this one comes from the transport.
        reason = details.rpartition(": ")[2].rstrip(".")
        return f"can't reach emotion2vec-server at {server} ({reason}); is it running there?"
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return f"{server} does not offer this call ({details}); is it an emotion2vec-server?"
    if code is grpc.StatusCode.DEADLINE_EXCEEDED and details == "Deadline Exceeded":
        return f"{server} did not answer in time; give the call a longer timeout"
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" in details:
        return f"the message is too large ({details}); compress the audio (FLAC, MP3) or split it"
    return details


def _read_details(trailers: Any) -> tuple[str | None, float | None]:
    """The field of a BadRequest and the seconds of a RetryInfo, where the server sent them."""
    packed = next((value for key, value in trailers or () if key == _DETAILS_KEY), b"")
    field: str | None = None
    retry_after: float | None = None
    try:
        for detail in Status.FromString(packed).details:
            if detail.Is(BadRequest.DESCRIPTOR):
                violations = BadRequest.FromString(detail.value).field_violations
                field = violations[0].field if violations else None
            elif detail.Is(RetryInfo.DESCRIPTOR):
                delay = RetryInfo.FromString(detail.value).retry_delay
                retry_after = max(0.0, delay.seconds + delay.nanos / 1e9)
    except DecodeError:
        # A proxy, or another kind of server, wrote something else there: the status still stands.
        return None, None
    return field, retry_after
