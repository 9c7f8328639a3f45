"""Bare samples, whole and streamed, and the audio configuration."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile as sf
import soxr
from emotion2vec_runtime.audio import AudioSpec, Encoding, StreamDecoder, decode
from emotion2vec_runtime.audio.g711 import ALAW, MULAW
from emotion2vec_runtime.audio.resample import Resampler
from emotion2vec_runtime.audio.samples import as_float
from emotion2vec_runtime.errors import InvalidRequestError, TooLargeError
from hypothesis import given, settings
from hypothesis import strategies as st

RAW = [e for e in Encoding if e.is_raw]
WIDTH = {Encoding.LINEAR16: 2, Encoding.FLOAT32: 4, Encoding.MULAW: 1, Encoding.ALAW: 1}


@pytest.mark.parametrize(("table", "subtype"), [(MULAW, "ULAW"), (ALAW, "ALAW")])
def test_g711_is_what_libsndfile_decodes(table: np.ndarray, subtype: str) -> None:
    file = io.BytesIO(bytes(range(256)))
    values, _ = sf.read(
        file, dtype="float32", format="RAW", subtype=subtype, samplerate=8000, channels=1
    )
    np.testing.assert_array_equal(table, values)


def test_g711_has_the_values_of_the_recommendation() -> None:
    # Tables 1a and 2a: the highest values and those around zero, at 16 bits.
    assert [MULAW[c] * 32768 for c in (0x80, 0x00, 0xFF, 0xFE)] == [32124, -32124, 0, 8]
    assert [ALAW[c] * 32768 for c in (0xAA, 0x2A, 0xD5, 0x55)] == [32256, -32256, 8, -8]


def test_linear16_is_divided_by_32768_exactly() -> None:
    values = np.arange(-32768, 32768, dtype="<i2")
    audio = decode(values.tobytes(), AudioSpec(Encoding.LINEAR16, 16000), 10)
    np.testing.assert_array_equal(as_float(audio.samples).astype(np.float64) * 32768, values)


def test_float32_at_16_khz_is_not_copied() -> None:
    data = np.linspace(-1, 1, 1600, dtype="<f4").tobytes()
    audio = decode(data, AudioSpec(Encoding.FLOAT32, 16000), 10)
    assert np.shares_memory(audio.samples, np.frombuffer(data, np.uint8))


def test_bytes_out_of_line_are_read() -> None:
    values = np.linspace(-1, 1, 1600, dtype="<f4")
    data = memoryview(b"x" + values.tobytes())[1:]
    samples = decode(data, AudioSpec(Encoding.FLOAT32, 16000), 10).samples
    assert samples.flags.aligned
    np.testing.assert_array_equal(samples, values)


@pytest.mark.parametrize("encoding", RAW)
@pytest.mark.parametrize("rate", [None, 0, -1, 7999, 192001, 2**32 - 1])
def test_raw_needs_a_sample_rate(encoding: Encoding, rate: int | None) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        AudioSpec(encoding, rate)
    assert caught.value.field == "audio_config.sample_rate_hertz"


@pytest.mark.parametrize("channels", [-1, 9, 2**32 - 1])
def test_raw_has_up_to_eight_channels(channels: int) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        AudioSpec(Encoding.LINEAR16, 16000, channels)
    assert caught.value.field == "audio_config.channel_count"


def test_unset_values_of_the_wire_are_understood() -> None:
    assert AudioSpec(Encoding.DETECT, 0, 0) == AudioSpec(Encoding.DETECT)
    assert AudioSpec(Encoding.ALAW, 8000, 0) == AudioSpec(Encoding.ALAW, 8000, 1)


@pytest.mark.parametrize("encoding", [e for e in Encoding if not e.is_raw])
def test_a_container_takes_neither_rate_nor_channels(encoding: Encoding) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        AudioSpec(encoding, 16000)
    assert caught.value.field == "audio_config.sample_rate_hertz"
    with pytest.raises(InvalidRequestError) as caught:
        AudioSpec(encoding, None, 2)
    assert caught.value.field == "audio_config.channel_count"


@pytest.mark.parametrize("encoding", RAW)
def test_bytes_of_an_incomplete_sample_are_an_error(encoding: Encoding) -> None:
    spec = AudioSpec(encoding, 8000, 3)
    for extra in range(1, 3 * WIDTH[encoding]):
        data = bytes(30 * WIDTH[encoding] + extra)
        with pytest.raises(InvalidRequestError) as caught:
            decode(data, spec, 10)
        assert caught.value.field == "audio"
        stream = StreamDecoder(spec)
        stream.push(data)
        with pytest.raises(InvalidRequestError) as caught:
            stream.finish()
        assert caught.value.field == "audio"


@pytest.mark.parametrize("spec", [AudioSpec(Encoding.DETECT), AudioSpec(Encoding.ALAW, 8000)])
def test_nothing_is_an_error(spec: AudioSpec) -> None:
    with pytest.raises(InvalidRequestError, match="empty") as caught:
        decode(b"", spec, 10)
    assert caught.value.field == "audio"


def test_a_sample_that_vanishes_in_resampling_is_an_error() -> None:
    with pytest.raises(InvalidRequestError, match="no samples"):
        decode(bytes(2), AudioSpec(Encoding.LINEAR16, 192000), 10)


def test_too_long_is_told_apart() -> None:
    spec = AudioSpec(Encoding.LINEAR16, 8000, 2)
    assert decode(bytes(8000 * 4), spec, 1).seconds == 1
    with pytest.raises(TooLargeError):
        decode(bytes(8000 * 4 + 4), spec, 1)


@settings(max_examples=60)
@given(
    encoding=st.sampled_from(RAW),
    rate=st.sampled_from([8000, 11025, 16000, 22050, 44100, 48000, 96000, 192000, 12347]),
    channels=st.integers(1, 8),
    frames=st.integers(0, 6000),
    cuts=st.lists(st.integers(0, 3000), max_size=30),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_stream_is_the_whole_to_the_bit_however_it_is_cut(
    encoding: Encoding, rate: int, channels: int, frames: int, cuts: list[int], seed: int
) -> None:
    generator = np.random.default_rng(seed)
    count = frames * channels
    if encoding is Encoding.FLOAT32:
        data = generator.uniform(-1, 1, count).astype("<f4").tobytes()
    else:
        data = generator.bytes(count * WIDTH[encoding])
    spec = AudioSpec(encoding, rate, channels)
    stream = StreamDecoder(spec)
    parts = []
    rest = data
    for cut in [*cuts, len(data)]:
        parts.append(stream.push(rest[:cut]))
        rest = rest[cut:]
    parts.append(stream.finish())
    joined = np.concatenate(parts)
    assert joined.dtype == np.float32
    assert abs(joined.size - frames * 16000 / rate) <= 1
    if joined.size:
        np.testing.assert_array_equal(joined, as_float(decode(data, spec, 10).samples))


@pytest.mark.parametrize("rate", [8000, 44100, 16000])
def test_a_stream_may_come_byte_by_byte(rate: int) -> None:
    data = np.random.default_rng(1).bytes(4 * 3000)
    spec = AudioSpec(Encoding.LINEAR16, rate, 2)
    stream = StreamDecoder(spec)
    parts = [stream.push(data[i : i + 1]) for i in range(len(data))]
    joined = np.concatenate([*parts, stream.finish()])
    np.testing.assert_array_equal(joined, as_float(decode(data, spec, 10).samples))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_a_stream_refuses_what_is_no_number(bad: float, rate: int) -> None:
    values = np.zeros(5000, np.float32)
    values[2500] = bad
    stream = StreamDecoder(AudioSpec(Encoding.FLOAT32, rate))

    def drain() -> None:
        for start in range(0, 5000, 100):
            stream.push(values[start : start + 100].tobytes())
        stream.finish()

    with pytest.raises(InvalidRequestError, match="NaN") as caught:
        drain()
    assert caught.value.field == "audio"


@settings(max_examples=40)
@given(rate=st.integers(8000, 192000), count=st.integers(1, 20000))
def test_any_rate_keeps_its_length(rate: int, count: int) -> None:
    resampler = Resampler(rate)
    size = resampler.push(np.zeros(count, np.float32)).size + resampler.finish().size
    assert abs(size - count * 16000 / rate) <= 1


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 48000, 192000])
def test_resampling_is_soxr_hq_without_delay(rate: int) -> None:
    noise = np.random.default_rng(0).uniform(-1, 1, rate).astype(np.float32)
    resampler = Resampler(rate)
    ours = np.concatenate([resampler.push(noise), resampler.finish()])
    np.testing.assert_array_equal(ours, soxr.resample(noise, rate, 16000, quality="HQ"))
    sine = np.sin(2 * np.pi * 1000 * np.arange(rate) / rate).astype(np.float32)
    resampler = Resampler(rate)
    heard = np.concatenate([resampler.push(sine), resampler.finish()])
    truth = np.sin(2 * np.pi * 1000 * np.arange(heard.size) / 16000)
    np.testing.assert_allclose(heard[2000:-2000], truth[2000:-2000], atol=2e-5)


@pytest.mark.parametrize("rate", [8000, 11025, 15999, 22050, 44100, 48000, 191999])
def test_a_stream_is_never_further_behind_than_stated(rate: int) -> None:
    resampler = Resampler(rate)
    heard = 0
    for sent in range(100, 2 * rate, 100):
        heard += resampler.push(np.zeros(100, np.float32)).size
        assert sent / rate - heard / 16000 < 0.17
