"""What a caller may give as audio -> the bytes and the AudioConfig of a request."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol, cast, get_args

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

SHORT_BYTES = 2**20
"""What is longer is sent in pieces, whatever it unpacks to: 33 s of 16-bit samples at 16 kHz."""
# Far below what a server takes in one message, and no obstacle to flow control.
_LARGEST_CHUNK = 256 * 2**10
_SLOWEST = 4000.0
"""Bytes a second for which a call is waited at the least: compressed speech in its own time."""


class Body:
    """Audio to be sent: whole where it is short, else in pieces, from its beginning each time."""

    def __init__(
        self, config: AudioConfig, source: Source, head: bytes, seconds_allowed: float
    ) -> None:
        """`head` is the beginning of the source, which has been read."""
        self.config = config
        self.seconds_allowed = seconds_allowed
        """What a call may take longer for its size."""
        self._source = source
        self._head = head

    @property
    def whole(self) -> bytes | None:
        """All of it, where that is short enough for one message; else None."""
        return self._head if len(self._head) <= SHORT_BYTES else None

    def pieces(self) -> Iterator[bytes]:
        """All of it; blocks while it reads.

        Raises:
            OSError: the file can't be read (again).
        """
        return self._source.pieces()

    @property
    def is_repeatable(self) -> bool:
        """Whether `pieces` can be asked for again."""
        return self._source.is_repeatable


class Source(Protocol):
    """Where a body's bytes come from."""

    @property
    def is_repeatable(self) -> bool: ...

    def pieces(self) -> Iterator[bytes]: ...


@dataclass(frozen=True, slots=True)
class _Memory:
    """Bytes that are here."""

    data: bytes | memoryview
    is_repeatable = True

    def pieces(self) -> Iterator[bytes]:
        view = memoryview(self.data)
        for start in range(0, len(view), _LARGEST_CHUNK):
            yield bytes(view[start : start + _LARGEST_CHUNK])


@dataclass(frozen=True, slots=True)
class _File:
    """A file by its path: opened for each time."""

    path: Path
    is_repeatable = True

    def pieces(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            while data := file.read(_LARGEST_CHUNK):
                yield data


class _OpenFile:
    """A file that the caller has opened; one that can't go back, such as a pipe, is sent once."""

    def __init__(self, file: BinaryIO, begin: int | None, head: bytes) -> None:
        """`begin` is where it stood before `head` was read; None where it can't go back."""
        self._file = file
        self._begin = begin
        self._head = head

    @property
    def is_repeatable(self) -> bool:
        return self._begin is not None

    def pieces(self) -> Iterator[bytes]:
        if self._begin is not None:
            self._file.seek(self._begin)
        else:
            yield self._head
        while data := _read_some(self._file, _LARGEST_CHUNK):
            yield data


class StreamFormat(Protocol):
    """How the audio of a stream is encoded."""

    @property
    def config(self) -> AudioConfig: ...

    def pieces(self, chunk: bytes | bytearray | memoryview | Samples) -> Iterator[bytes]: ...


@dataclass(frozen=True, slots=True)
class ContainerFormat:
    """A file of any format, sent as it is."""

    encoding: Container | None = None

    @property
    def config(self) -> AudioConfig:
        return _config(self.encoding)

    def pieces(self, chunk: bytes | bytearray | memoryview | Samples) -> Iterator[bytes]:
        """The bytes of one chunk of any size, in messages of a sensible size.

        Raises:
            TypeError: the chunk is no bytes.
        """
        if isinstance(chunk, np.ndarray):
            raise TypeError("a stream of arrays needs their sample_rate")
        return _Memory(_bytes(chunk)).pieces()


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
        return _Memory(data).pieces()

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


def stream_format(
    encoding: Encoding | None, sample_rate: int | None, channels: int | None
) -> StreamFormat:
    """The format of a stream: raw samples where a sample rate is named, else a file.

    Raises:
        ValueError: the arguments don't fit each other.
    """
    if encoding is not None and encoding not in ENCODINGS:
        raise ValueError(f"unknown encoding {encoding!r}; choose of {', '.join(ENCODINGS)}")
    if sample_rate is None and channels is None and encoding not in RAW_ENCODINGS:
        return ContainerFormat(cast(Container | None, encoding))
    raw = "linear16" if encoding is None else encoding
    if raw not in RAW_ENCODINGS:
        raise ValueError("sample_rate and channels are of raw samples; name their encoding too")
    return RawFormat(raw, _required(sample_rate), 1 if channels is None else channels)


def body_of(
    audio: AudioSource, encoding: Encoding | None, sample_rate: int | None, channels: int | None
) -> Body:
    """What is to be sent of `audio`; blocks while it reads the beginning.

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
        return _open(audio, raw.config)
    if sample_rate is not None or channels is not None:
        raise ValueError("sample_rate and channels are of raw samples; name their encoding too")
    return _open(audio, _config(encoding))


def _load_array(
    samples: Samples, encoding: Encoding | None, sample_rate: int | None, channels: int | None
) -> Body:
    own_encoding, own_channels, data = _from_array(samples)
    if encoding not in (None, own_encoding) or channels not in (None, own_channels):
        raise ValueError(
            f"the array is {own_encoding} with {own_channels} channel(s); "
            "leave encoding and channels out, it tells them itself"
        )
    return _in_memory(data, RawFormat(own_encoding, _required(sample_rate), own_channels).config)


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


def _open(
    audio: str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO, config: AudioConfig
) -> Body:
    if isinstance(audio, str | os.PathLike):
        path = Path(audio)
        with path.open("rb") as file:
            head = _read_some(file, SHORT_BYTES + 1)
            size = os.fstat(file.fileno()).st_size
        # What is no file, such as a named pipe, can be read but once.
        if not path.is_file():
            return _in_memory(path.read_bytes(), config)
        return Body(config, _File(path), head, size / _SLOWEST)
    if hasattr(audio, "read"):
        opened = cast(BinaryIO, audio)
        begin = opened.tell() if opened.seekable() else None
        head = _read_some(opened, SHORT_BYTES + 1)
        return Body(config, _OpenFile(opened, begin, head), head, _allowed(opened, head))
    return _in_memory(_bytes(audio), config)


def _in_memory(data: bytes, config: AudioConfig) -> Body:
    head = data if len(data) <= SHORT_BYTES else data[: SHORT_BYTES + 1]
    return Body(config, _Memory(data), head, len(data) / _SLOWEST)


def _allowed(file: BinaryIO, head: bytes) -> float:
    """Nobody knows how much will come through a pipe."""
    if len(head) <= SHORT_BYTES:
        return len(head) / _SLOWEST
    if not file.seekable():
        return math.inf
    here = file.tell()
    size = file.seek(0, os.SEEK_END)
    file.seek(here)
    return size / _SLOWEST


def _read_some(file: BinaryIO, size: int) -> bytes:
    """Up to `size` bytes; less at the end only."""
    parts: list[bytes] = []
    while size > 0:
        data: object = file.read(size)
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError("the file is open in text mode; open it in binary mode ('rb')")
        if not data:
            break
        parts.append(bytes(data))
        size -= len(data)
    return parts[0] if len(parts) == 1 else b"".join(parts)


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
