"""Scores recordings by a server, which is kept full and whose restarts are survived."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
from emotion2vec_client import (
    AsyncClient,
    DeadlineExceededError,
    EndOfUtterance,
    Frames,
    InvalidAudioError,
    InvalidRequestError,
    Model,
    NotFoundError,
    OverloadedError,
    Recognition,
    RecognitionError,
    RecognitionWarning,
    StreamFinal,
    StreamFrames,
    StreamStarted,
    StreamWarning,
    UnauthenticatedError,
    UnavailableError,
)
from emotion2vec_client.audio import RawFormat, body_of

from emotion2vec_archive.engine import EngineError, ModelInfo, ScoringError
from emotion2vec_archive.limiter import Limiter
from emotion2vec_archive.recording import Recording
from emotion2vec_archive.row import Per, Utterance, Utterances
from emotion2vec_archive.servers import Server
from emotion2vec_archive.sources import open_audio

TIMEOUT = 600.0
"""Seconds for one call, to which the client adds for the size of a recording: an archive waits."""
STREAM_TIMEOUT = 3_700.0
"""Seconds for a recording as a stream, which a server ends after an hour unless set otherwise."""
LONGEST_UTTERANCE = 15.0
"""Seconds; speech beyond it goes on in the next one."""
_TRIES = 4
"""Of one recording that the server was lost with, or too busy for, each time."""
_READ_AHEAD = 16
"""Recordings that are read and wait for their turn at the server."""
_AT_FAULT = (NotFoundError, UnauthenticatedError)
_TRANSIENT = (UnavailableError, OverloadedError, DeadlineExceededError)


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked about each recording."""

    per: Per
    model: str = ""
    labels: tuple[str, ...] = ()
    speech_only: bool = False
    embeddings: bool = False
    raw: RawFormat | None = None


