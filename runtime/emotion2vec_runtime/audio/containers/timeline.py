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
_LONGEST_UNSTATED_HOLE: Final = 600.0
"""Seconds; a longer one is a broken time, unless the file says that it is that long."""


class Placed(NamedTuple):
    """What to play of a frame, in samples."""

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
        self._clips = clips
        self._padding = padding
        self._origin: float | None = None
        self._shift = 0.0

    @property
    def position(self) -> float:
        """Seconds so far, holes included."""
        return self.heard + self.lost

    def skip(self, seconds: float) -> None:
        """Notes a hole that shows in no frame's time."""
        self._shift += seconds

    def place(self, time: float | None, count: int, rate: int) -> Placed:
        """Places a frame of `count` samples that is to be heard at `time` seconds."""
        self.longest_frame = max(self.longest_frame, count / rate)
        if time is None:
            return self._play(0, 0, count, rate)
        start, stop = self._clip(time, count, rate)
        begin = time + self._shift + start / rate
        if self._origin is None:
            self._origin = begin - self.position
        gap = begin - self._origin - self.position
        if abs(gap) <= _JITTER or start >= stop:
            return self._play(0, start, stop, rate)
        limit = _LONGEST_UNSTATED_HOLE if self._stated is None else self._stated + 1
        if gap > 0 and gap + (self.position if self._stated is not None else 0) <= limit:
            return self._play(round(gap * rate), start, stop, rate)
        self._origin += gap
        return self._play(0, start, stop, rate)

    def _clip(self, time: float, count: int, rate: int) -> tuple[int, int]:
        """The part of a frame that is to be played."""
        begin, end = self._padding
        if begin < time + count / rate and time < end:
            return 0, min(count, max(0, round((begin - time) * rate)))
        if not self._clips or self._stated is None:
            return 0, count
        start = min(count, max(0, round(-time * rate)))
        return start, min(count, max(start, round((self._stated - time) * rate)))

    def _play(self, silence: int, start: int, stop: int, rate: int) -> Placed:
        self.lost += silence / rate
        self.heard += (stop - start) / rate
        return Placed(silence, start, stop)
