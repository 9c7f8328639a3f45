"""Header blocks from the frames that they come in: HEADERS, and CONTINUATION until the block ends.

No other frame may come in between (RFC 9113, section 6.10). A block is bounded in bytes and in
frames, or a peer could go on for ever.
"""

from __future__ import annotations

from typing import NamedTuple

from emotion2vec_server.http2 import frames
from emotion2vec_server.http2.faults import ErrorCode, PeerError

MAX_BYTES = 32_768
_MAX_CONTINUATIONS = 64
_PRIORITY_BYTES = 5


class Block(NamedTuple):
    """A header block, still encoded."""

    stream_id: int
    content: bytes
    end: bool
    """It ends the request."""


class BlockReader:
    """Reads the blocks of one connection."""

    def __init__(self) -> None:
        self._begun: Block | None = None
        self._continuations = 0

    @property
    def is_within_block(self) -> bool:
        """Nothing but CONTINUATION may come."""
        return self._begun is not None

    def begin(self, flags: int, stream_id: int, payload: bytes) -> Block | None:
        """Takes HEADERS; returns the block if it is complete.

        Raises:
            PeerError: the frame is malformed.
        """
        begin, end = 0, len(payload)
        if flags & frames.PADDED:
            if not payload:
                raise PeerError(ErrorCode.FRAME_SIZE_ERROR, "HEADERS too short")
            begin, end = 1, end - payload[0]
        if flags & frames.HAS_PRIORITY:
            begin += _PRIORITY_BYTES
        if begin > end:
            raise PeerError(ErrorCode.PROTOCOL_ERROR, "more padding than HEADERS")
        self._continuations = 0
        block = Block(stream_id, payload[begin:end], bool(flags & frames.END_STREAM))
        return self._complete(block, flags)

    def go_on(self, flags: int, stream_id: int, payload: bytes) -> Block | None:
        """The same for CONTINUATION.

        Raises:
            PeerError: it continues no block, or one that has become too large.
        """
        block = self._begun
        if block is None or stream_id != block.stream_id:
            raise PeerError(ErrorCode.PROTOCOL_ERROR, "CONTINUATION of nothing")
        content = block.content + payload
        self._continuations += 1
        if self._continuations > _MAX_CONTINUATIONS or len(content) > MAX_BYTES:
            raise PeerError(ErrorCode.ENHANCE_YOUR_CALM, "headers too large")
        return self._complete(Block(stream_id, content, block.end), flags)

    def _complete(self, block: Block, flags: int) -> Block | None:
        is_complete = bool(flags & frames.END_HEADERS)
        self._begun = None if is_complete else block
        return block if is_complete else None
