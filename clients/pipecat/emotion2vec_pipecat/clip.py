"""The audio of the user's current speech, bounded."""

from __future__ import annotations

from typing import NamedTuple

from pipecat.frames.frames import InputAudioRawFrame


class Clip(NamedTuple):
    """16-bit PCM."""

    audio: bytes
    sample_rate: int
    channels: int

    @property
    def seconds(self) -> float:
        return len(self.audio) / (2 * self.channels * self.sample_rate)


class Clipper:
    """Keeps the last seconds of the microphone: a little while nobody speaks, because a detector
    hears speech only after it has begun, and more while somebody does."""

    def __init__(self, pre_roll: float, longest: float) -> None:
        self._pre_roll = pre_roll
        self._longest = longest
        self._clip: Clip | None = None
        self._speaking = False

    def push(self, frame: InputAudioRawFrame) -> None:
        clip = self._clip
        if clip is None or clip[1:] != (frame.sample_rate, frame.num_channels):
            clip = Clip(b"", frame.sample_rate, frame.num_channels)
        kept = self._longest if self._speaking else self._pre_roll
        size = 2 * frame.num_channels * max(1, int(kept * frame.sample_rate))
        self._clip = clip._replace(audio=(clip.audio + frame.audio)[-size:])

    def start(self) -> None:
        self._speaking = True

    def stop(self) -> Clip | None:
        """The speech; None where no audio came."""
        clip, self._clip, self._speaking = self._clip, None, False
        return clip
