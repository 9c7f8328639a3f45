"""Whole files: each container and codec, against independent decoders."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable

import av
import numpy as np
import pytest
import soundfile as sf
import soxr
from emotion2vec_runtime.audio import AudioSpec, DecodedAudio, Encoding, decode
from emotion2vec_runtime.errors import InvalidRequestError, TooLargeError

from tests.runtime.audio.conftest import floats

DETECT = AudioSpec(Encoding.DETECT)
WAV_SUBTYPES = ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"]


def read(data: bytes, spec: AudioSpec = DETECT, max_seconds: float = 300) -> DecodedAudio:
    return decode(data, spec, max_seconds)


def mono_16k(values: np.ndarray, rate: int) -> np.ndarray:
    mono = values.mean(axis=1, dtype=np.float32)
    return mono if rate == 16000 else soxr.resample(mono, rate, 16000, quality="HQ")


@pytest.mark.parametrize("kind", ["WAV", "WAVEX"])
@pytest.mark.parametrize("subtype", WAV_SUBTYPES)
@pytest.mark.parametrize("channels", [1, 2])
def test_wav_is_what_libsndfile_reads_to_the_bit(
    sndfile: Callable[..., bytes], kind: str, subtype: str, channels: int
) -> None:
    data = sndfile(kind, subtype, 16000, 1, channels)
    values, rate = sf.read(io.BytesIO(data), dtype="float32", always_2d=True)
    audio = read(data)
    assert (audio.source_rate, audio.source_channels) == (rate, channels)
    np.testing.assert_array_equal(floats(audio), mono_16k(values, rate))


def test_rf64_is_read(sndfile: Callable[..., bytes]) -> None:
    data = sndfile("RF64", "PCM_16") + b"LIST\x04\0\0\0abcd"
    assert data[:4] == b"RF64"
    assert floats(read(data)).size == 16000


@pytest.mark.parametrize(("size", "expected"), [(200, 100), (0, 106)])
def test_rf64_takes_its_size_from_ds64(size: int, expected: int) -> None:
    """0 is left behind by a writer that could not seek back."""
    samples = b"\x01\0" * 100
    ds64 = struct.pack("<4sIQQQI", b"ds64", 28, 0, size, 0, 0)
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 16000, 32000, 2, 16)
    head = b"RF64\xff\xff\xff\xffWAVE" + ds64 + fmt + b"data\xff\xff\xff\xff"
    assert floats(read(head + samples + b"LIST\x04\0\0\0abcd")).size == expected


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000, 96000, 192000])
def test_any_rate_gives_16_khz(sndfile: Callable[..., bytes], rate: int) -> None:
    audio = read(sndfile("WAV", "PCM_16", rate, 0.5, 2))
    assert audio.source_rate == rate
    assert abs(floats(audio).size - 8000) <= 1


def test_all_channels_count_the_same(sndfile: Callable[..., bytes]) -> None:
    values = np.zeros((1600, 8), np.float32)
    values[:, 7] = 0.8
    audio = read(sndfile("WAV", "FLOAT", samples=values))
    np.testing.assert_allclose(floats(audio), 0.1, rtol=1e-6)


NAMES = [
    "flac", "flac-24", "mp3", "mp3-8k", "vorbis", "opus", "opus-16k", "ogg-flac", "m4a",
    "m4a-5.1", "alac", "mov", "mov-alac", "mp4-faststart", "mp4-fragmented", "mp4-tiny-fragments",
    "mp4-video", "adts",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_compressed_audio_is_what_ffmpeg_decodes(files: dict[str, bytes], name: str) -> None:
    """FFmpeg with its own demuxer, MP4's too: it checks ours, edits and fragments included."""
    with av.open(io.BytesIO(files[name])) as container:
        rate = container.streams.audio[0].rate
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
        channels = container.streams.audio[0].channels
        planar = container.streams.audio[0].format.is_planar
    values = np.concatenate(frames, axis=1)
    values = values.T if planar else values.reshape(-1, channels)
    if values.dtype.kind == "i":
        values = values / np.float64(np.iinfo(values.dtype).max + 1)
    expected = mono_16k(values.astype(np.float32), rate)
    audio = read(files[name])
    assert (audio.source_rate, audio.source_channels) == (rate, channels)
    # FFmpeg plays the padding of the last AAC packet too, where the file's edit list leaves it out.
    assert 0 <= expected.size - floats(audio).size <= 1024 * 16000 / rate
    same = floats(audio).size if floats(audio).size == expected.size else floats(audio).size - 100
    np.testing.assert_allclose(floats(audio)[:same], expected[:same], atol=1e-6)


