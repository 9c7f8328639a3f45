"""The decoders of this process: some that take whole recordings in turn, one for each live one."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final, NamedTuple

from emotion2vec_runtime.arrays import Float32
from emotion2vec_runtime.audio.workers.conversation import Conversation
from emotion2vec_runtime.audio.workers.job import Job, Summary
from emotion2vec_runtime.audio.workers.process import IS_ISOLATED, Decoder, ThreadDecoder, Zygote
from emotion2vec_runtime.errors import BusyError, LoadError, RequestError

A_CORE: Final = 2
"""Decoders a core: while the owner's thread waits for its turn to take what one of them has done,
others work."""
MAX_LIVE: Final = 256
"""Live recordings at once: each has a decoder of its own, of about 10 MB."""


class DecoderCounts(NamedTuple):
    """The decoders of this process, as they stand: those at work, those that wait for it, and how
    many so far died, hung or asked for more than they may."""

    busy: int
    idle: int
    failed: int


class Pool:
    """Lends decoders."""

    def __init__(self, size: int | None = None, max_live: int = MAX_LIVE) -> None:
        """`size`: recordings decoded at once; `A_CORE` for each core by default."""
        self._zygote = Zygote()
        self._room = threading.BoundedSemaphore(size or A_CORE * (os.cpu_count() or 1))
        self._live_room = threading.BoundedSemaphore(max_live)
        self._lock = threading.Lock()
        self._idle: list[Decoder] = []
        self._busy = self._failed = 0

    def counts(self) -> DecoderCounts:
        with self._lock:
            return DecoderCounts(self._busy, len(self._idle), self._failed)

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
            decoder = self._idle_decoder() or self._start()
            self._count(busy=1)
            try:
                yield decoder
            except BaseException:
                decoder.end()
                self._count(busy=-1, failed=1)
                raise
            with self._lock:
                self._busy -= 1
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
            decoder = self._start(file)
        except BaseException:
            self._live_room.release()
            raise
        self._count(busy=1)
        return decoder

    def end_live(self, decoder: Decoder, *, has_failed: bool) -> None:
        """Frees a decoder of `begin_live`, whatever it is doing."""
        decoder.end()
        self._count(busy=-1, failed=has_failed)
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

    def _idle_decoder(self) -> Decoder | None:
        while True:
            with self._lock:
                if not self._idle:
                    return None
                decoder = self._idle.pop()
            if decoder.link.is_open:
                return decoder
            # It was killed while nobody needed it.
            decoder.end()
            self._count(failed=1)

    def _count(self, busy: int = 0, failed: int = 0) -> None:
        with self._lock:
            self._busy += busy
            self._failed += failed

    def _start(self, file: BinaryIO | None = None) -> Decoder:
        if IS_ISOLATED:
            return self._zygote.fork(file)
        return ThreadDecoder(file)


POOL: Final = Pool()
"""The one of this process; it starts nothing until it is needed."""
atexit.register(POOL.close)


def decoder_counts() -> DecoderCounts:
    """The decoders of this process, as they stand."""
    return POOL.counts()


def start_decoders() -> None:
    """Starts a decoder ahead, so that the first recording need not wait for it.

    Raises:
        LoadError: no process can be started.
    """
    try:
        POOL.start()
    except BusyError as error:
        raise LoadError(
            "decoder processes can't be started: see the limits on processes"
        ) from error
