"""Where `emotion2vec stream` takes its samples from: a file, standard input, a microphone."""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from emotion2vec_client.audio import RawFormat
from emotion2vec_client.client import Client

CHUNK_SECONDS = 0.1
_FILE_CHUNK = 64 * 2**10
# What may wait between a live source and a server that is slow to take it.
_BACKLOG_SECONDS = 60.0
_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Source:
    """Audio in chunks; `raw` tells how samples are encoded, and is None for a file's bytes."""

    chunks: Iterable[bytes]
    raw: RawFormat | None


def file_source(path: Path, raw: RawFormat | None, size: int = _FILE_CHUNK) -> Source:
    """A file as it is, in chunks of `size` bytes.

    Raises:
        OSError: the file can't be read.
    """
    return Source(_read(path.open("rb"), size), raw)


def _read(file: BinaryIO, size: int) -> Iterator[bytes]:
    with file:
        while chunk := file.read(size):
            yield chunk


def bytes_per_second(path: Path, client: Client, model: str) -> float:
    """How fast a file of any format plays, on average: the server knows how long it is.

    Raises:
        OSError: the file can't be read.
        RecognitionError: the server can't decode it.
    """
    seconds = client.recognize(path, model=model).metadata.audio_duration
    return path.stat().st_size / seconds


def chunk_size(bytes_per_second: float) -> int:
    """Bytes of one chunk. It need not end with a sample: a stream may be cut anywhere."""
    return max(1, round(bytes_per_second * CHUNK_SECONDS))


class PacedChunks:
    """The chunks of a source, each handed out when it would have been spoken, until `stop`."""

    def __init__(self, chunks: Iterable[bytes], bytes_per_second: float) -> None:
        self._chunks = chunks
        self._bytes_per_second = bytes_per_second
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Ends the iteration as if the source had ended."""
        self._stopped.set()

    def __iter__(self) -> Iterator[bytes]:
        begin = time.monotonic()
        sent = 0
        for chunk in self._chunks:
            sent += len(chunk)
            due = begin + sent / self._bytes_per_second
            if self._stopped.wait(max(0.0, due - time.monotonic())):
                return
            yield chunk


class LiveChunks:
    """Chunks that another thread brings, until they end or `stop` is called."""

    def __init__(self) -> None:
        self._queue: queue.Queue[bytes | OSError | None] = queue.Queue(
            int(_BACKLOG_SECONDS / CHUNK_SECONDS)
        )
        self._stopped = threading.Event()
        self._lost = threading.Event()

    def put(self, chunk: bytes | OSError | None) -> None:
        """Hands over a chunk, the source's failure, or None for its end; waits for room."""
        self._queue.put(chunk)

    def offer(self, chunk: bytes) -> None:
        """Hands over a chunk that can't wait. Without room it is lost, which ends the iteration."""
        try:
            self._queue.put_nowait(chunk)
        except queue.Full:
            self._lost.set()

    def stop(self) -> None:
        """Ends the iteration as if the source had ended."""
        self._stopped.set()

    def __iter__(self) -> Iterator[bytes]:
        while not self._stopped.is_set():
            if self._lost.is_set():
                raise OSError("the server can't keep up with this source; try a longer --hop")
            try:
                chunk = self._queue.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                continue
            if chunk is None:
                return
            if isinstance(chunk, OSError):
                raise chunk
            yield chunk


def standard_input() -> LiveChunks:
    """The bytes of standard input, as they come."""
    chunks = LiveChunks()
    # os.read, and a daemon thread: nothing here may hold up the end of the program while the other
    # end of the pipe stays silent.
    descriptor = sys.stdin.fileno()

    def pump() -> None:
        try:
            while data := os.read(descriptor, _FILE_CHUNK):
                chunks.put(data)
        except OSError as error:
            chunks.put(error)
        else:
            chunks.put(None)

    threading.Thread(target=pump, name="standard input", daemon=True).start()
    return chunks