class ServerEngine:
    """An `Engine`; made by `connect`."""

    def __init__(
        self,
        client: AsyncClient,
        server: Server,
        wish: Wish,
        model: ModelInfo,
        longest: float = LONGEST_UTTERANCE,
    ) -> None:
        """`longest`: seconds of an utterance, which is one window of the model."""
        self._client = client
        self._server = server
        self._wish = wish
        self.model = model
        self._longest = longest
        self._limiter = Limiter()
        self._reading = asyncio.Semaphore(_READ_AHEAD)
        self._waiting = asyncio.Lock()

    @classmethod
    async def connect(cls, client: AsyncClient, server: Server, wish: Wish) -> ServerEngine:
        """An engine on a server that answers.

        Raises:
            EngineError: it has not the model or the labels.
            RecognitionError: it does not answer.
        """
        model = await client.get_model(wish.model)
        longest = min(LONGEST_UTTERANCE, model.max_window)
        return cls(client, server, wish, ModelInfo(*_about(model, wish.labels)), longest)

    async def score(self, recording: Recording) -> Recognition | Utterances:
        async with AsyncExitStack() as stack:
            async with self._reading:
                try:
                    audio = await asyncio.to_thread(open_audio, recording)
                except Exception as error:  # file systems have their own
                    raise ScoringError("UNREADABLE", _reason(error)) from error
                if not isinstance(audio, bytes | Path):
                    stack.enter_context(audio)
                await stack.enter_async_context(self._limiter)
            return await self._recognize(audio)

    async def _recognize(self, audio: bytes | Path | BinaryIO) -> Recognition | Utterances:
        tries = 0
        while True:
            try:
                _rewind(audio)
                if self._wish.per is Per.UTTERANCE:
                    return await self._utterances(audio)
                recognition = await self._call(audio)
            except _TRANSIENT as error:
                tries += 1
                if tries == _TRIES:
                    raise ScoringError(error.code.name, error.message) from error
                if not isinstance(error, UnavailableError):
                    self._limiter.refused()
                # One asks for all.
                async with self._waiting:
                    await self._server.ready(self._client)
            except RecognitionError as error:
                if isinstance(error, _AT_FAULT) or _is_about_the_request(error):
                    raise EngineError(error.message) from error
                raise ScoringError(error.code.name, error.message) from error
            except OSError as error:
                raise ScoringError("UNREADABLE", _reason(error)) from error
            else:
                return self._checked(recognition)

    async def _call(self, audio: bytes | Path | BinaryIO) -> Recognition:
        wish, raw = self._wish, self._wish.raw
        return await self._client.recognize(
            audio,
            encoding=raw.encoding if raw else None,
            sample_rate=raw.sample_rate if raw else None,
            channels=raw.channels if raw else None,
            frames=bool(self.model.labels),
            embedding=wish.embeddings,
            per_channel=wish.per is Per.CHANNEL,
            speech_only=wish.speech_only,
            model=wish.model,
            allowed_labels=wish.labels,
        )

    async def _utterances(self, audio: bytes | Path | BinaryIO) -> Utterances:
        """The recording as a stream, in which each utterance is one window: so its frames and its
        result, which is their mean, are those of the utterance recognised by itself."""
        wish, raw = self._wish, self._wish.raw
        events = self._client.stream(
            _pieces(audio),
            encoding=raw.encoding if raw else None,
            sample_rate=raw.sample_rate if raw else None,
            channels=raw.channels if raw else None,
            mode="windowed",
            window=self._longest,
            hop=self._longest,
            lookahead=0.0,
            final="streamed",
            end_of_utterance=EndOfUtterance(longest=self._longest),
            speech_only=wish.speech_only,
            model=wish.model,
            allowed_labels=wish.labels,
            timeout=STREAM_TIMEOUT,
        )
        utterances: list[Utterance] = []
        frames: list[Frames] = []
        losses: list[RecognitionWarning] = []
        async with aclosing(events) as received:
            async for event in received:
                match event:
                    case StreamStarted():
                        self._require_version(event.model, event.model_version)
                    case StreamFrames():
                        frames.append(event.frames)
                    case StreamFinal():
                        utterances.append(_utterance(event, frames))
                        frames = []
                    case StreamWarning() if event.warning.loss is not None:
                        losses.append(event.warning)
        model = self.model
        return Utterances(model.name, model.version, tuple(utterances), tuple(losses))

    def _require_version(self, model: str, version: str) -> None:
        if version != self.model.version:
            raise EngineError(
                f"the server has changed to version {version} of {model}: what is scored is by "
                f"{self.model.version}; name another output"
            )

    def _checked(self, recognition: Recognition) -> Recognition:
        metadata = recognition.metadata
        self._require_version(metadata.model, metadata.model_version)
        self._limiter.answered(metadata.queue_duration, metadata.inference_duration)
        return recognition


def _utterance(final: StreamFinal, frames: list[Frames]) -> Utterance:
    joined = None
    if frames:
        rows = np.concatenate([part.probabilities for part in frames])
        joined = replace(frames[0], probabilities=rows)
    recognition = replace(final.recognition, frames=joined)
    return Utterance(final.start, final.end, final.ended_by.value, recognition)


async def _pieces(audio: bytes | Path | BinaryIO) -> AsyncIterator[bytes]:
    """The bytes of a recording, each piece read in a thread."""
    pieces = (await asyncio.to_thread(body_of, audio, None, None, None)).pieces()
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        yield piece


def _about(model: Model, wanted: tuple[str, ...]) -> tuple[str, str, tuple[str, ...], int]:
    labels = tuple(label.name for label in model.labels)
    if unknown := [label for label in wanted if label not in labels]:
        raise EngineError(
            f"{model.name} has no label {', '.join(unknown)}; it has {', '.join(labels)}"
        )
    chosen = tuple(label for label in labels if label in wanted) if wanted else labels
    return model.name, model.version, chosen, model.embedding_size


def _is_about_the_request(error: RecognitionError) -> bool:
    return isinstance(error, InvalidRequestError) and not isinstance(error, InvalidAudioError)


def _rewind(audio: bytes | Path | BinaryIO) -> None:
    """An earlier try has read from it."""
    if not isinstance(audio, bytes | Path):
        audio.seek(0)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
