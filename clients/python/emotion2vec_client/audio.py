"""What a caller may give as audio -> the bytes and the AudioConfig of a request."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast, get_args

import numpy as np
from emotion2vec.v1.audio_pb2 import AudioConfig
from numpy.typing import NDArray

RawEncoding = Literal["linear16", "float32", "mulaw", "alaw"]
Container = Literal["wav", "flac", "mp3", "ogg", "m4a"]
Encoding = Container | RawEncoding

Samples = NDArray[np.float32] | NDArray[np.int16]
"""[samples] or [samples, channels]; float32 at full scale -1 to 1, or int16."""

AudioSource = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | Samples
"""A path, the bytes of a file or of raw samples, a file open in binary mode, or an array."""

RAW_ENCODINGS: tuple[RawEncoding, ...] = get_args(RawEncoding)
ENCODINGS: tuple[Encoding, ...] = (*get_args(Container), *RAW_ENCODINGS)

_SAMPLE_BYTES: dict[RawEncoding, int] = {"linear16": 2, "float32": 4, "mulaw": 1, "alaw": 1}

# Far below the 16 MiB that a server takes in one message, and no obstacle to flow control.
_LARGEST_CHUNK = 256 * 2**10


@dataclass(frozen=True, slots=True)
class Payload:
    """Audio ready to be sent."""

    data: bytes
    config: AudioConfig


@dataclass(frozen=True, slots=True)
class RawFormat:
    """How the samples of a stream are encoded."""

    encoding: RawEncoding
    sample_rate: int
    channels: int

    def __post_init__(self) -> None:
        if self.encoding not in RAW_ENCODINGS:
            raise ValueError(
                f"a stream takes raw samples ({', '.join(RAW_ENCODINGS)}), not {self.encoding!r}"
            )
        if self.sample_rate <= 0 or self.channels <= 0:
            raise ValueError("sample_rate and channels of raw samples must be more than 0")

    @property
    def bytes_per_second(self) -> int:
        return _SAMPLE_BYTES[self.encoding] * self.channels * self.sample_rate

    @property
    def config(self) -> AudioConfig:
        return _config(self.encoding, self.sample_rate, self.channels)

    def pieces(self, chunk: bytes | bytearray | memoryview | Samples) -> Iterator[bytes]:
        """The bytes of one chunk of any size, in messages of a sensible size.

        Raises:
            TypeError: the chunk is no bytes and no array of this format's type.
            ValueError: the array has another number of channels than this format.
        """
        data = self._array_bytes(chunk) if isinstance(chunk, np.ndarray) else _bytes(chunk)
        for start in range(0, len(data), _LARGEST_CHUNK):
            yield data[start : start + _LARGEST_CHUNK]

    def _array_bytes(self, samples: Samples) -> bytes:
        encoding, channels, data = _from_array(samples)
        if encoding != self.encoding:
            raise TypeError(
                f"a stream of {self.encoding} got {samples.dtype} samples; "
                f"open it with encoding={encoding!r}, or convert them"
            )
        if channels != self.channels:
            raise ValueError(
                f"a stream of {self.channels} channel(s) got samples of shape {samples.shape}"
            )
        return data


def load(
    audio: AudioSource, encoding: Encoding | None, sample_rate: int | None, channels: int | None
) -> Payload:
    """Reads `audio`; blocks while it does.

    Args:
        audio: see AudioSource. A container's bytes say themselves what they are.
        encoding: None lets the server detect the container; raw bytes need it.
        sample_rate: Hz; for raw bytes and arrays, and required there.
        channels: of interleaved raw bytes; 1 if None. An array's shape tells its own.

    Raises:
        OSError: the file can't be read.
        TypeError: `audio` is of no type that can be sent.
        ValueError: encoding, sample_rate and channels don't fit the audio or each other.
    """
    if isinstance(audio, np.ndarray):
        return _load_array(audio, encoding, sample_rate, channels)
    if encoding is not None and encoding not in ENCODINGS:
        raise ValueError(f"unknown encoding {encoding!r}; choose of {', '.join(ENCODINGS)}")
    if encoding in RAW_ENCODINGS:
        raw = RawFormat(encoding, _required(sample_rate), 1 if channels is None else channels)
        return Payload(_read(audio), raw.config)
    if sample_rate is not None or channels is not None:
        raise ValueError("sample_rate and channels are of raw samples; name their encoding too")
    return Payload(_read(audio), _config(encoding))


def _load_array(
    samples: Samples, encoding: Encoding | None, sample_rate: int | None, channels: int | None
) -> Payload:
    own_encoding, own_channels, data = _from_array(samples)
    if encoding not in (None, own_encoding) or channels not in (None, own_channels):
        raise ValueError(
            f"the array is {own_encoding} with {own_channels} channel(s); "
            "leave encoding and channels out, it tells them itself"
        )
    return Payload(data, RawFormat(own_encoding, _required(sample_rate), own_channels).config)


def _from_array(samples: NDArray[Any]) -> tuple[Literal["linear16", "float32"], int, bytes]:
    """Encoding, channel count and interleaved little-endian bytes of [n] or [n, channels]."""
    if samples.ndim not in (1, 2) or (samples.ndim == 2 and samples.shape[1] == 0):
        raise ValueError(f"samples must have shape [n] or [n, channels], not {list(samples.shape)}")
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    wire = samples.dtype.newbyteorder("<")
    if wire == np.dtype("<i2"):
        return "linear16", channels, samples.astype(wire, copy=False).tobytes()
    if wire == np.dtype("<f4"):
        return "float32", channels, samples.astype(wire, copy=False).tobytes()
    raise TypeError(
        f"samples must be int16, or float32 from -1 to 1, not {samples.dtype}; convert them"
    )


def _read(audio: str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO) -> bytes:
    if isinstance(audio, str | os.PathLike):
        return Path(audio).read_bytes()
    if hasattr(audio, "read"):
        data: object = cast(BinaryIO, audio).read()
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError("the file is open in text mode; open it in binary mode ('rb')")
        return bytes(data)
    return _bytes(audio)


def _bytes(data: object) -> bytes:
    if not isinstance(data, bytes | bytearray | memoryview):
        raise TypeError(f"audio can't be sent from {type(data).__name__}; give bytes or an array")
    return bytes(data)


def _required(sample_rate: int | None) -> int:
    if sample_rate is None:
        raise ValueError("raw samples don't tell their rate; give sample_rate in Hz")
    return sample_rate


def _config(encoding: Encoding | None, sample_rate: int = 0, channels: int = 0) -> AudioConfig:
    suffix = "UNSPECIFIED" if encoding is None else encoding.upper()
    return AudioConfig(
        encoding=f"AUDIO_ENCODING_{suffix}",
        sample_rate_hertz=sample_rate,
        channel_count=channels,
    )
