"""Every error that a caller or an operator can meet.

A class carries the gRPC status that it becomes; `service` translates once, at the edge. Messages
are for the caller: one sentence that says what is wrong and what to do.
"""

from __future__ import annotations

from typing import ClassVar


class Emotion2vecError(Exception):
    """Base of all errors raised on purpose."""


class StartupError(Emotion2vecError):
    """The server can't start: raise for anything that the operator must mend first."""


class ConfigError(StartupError):
    """A setting is unknown, malformed or contradicts another."""


class BundleError(StartupError):
    """A model bundle is missing, broken, tampered with or of another format version."""


class RequestError(Emotion2vecError):
    """A request failed. `status` is the name of its `grpc.StatusCode`."""

    status: ClassVar[str] = "INTERNAL"
    retry_after: float | None = None
    """Seconds after which a new try may succeed; None when it won't."""


class InvalidRequestError(RequestError):
    """The request itself is wrong; `field` is the path of the offending protobuf field."""

    status = "INVALID_ARGUMENT"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class ModelNotFoundError(RequestError):
    """No served model has this name."""

    status = "NOT_FOUND"


class TooLargeError(RequestError):
    """The audio is longer, or the message larger, than this server takes. A retry won't help."""

    status = "RESOURCE_EXHAUSTED"


class OverloadedError(RequestError):
    """The queue is full or memory ran out; `retry_after` is when there should be room."""

    status = "RESOURCE_EXHAUSTED"

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class DeadlineExceededError(RequestError):
    """The caller's deadline passed, or would pass, before the model could answer."""

    status = "DEADLINE_EXCEEDED"


class UnavailableError(RequestError):
    """The server is loading or draining; another replica, or a later try, will do."""

    status = "UNAVAILABLE"

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class UnauthenticatedError(RequestError):
    """The call carries no valid token."""

    status = "UNAUTHENTICATED"


class InferenceError(RequestError):
    """The model failed on this input; it is logged, and the message holds no internals."""

    status = "INTERNAL"


class OutOfMemoryError(Emotion2vecError):
    """A backend could not allocate memory for a batch: a smaller batch may still run."""
