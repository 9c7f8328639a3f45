"""Bytes to what the model hears: 16 kHz mono float32."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import cast

import numpy as np

from emotion2vec_runtime.arrays import Float32, Samples
from emotion2vec_runtime.audio.convert import Converter
from emotion2vec_runtime.audio.detect import (
    HEAD_BYTES,
    find_container,
    is_plain_wav,
    new_job,
    raw_blocks,
    with_missing_bytes,
)
from emotion2vec_runtime.audio.level import Level
from emotion2vec_runtime.audio.loss import Loss
from emotion2vec_runtime.audio.mix import Mix, mix_down
from emotion2vec_runtime.audio.samples import as_float
from emotion2vec_runtime.audio.source import Block, undecodable
from emotion2vec_runtime.audio.spec import SAMPLE_RATE, AudioSpec
from emotion2vec_runtime.audio.wav import WavParser
from emotion2vec_runtime.audio.workers.job import Summary
from emotion2vec_runtime.audio.workers.pool import POOL


@dataclass(frozen=True, slots=True)
class DecodedAudio:
    """Audio as the model hears it."""

    samples: Samples
    """[S], 16 kHz mono, contiguous, finite, at least one. Read-only: it may be a view of the
    request's own bytes."""
    source_rate: int
    """Hz, before resampling."""
    source_channels: int
    """Channels, before they were averaged."""
    channels: Float32 | None = None
    """[C, S], 16 kHz, each channel by itself; None unless asked for. `samples` is their mean."""
    losses: tuple[Loss, ...] = ()
    """What of the recording was not heard."""
    mix: Mix | None = None
    """What averaging the channels did; None where nothing is known of them."""

    @property
    def seconds(self) -> float:
        return self.samples.size / SAMPLE_RATE

    @property
    def level(self) -> Level:
        """How loud it is."""
        return Level(self.samples)


def decode(
    data: bytes | memoryview, spec: AudioSpec, max_seconds: float, *, separate: bool = False
) -> DecodedAudio:
    """Decodes, averages the channels and resamples.

    It blocks, for about 0.1 to 2 ms a second of audio, mostly without the GIL. A file that is cut
    or damaged gives what of it can be decoded, if that is anything, and `losses` says what can't.
    Decoding stops as soon as more than `max_seconds` have come out, so neither time nor memory
    follow what a small file unpacks to or what its header claims.

    Args:
        data: the recording.
        spec: how it is encoded.
        max_seconds: longest audio to take.
        separate: whether to keep each channel by itself as well.

    Raises:
        InvalidRequestError: `audio`: empty, no audio, undecodable, of an unsupported sample rate
            or channel count, an incomplete raw sample, or NaN or infinite samples;
            `audio_config.encoding`: the bytes are not what it says.
        TooLargeError: longer than `max_seconds`.
    """
    if len(data) == 0:
        raise undecodable("audio is empty: send some")
    view = memoryview(data)
    if spec.encoding.is_raw:
        rows, converter = _convert(raw_blocks(view, spec), max_seconds, separate=separate)
        return _decoded(rows, converter, (), separate=separate)
    found = find_container(view, spec.encoding)
    content = view[found.start :]
    if is_plain_wav(found, content):
        parser = WavParser()
        blocks = chain(parser.push(content), parser.finish())
        rows, converter = _convert(blocks, max_seconds, separate=separate)
        return _decoded(rows, converter, parser.losses(), separate=separate)
    head = bytes(content[:HEAD_BYTES])
    job = new_job(found, head, max_seconds, separate=separate)
    pieces, summary = POOL.decode(view, job)
    rows = _joined(pieces)
    seconds = rows.shape[1] / SAMPLE_RATE
    losses = with_missing_bytes(summary.losses, found, head, len(content), seconds)
    return _decoded(rows, summary, losses, separate=separate)


def _convert(
    blocks: Iterable[Block], max_seconds: float, *, separate: bool
) -> tuple[Samples, Converter]:
    """[1, S], or [channels, S] if separate."""
    converter = Converter(max_seconds, separate=separate)
    pieces = [piece for block in blocks for piece in converter.push(block)]
    pieces += converter.finish()
    return _joined(pieces), converter


def _joined(pieces: Sequence[Samples]) -> Samples:
    full = [piece for piece in pieces if piece.size]
    if not full:
        raise undecodable("the audio holds no samples: send some sound")
    if len(full) == 1:
        return full[0]
    return cast(Samples, np.concatenate(full, axis=1))


def _decoded(
    rows: Samples, source: Converter | Summary, losses: tuple[Loss, ...], *, separate: bool
) -> DecodedAudio:
    samples = mix_down(rows)
    samples.flags.writeable = False
    return DecodedAudio(
        samples,
        source.source_rate,
        source.source_channels,
        as_float(rows) if separate else None,
        losses,
        source.mix,
    )
