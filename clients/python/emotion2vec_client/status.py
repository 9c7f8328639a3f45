"""gRPC failure -> RecognitionError."""

from __future__ import annotations

from typing import Any, Protocol, cast

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import BadRequest, RetryInfo
from google.rpc.status_pb2 import Status

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
from emotion2vec_client.unreachable import explain

_DETAILS_KEY = "grpc-status-details-bin"

# Anywhere in the path: a stream's are "config.audio_config.encoding" and the like.
_AUDIO_FIELDS = {"audio", "audio_config"}

# What gRPC says of a call that this side has cancelled: by closing the client, or the stream.
_CANCELLED_HERE = ("Channel closed!", "Locally cancelled by application!")

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


def translate(error: grpc.RpcError, server: str, *, secure: bool) -> RecognitionError:
    """The error to raise for a failed call to `server`; `secure` if the connection uses TLS."""
    failure = cast(_Failure, error)
    code = failure.code()
    details = failure.details() or code.name
    field, retry_after = _read_details(failure.trailing_metadata())
    if code is grpc.StatusCode.UNAVAILABLE and retry_after is None:
        # Our server always says when to come back: this one comes from the transport.
        message = explain(details, server, secure=secure)
    else:
        message = _message(code, details, server)
    return _class_of(code, details, field, retry_after)(
        message, code=code, field=field, retry_after=retry_after
    )


def _class_of(
    code: grpc.StatusCode, details: str, field: str | None, retry_after: float | None
) -> type[RecognitionError]:
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and retry_after is not None:
        return OverloadedError
    if code is grpc.StatusCode.INVALID_ARGUMENT and _AUDIO_FIELDS & set((field or "").split(".")):
        return InvalidAudioError
    if code is grpc.StatusCode.CANCELLED and details not in _CANCELLED_HERE:
        # A server that stops cancels what has just arrived.
        return UnavailableError
    return _CLASSES.get(code, RecognitionError)


def _message(code: grpc.StatusCode, details: str, server: str) -> str:
    """The server's own sentence; what gRPC itself says is put into words for its user."""
    if code is grpc.StatusCode.CANCELLED and details not in _CANCELLED_HERE:
        return f"{server} has cancelled the call; is it shutting down?"
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return f"{server} does not offer this call ({details}); is it an emotion2vec-server?"
    # "Deadline Exceeded", or "Stream removed (Deadline Exceeded)" and the like.
    if code is grpc.StatusCode.DEADLINE_EXCEEDED and "Deadline Exceeded" in details:
        return f"{server} did not answer in time; give the call a longer timeout"
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" in details:
        return (
            f"the message is too large ({details}); compress the audio (FLAC, MP3), or send it in "
            "pieces, with recognize_recording"
        )
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
