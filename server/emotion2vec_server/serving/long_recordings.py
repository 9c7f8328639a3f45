"""The use case "recognise a recording of any length", which comes in pieces.

Three things go on at once: bytes arrive and are decoded, a few windows are in the model, and what
they settle is sent. Each waits for the next one: so what a recording holds does not follow its
length, a caller who does not read is not read from, and no recording has more of the model than
its windows in flight.

What slows it down is waited for: a full queue is no reason to send hours again. What would hold a
place for nothing is not: a caller who sends nothing for long, or next to nothing, or does not read.
When the server stops, a recording that is done within the drain time is finished; others are ended.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TypeVar

from emotion2vec_runtime.arrays import Float32
from emotion2vec_runtime.audio import AudioSpec, RecordingDecoder
from emotion2vec_runtime.errors import InvalidRequestError, TooLargeError
from emotion2vec_runtime.recognition.result import Options, Result, interpret, of_channels
from emotion2vec_runtime.recognition.runner import ClipOutput
from emotion2vec_runtime.recognition.warnings import about_level, about_source

from emotion2vec_server.batching.batcher import Completed
from emotion2vec_server.errors import (
    RETRY_SECONDS,
    DeadlineExceededError,
    OutOfMemoryForOneError,
    OverloadedError,
    UnavailableError,
)
from emotion2vec_server.serving.answer import Answer
from emotion2vec_server.serving.caller import Caller
from emotion2vec_server.serving.catalog import Catalog
from emotion2vec_server.serving.config import Granularity, RecognitionConfig
from emotion2vec_server.serving.container_decoding import ContainerDecoding
from emotion2vec_server.serving.observer import Observer
from emotion2vec_server.serving.places import Places
from emotion2vec_server.serving.served_model import ServedModel, slowest
from emotion2vec_server.serving.track import PartOfTrack, Track, Window
from emotion2vec_server.serving.uploads import Uploads

METHOD = "RecognizeRecording"
_IN_FLIGHT = 4
"""Windows of one recording that wait or run: enough for a batch on a card."""
_LEAST_RATE = 500
"""Bytes a second: the leanest speech codecs have as many, sent while they are recorded."""

M = TypeVar("M")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class LongRecordingLimits:
    """What one recording may cost, in seconds.

    `audio`: of it. `idle`: until the next message comes, or one of ours is read. `arrival`: by
    which it may be behind the least rate. `overload`: waiting for room in a full queue.
    """

    audio: float = 12 * 3600.0
    idle: float = 30.0
    arrival: float = 60.0
    overload: float = 60.0


@dataclass(frozen=True, slots=True)
class RecordingConfig:
    """The first message; the names are the wire's."""

    request_id: str
    config: RecognitionConfig
    audio: AudioSpec


RecordingMessage = RecordingConfig | bytes


@dataclass(frozen=True, slots=True)
class OpenRecording:
    """What the config of a recording settles."""

    request_id: str
    model: ServedModel
    options: Options
    audio: AudioSpec


RecordingEvent = PartOfTrack | Answer


