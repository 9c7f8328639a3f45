"""What every container opens to, and the checks that all of them share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from emotion2vec_runtime.arrays import Samples
from emotion2vec_runtime.audio.loss import Loss
from emotion2vec_runtime.audio.samples import Buffer, SampleFormat, read_samples
from emotion2vec_runtime.audio.spec import MAX_CHANNELS, MAX_SAMPLE_RATE, MIN_SAMPLE_RATE
from emotion2vec_runtime.errors import InvalidRequestError

_BLOCK = 1 << 20
"""Bare samples converted at once: 65 s at 16 kHz mono, so most clips are one block."""


class Block(NamedTuple):
    """Some of a recording's audio, as it was recorded."""

    sample_rate: int
    """Hz. It may change from block to block, as in a chained Ogg, and so may the channels."""
    samples: Samples
    """[channels, n]."""


class Source(Protocol):
    """A recording that has not been decoded yet."""

    def blocks(self) -> Iterator[Block]:
        """Its audio in order, once. Decoding happens here, so a reader may stop it at any time.

        Raises:
            InvalidRequestError: it can't be decoded.
        """
        ...

    def losses(self) -> tuple[Loss, ...]:
        """What could not be heard; complete once `blocks` is exhausted."""
        ...


def sample_blocks(
    data: Buffer, sample_format: SampleFormat, sample_rate: int, channels: int
) -> Iterator[Block]:
    """Blocks of interleaved bare samples; bytes of an incomplete last frame are left out.

    Raises:
        InvalidRequestError: the sample rate or the channel count is not supported.
    """
    check_shape(sample_rate, channels)
    view = memoryview(data)
    frame = sample_format.width * channels
    end = len(view) // frame * frame
    step = _BLOCK // channels * frame
    for start in range(0, end, step):
        piece = view[start : min(end, start + step)]
        yield Block(sample_rate, read_samples(piece, sample_format).reshape(-1, channels).T)


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
