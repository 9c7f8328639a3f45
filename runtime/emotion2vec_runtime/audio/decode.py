"""Bytes to what the model hears: 16 kHz mono float32."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, cast

import numpy as np

from emotion2vec_runtime.arrays import Float32, Samples
from emotion2vec_runtime.audio import ffmpeg
from emotion2vec_runtime.audio.convert import Converter
from emotion2vec_runtime.audio.level import Level
from emotion2vec_runtime.audio.loss import Loss
from emotion2vec_runtime.audio.mix import Mix, mix_down
from emotion2vec_runtime.audio.samples import SampleFormat, as_float
from emotion2vec_runtime.audio.sniff import Sniffed, sniff, sniff_signature
from emotion2vec_runtime.audio.source import Source, open_samples, undecodable
from emotion2vec_runtime.audio.spec import SAMPLE_RATE, AudioSpec, Encoding
from emotion2vec_runtime.audio.wav import open_wav
from emotion2vec_runtime.errors import InvalidRequestError, TooLargeError

RAW_FORMATS: Final = {
    Encoding.LINEAR16: SampleFormat.S16,
    Encoding.FLOAT32: SampleFormat.F32,
    Encoding.MULAW: SampleFormat.MULAW,
    Encoding.ALAW: SampleFormat.ALAW,
}


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
    or damaged gives what of it can be decoded, if that is anything. Decoding stops as soon as
    more than `max_seconds` have come out, so neither time nor memory follow what a small file
    unpacks to or what its header claims.

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
    source = _open_raw(view, spec) if spec.encoding.is_raw else _open_file(view, spec.encoding)
    converter = Converter(source.sample_rate, source.channels, separate=separate)
    rows = _convert(source, converter, max_seconds)
    samples = mix_down(rows)
    samples.flags.writeable = False
    channels = as_float(rows) if separate else None
    return DecodedAudio(samples, source.sample_rate, source.channels, channels, mix=converter.mix)


def _convert(source: Source, converter: Converter, max_seconds: float) -> Samples:
    """[1, S], or [channels, S]."""
    skip = round(source.skip * source.sample_rate)
    last = math.inf if source.keep is None else skip + round(source.keep * source.sample_rate)
    # An encoder's run-in is no audio; more than a second of it is decoding all the same.
    limit = max_seconds * source.sample_rate + min(skip, source.sample_rate)
    heard: list[Samples] = []
    end = 0
    for block in source.blocks:
        start, end = end, end + block.shape[1]
        if min(end, last) > limit:
            raise TooLargeError(f"the audio is longer than {max_seconds:g} s: split it")
        part = block[:, max(0, skip - start) : max(0, int(min(end, last)) - start)]
        if part.size:
            heard.append(converter.push(part))
        if end >= last:
            break
    heard.append(converter.finish())
    full = [part for part in heard if part.size]
    if not full:
        raise undecodable("the audio holds no samples: send some sound")
    if len(full) == 1:
        return full[0]
    return cast(Samples, np.concatenate(full, axis=1))


def _open_raw(data: memoryview, spec: AudioSpec) -> Source:
    found = sniff_signature(data)
    if found is not None:
        raise InvalidRequestError(
            "audio_config.encoding",
            f"these bytes are a {found.encoding.value} file and not bare {spec.encoding.value} "
            f"samples: set the encoding to {found.encoding.value}, or leave it unset",
        )
    assert spec.sample_rate is not None  # noqa: S101 - AudioSpec sees to it
    sample_format = RAW_FORMATS[spec.encoding]
    frame = sample_format.width * spec.channels
    if len(data) % frame:
        raise undecodable(
            f"{len(data)} bytes are not whole {spec.encoding.value} samples of {frame} bytes: "
            "the end is missing, or the encoding or channel count is wrong"
        )
    return open_samples(data, sample_format, spec.sample_rate, spec.channels)


def _open_file(data: memoryview, declared: Encoding) -> Source:
    found = sniff(data)
    if found is None:
        raise undecodable(
            "these bytes are no WAV, FLAC, MP3, OGG or M4A file: send one of them, "
            "or name the raw encoding"
        )
    if declared not in (Encoding.DETECT, found.encoding):
        raise InvalidRequestError(
            "audio_config.encoding",
            f"the encoding says {declared.value}, but these bytes are {found.encoding.value}: "
            "correct it, or leave it unset",
        )
    return _open_container(data[found.start :], found)


def _open_container(data: memoryview, found: Sniffed) -> Source:
    match found.encoding:
        case Encoding.WAV:
            return open_wav(data)
        case Encoding.FLAC:
            return ffmpeg.open_compressed(data, ffmpeg.FLAC)
        case Encoding.MP3:
            return ffmpeg.open_compressed(data, ffmpeg.MP3)
        case Encoding.OGG:
            return ffmpeg.open_compressed(data, ffmpeg.OGG)
        case _ if found.is_adts:
            return ffmpeg.open_compressed(data, ffmpeg.ADTS)
        case _:
            return ffmpeg.open_m4a(data)
