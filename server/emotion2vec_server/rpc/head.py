"""What the fields of a request say to gRPC: which method, until when, in which encoding."""

from __future__ import annotations

import re
from typing import NamedTuple

import grpc

from emotion2vec_server.http2 import Headers
from emotion2vec_server.rpc.encoding import NAMES
from emotion2vec_server.rpc.faults import CallError, HttpError

_CONTENT_TYPES = (b"application/grpc", b"application/grpc+", b"application/grpc;")
_TIMEOUT = re.compile(rb"([0-9]{1,8})([HMSmun])")
_SECONDS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}


class Head(NamedTuple):
    """The beginning of a call."""

    method: str
    """Its path: "/package.Service/Method"."""
    timeout: float | None
    """Seconds that it has; None without a limit."""
    encoding: bytes
    """How messages that are marked as compressed are."""


def read(headers: Headers, max_bytes: int) -> Head:
    """The head of the request with these fields.

    Raises:
        HttpError: the method is not POST, or the content is not gRPC's.
        CallError: the fields are more than `max_bytes`, or one of them makes no sense.
    """
    fields = headers.values
    if fields[b":method"] != b"POST":
        raise HttpError(405)
    kind = fields.get(b"content-type", b"").lower()
    if kind != _CONTENT_TYPES[0] and not kind.startswith(_CONTENT_TYPES[1:]):
        raise HttpError(415)
    if headers.size > max_bytes:
        raise CallError(
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            f"the metadata has more than {max_bytes} bytes, the most that this server takes",
        )
    encoding = fields.get(b"grpc-encoding", b"identity")
    if encoding not in NAMES:
        raise CallError(
            grpc.StatusCode.UNIMPLEMENTED,
            "the messages' encoding is unknown here; use gzip, deflate or none",
        )
    timeout = fields.get(b"grpc-timeout")
    return Head(
        fields[b":path"].decode("latin-1"),
        None if timeout is None else _seconds(timeout),
        encoding,
    )


def _seconds(timeout: bytes) -> float:
    found = _TIMEOUT.fullmatch(timeout)
    if found is None:
        raise CallError(grpc.StatusCode.INTERNAL, "grpc-timeout is malformed")
    return int(found[1]) * _SECONDS[found[2]]
