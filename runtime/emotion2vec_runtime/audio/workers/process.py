"""A decoder as its owner sees it: a forked process on Linux, a thread of this process elsewhere."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from typing import Any, BinaryIO, Final, Protocol, cast

import numpy as np

from emotion2vec_runtime.arrays import Float32
from emotion2vec_runtime.audio.workers.link import BrokenLinkError, Link, SocketLink, queue_links

MEMORY_BYTES: Final = 1 << 20
"""Of the memory that audio comes back in: 16 s of one channel."""
IS_ISOLATED: Final = sys.platform == "linux"
"""Whether decoders are processes of their own here."""
_ZYGOTE: Final = "emotion2vec_runtime.audio.workers.zygote"


class Decoder(Protocol):
    """One decoder."""

    @property
    def link(self) -> Link: ...

    @property
    def file(self) -> BinaryIO:
        """Where a whole recording is to be put for it."""
        ...

    def take(self, rows: int, count: int) -> Float32:
        """A copy of the audio in the shared memory: [rows, count]."""
        ...

    def end(self) -> None:
        """Ends it, whatever it is doing. May be called again."""
        ...


class ForkedDecoder:
    """A process that was forked from the zygote."""

    def __init__(self, link: Link, file: BinaryIO, memory: int, kill: Callable[[], None]) -> None:
        """`memory` is the descriptor of the shared memory."""
        self.link = link
        self.file = file
        self._memory = memory
        self._kill = kill

    def take(self, rows: int, count: int) -> Float32:
        # Not mapped: a decoder that was taken over could shrink the memory under our feet.
        samples = np.empty((rows, count), np.float32)
        row_bytes = MEMORY_BYTES // 4 // rows * 4
        for index, row in enumerate(samples):
            if os.preadv(self._memory, [row.data], index * row_bytes) != row.nbytes:
                raise BrokenLinkError
        return samples

    def end(self) -> None:
        if self._memory < 0:
            return
        self.link.close()
        self.file.close()
        os.close(self._memory)
        self._memory = -1
        self._kill()


class Zygote:
    """The process that decoders are forked from; it is started when first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    def fork(self, file: BinaryIO | None = None) -> ForkedDecoder:
        """A new decoder that reads whole recordings from `file`, or from memory.

        Raises:
            OSError: no process can be started.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        memory = os.memfd_create("audio")
        with theirs:
            os.ftruncate(memory, MEMORY_BYTES)
            content = file or cast(BinaryIO, os.fdopen(os.memfd_create("recording"), "w+b", 0))
            process = self._request_fork([theirs.fileno(), content.fileno(), memory])
        return ForkedDecoder(SocketLink(ours), content, memory, lambda: self._kill(process))

    def close(self) -> None:
        """Ends it and all decoders."""
        with self._lock:
            if self._socket is not None and self._process is not None:
                self._socket.close()
                self._process.wait()
            self._socket = self._process = None

    def _request_fork(self, descriptors: list[int]) -> int:
        with self._lock:
            for _ in range(2):
                connection = self._connection()
                try:
                    socket.send_fds(connection, [b"fork"], descriptors)
                    answer = connection.recv(64)
                    if answer:
                        return int(answer)
                except OSError:
                    pass
                # It was killed, perhaps for memory: once more, with another.
                self._forget()
        raise OSError("decoder processes can't be started")

    def _kill(self, process: int) -> None:
        with self._lock:
            if self._socket is not None:
                try:
                    self._socket.sendall(b"kill %d" % process)
                except OSError:
                    self._forget()

    def _connection(self) -> socket.socket:
        if self._socket is None:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                self._process = _start_python(_ZYGOTE, theirs.fileno())
            self._socket = ours
        return self._socket

    def _forget(self) -> None:
        if self._socket is not None and self._process is not None:
            self._socket.close()
            self._process.kill()
            self._process.wait()
        self._socket = self._process = None


def _temporary_file() -> BinaryIO:
    return cast(BinaryIO, tempfile.TemporaryFile(buffering=0))


def _start_python(module: str, descriptor: int) -> subprocess.Popen[bytes]:
    """Python with this one's search path, and nothing else of this process but `descriptor`."""
    program = f"import sys; sys.path[:] = {sys.path!r}; from {module} import main; main()"
    return subprocess.Popen(  # noqa: S603 - this Python, this package
        [sys.executable, "-I", "-c", program, str(descriptor)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={},
        cwd="/",
        pass_fds=[descriptor],
        start_new_session=True,
    )


class ThreadDecoder:
    """A thread of this process: what there is where processes can't be forked."""

    def __init__(self, file: BinaryIO | None = None) -> None:
        self.link, theirs = queue_links()
        self.file = file or _temporary_file()
        self._memory = bytearray(MEMORY_BYTES)
        arguments: tuple[Any, ...] = (theirs, self.file, memoryview(self._memory), lambda: None)
        threading.Thread(target=_serve, args=arguments, name="decoder", daemon=True).start()

    def take(self, rows: int, count: int) -> Float32:
        capacity = MEMORY_BYTES // 4 // rows
        floats = np.frombuffer(self._memory, np.float32)
        return np.stack([floats[i * capacity : i * capacity + count] for i in range(rows)])

    def end(self) -> None:
        # The thread closes its file when it learns of it.
        self.link.close()


def _serve(link: Link, file: BinaryIO, memory: memoryview, begin_turn: Callable[[], None]) -> None:
    # FFmpeg is loaded here, into the process that decodes, and nowhere else.
    from emotion2vec_runtime.audio.workers.decoder import serve

    try:
        serve(link, file, memory, begin_turn)
    finally:
        link.close()
        file.close()
