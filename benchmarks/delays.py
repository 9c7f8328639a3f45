"""When the frames of a live stream fall due, and how late they came: arithmetic without any I/O.

A frame can't be final before the last sample that it needs was spoken: the end of its field, and
the lookahead behind it. Its delay counts from the moment when the chunk with that sample should
have been sent, so a server that stops reading can't hide it. A frame that has not come when the
stream is given up counts with its delay until then.
"""

from __future__ import annotations

from benchmarks.speech import SAMPLE_RATE

FRAME_HOP, FRAME_FIELD = 320, 400
"""In samples: emotion2vec's frame k sees [k * FRAME_HOP, k * FRAME_HOP + FRAME_FIELD)."""
CHUNK = SAMPLE_RATE // 10
"""Samples that are sent at once."""
CHUNK_SECONDS = CHUNK / SAMPLE_RATE


class StreamError(Exception):
    """A stream ended early, or a final frame was left out or came twice."""


def needed_chunk(frame: int, lookahead: int) -> int:
    """The chunk with the last sample that must be heard before `frame` is final.

    Args:
        frame: its index, from the stream's beginning.
        lookahead: frames that must follow it.
    """
    return ((frame + lookahead) * FRAME_HOP + FRAME_FIELD - 1) // CHUNK


class FrameDelays:
    """The final frames of one stream. All moments and delays are in seconds, on one clock."""

    def __init__(self, began: float, lookahead: int, counted: tuple[float, float]) -> None:
        """Frames due in `counted` (begin, end) count; the first chunk is sent at `began`."""
        self._began = began
        self._lookahead = lookahead
        self._from, self._to = counted
        self._next = 0
        self.delays: list[float] = []
        """Of each frame that counts."""
        self.turnarounds: list[float] = []
        """Of the newest frame of each message: what is left of the delay without the hop."""

    def due(self, frame: int) -> float:
        """When the last sample that it needs should have been sent."""
        return self._began + needed_chunk(frame, self._lookahead) * CHUNK_SECONDS

    @property
    def is_complete(self) -> bool:
        """All frames that count have come."""
        return self.due(self._next) >= self._to

    def came(self, first: int, count: int, now: float) -> None:
        """Final frames [first, first + count) came.

        Raises:
            StreamError: they do not follow the last ones.
        """
        if first != self._next or count < 1:
            raise StreamError(f"{count} frames from {first} on came, where {self._next} was next")
        self._next += count
        self.delays += self._since_due(first, self._next, now)
        self.turnarounds += self._since_due(self._next - 1, self._next, now)

    def give_up(self, now: float) -> None:
        """Nothing more will come: counts what is overdue."""
        missing = self._next
        while self.due(missing) < min(self._to, now):
            missing += 1
        self.delays += self._since_due(self._next, missing, now)
        self._next = missing

    def _since_due(self, first: int, last: int, now: float) -> list[float]:
        moments = (self.due(frame) for frame in range(first, last))
        return [now - due for due in moments if self._from <= due < self._to]
