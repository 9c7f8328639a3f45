"""How often a live stream runs the model: the hop that the server can sustain.

A stream has one window in the model at a time. So it keeps up if and only if a window's turnaround
(from handing it over to having its answer, queue included) stays below the hop on average; then it
also catches up with any backlog by itself. That needs no clock of the caller: neither a caller who
sends a file at once, nor one who pauses or reads slowly, looks like an overloaded server.

    stretch:  the last SPAN turnarounds take more than HIGH of their hops      -> hop * 2
    return:   they would take less than LOW of the shorter hop, PATIENCE long  -> hop / 2

HIGH leaves room for the final results. LOW lies far enough below it that returning alone does not
bring the overload back; where it does (all streams return together), patience doubles each time.
All times are in seconds, patience in seconds of audio.
"""

from __future__ import annotations

import math
from collections import deque

SPAN = 4
HIGH = 0.9
LOW = 0.4
PATIENCE = 5.0
MOST_PATIENCE = 80.0


class Pace:
    """Chooses the hop of one stream between the one asked for and the longest allowed."""

    def __init__(self, hop: int, longest: int, frame_seconds: float) -> None:
        """`hop` and `longest` are in frames of `frame_seconds`."""
        self.hop = hop
        self._wanted = hop
        self._longest = longest
        self._frame_seconds = frame_seconds
        self._recent: deque[float] = deque(maxlen=SPAN)
        self._calm = 0.0
        """Audio since the last window that was too slow for a shorter hop."""
        self._since_return = math.inf
        """Audio since the hop was last shortened."""
        self._patience = PATIENCE

    @property
    def degraded(self) -> bool:
        """Whether the hop is longer than the one asked for."""
        return self.hop > self._wanted

    def observe(self, turnaround: float) -> bool:
        """Takes in how long the latest window took; True if `hop` has changed."""
        self._recent.append(turnaround)
        taken, allowed = sum(self._recent), len(self._recent)
        audio = self.hop * self._frame_seconds
        self._since_return += audio
        if taken > SPAN * HIGH * audio:
            return self._stretch()
        if taken > allowed * LOW * self._shorter * self._frame_seconds:
            self._calm = 0.0
        else:
            self._calm += audio
        return self.degraded and self._calm >= self._patience and self._return()

    @property
    def _shorter(self) -> int:
        return max(self.hop // 2, self._wanted)

    def _stretch(self) -> bool:
        if self._since_return < MOST_PATIENCE:
            self._patience = min(2 * self._patience, MOST_PATIENCE)
        elif not self.degraded:
            self._patience = PATIENCE
        return self._change(min(self.hop * 2, self._longest))

    def _return(self) -> bool:
        self._since_return = 0.0
        return self._change(self._shorter)

    def _change(self, hop: int) -> bool:
        changed = hop != self.hop
        self.hop = hop
        self._recent.clear()
        self._calm = 0.0
        return changed