@pytest.mark.parametrize(("name", "bound"), [("flac", 0), ("mp3", 5e-6), ("opus", 5e-6)])
def test_compressed_audio_is_what_libsndfile_decodes(
    files: dict[str, bytes], name: str, bound: float
) -> None:
    values, rate = sf.read(io.BytesIO(files[name]), dtype="float32", always_2d=True)
    np.testing.assert_allclose(floats(read(files[name])), mono_16k(values, rate), atol=bound)


@pytest.mark.parametrize("name", [n for n in NAMES if n != "mp4-fragmented"])
def test_a_second_stays_a_second(files: dict[str, bytes], name: str) -> None:
    # AAC without an edit list keeps its run-in and its last packet's padding.
    slack = 0.08 if name in ("adts", "mp4-tiny-fragments") else 0.001
    assert read(files[name]).seconds == pytest.approx(1, abs=slack)


@pytest.mark.parametrize("declared", [e for e in Encoding if not e.is_raw])
@pytest.mark.parametrize("name", ["wav", "flac", "mp3", "opus", "m4a", "adts"])
def test_a_declared_container_must_be_the_true_one(
    files: dict[str, bytes], declared: Encoding, name: str
) -> None:
    true = {"opus": "OGG", "adts": "M4A"}.get(name, name.upper())
    if declared.value in ("DETECT", true):
        assert floats(read(files[name], AudioSpec(declared))).size
        return
    with pytest.raises(InvalidRequestError, match=true) as caught:
        read(files[name], AudioSpec(declared))
    assert caught.value.field == "audio_config.encoding"


