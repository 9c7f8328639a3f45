"""A speech-to-text that hears emotion too."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from emotion2vec_client import AsyncClient, RecognitionError
from livekit.agents import (
    DEFAULT_API_CONNECT_OPTIONS,
    NOT_GIVEN,
    APIConnectOptions,
    NotGivenOr,
    stt,
    utils,
)

from emotion2vec_livekit.emotion import UserEmotion
from emotion2vec_livekit.recent_audio import RecentAudio

logger = logging.getLogger("emotion2vec_livekit")

# The other STT retries by itself; a retry of the wrapper would only do so twice.
NO_RETRY = APIConnectOptions(max_retry=0)


class EmotionSTT(stt.STT[Any]):
    """Any streaming STT, whose final transcripts carry the emotion of their audio.

    A transcript waits for its emotion, so the emotion is there before the LLM is asked: in
    `SpeechData.metadata["emotion"]`, as the stream's `context`, and as `emotion` here. Where it
    doesn't come within `timeout`, or the server can't be reached, the transcript goes on without.
    """

    def __init__(
        self,
        wrapped: stt.STT[Any],
        *,
        client: AsyncClient,
        model: str = "",
        timeout: float = 1.0,
        longest: float = 15.0,
    ) -> None:
        """One for each session, because `emotion` is about one user.

        Args:
            wrapped: What makes the transcripts. It stays the caller's to close.
            client: Where emotion comes from. It stays the caller's to close.
            model: The server's model; empty is its default.
            timeout: Seconds that a transcript waits for its emotion at most.
            longest: Seconds of audio before a transcript that are heard, at most.

        Raises:
            ValueError: `wrapped` can't stream.
        """
        if not wrapped.capabilities.streaming:
            raise ValueError(
                f"{wrapped.label} can't stream: wrap it in livekit.agents.stt.StreamAdapter first"
            )
        super().__init__(capabilities=wrapped.capabilities)
        self.emotion: UserEmotion | None = None
        """Of the last final transcript; None where it has none."""
        self._wrapped = wrapped
        self._client = client
        self._emotion_model = model
        self._timeout = timeout
        self._longest = longest
        for event in ("metrics_collected", "error"):
            wrapped.on(event, self._passing_on(event))

    @property
    def model(self) -> str:
        return self._wrapped.model

    @property
    def provider(self) -> str:
        return self._wrapped.provider

    def prewarm(self) -> None:
        self._wrapped.prewarm()

    async def _recognize_impl(
        self,
        buffer: utils.AudioBuffer,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions,
    ) -> stt.SpeechEvent:
        return await self._wrapped.recognize(buffer, language=language, conn_options=conn_options)

    def stream(
        self,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> stt.RecognizeStream:
        inner = self._wrapped.stream(language=language, conn_options=conn_options)
        return EmotionStream(self, inner, RecentAudio(self._longest))

    async def hear(self, audio: RecentAudio) -> UserEmotion | None:
        """The emotion of the audio, which is taken; None, with a line in the log, where it can't be
        had in time."""
        taken = audio.take()
        if taken is None:
            return None
        samples, rate = taken
        try:
            async with asyncio.timeout(self._timeout):
                result = await self._client.recognize(
                    samples, sample_rate=rate, speech_only=True, model=self._emotion_model
                )
        except (RecognitionError, TimeoutError) as error:
            logger.warning("a transcript goes on without its emotion: %r", error)
            return None
        return None if result.emotion is None else UserEmotion.of(result.emotion)

    def _passing_on(self, event: str) -> Any:
        def pass_on(*arguments: Any) -> None:
            self.emit(event, *arguments)

        return pass_on


class EmotionStream(stt.RecognizeStream):
    """The wrapped stream's events; final transcripts have their emotion."""

    def __init__(self, owner: EmotionSTT, inner: stt.RecognizeStream, audio: RecentAudio) -> None:
        super().__init__(stt=owner, conn_options=NO_RETRY)
        self._owner = owner
        self._inner = inner
        self._audio = audio
        self._heard: asyncio.Task[UserEmotion | None] | None = None

    async def _run(self) -> None:
        feeding = asyncio.create_task(self._feed())
        try:
            async for event in self._inner:
                if event.type == stt.SpeechEventType.START_OF_SPEECH:
                    # What was heard before had no words.
                    self._forget()
                elif event.type == stt.SpeechEventType.END_OF_SPEECH:
                    # Runs while the words are still being recognised.
                    self._hear()
                elif event.type == stt.SpeechEventType.FINAL_TRANSCRIPT:
                    await self._attach(event)
                self._event_ch.send_nowait(event)
        finally:
            waiting = [task for task in (feeding, self._heard) if task is not None]
            await utils.aio.cancel_and_wait(*waiting)
            await self._inner.aclose()

    async def _metrics_monitor_task(self, event_aiter: Any) -> None:
        """The wrapped STT counts its own usage."""
        async for _ in event_aiter:
            pass

    async def _feed(self) -> None:
        async for item in self._input_ch:
            if isinstance(item, self._FlushSentinel):
                self._inner.flush()
            else:
                self._audio.push(item)
                self._inner.push_frame(item)
        self._inner.end_input()

    def _hear(self) -> asyncio.Task[UserEmotion | None]:
        if self._heard is None:
            self._heard = asyncio.create_task(self._owner.hear(self._audio))
        return self._heard

    def _forget(self) -> None:
        if self._heard is not None:
            self._heard.cancel()
            self._heard = None

    async def _attach(self, event: stt.SpeechEvent) -> None:
        emotion = await self._hear()
        self._heard = None
        self._owner.emotion = self.context = emotion
        if emotion is not None:
            for heard in event.alternatives:
                heard.metadata = {**(heard.metadata or {}), "emotion": emotion.model_dump()}
