"""A recording of any length, decoded as its bytes come."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from types import TracebackType
from typing import Final, Self

import numpy as np

from emotion2vec_runtime.arrays import Float32, Samples
from emotion2vec_runtime.audio import headers
from emotion2vec_runtime.audio.containers.formats import Format
from emotion2vec_runtime.audio.convert import Converter
from emotion2vec_runtime.audio.detect import (
    HEAD_BYTES,
    check_no_container,
    find_container,
    is_plain_wav,
    new_job,
    with_missing_bytes,
)
from emotion2vec_runtime.audio.loss import Loss
from emotion2vec_runtime.audio.mix import Mix
from emotion2vec_runtime.audio.readers import (
    LiveReader,
    RawReader,
    Reader,
    SpooledReader,
    WavReader,
)
from emotion2vec_runtime.audio.samples import as_float
from emotion2vec_runtime.audio.sniff import (
    ENOUGH,
    Sniffed,
    skip_id3,
    sniff_among_samples,
    sniff_signature,
)
from emotion2vec_runtime.audio.source import undecodable
from emotion2vec_runtime.audio.spec import SAMPLE_RATE, AudioSpec

SPOOL_BYTES: Final = 2 << 30
"""Most bytes of a container that must be there as a whole: 30 h of an M4A of 128 kbit/s."""
_MOST_TAG_BYTES = 16 << 20
"""Of the pictures and texts that a file may begin with."""
_LEAST = 32
"""Bytes that hold every signature."""
_HEADS: Final = {Format.WAV: 1 << 12, Format.MP4: HEAD_BYTES}
"""Bytes that are waited for where how it is read depends on what stands behind the signature."""


class RecordingDecoder:
    """Decodes one recording; its outputs in a row are what `decode` gives for the whole.

    Its memory does not follow the recording's length. Calls block, and are made one at a time, off
    an event loop; an iterator is used up before the next call. It is a context manager that closes
    itself.
    """

    def __init__(
        self,
        spec: AudioSpec,
        max_seconds: float = math.inf,
        *,
        separate: bool = False,
        spool_bytes: int = SPOOL_BYTES,
    ) -> None:
        """Args:
        spec: how the bytes are encoded.
        max_seconds: longest audio to take.
        separate: whether to keep the channels apart.
        spool_bytes: most bytes of a container that has to be there as a whole before it can be
            read, such as an MP4 with its index last; it is kept in a temporary file.
        """
        self._spec = spec
        self._max_seconds = max_seconds
        self._separate = separate
        self._spool_bytes = spool_bytes
        self._held = b""
        self._found: Sniffed | None = None
        self._head = b""
        self._size = 0
        self._count = 0
        self._reader: Reader | None = None
        self.source_rate = spec.sample_rate or 0
        """Hz; of a container, known after `finish`, 0 before."""
        self.source_channels = spec.channels if spec.encoding.is_raw else 0
        """Of a container, known after `finish`, 0 before."""
        self.losses: tuple[Loss, ...] = ()
        """What was not heard; known after `finish`."""
        self.mix: Mix | None = None
        """What averaging the channels did; known after `finish`."""

    def push(self, data: bytes | memoryview) -> Float32:
        """All that `feed` gives, in one."""
        return self._joined(self.feed(data))

    def finish(self) -> Float32:
        """All that `rest` gives, in one."""
        return self._joined(self.rest())

    def feed(self, data: bytes | memoryview) -> Iterator[Float32]:
        """The next bytes, and the audio that they complete: [1, n] or [C, n] at 16 kHz each.

        Raises:
            InvalidRequestError: as `decode`.
            TooLargeError: it is longer than `max_seconds`, or than `spool_bytes`.
            BusyError: too many containers are being decoded.
        """
        yield from self._feed(memoryview(data), is_end=False)

    def rest(self) -> Iterator[Float32]:
        """The audio that is left, as `feed` gives it. The decoder is spent afterwards.

        Raises:
            InvalidRequestError, TooLargeError, BusyError: as `feed`.
        """
        yield from self._feed(memoryview(b""), is_end=True)
        assert self._reader is not None  # noqa: S101 - the end decides
        yield from self._counted(self._reader.finish())
        source = self._reader.source
        self.source_rate = source.source_rate or self.source_rate
        self.source_channels = source.source_channels or self.source_channels
        self.losses, self.mix = self._reader.losses, source.mix
        if self._found is not None:
            seconds = self._count / SAMPLE_RATE
            self.losses = with_missing_bytes(
                self.losses, self._found, self._head, self._size, seconds
            )
            if not self._count:
                raise undecodable("the audio holds no samples: send some sound")
        self.close()

    def close(self) -> None:
        """Frees at once what decoding holds, finished or not. May be called again."""
        if self._reader is not None:
            self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def _feed(self, data: memoryview, *, is_end: bool) -> Iterator[Float32]:
        if self._reader is None:
            data = memoryview(self._held + data)
            self._reader = self._choose(data, is_end=is_end)
            if self._reader is None:
                self._held = bytes(data)
                return
            self._held = b""
            if self._found is not None:
                data = data[self._found.start :]
        if self._found is not None and len(self._head) < HEAD_BYTES:
            self._head += bytes(data[: HEAD_BYTES - len(self._head)])
        self._size += len(data)
        yield from self._counted(self._reader.push(data))

    def _counted(self, pieces: Iterator[Samples]) -> Iterator[Float32]:
        for piece in pieces:
            if piece.shape[1]:
                self._count += piece.shape[1]
                yield as_float(piece)

    def _joined(self, pieces: Iterable[Float32]) -> Float32:
        every = list(pieces)
        return np.concatenate(every, axis=1) if every else np.empty((1, 0), np.float32)

    def _choose(self, data: memoryview, *, is_end: bool) -> Reader | None:
        """How to read what begins with `data`; None while that can't be said yet."""
        converter = Converter(self._max_seconds, separate=self._separate)
        if self._spec.encoding.is_raw:
            if len(data) < _LEAST and not is_end:
                return None
            check_no_container(data, self._spec.encoding)
            return RawReader(self._spec, converter)
        if not is_end and not _suffices(data):
            return None
        if not len(data):
            raise undecodable("audio is empty: send some")
        self._found = find_container(data, self._spec.encoding)
        content = data[self._found.start :]
        if is_plain_wav(self._found, content):
            return WavReader(converter)
        head = bytes(content[:ENOUGH])
        job = new_job(self._found, head, self._max_seconds, separate=self._separate)
        job = replace(job, start=0)
        if headers.must_be_whole(head, self._found.format):
            return SpooledReader(job, self._spool_bytes)
        return LiveReader(job)


def _suffices(data: memoryview) -> bool:
    """Whether a container can be told by its first bytes so far.

    Raises:
        InvalidRequestError: it begins with nothing but tags.
    """
    start = skip_id3(data)
    if start > _MOST_TAG_BYTES:
        raise undecodable(
            f"the file begins with more than {_MOST_TAG_BYTES} bytes of tags: send the audio alone"
        )
    if len(data) >= start + ENOUGH:
        return True
    if len(data) < start + _LEAST:
        return False
    found = sniff_signature(data[start:])
    if found is None:
        return sniff_among_samples(data[start:]) is not None
    return len(data) >= start + _HEADS.get(found.format, 0)