@pytest.mark.parametrize("name", ["wav", "flac", "opus", "m4a"])
def test_a_file_sent_as_raw_samples_is_noticed(files: dict[str, bytes], name: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read(files[name], AudioSpec(Encoding.LINEAR16, 16000))
    assert caught.value.field == "audio_config.encoding"


def id3(size: int) -> bytes:
    octets = bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x04\0\0" + octets + b"\xff" * size


@pytest.mark.parametrize("name", ["mp3", "flac", "adts"])
def test_tags_before_the_audio_are_skipped(files: dict[str, bytes], name: str) -> None:
    tagged = id3(300_000) + id3(5) + bytes(1000) + files[name]
    np.testing.assert_array_equal(floats(read(tagged)), floats(read(files[name])))


@pytest.mark.parametrize("name", ["wav", "flac", "mp3", "opus-16k", "adts", "mp4-faststart"])
def test_a_cut_file_gives_what_is_there(ffmpeg: Callable[..., bytes], name: str) -> None:
    whole, data = LONG[name](ffmpeg)
    audio = read(data[: len(data) * 6 // 10])
    assert 0.3 * whole < audio.seconds < 0.7 * whole


def _long(kind: str, subtype: str) -> Callable[[Callable[..., bytes]], tuple[float, bytes]]:
    def make(_: Callable[..., bytes]) -> tuple[float, bytes]:
        file = io.BytesIO()
        noise = np.random.default_rng(0).uniform(-0.5, 0.5, 16000 * 8).astype(np.float32)
        sf.write(file, noise, 16000, format=kind, subtype=subtype)
        return 8.0, file.getvalue()

    return make


LONG: dict[str, Callable[[Callable[..., bytes]], tuple[float, bytes]]] = {
    "wav": _long("WAV", "PCM_16"),
    "flac": _long("FLAC", "PCM_16"),
    "mp3": _long("MP3", "MPEG_LAYER_III"),
    "opus-16k": _long("OGG", "OPUS"),
    "adts": lambda ffmpeg: (8.0, ffmpeg("adts", "aac", 16000, 8)),
    "mp4-faststart": lambda ffmpeg: (
        8.0,
        ffmpeg("mp4", "aac", 16000, 8, options={"movflags": "faststart"}),
    ),
}


def test_a_cut_mp4_with_its_index_at_the_end_says_so(files: dict[str, bytes]) -> None:
    with pytest.raises(InvalidRequestError, match="index") as caught:
        read(files["m4a"][: len(files["m4a"]) // 2])
    assert caught.value.field == "audio"


def test_the_longest_length_is_taken_and_no_more(sndfile: Callable[..., bytes]) -> None:
    data = sndfile("WAV", "PCM_16", 16000, 2)
    assert read(data, max_seconds=2).seconds == 2
    with pytest.raises(TooLargeError, match="split"):
        read(sndfile("WAV", "PCM_16", 16000, 2.001), max_seconds=2)


@pytest.mark.parametrize("name", ["m4a", "alac", "mov", "mp4-faststart", "mp3", "opus"])
def test_padding_of_encoders_does_not_count(files: dict[str, bytes], name: str) -> None:
    assert read(files[name], max_seconds=1).seconds == pytest.approx(1, abs=1e-4)
    with pytest.raises(TooLargeError):
        read(files[name], max_seconds=0.99)


@pytest.mark.parametrize(
    ("rate", "channels"), [(7999, 1), (192001, 1), (16000, 9), (0, 1), (16000, 0), (4_000_000, 1)]
)
def test_a_header_with_absurd_claims_is_refused(rate: int, channels: int) -> None:
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, rate, 0, 2 * channels, 16)
    with pytest.raises(InvalidRequestError, match="not supported") as caught:
        read(b"RIFF\0\0\0\0WAVE" + fmt + b"data\x10\0\0\0" + bytes(16))
    assert caught.value.field == "audio"


@pytest.mark.parametrize("claimed", [0, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_wav_that_was_streamed_is_read_to_its_end(files: dict[str, bytes], claimed: int) -> None:
    data = bytearray(files["wav"])
    struct.pack_into("<I", data, data.index(b"data") + 4, claimed)
    assert floats(read(bytes(data))).size == 16000


@pytest.mark.parametrize("cut", [0, 4, 11, 12, 20, 36, 43, 44, 45])
def test_a_wav_without_a_sample_is_an_error(files: dict[str, bytes], cut: int) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read(files["wav"][:cut])
    assert caught.value.field == "audio"


def test_wav_with_a_codec_that_nobody_has_is_refused(files: dict[str, bytes]) -> None:
    data = bytearray(files["wav"])
    data[20:22] = b"\x34\x12"
    with pytest.raises(InvalidRequestError, match="in WAV is not supported") as caught:
        read(bytes(data))
    assert caught.value.field == "audio"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 3e38, -1e18])
@pytest.mark.parametrize("rate", [16000, 44100])
@pytest.mark.parametrize("at", [0, 799, -1])
def test_samples_must_be_numbers(
    sndfile: Callable[..., bytes], bad: float, rate: int, at: int
) -> None:
    values = np.zeros((1600, 2), np.float32)
    values[at] = bad
    with pytest.raises(InvalidRequestError, match="NaN") as caught:
        read(sndfile("WAV", "FLOAT", rate, samples=values))
    assert caught.value.field == "audio"


def test_samples_are_read_only_and_contiguous(files: dict[str, bytes]) -> None:
    for data in files.values():
        samples = read(data).samples
        assert samples.dtype in (np.float32, np.int16)
        assert samples.flags.c_contiguous
        assert not samples.flags.writeable
