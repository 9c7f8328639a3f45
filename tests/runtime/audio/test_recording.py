"""Recordings and streams that are decoded as their bytes come."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from emotion2vec_runtime.audio import (
    AudioSpec,
    Encoding,
    RecordingDecoder,
    StreamDecoder,
    decode,
)
from emotion2vec_runtime.audio.samples import as_float
from emotion2vec_runtime.errors import InvalidRequestError, TooLargeError

from tests.runtime.audio.conftest import floats
from tests.runtime.audio.test_containers import NAMES

DETECT = AudioSpec(Encoding.DETECT)


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def push_all(decoder: RecordingDecoder, data: bytes, *, ends: bool = True) -> None:
    for piece in pieces(data, 1000):
        decoder.push(piece)
    if ends:
        decoder.finish()


@pytest.mark.parametrize("size", [700, 100_000])
@pytest.mark.parametrize("name", ["wav", "wav-float-stereo", *NAMES])
def test_a_recording_in_pieces_is_the_whole_to_the_bit(
    files: dict[str, bytes], name: str, size: int
) -> None:
    whole = decode(files[name], DETECT, 300, separate=True)
    with RecordingDecoder(DETECT, separate=True) as decoder:
        parts = [decoder.push(piece) for piece in pieces(files[name], size)]
        parts.append(decoder.finish())
    heard = np.concatenate([part for part in parts if part.size], axis=1)
    np.testing.assert_array_equal(heard, whole.channels)
    assert (decoder.source_rate, decoder.source_channels) == (
        whole.source_rate,
        whole.source_channels,
    )
    assert (decoder.losses, decoder.mix) == (whole.losses, whole.mix)


@pytest.mark.parametrize("name", ["wav", "flac", "mp3", "opus", "adts", "mp4-faststart"])
def test_a_stream_may_be_a_container(files: dict[str, bytes], name: str) -> None:
    stream = StreamDecoder(DETECT)
    parts = [stream.push(piece) for piece in pieces(files[name], 1000)]
    joined = np.concatenate([*parts, stream.finish()])
    np.testing.assert_array_equal(joined, floats(decode(files[name], DETECT, 300)))


@pytest.mark.parametrize("name", ["wav", "flac", "mp3", "opus", "m4a", "adts"])
@pytest.mark.parametrize("encoding", [e for e in Encoding if e.is_raw])
def test_a_container_on_a_stream_of_bare_samples_is_named(
    files: dict[str, bytes], name: str, encoding: Encoding
) -> None:
    stream = StreamDecoder(AudioSpec(encoding, 16000))
    with pytest.raises(InvalidRequestError, match="these bytes are a file") as caught:
        stream.push(files[name])
    assert caught.value.field == "audio_config.encoding"


def test_audio_comes_while_a_live_container_goes_on(
    ffmpeg: Callable[..., bytes],
) -> None:
    """What a browser's MediaRecorder sends: WebM of unknown length with Opus."""
    data = ffmpeg("webm", "libopus", 48000, 8, options={"live": "1"})
    decoder = StreamDecoder(DETECT)
    heard = 0
    for sent, piece in enumerate(pieces(data, 500)):
        heard += decoder.push(piece).size
        behind = (sent + 1) * 500 / len(data) * 8 - heard / 16000
        assert behind < 0.7, "of 8 s"
    decoder.finish()


def test_an_index_at_the_end_is_waited_for_within_bounds(files: dict[str, bytes]) -> None:
    decoder = RecordingDecoder(DETECT, spool_bytes=5000)
    with pytest.raises(TooLargeError, match="faststart"):
        push_all(decoder, files["m4a"])


def test_a_recording_longer_than_allowed_is_refused_as_soon_as_that_shows(
    ffmpeg: Callable[..., bytes],
) -> None:
    data = ffmpeg("adts", "aac", 44100, 8)
    with RecordingDecoder(DETECT, 2) as decoder, pytest.raises(TooLargeError, match="2 s"):
        push_all(decoder, data[: len(data) // 2], ends=False)


@pytest.mark.parametrize("spec", [DETECT, AudioSpec(Encoding.FLAC)])
def test_nothing_at_all_is_an_error(spec: AudioSpec) -> None:
    with RecordingDecoder(spec) as decoder, pytest.raises(InvalidRequestError, match="empty"):
        decoder.finish()


def test_blocks_are_small_however_much_comes_of_a_push(ffmpeg: Callable[..., bytes]) -> None:
    data = ffmpeg("flac", "flac", 16000, 40)
    with RecordingDecoder(DETECT) as decoder:
        blocks = [*decoder.feed(data), *decoder.rest()]
    assert max(block.shape[1] for block in blocks) <= 16.5 * 16000
    whole = as_float(decode(data, DETECT, 300).samples)
    np.testing.assert_array_equal(np.concatenate(blocks, axis=1)[0], whole)
