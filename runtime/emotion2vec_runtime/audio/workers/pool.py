"""The decoders of this process: some that take whole recordings in turn, one for each live one."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final

from emotion2vec_runtime.arrays import Float32
from emotion2vec_runtime.audio.workers.conversation import Conversation
from emotion2vec_runtime.audio.workers.job import Job, Summary
from emotion2vec_runtime.audio.workers.process import IS_ISOLATED, Decoder, ThreadDecoder, Zygote
from emotion2vec_runtime.errors import BusyError, RequestError

MAX_LIVE: Final = 256
"""Live recordings at once: each has a decoder of its own, of about 10 MB."""


class Pool:
    """Lends decoders."""

    def __init__(self, size: int | None = None, max_live: int = MAX_LIVE) -> None:
        """`size`: recordings decoded at once; one a core by default."""
        self._zygote = Zygote()
        self._room = threading.BoundedSemaphore(size or os.cpu_count() or 1)
        self._live_room = threading.BoundedSemaphore(max_live)
        self._lock = threading.Lock()
        self._idle: list[Decoder] = []

    def decode(self, data: memoryview, job: Job) -> tuple[list[Float32], Summary]:
        """Decodes a whole recording: its audio, [rows, n] each, and what is known of it.

        Raises:
            InvalidRequestError: it can't be decoded.
            TooLargeError: it is longer than `job` allows.
        """
        with self._lend() as decoder:
            decoder.file.seek(0)
            decoder.file.write(data)
            conversation = Conversation(decoder, job, is_live=False)
            failure: RequestError | None = None
            pieces: list[Float32] = []
            try:
                pieces += conversation.open()
            except RequestError as error:
                if not conversation.is_over:
                    raise
                failure = error
            decoder.file.truncate(0)
        if failure is not None:
            raise failure
        return pieces, conversation.summary

    @contextmanager
    def _lend(self) -> Iterator[Decoder]:
        """A decoder for one whole recording; waits for one. Whoever finds it broken ends it."""
        with self._room:
            with self._lock:
                decoder = self._idle.pop() if self._idle else None
            decoder = decoder or self._start()
            try:
                yield decoder
            except BaseException:
                decoder.end()
                raise
            with self._lock:
                self._idle.append(decoder)

    def begin_live(self, file: BinaryIO | None = None) -> Decoder:
        """A decoder for one live recording, or for the whole one that lies in `file`; it is to be
        given to `end_live` afterwards.

        Raises:
            BusyError: there are too many of them.
        """
        if not self._live_room.acquire(blocking=False):
            raise BusyError("too many recordings are being decoded: try again later")
        try:
            return self._start(file)
        except BaseException:
            self._live_room.release()
            raise

    def end_live(self, decoder: Decoder) -> None:
        """Frees a decoder of `begin_live`, whatever it is doing."""
        decoder.end()
        self._live_room.release()

    def start(self) -> None:
        """Starts a decoder ahead, so that the first recording need not wait for it."""
        with self._lend():
            pass

    def close(self) -> None:
        """Ends all decoders; a later recording starts new ones."""
        with self._lock:
            idle, self._idle = self._idle, []
        for decoder in idle:
            decoder.end()
        self._zygote.close()

    def _start(self, file: BinaryIO | None = None) -> Decoder:
        if IS_ISOLATED:
            return self._zygote.fork(file)
        return ThreadDecoder(file)


POOL: Final = Pool()
"""The one of this process; it starts nothing until it is needed."""
atexit.register(POOL.close)
