"""One live stream: bytes and marks in, events out.

Two tasks share the work. The reader decodes requests into the inbox, and stops while that is full.
The `events` generator empties it, runs windows one at a time and says what they showed; it stops
while the caller does not read. So reading goes on while the model runs, and pressure from either
side is passed on to the other: a stream holds at most the inbox, one utterance and one window,
however fast or slow its caller is.

Utterances. `EndUtterance` closes one, and so do half-close, the stream's end by the server, and
`StreamLimits.utterance`: one is kept whole for its final result, which equals Recognize, so its
length bounds the memory. At that limit it is closed and the next one begins with the very next
sample: nothing is lost, and the stream lives. An utterance without audio is none: closing twice
gives one result. One shorter than a frame gets a final event without a result, because a stream
must outlive a slip that costs a unary call INVALID_ARGUMENT.

Ends. The caller's half-close ends the stream well. The server ends it when nothing came for long,
when it is too old, or when the server drains; the open utterance still gets its final result, and
then the stream fails with an error that says why.

Ends by the server. Where the caller asks for it, silence ends an utterance too, and the next one
waits for speech (`ends`): the silence between them is no utterance's.

Silence. Voice activity keeps silent frames out of the running results, and sends none while there
is nothing to be heard. Frames and final results cover all audio, as Recognize does: `Speech` events
tell which of the frames mean something, and `Final.heard_speech` whether any does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Protocol, TypeVar

from emotion2vec_runtime.arrays import Float32
from emotion2vec_runtime.audio.voice import Detector, VoiceActivity
from emotion2vec_runtime.bundle import Manifest
from emotion2vec_runtime.recognition.recognition import Recognition

from emotion2vec_server.batching.batcher import Completed
from emotion2vec_server.errors import OverloadedError
from emotion2vec_server.streaming import scorers
from emotion2vec_server.streaming.decoding import Decoding
from emotion2vec_server.streaming.events import Closing, Event, Final, HopChanged, Started
from emotion2vec_server.streaming.inbox import Inbox, Mark
from emotion2vec_server.streaming.pace import Pace
from emotion2vec_server.streaming.reader import Ending, Reader, Request, StreamLimits
from emotion2vec_server.streaming.utterance import StreamOptions, Update, Utterance

T = TypeVar("T")


class Model(scorers.Model, Protocol):
    """What a stream needs of the served model."""

    @property
    def manifest(self) -> Manifest: ...

    async def recognize(
        self,
        samples: Float32,
        *,
        frame_embeddings: bool = False,
        speech_only: bool = False,
        urgent: bool = False,
        caller: str = "",
    ) -> Completed[Recognition]: ...


class Session:
    """A live stream; `events` is iterated once."""

    def __init__(
        self,
        model: Model,
        decoding: Decoding,
        options: StreamOptions,
        limits: StreamLimits,
        *,
        caller: str = "",
        detector: Detector | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """To be made within the event loop that runs it.

        Args:
            model: runs the windows and the utterances.
            decoding: of the stream's bytes.
            options: what the caller asked for.
            limits: what the stream may cost.
            caller: whom the batcher shares its time between.
            detector: of speech; None is the energy gate.
            clock: seconds, for turnarounds.
        """
        manifest, framing = model.manifest, options.framing
        if not manifest.labels:
            options = replace(options, frames=False, interim_results=False, alerts=None)
        self._model = model
        self._options = options
        self._limits = limits
        self._caller = caller
        self._clock = clock
        most = round(limits.utterance * manifest.sample_rate)
        self._longest = most if options.ends is None else min(most, options.ends.longest)
        self._inbox = Inbox(round(limits.read_ahead * manifest.sample_rate))
        self._reader = Reader(self._inbox, decoding, limits)
        self._voice = VoiceActivity(detector) if options.voice_activity else None
        frame_seconds = framing.frame_hop / manifest.sample_rate
        self._pace = Pace(framing.hop, framing.longest_hop, frame_seconds)
        self._utterance = self._begin_utterance(0, 0)
        self._whole: asyncio.Task[Completed[Recognition]] | None = None
        self._is_draining = False

    @property
    def utterance(self) -> int:
        """Number of the one under way."""
        return self._utterance.index

    def drain(self, grace: float) -> None:
        """The server shuts down: ends the stream with its utterance, at most `grace` seconds on."""
        self._is_draining = True
        is_between = self._is_between and self._inbox.is_empty
        asyncio.get_running_loop().call_later(
            0.0 if is_between else grace, self._reader.end, Ending.DRAINED
        )

    async def events(self, requests: AsyncIterator[Request]) -> AsyncGenerator[Event, None]:
        """Runs the stream. Whoever stops early closes the generator (`contextlib.aclosing`).

        Raises:
            InvalidRequestError: the audio ends within a sample.
            UnavailableError: nothing came for too long, the stream has reached the end of its life,
                or the server is draining.
            RequestError: whatever `requests` raises, or the model refuses or fails with.
        """
        reading = asyncio.create_task(self._reader.read(requests))
        try:
            yield Started(self._options.framing)
            async for item in self._inbox:
                if isinstance(item, Mark):
                    async for event in self._conclude(Closing.END_UTTERANCE):
                        yield event
                else:
                    async for event in self._hear(item):
                        yield event
                if self._is_draining and self._is_between:
                    self._reader.end(Ending.DRAINED)
            ending = await reading
            async for event in self._conclude(ending.value):
                yield event
            error = ending.error(self._limits)
            if error is not None:
                raise error
        finally:
            tasks = [reading] if self._whole is None else [reading, self._whole]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def _is_between(self) -> bool:
        """Whether no utterance is under way."""
        return not self._utterance.length or self._utterance.awaits_speech

    async def _hear(self, samples: Float32) -> AsyncIterator[Event]:
        while len(samples):
            room = self._longest - self._utterance.length
            if (until_end := self._utterance.until_end) is not None:
                room = min(room, until_end)
            piece, samples = samples[:room], samples[room:]
            async for event in self._score(self._utterance.hear(piece)):
                yield event
            # Where nothing is scored, hearing what was read ahead would hold up the others.
            await asyncio.sleep(0)
            if self._utterance.is_lead_full:
                async for event in self._score(self._without_lead()):
                    yield event
            elif self._utterance.until_end == 0:
                async for event in self._conclude(Closing.SILENCE):
                    yield event
            elif self._utterance.length == self._longest:
                async for event in self._conclude(Closing.TOO_LONG):
                    yield event

    def _without_lead(self) -> Update:
        """Nobody has spoken yet: of what has come the end is kept, and heard again: beside less
        noise it may be speech."""
        utterance, ends = self._utterance, self._options.ends
        assert ends is not None  # noqa: S101 - without ends nothing is awaited
        kept = utterance.samples[-ends.pre_roll :]
        start = utterance.start_sample + utterance.length - len(kept)
        self._utterance = self._begin_utterance(utterance.index, start)
        return self._utterance.hear(kept)

    async def _score(self, heard: Update) -> AsyncIterator[Event]:
        utterance = self._utterance
        for speech in heard.speech:
            yield speech
        for window in heard.windows:
            began = self._clock()
            logits = await self._retry_while_overloaded(lambda due=window: self._scorer.score(due))  # type: ignore[misc]
            has_changed = self._pace.observe(self._clock() - began)
            for event in utterance.scored(window, logits):
                yield event
            if has_changed:
                utterance.stretch(self._pace.hop)
                yield HopChanged(utterance.index, self._pace.hop, self._pace.degraded)

    async def _conclude(self, closing: Closing) -> AsyncIterator[Event]:
        """Closes the utterance, if there is one, and begins the next."""
        utterance = self._utterance
        if self._is_between:
            return
        has_frames = self._options.framing.frames(utterance.length) > 0
        if has_frames and not self._options.streamed_final:
            # Submitted together, the last window and the whole wait for the model only once.
            self._whole = asyncio.create_task(self._recognize(utterance))
        async for event in self._score(utterance.finish()):
            yield event
        for alert in utterance.closed():
            yield alert
        completed = None
        if has_frames:
            completed = await self._whole if self._whole else _pooled(utterance)
        end_sample = utterance.start_sample + utterance.length
        yield Final(
            utterance=utterance.index,
            start_sample=utterance.start_sample,
            end_sample=end_sample,
            samples=utterance.samples,
            completed=completed,
            closing=closing,
            heard_speech=utterance.heard_speech,
        )
        self._utterance = self._begin_utterance(utterance.index + 1, end_sample)

    def _begin_utterance(self, index: int, start_sample: int) -> Utterance:
        self._scorer = scorers.scorer_of(self._model, self._options.framing, self._caller)
        return Utterance(index, start_sample, self._options, hop=self._pace.hop, voice=self._voice)

    async def _recognize(self, utterance: Utterance) -> Completed[Recognition]:
        return await self._retry_while_overloaded(
            lambda: self._model.recognize(
                utterance.samples,
                frame_embeddings=self._options.frame_embeddings,
                speech_only=self._options.speech_only,
                urgent=True,
                caller=self._caller,
            )
        )

    async def _retry_while_overloaded(self, run: Callable[[], Awaitable[T]]) -> T:
        """A live stream can't be sent again, so a full queue is waited for, if not for ever."""
        give_up = self._clock() + self._limits.overload
        while True:
            try:
                return await run()
            except OverloadedError as error:
                pause = error.retry_after or 1.0
                if self._clock() + pause > give_up:
                    raise
                await asyncio.sleep(pause)


def _pooled(utterance: Utterance) -> Completed[Recognition]:
    """The utterance's final result without another run of the model."""
    pooled = Recognition(utterance.pooled(), None, None, None)
    return Completed(pooled, queue_seconds=0.0, run_seconds=0.0, batch_size=0)
