"""What the caller says about the audio it sends."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from emotion2vec_runtime.errors import InvalidRequestError

SAMPLE_RATE = 16_000
"""Rate of all audio within the server, in Hz: the models were trained at it."""
MIN_SAMPLE_RATE = 8_000
MAX_SAMPLE_RATE = 192_000
MAX_CHANNELS = 8


class Encoding(Enum):
    """How bytes hold audio. The names are those of the wire's `AudioEncoding`."""

    DETECT = "DETECT"
    """Find the container by its first bytes."""
    WAV = "WAV"
    FLAC = "FLAC"
    MP3 = "MP3"
    OGG = "OGG"
    M4A = "M4A"
    LINEAR16 = "LINEAR16"
    FLOAT32 = "FLOAT32"
    MULAW = "MULAW"
    ALAW = "ALAW"

    @property
    def is_raw(self) -> bool:
        """Whether the bytes are bare samples, which say nothing of their rate and channels."""
        return self in _RAW


_RAW = frozenset({Encoding.LINEAR16, Encoding.FLOAT32, Encoding.MULAW, Encoding.ALAW})


@dataclass(frozen=True, slots=True)
class AudioSpec:
    """A checked audio configuration.

    Raw encodings need `sample_rate`. Containers state their own, so giving one for them is an
    error: were it ignored, a caller who forgot to name a raw encoding would never know.

    Args:
        encoding: how the bytes hold audio.
        sample_rate: in Hz; None or 0 means not given.
        channels: interleaved channels of raw samples; 0 means 1.

    Raises:
        InvalidRequestError: a value is missing, out of range or given for a container.
    """

    encoding: Encoding
    sample_rate: int | None = None
    channels: int = 1

    def __post_init__(self) -> None:
        if self.encoding.is_raw:
            self._check_raw()
        else:
            self._check_container()
        object.__setattr__(self, "sample_rate", self.sample_rate or None)
        object.__setattr__(self, "channels", self.channels or 1)

    @property
    def is_as_heard(self) -> bool:
        """Whether it is raw audio at the models' rate, which needs no resampling."""
        return self.encoding.is_raw and self.sample_rate == SAMPLE_RATE

    def _check_raw(self) -> None:
        name = self.encoding.value
        if not self.sample_rate:
            raise InvalidRequestError(
                "audio_config.sample_rate_hertz",
                f"{name} samples don't say their sample rate: set sample_rate_hertz",
            )
        if not MIN_SAMPLE_RATE <= self.sample_rate <= MAX_SAMPLE_RATE:
            raise InvalidRequestError(
                "audio_config.sample_rate_hertz",
                f"a sample rate of {self.sample_rate} Hz is not supported: "
                f"use {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE}",
            )
        if not 0 <= self.channels <= MAX_CHANNELS:
            raise InvalidRequestError(
                "audio_config.channel_count",
                f"{self.channels} channels are not supported: use 1 to {MAX_CHANNELS}",
            )

    def _check_container(self) -> None:
        hint = "leave it unset, or set encoding if the audio is raw samples"
        if self.sample_rate:
            raise InvalidRequestError(
                "audio_config.sample_rate_hertz",
                f"sample_rate_hertz is for raw encodings only, a file states its own: {hint}",
            )
        if self.channels not in (0, 1):
            raise InvalidRequestError(
                "audio_config.channel_count",
                f"channel_count is for raw encodings only, a file states its own: {hint}",
            )
