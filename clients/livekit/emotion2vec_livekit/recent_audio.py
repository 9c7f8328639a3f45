"""The audio since the last transcript, bounded."""

from __future__ import annotations

from collections import deque

import numpy as np
from livekit import rtc
from numpy.typing import NDArray


class RecentAudio:
    """Keeps the last `longest` seconds of what was pushed since it was last taken."""

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._frames: deque[rtc.AudioFrame] = deque()
        self._seconds = 0.0

    def push(self, frame: rtc.AudioFrame) -> None:
        self._frames.append(frame)
        self._seconds += frame.duration
        while self._seconds > self._longest and len(self._frames) > 1:
            self._seconds -= self._frames.popleft().duration

    def take(self) -> tuple[NDArray[np.int16], int] | None:
        """Samples, [n] or [n, channels], and their rate; None where there are none. They are gone
        from here."""
        if not self._frames:
            return None
        first = self._frames[0]
        samples = np.concatenate([np.frombuffer(frame.data, np.int16) for frame in self._frames])
        self._frames.clear()
        self._seconds = 0.0
        if first.num_channels > 1:
            samples = samples.reshape(-1, first.num_channels)
        return samples, first.sample_rate
