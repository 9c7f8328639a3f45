"""The bodies of requests: clips, in the encodings in which callers send them."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Sequence

import soundfile

from benchmarks.speech import ROOT, SAMPLE_RATE, Int16

RAW = "raw"
"""Signed 16-bit samples, little-endian, without a header."""
ENCODINGS = (RAW, "mp3", "flac")
CACHE = ROOT / "build" / "bodies"
"""Made once, kept from run to run: to make the MP3s takes as long as to send them."""


def bodies(clips: Sequence[Int16], encoding: str) -> list[bytes]:
    """The clips in one of ENCODINGS, 16 kHz and mono."""
    if encoding == RAW:
        return [clip.tobytes() for clip in clips]
    CACHE.mkdir(parents=True, exist_ok=True)
    return [_compressed(clip, encoding) for clip in clips]


def _compressed(clip: Int16, encoding: str) -> bytes:
    path = CACHE / f"{hashlib.sha256(clip.tobytes()).hexdigest()}.{encoding}"
    if not path.exists():
        content = io.BytesIO()
        soundfile.write(content, clip, SAMPLE_RATE, format=encoding.upper())
        # Of its own name until it is whole: several load generators may run.
        part = path.with_suffix(f".{os.getpid()}")
        part.write_bytes(content.getvalue())
        part.replace(path)
    return path.read_bytes()
