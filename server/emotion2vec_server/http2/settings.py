"""What each side of a connection says that the other may do (RFC 9113, section 6.5)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from emotion2vec_server.http2 import frames
from emotion2vec_server.http2.faults import ErrorCode, PeerError


@dataclass(frozen=True, slots=True)
class Limits:
    """What a peer is told that it may do."""

    max_streams: int = 2048
    max_frame_bytes: int = 2**20
    """Of DATA: a large message then comes in one frame, or few."""
    stream_window: int = 2**20
    connection_window: int = 2**26
    """Of all streams together: those that nobody reads share it with those that somebody does."""
    max_header_list_bytes: int = 16_384


def greeting(limits: Limits) -> bytes:
    """What a server says first."""
    values = {
        frames.MAX_CONCURRENT_STREAMS: limits.max_streams,
        frames.INITIAL_WINDOW_SIZE: limits.stream_window,
        frames.MAX_FRAME_SIZE: limits.max_frame_bytes,
        frames.MAX_HEADER_LIST_SIZE: limits.max_header_list_bytes,
    }
    # The connection's own window has no setting.
    widening = frames.window_update(0, limits.connection_window - frames.DEFAULT_WINDOW)
    return frames.settings(values) + widening


def read(payload: bytes) -> dict[int, int]:
    """The values that a peer has set; of one that is set twice, the last counts.

    Raises:
        PeerError: the payload has the wrong size, or a value is out of its range.
    """
    if len(payload) % 6:
        raise PeerError(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS of a wrong size")
    values = dict(struct.iter_unpack(">HI", payload))
    if values.get(frames.ENABLE_PUSH, 0) > 1:
        raise PeerError(ErrorCode.PROTOCOL_ERROR, "ENABLE_PUSH is neither 0 nor 1")
    if values.get(frames.INITIAL_WINDOW_SIZE, 0) > frames.LARGEST_WINDOW:
        raise PeerError(ErrorCode.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE out of range")
    size = values.get(frames.MAX_FRAME_SIZE, frames.SMALLEST_FRAME_LIMIT)
    if not frames.SMALLEST_FRAME_LIMIT <= size <= frames.LARGEST_FRAME_LIMIT:
        raise PeerError(ErrorCode.PROTOCOL_ERROR, "MAX_FRAME_SIZE out of range")
    return values
