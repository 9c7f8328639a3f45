"""The use case "run a live stream": from its config to its last event.

A door parses its protocol's messages and renders the events; everything between is here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Executor
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import TypeVar

from emotion2vec_runtime.audio import AudioSpec, Level, RecordingDecoder, StreamDecoder
from emotion2vec_runtime.audio.voice import Detector, mostly_silent
from emotion2vec_runtime.errors import InvalidRequestError
from emotion2vec_runtime.recognition.result import interpret
from emotion2vec_runtime.recognition.warnings import (
    RecognitionWarning,
    Source,
    about_level,
    about_source,
    about_speech,
)

from emotion2vec_server.errors import (
    RETRY_SECONDS,
    DeadlineExceededError,
    OverloadedError,
    stopping,
)
from emotion2vec_server.serving.answer import Answer
from emotion2vec_server.serving.caller import Caller
from emotion2vec_server.serving.catalog import Catalog
from emotion2vec_server.serving.container_decoding import ContainerDecoding
from emotion2vec_server.serving.observer import Observer
from emotion2vec_server.serving.places import Places
from emotion2vec_server.serving.stream_config import OpenStream, StreamConfig, settle
from emotion2vec_server.serving.uploads import Uploads
from emotion2vec_server.streaming.decoding import Decoding, RawDecoding
from emotion2vec_server.streaming.events import (
    Alert,
    Closing,
    Final,
    Frames,
    HopChanged,
    Interim,
    Speech,
    Started,
)
from emotion2vec_server.streaming.reader import EndUtterance, KeepAlive, StreamLimits
from emotion2vec_server.streaming.session import Session

METHOD = "StreamRecognize"
_MOST_EMPTY = 100
"""Messages without audio in a row: they would cost the server work without end."""
_log = logging.getLogger(__name__)

M = TypeVar("M")


StreamRequest = StreamConfig | bytes | EndUtterance | KeepAlive


@dataclass(frozen=True, slots=True, eq=False)
class UtteranceAnswer:
    """The answer for a whole utterance: samples [start, end) of its stream."""

    utterance: int
    start_sample: int
    end_sample: int
    answer: Answer
    closing: Closing


@dataclass(frozen=True, slots=True)
class AudioLost:
    """What of a container could not be heard, in all; known when it has ended."""

    utterance: int
    warning: RecognitionWarning


StreamEvent = AudioLost | Started | Frames | Interim | Speech | Alert | HopChanged | UtteranceAnswer


class Streams:
    """The live streams of one server."""

    def __init__(
        self,
        catalog: Catalog,
        uploads: Uploads,
        executor: Executor,
        limits: StreamLimits,
        observer: Observer,
        *,
        max_streams: int,
        max_state_bytes: int,
        low_confidence: float,
        detector: Callable[[], Detector] | None = None,
    ) -> None:
        """
        Args:
            catalog: the models.
            uploads: counts what streams have sent.
            executor: runs what would block the event loop.
            limits: of each stream.
            observer: hears of what is served.
            max_streams: at once.
            max_state_bytes: of all of them.
            low_confidence: below it there is a warning.
            detector: makes a stream's detector of speech; None leaves it at the energy gate.
        """
        self._catalog = catalog
        self._uploads = uploads
        self._executor = executor
        self._limits = limits
        self._observer = observer
        self._places = Places(max_streams)
        self._state = Places(max_state_bytes)
        """In bytes."""
        self._low_confidence = low_confidence
        self._detector = detector
        self._open: set[Session] = set()
        self._opening: set[asyncio.Timeout] = set()
        """Of streams whose config has not come."""
        self._is_draining = False

    @property
    def open_count(self) -> int:
        """Streams that are open."""
        return len(self._open)

    @property
    def state_bytes(self) -> int:
        """What open streams may hold of the audio before, at the most."""
        return self._state.taken

    def drain(self, grace: float) -> None:
        """Lets each stream finish its utterance, within `grace` seconds."""
        self._is_draining = True
        now = asyncio.get_running_loop().time()
        for timeout in self._opening:
            # One that ends at this very moment can't be moved.
            if not timeout.expired():
                timeout.reschedule(now)
        for session in self._open:
            session.drain(grace)

    async def run(
        self,
        caller: Caller,
        requests: AsyncIterator[StreamRequest],
        render: Callable[[OpenStream, StreamEvent], M],
        write: Callable[[M], Awaitable[None]],
    ) -> None:
        """Runs one stream to its end.

        Args:
            caller: whose it is.
            requests: a StreamConfig, then audio and ends of utterances.
            render: a door's message for an event. Called in another thread where it may take long.
            write: sends it; waits while the caller does not read.

        Raises:
            RequestError: the stream can't be opened, or can't go on.
        """
        if not self._places.take(caller.name):
            raise OverloadedError(
                "all streams of this server, or all that one caller may have, are taken; try again",
                RETRY_SECONDS,
            )
        try:
            with self._uploads.count(caller.name, requests) as counted:
                opened = self._settle(await self._first(counted))
                with self._state_of(opened, caller):
                    await self._converse(opened, caller, counted, render, write)
        finally:
            self._places.give_back(caller.name)

    @contextmanager
    def _state_of(self, opened: OpenStream, caller: Caller) -> Iterator[None]:
        size = opened.state_bytes
        if not self._state.take(caller.name, size):
            raise OverloadedError(
                f"this stream would keep {size / 1e6:.1f} MB of what it has heard, for which the "
                "streams of this server have no room left: ask for a shorter window, or try again",
                RETRY_SECONDS,
            )
        try:
            yield
        finally:
            self._state.give_back(caller.name, size)

    async def _converse(
        self,
        opened: OpenStream,
        caller: Caller,
        requests: AsyncIterator[StreamRequest],
        render: Callable[[OpenStream, StreamEvent], M],
        write: Callable[[M], Awaitable[None]],
    ) -> None:
        source, decoding = self._decoding(opened.audio)
        session = Session(
            opened.model,
            decoding,
            opened.stream_options,
            self._limits,
            caller=caller.name,
            detector=self._new_detector(opened),
        )
        self._open.add(session)
        _log.debug("stream opened", extra=_log_fields(opened, caller))
        try:
            async with aclosing(session.events(_behind_the_config(requests))) as events:
                async for event in events:
                    if isinstance(event, Final):
                        # Its utterance may be minutes long.
                        message = await self._off_loop(
                            lambda final=event: render(opened, self._answer(opened, source, final))  # type: ignore[misc]
                        )
                        self._observer.audio(METHOD, len(event.samples) / _rate(opened))
                    else:
                        message = render(opened, event)
                    await self._write(write, message)
            # A final result tells what was lost until then, and silence has none.
            for warning in about_source(source):
                if warning.loss is not None:
                    message = render(opened, AudioLost(session.utterance, warning))
                    await self._write(write, message)
        finally:
            self._open.remove(session)
            _log.debug("stream ended", extra=_log_fields(opened, caller))

    def _new_detector(self, opened: OpenStream) -> Detector | None:
        if self._detector is None or not opened.stream_options.voice_activity:
            return None
        return self._detector()

    def _decoding(self, audio: AudioSpec) -> tuple[Source, Decoding]:
        """How to decode a stream, and what will be known of its audio."""
        if audio.encoding.is_raw:
            # The same for each utterance, which has a decoder of its own.
            return StreamDecoder(audio), RawDecoding(lambda: StreamDecoder(audio))
        decoder = RecordingDecoder(audio)
        return decoder, ContainerDecoding(decoder, self._executor)

    async def _first(self, requests: AsyncIterator[StreamRequest]) -> StreamRequest | None:
        """The first message; None where there is none."""
        try:
            async with asyncio.timeout(0 if self._is_draining else self._limits.idle) as timeout:
                self._opening.add(timeout)
                return await anext(requests, None)
        except TimeoutError as error:
            if self._is_draining:
                raise stopping() from error
            raise DeadlineExceededError(
                f"no config came for {self._limits.idle:g} s: send it first"
            ) from error
        finally:
            self._opening.discard(timeout)

    async def _write(self, write: Callable[[M], Awaitable[None]], message: M) -> None:
        """Waits while the caller does not read, if not for ever: its stream is another's place."""
        try:
            async with asyncio.timeout(self._limits.idle):
                await write(message)
        except TimeoutError as error:
            raise DeadlineExceededError(
                f"nothing was read for {self._limits.idle:g} s: read the results as they come"
            ) from error

    async def _off_loop(self, work: Callable[[], M]) -> M:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def _settle(self, first: StreamRequest | None) -> OpenStream:
        if not isinstance(first, StreamConfig):
            raise InvalidRequestError("config", "the first message of a stream must be its config")
        return settle(first, self._catalog, self._limits.utterance)

    def _answer(self, opened: OpenStream, source: Source, final: Final) -> UtteranceAnswer:
        model, completed = opened.model, final.completed
        result = interpret(
            completed and completed.result,
            len(final.samples) / _rate(opened),
            opened.options,
            model.manifest,
            samples=final.samples,
            warnings=_doubts(source, final, knows_words=self._detector is not None),
            low_confidence=self._low_confidence,
            start_seconds=final.start_sample / _rate(opened),
        )
        answer = Answer(opened.request_id, model, result)
        if completed is not None:
            answer = Answer(
                opened.request_id,
                model,
                result,
                queue_seconds=completed.queue_seconds,
                run_seconds=completed.run_seconds,
                batch_size=completed.batch_size,
            )
        return UtteranceAnswer(
            final.utterance, final.start_sample, final.end_sample, answer, final.closing
        )


async def _behind_the_config(
    requests: AsyncIterator[StreamRequest],
) -> AsyncIterator[bytes | EndUtterance | KeepAlive]:
    empty = 0
    async for request in requests:
        if isinstance(request, StreamConfig):
            raise InvalidRequestError("config", "a stream has one config, its first message")
        # What holds no audio is no sign of life either.
        empty = empty + 1 if request == b"" else 0
        if empty > _MOST_EMPTY:
            raise InvalidRequestError("audio", "the messages hold no audio; send some")
        if not empty:
            yield request


def _doubts(source: Source, final: Final, *, knows_words: bool) -> Iterator[RecognitionWarning]:
    level, share = Level(final.samples), mostly_silent(final.samples)
    # A sob is no speech to a detector of words, but it is what a result is about.
    is_silent = final.heard_speech is False and not (knows_words and share is None)
    yield from about_source(source)
    yield from about_level(level, None if is_silent else share)
    yield from about_speech(not is_silent, level)


def _rate(opened: OpenStream) -> int:
    return opened.model.manifest.sample_rate


def _log_fields(opened: OpenStream, caller: Caller) -> dict[str, object]:
    return {
        "request_id": opened.request_id,
        "caller": caller.name,
        "model": opened.model.manifest.name,
    }
