"""Message encodings: what clients may compress with, undone with a bound on what comes out."""

from __future__ import annotations

import zlib

import grpc

from emotion2vec_server.rpc.faults import CallError, too_large

ACCEPTED = b"identity, deflate, gzip"
_WINDOW_BITS = {b"deflate": zlib.MAX_WBITS, b"gzip": zlib.MAX_WBITS | 16}
NAMES = frozenset({b"identity", *_WINDOW_BITS})


def inflate(data: bytes, encoding: bytes, limit: int) -> bytes:
    """A compressed message's content.

    Raises:
        CallError: as `inflate_small` does, or its content has more than `limit` bytes.
    """
    content = inflate_small(data, encoding, limit)
    if content is None:
        raise too_large(limit)
    return content


def inflate_small(data: bytes, encoding: bytes, most: int) -> bytes | None:
    """The same; None where there is more than `most` bytes, and no more than that is ever made.

    Raises:
        CallError: it is not compressed with `encoding`.
    """
    if encoding not in _WINDOW_BITS:
        raise CallError(
            grpc.StatusCode.INTERNAL, "a message is marked as compressed, but no encoding is named"
        )
    inflater = zlib.decompressobj(_WINDOW_BITS[encoding])
    try:
        content = inflater.decompress(data, most + 1)
    except zlib.error as error:
        raise _broken(encoding) from error
    if len(content) > most:
        return None
    if not inflater.eof or inflater.unused_data:
        raise _broken(encoding)
    return content


def _broken(encoding: bytes) -> CallError:
    return CallError(grpc.StatusCode.INTERNAL, f"a message is no {encoding.decode('ascii')} data")
