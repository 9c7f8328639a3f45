"""The frames of HTTP/2 (RFC 9113, sections 4 and 6): their numbers, and those that we write.

Every frame begins with 9 bytes: 24 bits of length, 8 of kind, 8 of flags, 32 of stream.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD_BYTES = 9
HEAD = struct.Struct(">IBI")
"""Length and kind (in one number: it has no 24 bits), flags, stream."""

# Kinds.
DATA = 0x0
HEADERS = 0x1
PRIORITY = 0x2
RST_STREAM = 0x3
SETTINGS = 0x4
PUSH_PROMISE = 0x5
PING = 0x6
GOAWAY = 0x7
WINDOW_UPDATE = 0x8
CONTINUATION = 0x9

# Flags.
END_STREAM = 0x1
ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
HAS_PRIORITY = 0x20

# Settings.
ENABLE_PUSH = 0x2
MAX_CONCURRENT_STREAMS = 0x3
INITIAL_WINDOW_SIZE = 0x4
MAX_FRAME_SIZE = 0x5
MAX_HEADER_LIST_SIZE = 0x6

STREAM_MASK = 2**31 - 1
LARGEST_WINDOW = 2**31 - 1
DEFAULT_WINDOW = 65_535
SMALLEST_FRAME_LIMIT = 16_384
LARGEST_FRAME_LIMIT = 2**24 - 1

SETTINGS_ACK = HEAD.pack(SETTINGS, ACK, 0)


def head(kind: int, flags: int, stream_id: int, length: int) -> bytes:
    """The first 9 bytes of a frame."""
    return HEAD.pack(length << 8 | kind, flags, stream_id)


def headers(stream_id: int, block: bytes, limit: int, *, end: bool = False) -> bytes:
    """A header block in one HEADERS frame, and CONTINUATION frames beyond `limit` bytes."""
    flags = END_STREAM if end else 0
    if len(block) <= limit:
        return head(HEADERS, flags | END_HEADERS, stream_id, len(block)) + block
    parts = [block[begin : begin + limit] for begin in range(0, len(block), limit)]
    frames = [head(HEADERS, flags, stream_id, limit) + parts[0]]
    frames += [head(CONTINUATION, 0, stream_id, limit) + part for part in parts[1:-1]]
    frames.append(head(CONTINUATION, END_HEADERS, stream_id, len(parts[-1])) + parts[-1])
    return b"".join(frames)


def settings(values: Mapping[int, int]) -> bytes:
    content = b"".join(struct.pack(">HI", name, value) for name, value in values.items())
    return head(SETTINGS, 0, 0, len(content)) + content


def window_update(stream_id: int, increment: int) -> bytes:
    return head(WINDOW_UPDATE, 0, stream_id, 4) + increment.to_bytes(4)


def ping(content: bytes, *, ack: bool = False) -> bytes:
    """`content` is 8 bytes."""
    return head(PING, ACK if ack else 0, 0, 8) + content


def reset(stream_id: int, code: int) -> bytes:
    return head(RST_STREAM, 0, stream_id, 4) + code.to_bytes(4)


def goaway(last_stream_id: int, code: int, reason: str) -> bytes:
    content = struct.pack(">II", last_stream_id, code) + reason.encode()
    return head(GOAWAY, 0, 0, len(content)) + content
