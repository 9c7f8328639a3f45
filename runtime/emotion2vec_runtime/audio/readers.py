"""What reads a recording as it comes: one class for each way in which its bytes become audio.

All of them give float32 or int16 of [1, n], or [C, n] where channels are kept apart, at 16 kHz.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import BinaryIO, Protocol, cast

from emotion2vec_runtime.arrays import Samples
from emotion2vec_runtime.audio.convert import Converter
from emotion2vec_runtime.audio.detect import RAW_FORMATS
from emotion2vec_runtime.audio.loss import Loss
from emotion2vec_runtime.audio.source import sample_blocks
from emotion2vec_runtime.audio.spec import AudioSpec
from emotion2vec_runtime.audio.wav import WavParser
from emotion2vec_runtime.audio.workers.conversation import Conversation
from emotion2vec_runtime.audio.workers.job import Job, Summary
from emotion2vec_runtime.audio.workers.pool import POOL
from emotion2vec_runtime.audio.workers.process import Decoder
from emotion2vec_runtime.errors import InvalidRequestError, TooLargeError


class Reader(Protocol):
    """Reads one recording."""

    def push(self, data: memoryview) -> Iterator[Samples]:
        """The next bytes, and the audio that they complete."""
        ...

    def finish(self) -> Iterator[Samples]:
        """The audio that is left."""
        ...

    def close(self) -> None:
        """Frees what it holds, whatever it is doing."""
        ...

    @property
    def source(self) -> Converter | Summary:
        """What the recording was; for containers, after `finish` only."""
        ...

    @property
    def losses(self) -> tuple[Loss, ...]:
        """What was not heard, after `finish`."""
        ...


class RawReader:
    """Bare samples."""

    losses: tuple[Loss, ...] = ()

    def __init__(self, spec: AudioSpec, converter: Converter) -> None:
        assert spec.sample_rate is not None  # noqa: S101 - AudioSpec sees to it
        self.source = converter
        self._format = RAW_FORMATS[spec.encoding]
        self._rate = spec.sample_rate
        self._channels = spec.channels
        self._frame = self._format.width * spec.channels
        self._rest = b""

    def push(self, data: memoryview) -> Iterator[Samples]:
        if self._rest:
            data = memoryview(self._rest + data)
        end = len(data) // self._frame * self._frame
        self._rest = bytes(data[end:])
        for block in sample_blocks(data[:end], self._format, self._rate, self._channels):
            yield from self.source.push(block)

    def finish(self) -> Iterator[Samples]:
        if self._rest:
            raise InvalidRequestError(
                "audio",
                f"the audio ended {len(self._rest)} bytes into a sample of {self._frame}: bytes "
                "were lost, or the encoding or channel count is wrong",
            )
        yield from self.source.finish()

    def close(self) -> None:
        self._rest = b""


class WavReader:
    """Plain WAV."""

    def __init__(self, converter: Converter) -> None:
        self.source = converter
        self._parser = WavParser()

    def push(self, data: memoryview) -> Iterator[Samples]:
        for block in self._parser.push(data):
            yield from self.source.push(block)

    def finish(self) -> Iterator[Samples]:
        for block in self._parser.finish():
            yield from self.source.push(block)
        yield from self.source.finish()

    def close(self) -> None:
        pass

    @property
    def losses(self) -> tuple[Loss, ...]:
        return self._parser.losses()


class LiveReader:
    """A container that is decoded in another process as it arrives."""

    def __init__(self, job: Job) -> None:
        """Raises `BusyError` where too many are at work."""
        self._decoder = POOL.begin_live()
        self._is_closed = False
        self._conversation = Conversation(self._decoder, job, is_live=True)
        self._is_open = False

    def push(self, data: memoryview) -> Iterator[Samples]:
        if not self._is_open:
            self._is_open = True
            yield from self._conversation.open()
        yield from self._conversation.feed(data)

    def finish(self) -> Iterator[Samples]:
        yield from self._conversation.end()

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            POOL.end_live(self._decoder, has_failed=self._conversation.has_failed)

    @property
    def source(self) -> Summary:
        return self._conversation.summary

    @property
    def losses(self) -> tuple[Loss, ...]:
        return self._conversation.summary.losses


class SpooledReader:
    """A container that must be there as a whole: it is kept in a file that has no name."""

    def __init__(self, job: Job, most_bytes: int) -> None:
        self._job = job
        self._most_bytes = most_bytes
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - until `close`
        self._size = 0
        self._conversation: Conversation | None = None
        self._decoder: Decoder | None = None

    def push(self, data: memoryview) -> Iterator[Samples]:
        self._size += len(data)
        if self._size > self._most_bytes:
            raise TooLargeError(
                f"this {self._job.format.title} file has to be there as a whole before it can be "
                f"read, and is longer than {self._most_bytes} bytes: write it with its index first "
                "(ffmpeg -movflags +faststart), or send another format"
            )
        self._file.write(data)
        yield from ()

    def finish(self) -> Iterator[Samples]:
        self._decoder = POOL.begin_live(cast(BinaryIO, self._file))
        self._conversation = Conversation(self._decoder, self._job, is_live=False)
        yield from self._conversation.open()

    def close(self) -> None:
        decoder, self._decoder = self._decoder, None
        if decoder is not None and self._conversation is not None:
            POOL.end_live(decoder, has_failed=self._conversation.has_failed)
        self._file.close()

    @property
    def source(self) -> Summary:
        assert self._conversation is not None  # noqa: S101
        return self._conversation.summary

    @property
    def losses(self) -> tuple[Loss, ...]:
        return self.source.losses
