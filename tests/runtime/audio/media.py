"""Recordings in every container and codec that is read, made by FFmpeg's and libsndfile's encoders
from speech of `examples/`; none is committed."""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, cast

import av
import numpy as np
import soundfile as sf
from numpy.typing import NDArray

EXAMPLES = Path(__file__).parents[3] / "examples"
Speech = NDArray[np.float32]


def speech(*names: str) -> Speech:
    """[n]: examples one after another, 16 kHz."""
    return np.concatenate([sf.read(EXAMPLES / f"{n}.flac", dtype="float32")[0] for n in names])


class Recipe(NamedTuple):
    """How a recording is made, and what comes of it."""

    container: str
    """What people call it."""
    codec: str
    """Likewise."""
    muxer: str
    encoder: str
    rate: int = 16000
    options: Mapping[str, str] = MappingProxyType({})
    """Of the muxer."""
    likeness: float = 0.8
    """Least correlation of what is decoded with what was recorded."""
    early: bool = True
    """Whether the encoder's run-in is left out."""


FRAGMENTED = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
RECIPES = (
    Recipe("WAV", "PCM", "wav", "pcm_s16le"),
    Recipe("WAV", "PCM", "wav", "pcm_s24le"),
    Recipe("WAV", "MS ADPCM", "wav", "adpcm_ms"),
    Recipe("WAV", "IMA ADPCM", "wav", "adpcm_ima_wav"),
    Recipe("WAV", "MP3", "wav", "libmp3lame", early=False),
    Recipe("RF64", "PCM", "wav", "pcm_s16le", options={"rf64": "always"}),
    Recipe("Wave64", "PCM", "w64", "pcm_s16le"),
    Recipe("AIFF", "PCM", "aiff", "pcm_s16be"),
    Recipe("AIFF", "PCM", "aiff", "pcm_s24be"),
    Recipe("CAF", "PCM", "caf", "pcm_s16be"),
    Recipe("CAF", "ALAC", "caf", "alac"),
    Recipe("AU", "PCM", "au", "pcm_s16be"),
    Recipe("AU", "mu-law", "au", "pcm_mulaw", 8000),
    Recipe("FLAC", "FLAC", "flac", "flac"),
    Recipe("MP3", "MP3", "mp3", "libmp3lame"),
    Recipe("MP3", "MP2", "mp2", "mp2", early=False),
    Recipe("Ogg", "Opus", "ogg", "libopus", 48000),
    Recipe("Ogg", "FLAC", "ogg", "flac"),
    Recipe("MP4", "AAC", "ipod", "aac"),
    Recipe("MP4", "AAC", "mp4", "aac", 44100, FRAGMENTED, likeness=0.7, early=False),
    Recipe("MP4", "ALAC", "ipod", "alac"),
    Recipe("MP4", "Opus", "mp4", "libopus", 48000),
    Recipe("MP4", "MP3", "mp4", "libmp3lame"),
    Recipe("MP4", "AC-3", "mp4", "ac3", 48000, early=False),
    Recipe("3GP", "AMR-NB", "3gp", "libopencore_amrnb", 8000, likeness=0.6),
    Recipe("QuickTime", "AAC", "mov", "aac", 44100),
    Recipe("QuickTime", "PCM", "mov", "pcm_s16le"),
    Recipe("QuickTime", "PCM", "mov", "pcm_s24be"),
    Recipe("QuickTime", "mu-law", "mov", "pcm_mulaw", 8000),
    Recipe("QuickTime", "A-law", "mov", "pcm_alaw", 8000),
    Recipe("WebM", "Opus", "webm", "libopus", 48000, early=False),
    Recipe("WebM", "Opus", "webm", "libopus", 48000, {"live": "1"}, early=False),
    Recipe("Matroska", "Opus", "matroska", "libopus", 48000, early=False),
    Recipe("Matroska", "AAC", "matroska", "aac", early=False),
    Recipe("Matroska", "FLAC", "matroska", "flac"),
    Recipe("Matroska", "E-AC-3", "matroska", "eac3", 48000, early=False),
    Recipe("AAC (ADTS)", "AAC", "adts", "aac", early=False),
    Recipe("AAC (LATM)", "AAC", "latm", "aac", early=False),
    Recipe("AC-3", "AC-3", "ac3", "ac3", 48000, early=False),
    Recipe("E-AC-3", "E-AC-3", "eac3", "eac3", 48000, early=False),
    Recipe("AMR", "AMR-NB", "amr", "libopencore_amrnb", 8000, likeness=0.6),
    Recipe("WMA", "WMA", "asf", "wmav2", early=False),
    Recipe("AVI", "MP3", "avi", "libmp3lame", early=False),
    Recipe("FLV", "AAC", "flv", "aac", 22050, early=False),
    Recipe("MPEG transport stream", "AAC", "mpegts", "aac", early=False),
    Recipe("MPEG program stream", "MP2", "mpeg", "mp2", early=False),
    Recipe("WavPack", "WavPack", "wv", "wavpack"),
    Recipe("True Audio", "TTA", "tta", "tta"),
)


def name_of(recipe: Recipe) -> str:
    """For a test's name."""
    return "-".join([recipe.container, recipe.encoder, *recipe.options.values()]).replace(" ", "_")


def encode(
    samples: Speech,
    muxer: str,
    encoder: str,
    rate: int = 16000,
    options: Mapping[str, str] = MappingProxyType({}),
    channels: int = 1,
) -> bytes:
    """`samples` [n] or [channels, n] of 16 kHz as a file."""
    file = io.BytesIO()
    layout = {1: "mono", 2: "stereo"}[channels]
    with av.open(file, "w", format=muxer, container_options=dict(options)) as output:
        stream = cast(av.AudioStream, output.add_stream(encoder, rate=rate))
        stream.layout = layout
        stream.bit_rate = 32000
        context = stream.codec_context
        kind = (
            context.format.name if context.format else (context.codec.audio_formats or [])[0].name
        )
        context.format = kind
        context.open()
        size = context.frame_size or 1024
        resampler = av.AudioResampler(format=kind, layout=layout, rate=rate, frame_size=size)
        values = np.ascontiguousarray(np.atleast_2d(samples).T.reshape(1, -1))
        frame = av.AudioFrame.from_ndarray(values, format="flt", layout=layout)
        frame.rate, frame.pts = 16000, 0
        for piece in (*resampler.resample(frame), *resampler.resample(None), None):
            output.mux(stream.encode(piece))
    return file.getvalue()


def riff(*chunks: bytes, size: int | None = None) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body) if size is None else size) + body


def chunk(name: bytes, body: bytes, size: int | None = None, *, pads: bool = True) -> bytes:
    padding = b"\0" if pads and len(body) % 2 else b""
    return name + struct.pack("<I", len(body) if size is None else size) + body + padding


def fmt(
    tag: int = 1, channels: int = 1, rate: int = 16000, bits: int = 16, align: int | None = None
) -> bytes:
    align = channels * bits // 8 if align is None else align
    return chunk(b"fmt ", struct.pack("<HHIIHH", tag, channels, rate, rate * align, align, bits))


def pcm16(samples: Speech) -> bytes:
    """[n] or [channels, n], interleaved."""
    return np.round(np.atleast_2d(samples).T * 32768).astype("<i2").tobytes()


def wav(samples: Speech) -> bytes:
    return riff(fmt(channels=len(np.atleast_2d(samples))), chunk(b"data", pcm16(samples)))
