"""Errors on the wire: problem details (RFC 9457)."""

from __future__ import annotations

import json
import math
from typing import Final

from emotion2vec_runtime.errors import InvalidRequestError, RequestError, TooLargeError
from starlette.responses import Response

MEDIA_TYPE: Final = "application/problem+json"

# google.rpc.Code to HTTP, as google/rpc/code.proto maps them.
_STATUS: Final = {
    "INVALID_ARGUMENT": 400,
    "UNAUTHENTICATED": 401,
    "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
_TITLES: Final = {
    400: "The request is wrong",
    401: "A valid token is needed",
    403: "This is not allowed",
    404: "There is no such thing",
    405: "The method is not for this address",
    406: "The result can't be had in this form",
    413: "The audio is too long or too large",
    415: "The content can't be read in this form",
    429: "The server has no room now",
    499: "The caller has left",
    500: "The server failed",
    503: "The server takes no work now",
    504: "There was not enough time",
}


class HttpError(RequestError):
    """A problem of HTTP alone, such as a content coding, and its HTTP status."""

    status = "INVALID_ARGUMENT"

    def __init__(self, http_status: int, message: str) -> None:
        super().__init__(message)
        self.http_status = http_status


def problem_of(error: RequestError) -> dict[str, object]:
    """The members of the problem; `code` is the status that gRPC would have."""
    status = _status_of(error)
    members: dict[str, object] = {
        "type": "about:blank",
        "title": _TITLES[status],
        "status": status,
        "detail": str(error),
        "code": error.status,
    }
    if isinstance(error, InvalidRequestError) and error.field:
        members["field"] = error.field
    if error.retry_after is not None:
        members["retry_after_seconds"] = error.retry_after
    return members


def problem_response(error: RequestError) -> Response:
    """The response that an error ends a request with."""
    members = problem_of(error)
    headers = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    if members["status"] == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(
        json.dumps(members, ensure_ascii=False),
        status_code=_status_of(error),
        media_type=MEDIA_TYPE,
        headers=headers,
    )


def _status_of(error: RequestError) -> int:
    if isinstance(error, HttpError):
        return error.http_status
    if isinstance(error, TooLargeError):
        return 413
    return _STATUS.get(error.status, 500)
