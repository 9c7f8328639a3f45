"""What every container opens to, and the checks that all of them share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from emotion2vec_runtime.arrays import Samples
from emotion2vec_runtime.audio.samples import Buffer, SampleFormat, read_samples
from emotion2vec_runtime.audio.spec import MAX_CHANNELS, MAX_SAMPLE_RATE, MIN_SAMPLE_RATE
from emotion2vec_runtime.errors import InvalidRequestError

_BLOCK = 1 << 20
"""Bare samples converted at once: 65 s at 16 kHz mono, so most clips are one block."""


class Source(NamedTuple):
    """Opened audio that has not been decoded yet. A frame is one sample of each channel."""

    sample_rate: int
    channels: int
    blocks: Iterator[Samples]
    """[channels, n] each. Decoding happens here, so a reader may stop it at any time."""
    skip: float = 0.0
    """Seconds at the beginning that the file says not to play (an encoder's run-in)."""
    keep: float | None = None
    """Seconds to play after them; None for all."""


def open_samples(
    data: Buffer, sample_format: SampleFormat, sample_rate: int, channels: int
) -> Source:
    """Interleaved bare samples; bytes of an incomplete last frame are left out."""
    check_shape(sample_rate, channels)
    return Source(sample_rate, channels, _blocks(memoryview(data), sample_format, channels))


def _blocks(data: memoryview, sample_format: SampleFormat, channels: int) -> Iterator[Samples]:
    frame = sample_format.width * channels
    end = len(data) // frame * frame
    step = _BLOCK // channels * frame
    for start in range(0, end, step):
        piece = data[start : min(end, start + step)]
        yield read_samples(piece, sample_format).reshape(-1, channels).T


def check_shape(sample_rate: int, channels: int) -> None:
    """Refuses what a file claims before anything is allocated for it.

    Raises:
        InvalidRequestError: the sample rate or the channel count is not supported.
    """
    if not MIN_SAMPLE_RATE <= sample_rate <= MAX_SAMPLE_RATE:
        raise undecodable(
            f"a sample rate of {sample_rate} Hz is not supported: "
            f"resample it to {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} Hz"
        )
    if not 1 <= channels <= MAX_CHANNELS:
        raise undecodable(
            f"{channels} channels are not supported: mix them down to {MAX_CHANNELS} or fewer"
        )


def undecodable(message: str) -> InvalidRequestError:
    """The error for audio that can't be decoded."""
    return InvalidRequestError("audio", message)
