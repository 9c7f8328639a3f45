"""What a server adds to the runtime's errors: it can't start, or can't serve a request now."""

from __future__ import annotations

from emotion2vec_runtime.errors import Emotion2vecError, RequestError

RETRY_SECONDS = 1.0
"""When to come back where nothing is known that would say it better."""


class StartupError(Emotion2vecError):
    """The server can't start, for another reason than its models: a port, say."""


class ModelNotFoundError(RequestError):
    """No served model has this name."""

    status = "NOT_FOUND"


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


def stopping() -> UnavailableError:
    """The server takes no more work: it is on its way out."""
    return UnavailableError("the server is shutting down; ask another one", RETRY_SECONDS)


class OutOfMemoryForOneError(OverloadedError):
    """Memory ran out on one clip alone: of a small one, the model itself has no room."""


class CallerLeftError(RequestError):
    """The caller has gone in the middle; nobody hears this."""

    status = "CANCELLED"

    def __init__(self) -> None:
        super().__init__("the caller has left")


class UnauthenticatedError(RequestError):
    """The call carries no valid token."""

    status = "UNAUTHENTICATED"


class UnforeseenError(RequestError):
    """Something failed that nobody foresaw."""

    status = "INTERNAL"

    def __init__(self) -> None:
        super().__init__("internal error; the server's log has more")
