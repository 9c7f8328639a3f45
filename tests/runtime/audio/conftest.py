"""Audio files made at test time by the encoders of libsndfile and FFmpeg; none is committed."""

from __future__ import annotations

import io
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile as sf
from emotion2vec_runtime.audio import DecodedAudio
from emotion2vec_runtime.audio.samples import as_float
from numpy.typing import NDArray

LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}
FRAGMENTED = "frag_keyframe+empty_moov+default_base_moof"


def floats(audio: DecodedAudio) -> NDArray[np.float32]:
    """[S]: what the model hears."""
    return as_float(audio.samples)


def tones(rate: int, seconds: float = 1.0, channels: int = 1) -> NDArray[np.float32]:
    """[n, channels] of sine waves, different in each channel, up to 0.5."""
    t = np.arange(int(rate * seconds)) / rate
    waves = [
        0.4 * np.sin(2 * np.pi * 220 * (c + 1) * t) + 0.1 * np.sin(2 * np.pi * 1234 * t)
        for c in range(channels)
    ]
    return np.stack(waves, axis=1).astype(np.float32)


def encode_sndfile(
    kind: str,
    subtype: str,
    rate: int = 16000,
    seconds: float = 1.0,
    channels: int = 1,
    samples: NDArray[np.float32] | None = None,
) -> bytes:
    file = io.BytesIO()
    values = tones(rate, seconds, channels) if samples is None else samples
    sf.write(file, values, rate, format=kind, subtype=subtype)
    return file.getvalue()


def encode_ffmpeg(
    path: Path,
    container: str,
    codec: str,
    rate: int = 44100,
    seconds: float = 1.0,
    channels: int = 1,
    options: dict[str, str] | None = None,
    with_video: bool = False,
) -> bytes:
    layout = LAYOUTS[channels]
    values = tones(rate, seconds, channels)
    with av.open(str(path), "w", format=container, options=options or {}) as output:
        if with_video:
            picture = output.add_stream("mpeg4", rate=5)
            picture.width = picture.height = 64
        stream = output.add_stream(codec, rate=rate)
        stream.layout = layout
        sample_format = "s16" if codec == "flac" else stream.codec_context.format.name
        stream.format = sample_format
        if with_video:
            for n in range(5):
                image = av.VideoFrame.from_ndarray(
                    np.full((64, 64, 3), n * 40, np.uint8), format="rgb24"
                )
                image.pts, image.time_base = n, Fraction(1, 5)
                for packet in picture.encode(image):
                    output.mux(packet)
        for start in range(0, len(values), 4096):
            piece = values[start : start + 4096]
            frame = av.AudioFrame.from_ndarray(
                _arranged(piece, sample_format), format=sample_format, layout=layout
            )
            frame.rate, frame.pts = rate, start
            for packet in stream.encode(frame):
                output.mux(packet)
        for packet in stream.encode(None):
            if packet.size:
                output.mux(packet)
    return path.read_bytes()


def _arranged(values: NDArray[np.float32], sample_format: str) -> NDArray[np.generic]:
    if sample_format == "fltp":
        return np.ascontiguousarray(values.T)
    if sample_format == "s16":
        return (values * 32767).astype(np.int16).reshape(1, -1)
    scale, dtype = {"s16p": (32767, np.int16), "s32p": (2**31 - 1, np.int32)}[sample_format]
    return np.ascontiguousarray((values.astype(np.float64) * scale).astype(dtype).T)


@pytest.fixture(scope="session")
def sndfile() -> Callable[..., bytes]:
    return encode_sndfile


@pytest.fixture(scope="session")
def ffmpeg(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., bytes]:
    folder = tmp_path_factory.mktemp("encoded")
    names = iter(range(1_000_000))
    return lambda *args, **kwargs: encode_ffmpeg(folder / str(next(names)), *args, **kwargs)


@pytest.fixture(scope="session")
def files(ffmpeg: Callable[..., bytes]) -> dict[str, bytes]:
    """One second of tones in each container and codec that the server reads."""
    return {
        "wav": encode_sndfile("WAV", "PCM_16"),
        "wav-float-stereo": encode_sndfile("WAVEX", "FLOAT", 44100, 1, 2),
        "flac": encode_sndfile("FLAC", "PCM_16", 44100),
        "flac-24": encode_sndfile("FLAC", "PCM_24", 96000, 1, 2),
        "mp3": encode_sndfile("MP3", "MPEG_LAYER_III", 44100),
        "mp3-8k": encode_sndfile("MP3", "MPEG_LAYER_III", 8000),
        "vorbis": encode_sndfile("OGG", "VORBIS", 44100, 1, 2),
        "opus": encode_sndfile("OGG", "OPUS", 48000),
        "opus-16k": encode_sndfile("OGG", "OPUS", 16000),
        "ogg-flac": ffmpeg("ogg", "flac", 16000),
        "m4a": ffmpeg("ipod", "aac", 44100),
        "m4a-5.1": ffmpeg("ipod", "aac", 48000, 1, 6),
        "alac": ffmpeg("ipod", "alac", 44100, 1, 2),
        "mov": ffmpeg("mov", "aac", 22050),
        "mov-alac": ffmpeg("mov", "alac", 48000),
        "mp4-faststart": ffmpeg("mp4", "aac", 16000, options={"movflags": "faststart"}),
        "mp4-fragmented": ffmpeg("mp4", "aac", 44100, options={"movflags": FRAGMENTED}),
        "mp4-tiny-fragments": ffmpeg(
            "mp4", "aac", 44100, options={"movflags": "frag_every_frame+empty_moov"}
        ),
        "mp4-video": ffmpeg("mp4", "aac", 44100, with_video=True),
        "adts": ffmpeg("adts", "aac", 44100),
    }
