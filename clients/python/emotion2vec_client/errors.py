"""What a call can raise beside the built-in errors of wrong arguments and unreadable files.

`except RecognitionError` catches all that the server, or the way to it, answered; the subclasses
name what a program treats differently.
"""

from __future__ import annotations

import grpc


class RecognitionError(Exception):
    """A call failed. `str(error)` is one sentence for a person.

    Attributes:
        code: the gRPC status.
        field: path of the offending request field, such as "config.allowed_labels"; None unless
            the server named one.
        retry_after: seconds after which the server invites another try; None when it doesn't.
    """

    def __init__(
        self,
        message: str,
        *,
        code: grpc.StatusCode,
        field: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.field = field
        self.retry_after = retry_after

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed a little later."""
        return self.retry_after is not None


class InvalidRequestError(RecognitionError):
    """The server refuses the request as it stands; see `field`."""


class InvalidAudioError(InvalidRequestError):
    """The audio is empty, too short, undecodable, or not what its encoding says."""


class NotFoundError(RecognitionError):
    """The server has no model, or no service, of this name."""


class TooLargeError(RecognitionError):
    """The audio is longer, or the message larger, than the server takes."""


class OverloadedError(RecognitionError):
    """The server's queue stayed full for as long as the call could wait."""


class UnavailableError(RecognitionError):
    """The server can't be reached, is loading or is shutting down."""

    @property
    def retryable(self) -> bool:
        return True


class DeadlineExceededError(RecognitionError):
    """No answer came within the call's timeout."""


class UnauthenticatedError(RecognitionError):
    """The server wants another token, or any."""


def no_result() -> RecognitionError:
    """A call ended well without having said what it was for."""
    return RecognitionError(
        "the server ended the call without a result", code=grpc.StatusCode.INTERNAL
    )
