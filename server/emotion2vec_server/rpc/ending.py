"""How a call ends on the wire: its status and trailing metadata, as blocks of header fields."""

from __future__ import annotations

import re
from collections.abc import Iterable

import grpc

from emotion2vec_server import http2
from emotion2vec_server.rpc.encoding import ACCEPTED

_CONTENT_TYPE = (b"content-type", b"application/grpc")
_ACCEPTED = (b"grpc-accept-encoding", ACCEPTED)
_ESCAPED = re.compile(rb"[^ -$&-~]")
"""Whatever is not printable ASCII, and "%" itself."""

HEADERS = http2.response_block(200, [_CONTENT_TYPE, _ACCEPTED])
"""What goes before the first message, where there is no initial metadata."""
OK = http2.block([(b"grpc-status", b"0")])
"""The trailers of a call that went well, where there is no trailing metadata."""


def headers(initial: Iterable[http2.Field]) -> bytes:
    """HEADERS with initial metadata."""
    return http2.response_block(200, [_CONTENT_TYPE, _ACCEPTED, *initial])


def trailers(
    code: grpc.StatusCode, details: str, trailing: Iterable[http2.Field], *, alone: bool
) -> bytes:
    """The end of a call with its trailing metadata, after its messages or `alone`, when there is
    nothing before it."""
    fields = [(b"grpc-status", str(code.value[0]).encode())]
    if details:
        fields.append((b"grpc-message", percent_encoded(details)))
    fields += trailing
    block = http2.block(fields)
    return HEADERS + block if alone else block


def percent_encoded(text: str) -> bytes:
    """A grpc-message: UTF-8 with everything but printable ASCII escaped, and "%" itself."""
    return _ESCAPED.sub(lambda found: b"%%%02X" % ord(found[0]), text.encode("utf-8", "replace"))
