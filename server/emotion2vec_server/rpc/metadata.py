"""Metadata: what gRPC calls header fields that are the application's.

Values are ASCII text, or bytes under keys that end in "-bin", base64 on the wire (gRPC over HTTP/2,
"Custom-Metadata").
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Sequence

from emotion2vec_server.http2 import Field, Headers

Metadata = Sequence[tuple[str, str | bytes]]

_BINARY = b"-bin"
# Of the protocol, not of the application.
_RESERVED = (b":", b"grpc-")
_KEPT = {b"grpc-trace-bin", b"grpc-tags-bin"}
_DROPPED = {b"te", b"content-type"}
_KEY = re.compile(r"[0-9a-z_.-]+")
_TEXT = re.compile(r"[ -~]*")


def read(headers: Headers) -> tuple[tuple[str, str | bytes], ...]:
    """The metadata among a request's fields. A binary value that is no base64 is left out."""
    return tuple(
        (name.decode("ascii"), value)
        for name, raw in headers
        if name in _KEPT or not (name.startswith(_RESERVED) or name in _DROPPED)
        for value in _values(name, raw)
    )


def fields(metadata: Iterable[tuple[str, str | bytes]]) -> list[Field]:
    """Metadata as header fields.

    Raises:
        ValueError: a key or a value that gRPC does not allow.
    """
    return [_field(key.lower(), value) for key, value in metadata]


def _field(key: str, value: str | bytes) -> Field:
    if not _KEY.fullmatch(key) or (key.startswith("grpc-") and not key.endswith("-bin")):
        raise ValueError(f"{key!r} can't be a metadata key")
    if key.endswith("-bin"):
        content = value.encode() if isinstance(value, str) else value
        return key.encode(), base64.b64encode(content).rstrip(b"=")
    text = value.decode("ascii") if isinstance(value, bytes) else value
    if not _TEXT.fullmatch(text):
        raise ValueError(f"the value of metadata {key!r} must be printable ASCII")
    return key.encode(), text.encode()


def _values(name: bytes, raw: bytes) -> list[str | bytes]:
    """The values of one field: binary ones may be joined by commas."""
    if not name.endswith(_BINARY):
        return [raw.decode("latin-1")]
    try:
        return [_from_base64(part) for part in raw.split(b",")]
    except binascii.Error:
        return []


def _from_base64(text: bytes) -> bytes:
    text = text.strip().rstrip(b"=")
    return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
