"""Why a call ends other than by its handler."""

from __future__ import annotations

import grpc


class CallError(Exception):
    """The call can't go on: the status that it ends with."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(details)
        self.code = code


class HttpError(Exception):
    """The request is none of gRPC's: it gets an HTTP status and no more."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP status {status}")
        self.status = status


def too_large(limit: int) -> CallError:
    """A message has more than `limit` bytes."""
    return CallError(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        f"the message has more than {limit} bytes, the most that this server takes",
    )
