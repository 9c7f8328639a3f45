"""Where `emotion2vec stream` takes its samples from: a file, standard input, a microphone."""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
import wave
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from emotion2vec_client.audio import RawFormat
from emotion2vec_client.client import Client

CHUNK_SECONDS = 0.1
_PROCESSED_RATE = 16000
# What may wait between a live source and a server that is slow to take it.
_BACKLOG_SECONDS = 60.0
_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Source:
    """Raw samples and how they are encoded."""

    chunks: Iterable[bytes]
    raw: RawFormat


def raw_file(path: Path, raw: RawFormat) -> Source:
    """A file of raw samples.

    Raises:
        OSError: the file can't be read.
    """
    return Source(_cut(path.read_bytes(), raw), raw)


def audio_file(path: Path, client: Client, model: str) -> Source:
    """A file of any format that the server reads.

    16-bit WAV is cut up here. There is no decoder in this package for the others: the server
    decodes them, and returns what the model would hear.

    Raises:
        OSError: the file can't be read.
        RecognitionError: the server can't decode it.
    """
    try:
        return _wav_file(path)
    except (wave.Error, EOFError):
        heard = client.recognize(path, processed_audio=True, model=model).processed_audio
    raw = RawFormat("linear16", _PROCESSED_RATE, 1)
    data = b"" if heard is None else heard.astype("<i2", copy=False).tobytes()
    return Source(_cut(data, raw), raw)


def _wav_file(path: Path) -> Source:
    with wave.open(str(path), "rb") as file:
        if file.getsampwidth() != 2:
            raise wave.Error("not 16-bit")
        raw = RawFormat("linear16", file.getframerate(), file.getnchannels())
        data = file.readframes(file.getnframes())
    return Source(_cut(data, raw), raw)


def chunk_size(raw: RawFormat) -> int:
    """Bytes of one chunk. It need not end with a sample: a stream may be cut anywhere."""
    return max(1, round(raw.bytes_per_second * CHUNK_SECONDS))


def _cut(data: bytes, raw: RawFormat) -> Iterator[bytes]:
    size = chunk_size(raw)
    for start in range(0, len(data), size):
        yield data[start : start + size]


class PacedChunks:
    """The chunks of a source, each handed out when it would have been spoken, until `stop`."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Ends the iteration as if the source had ended."""
        self._stopped.set()

    def __iter__(self) -> Iterator[bytes]:
        begin = time.monotonic()
        sent = 0
        for chunk in self._source.chunks:
            sent += len(chunk)
            due = begin + sent / self._source.raw.bytes_per_second
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


def standard_input(size: int) -> LiveChunks:
    """The bytes of standard input, as they come."""
    chunks = LiveChunks()
    # os.read, and a daemon thread: nothing here may hold up the end of the program while the other
    # end of the pipe stays silent.
    descriptor = sys.stdin.fileno()

    def pump() -> None:
        try:
            while data := os.read(descriptor, size):
                chunks.put(data)
        except OSError as error:
            chunks.put(error)
        else:
            chunks.put(None)

    threading.Thread(target=pump, name="standard input", daemon=True).start()
    return chunks