@dataclass(eq=False)
class _Run:
    """A recording under way."""

    opened: OpenRecording
    caller: Caller
    decoding: ContainerDecoding
    tracks: list[Track] = field(default_factory=list)
    """One a channel that is recognised; made when the first samples tell how many there are."""
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_IN_FLIGHT))
    running: asyncio.Queue[tuple[Window, asyncio.Task[Completed[ClipOutput]]] | None] = field(
        default_factory=asyncio.Queue
    )
    """Windows in the model, in their order; None behind the last."""

    async def leave(self) -> None:
        """Takes its windows back."""
        left = [self.running.get_nowait() for _ in range(self.running.qsize())]
        tasks = [running[1] for running in left if running is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def hear(self, block: Float32) -> list[Window]:
        """The windows that [tracks, n] more samples complete."""
        if not self.tracks:
            opened = self.opened
            self.tracks = [
                Track(channel, opened.model.manifest, opened.model.cutter(), opened.options)
                for channel in range(len(block))
            ]
        pairs = zip(self.tracks, block, strict=True)
        return [window for track, samples in pairs for window in track.push(samples)]


class LongRecordings:
    """Recognises recordings of any length."""

    def __init__(
        self,
        catalog: Catalog,
        uploads: Uploads,
        executor: Executor,
        limits: LongRecordingLimits,
        observer: Observer,
        *,
        max_recordings: int,
        low_confidence: float,
    ) -> None:
        """`executor` runs what would block the event loop; `max_recordings` may be open at once."""
        self._catalog = catalog
        self._uploads = uploads
        self._executor = executor
        self._limits = limits
        self._observer = observer
        self._places = Places(max_recordings)
        self._low_confidence = low_confidence
        self._open: set[asyncio.Timeout] = set()

    def drain(self, grace: float) -> None:
        """The server is to stop: what is not done after so many seconds is ended."""
        end = asyncio.get_running_loop().time() + grace
        for timeout in self._open:
            # One that ends at this very moment can't be moved.
            if not timeout.expired():
                timeout.reschedule(end)

    async def run(
        self,
        caller: Caller,
        messages: AsyncIterator[RecordingMessage],
        render: Callable[[OpenRecording, RecordingEvent], M],
        write: Callable[[M], Awaitable[None]],
    ) -> None:
        """Recognises one recording.

        Args:
            caller: whose it is.
            messages: a RecordingConfig, then bytes.
            render: a door's message for a part, or for the answer. Called in another thread.
            write: sends it; waits while the caller does not read.

        Raises:
            RequestError: it can't be served, or can't go on.
        """
        with self._place(caller):
            try:
                async with asyncio.timeout(None) as ending:
                    self._open.add(ending)
                    try:
                        with self._uploads.count(caller.name, messages) as counted:
                            await self._run(caller, _Arrivals(counted, self._limits), render, write)
                    finally:
                        self._open.discard(ending)
            except TimeoutError as error:
                if not ending.expired():
                    raise
                raise UnavailableError(
                    "the server is shutting down and can't finish this recording; send it to "
                    "another one",
                    RETRY_SECONDS,
                ) from error

    @contextmanager
    def _place(self, caller: Caller) -> Iterator[None]:
        if not self._places.take(caller.name):
            raise OverloadedError(
                "all places for long recordings, or all that one caller may have, are taken; try "
                "again",
                RETRY_SECONDS,
            )
        try:
            yield
        finally:
            self._places.give_back(caller.name)

    async def _run(
        self,
        caller: Caller,
        arrivals: _Arrivals,
        render: Callable[[OpenRecording, RecordingEvent], M],
        write: Callable[[M], Awaitable[None]],
    ) -> None:
        opened = await self._settle(caller, arrivals)
        decoder = RecordingDecoder(
            opened.audio, self._limits.audio, separate=opened.options.separate
        )
        run = _Run(opened, caller, ContainerDecoding(decoder, self._executor))
        feeding = asyncio.create_task(self._feed(run, arrivals))
        completed: list[Completed[None]] = []

        async def send(event: Callable[[], RecordingEvent]) -> None:
            await self._write(write, await self._off_loop(lambda: render(opened, event())))

        try:
            while (running := await run.running.get()) is not None:
                window, task = running
                done = await task
                completed = [slowest([*completed, done])]
                await send(lambda w=window, d=done: run.tracks[w.channel].add(w, d.result))  # type: ignore[misc]
                run.slots.release()
            await feeding
            await send(lambda: self._answer(run, completed[0]))
        finally:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)
            await run.leave()
            await run.decoding.close()
        self._observer.audio(METHOD, run.tracks[0].seconds)

    async def _settle(self, caller: Caller, arrivals: _Arrivals) -> OpenRecording:
        first = await arrivals.next()
        if not isinstance(first, RecordingConfig):
            raise InvalidRequestError("config", "the first message must hold the config: send it")
        model = self._catalog.get(first.config.model)
        options = first.config.options(model, Granularity.UTTERANCE)
        model.batcher.check(deadline=caller.deadline, caller=caller.name)
        return OpenRecording(first.request_id, model, options, first.audio)

    async def _feed(self, run: _Run, arrivals: _Arrivals) -> None:
        """From bytes to windows in the model."""
        decoder = run.decoding.decoder
        try:
            while (data := await arrivals.next()) is not None:
                if isinstance(data, RecordingConfig):
                    raise InvalidRequestError("config", "a recording has one config, its first")
                await self._decode(run, decoder.feed(data))
            await self._decode(run, decoder.rest())
            for track in run.tracks:
                await self._start(run, await self._off_loop(track.finish))
        finally:
            run.running.put_nowait(None)

    async def _decode(self, run: _Run, blocks: Iterator[Float32]) -> None:
        try:
            async for windows in run.decoding.each(blocks, run.hear):
                await self._start(run, windows)
        except TooLargeError as error:
            raise TooLargeError(
                f"{error} (this server takes {self._limits.audio:g} s: --max-recording-seconds)"
            ) from error

    async def _start(self, run: _Run, windows: list[Window]) -> None:
        """Hands windows to the model, each when there is a slot for it."""
        for window in windows:
            await run.slots.acquire()
            task = asyncio.create_task(self._infer(run, window))
            run.running.put_nowait((window, task))

    async def _infer(self, run: _Run, window: Window) -> Completed[ClipOutput]:
        """Runs a window; what there is no room for now is tried again, if not for ever."""
        give_up = time.monotonic() + self._limits.overload
        if run.caller.deadline is not None:
            give_up = min(give_up, run.caller.deadline)
        while True:
            try:
                return await run.opened.model.infer(
                    window.samples,
                    deadline=run.caller.deadline,
                    frame_embeddings=window.wants_embeddings or run.opened.options.frame_embeddings,
                    caller=run.caller.name,
                )
            except OutOfMemoryForOneError:
                raise
            except OverloadedError as error:
                pause = error.retry_after or RETRY_SECONDS
                if time.monotonic() + pause > give_up:
                    raise
                await asyncio.sleep(pause)

    def _answer(self, run: _Run, completed: Completed[None]) -> Answer:
        opened = run.opened
        is_separate = opened.options.separate
        about = list(about_source(run.decoding.decoder, is_mixed=not is_separate))
        results = [self._result(track, opened) for track in run.tracks]
        seconds = run.tracks[0].seconds
        if is_separate:
            result = of_channels(results, seconds, about)
        else:
            result = replace(results[0], warnings=(*about, *results[0].warnings))
        return Answer(
            opened.request_id,
            opened.model,
            result,
            decode_seconds=run.decoding.seconds,
            queue_seconds=completed.queue_seconds,
            run_seconds=completed.run_seconds,
            batch_size=completed.batch_size,
            source_rate=run.decoding.decoder.source_rate,
            source_channels=run.decoding.decoder.source_channels,
        )

    def _result(self, track: Track, opened: OpenRecording) -> Result:
        return interpret(
            track.recognition,
            track.seconds,
            opened.options,
            opened.model.manifest,
            warnings=about_level(track.level, track.silent_share),
            low_confidence=self._low_confidence,
        )

    async def _write(self, write: Callable[[M], Awaitable[None]], message: M) -> None:
        """Waits while the caller does not read, if not for ever: its place is another's."""
        try:
            async with asyncio.timeout(self._limits.idle):
                await write(message)
        except TimeoutError as error:
            raise DeadlineExceededError(
                f"nothing was read for {self._limits.idle:g} s: read the parts as they come"
            ) from error

    async def _off_loop(self, work: Callable[[], R]) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)


class _Arrivals:
    """The messages of one recording; waits for none of them for ever."""

    def __init__(
        self, messages: AsyncIterator[RecordingMessage], limits: LongRecordingLimits
    ) -> None:
        self._messages = messages
        self._limits = limits
        self._left = limits.arrival
        """Seconds that the caller may still be waited for (a token bucket)."""

    async def next(self) -> RecordingMessage | None:
        """The next one; None behind the last.

        Raises:
            DeadlineExceededError: it did not come in time.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout(min(self._limits.idle, self._left)):
                message = await anext(self._messages, None)
        except TimeoutError as error:
            raise DeadlineExceededError(
                f"nothing came for {self._limits.idle:g} s, or less than {_LEAST_RATE} bytes a "
                "second: send the recording faster"
            ) from error
        self._left -= loop.time() - began
        if isinstance(message, bytes):
            self._left = min(self._left + len(message) / _LEAST_RATE, self._limits.arrival)
        return message
