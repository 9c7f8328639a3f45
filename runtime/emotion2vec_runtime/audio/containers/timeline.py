"""Where decoded frames belong in time, and so which audio is missing between them.

Most containers give each frame its time. A jump forward is a hole: packets that were lost or could
not be decoded. It is filled with silence, so that the times of what follows stay true. A jump
backward is an edit, or a writer's mistake: what is there is played on.
"""

from __future__ import annotations

from typing import Final, NamedTuple

_JITTER: Final = 0.04
"""Seconds by which a frame may be off its place: writers round times, and Vorbis at low rates has
them wrong by half a block."""
_DRIFT: Final = 0.02
"""Share of its error by which each frame corrects where the next is expected: a recorder's clock
and its microphone's are never quite the same, which adds up to seconds in hours."""
_ALWAYS: Final = (-1e9, 1e9)
_NEVER: Final = (1e9, -1e9)
_LONGEST_UNSTATED_HOLE: Final = 600.0
"""Seconds; a longer one is a broken time, unless the file says that it is that long."""


class Placed(NamedTuple):
    """What to play of a frame that does not simply follow the one before, in samples."""

    silence: int
    """To be heard before it, in place of what is missing."""
    start: int
    stop: int
    """The part of the frame to play."""


class Timeline:
    """The times of one stream of frames."""

    def __init__(
        self,
        stated: float | None,
        *,
        clips: bool = False,
        padding: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        """`stated`: seconds that the file says it holds. `clips`: whether what lies outside of
        them is not to be played, as MP4's edit lists say. `padding`: from when to when in the
        frames' own time nothing is to be played either."""
        self.heard = 0.0
        """Seconds of frames so far."""
        self.lost = 0.0
        """Seconds of holes so far."""
        self.longest_frame = 0.0
        self._stated = stated
        self._begin, self._end = (0.0, stated) if clips and stated is not None else _ALWAYS
        self._pad_begin, self._pad_end = padding if padding[0] < padding[1] else _NEVER
        self._shift = 0.0
        self._next: float | None = None
        """When the next frame is expected."""

    def skip(self, seconds: float) -> None:
        """Notes a hole that shows in no frame's time."""
        self._shift += seconds

    def place(self, time: float | None, count: int, rate: int) -> Placed | None:
        """Places a frame of `count` samples that is to be heard at `time` seconds; None where it
        follows the one before, and all of it is to be played."""
        length = count / rate
        if length > self.longest_frame:
            self.longest_frame = length
        if time is None:
            self._follow(length)
            return None
        if time < self._begin or time + length > self._end or self._is_padding(time, length):
            start, stop = self._clip(time, count, rate)
        else:
            start, stop = 0, count
        begin = time + self._shift + start / rate
        gap = 0.0 if self._next is None else begin - self._next
        silence = 0
        if self._next is None:
            self._next = begin
        elif -_JITTER <= gap <= _JITTER:
            self._next += _DRIFT * gap
        elif start < stop:
            if self._is_hole(gap):
                silence = round(gap * rate)
                self.lost += silence / rate
            self._next = begin
        self._follow((stop - start) / rate)
        if silence or start or stop < count:
            return Placed(silence, start, stop)
        return None

    def _follow(self, length: float) -> None:
        self.heard += length
        if self._next is not None:
            self._next += length

    def _is_hole(self, gap: float) -> bool:
        """Whether a gap is missing audio, and not a time that jumps backward or is broken."""
        if self._stated is None:
            return 0 < gap <= _LONGEST_UNSTATED_HOLE
        return 0 < gap <= self._stated + 1 - self.heard - self.lost

    def _is_padding(self, time: float, length: float) -> bool:
        return self._pad_begin < time + length and time < self._pad_end

    def _clip(self, time: float, count: int, rate: int) -> tuple[int, int]:
        """The part of a frame that is to be played."""
        if self._is_padding(time, count / rate):
            return 0, min(count, max(0, round((self._pad_begin - time) * rate)))
        start = min(count, max(0, round((self._begin - time) * rate)))
        return start, min(count, max(start, round((self._end - time) * rate)))
