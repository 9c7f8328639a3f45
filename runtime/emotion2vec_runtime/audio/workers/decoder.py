"""The decoder's side: takes recordings one after another, for as long as its owner is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np

from emotion2vec_runtime.arrays import Samples
from emotion2vec_runtime.audio.containers.recording import ContainerSource
from emotion2vec_runtime.audio.convert import Converter
from emotion2vec_runtime.audio.samples import as_float
from emotion2vec_runtime.audio.workers.job import Job, Summary
from emotion2vec_runtime.audio.workers.link import BrokenLinkError, Kind, Link, Message
from emotion2vec_runtime.errors import InvalidRequestError, TooLargeError

_OUT_OF_MEMORY = "the file asks for more memory than any audio needs: it is damaged, write it again"


def serve(link: Link, file: BinaryIO, memory: memoryview, begin_turn: Callable[[], None]) -> None:
    """Decodes until the owner is gone.

    Args:
        link: to the owner.
        file: where the owner puts whole recordings.
        memory: where audio is put for the owner.
        begin_turn: called whenever it is the decoder's turn, to bound what that may cost.
    """
    try:
        while True:
            message = link.receive()
            if message.kind is not Kind.OPEN:
                raise BrokenLinkError
            begin_turn()
            link.send(_decode(link, file, memory, begin_turn, message.fields))
    except BrokenLinkError:
        return


def _decode(
    link: Link,
    file: BinaryIO,
    memory: memoryview,
    begin_turn: Callable[[], None],
    fields: dict[str, Any],
) -> Message:
    """Decodes one recording; the last message of it."""
    job = Job.of(fields)
    outlet = _Outlet(link, memory, begin_turn)
    is_live = bool(fields["is_live"])
    source = ContainerSource(
        _LiveFile(link, begin_turn, outlet.flush) if is_live else _WholeFile(file, job.start),
        job.format,
        job.length,
        is_prompt=is_live,
    )
    converter = Converter(job.max_seconds, separate=job.separate)
    try:
        for block in source.blocks():
            for samples in converter.push(block):
                outlet.put(samples)
        for samples in converter.finish():
            outlet.put(samples)
        outlet.flush()
    except InvalidRequestError as error:
        return Message.of(Kind.FAILED, message=str(error), too_large=False)
    except TooLargeError as error:
        return Message.of(Kind.FAILED, message=str(error), too_large=True)
    except MemoryError:
        return Message.of(Kind.FAILED, message=_OUT_OF_MEMORY, too_large=False)
    return Summary(
        converter.source_rate, converter.source_channels, converter.mix, source.losses()
    ).message()


class _Outlet:
    """Gathers audio in the shared memory, [rows, n], and hands it over when that is full."""

    def __init__(self, link: Link, memory: memoryview, begin_turn: Callable[[], None]) -> None:
        self._link = link
        self._memory = np.frombuffer(memory, np.float32)
        self._begin_turn = begin_turn
        self._rows = 1
        self._count = 0

    def put(self, samples: Samples) -> None:
        rows = len(samples)
        if rows != self._rows:
            self.flush()
            self._rows = rows
        floats = as_float(samples)
        capacity = self._memory.size // rows
        while floats.shape[1]:
            room = capacity - self._count
            piece, floats = floats[:, :room], floats[:, room:]
            for row, values in enumerate(piece):
                start = row * capacity + self._count
                self._memory[start : start + values.size] = values
            self._count += piece.shape[1]
            if self._count == capacity:
                self.flush()

    def flush(self) -> None:
        if not self._count:
            return
        self._link.send(Message.of(Kind.HEARD, rows=self._rows, count=self._count))
        self._count = 0
        if self._link.receive().kind is not Kind.TAKEN:
            raise BrokenLinkError
        self._begin_turn()


class _LiveFile:
    """A file whose bytes are still coming; it can't be sought in."""

    def __init__(
        self, link: Link, begin_turn: Callable[[], None], before_waiting: Callable[[], None]
    ) -> None:
        self._link = link
        self._begin_turn = begin_turn
        self._before_waiting = before_waiting
        self._ahead = b""
        self._at_end = False

    def read(self, size: int, /) -> bytes:
        """What has come, at most `size` bytes; waits for some."""
        while not self._ahead and not self._at_end:
            self._before_waiting()
            self._link.send(Message(Kind.WANT))
            message = self._link.receive()
            self._begin_turn()
            match message.kind:
                case Kind.DATA:
                    self._ahead = message.payload
                case Kind.END:
                    self._at_end = True
                case _:
                    raise BrokenLinkError
        piece, self._ahead = self._ahead[:size], self._ahead[size:]
        return piece


class _WholeFile:
    """A file from `start` on; no call fails, whatever a header asks for."""

    def __init__(self, file: BinaryIO, start: int) -> None:
        self._file = file
        self._start = start
        self._end = file.seek(0, 2)
        self.read = file.read
        file.seek(start)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        base = {1: self._file.tell(), 2: self._end}.get(whence, self._start)
        return self._file.seek(min(max(self._start, base + offset), self._end)) - self._start

    def tell(self) -> int:
        return self._file.tell() - self._start
