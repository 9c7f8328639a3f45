"""StreamRecognize: protobuf messages to a live session, and its events to messages."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Executor
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from itertools import count

from emotion2vec.v1 import recognition_pb2, service_pb2

from emotion2vec_server import wire
from emotion2vec_server.advice import Advice, Code, about_audio, about_emotion, about_length
from emotion2vec_server.audio import AudioSpec, DecodedAudio, StreamDecoder
from emotion2vec_server.calls import Calls
from emotion2vec_server.catalog import Catalog
from emotion2vec_server.emotion import Emotion
from emotion2vec_server.errors import (
    DeadlineExceededError,
    InvalidRequestError,
    OverloadedError,
    UnavailableError,
)
from emotion2vec_server.metrics import Metrics
from emotion2vec_server.recognizer import Recognizer
from emotion2vec_server.session import Session
from emotion2vec_server.status import Context
from emotion2vec_server.streaming.events import (
    Event,
    Final,
    Frames,
    HopChanged,
    Interim,
    Speech,
    Started,
)
from emotion2vec_server.streaming.reader import EndUtterance, Request, StreamLimits
from emotion2vec_server.streaming.utterance import StreamOptions
from emotion2vec_server.windows import framing_of

_RETRY_SECONDS = 1.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Opening:
    """What the first message of a stream settles."""

    request_id: str
    model: Recognizer
    query: wire.Query
    audio: AudioSpec
    options: StreamOptions


class LiveStreams:
    """The StreamRecognize handler, and the streams that are open."""

    def __init__(
        self,
        catalog: Catalog,
        calls: Calls,
        executor: Executor,
        limits: StreamLimits,
        metrics: Metrics,
        *,
        max_streams: int,
        low_confidence: float,
    ) -> None:
        """`executor` runs what would block the event loop."""
        self._catalog = catalog
        self._calls = calls
        self._executor = executor
        self._limits = limits
        self._metrics = metrics
        self._max_streams = max_streams
        self._low_confidence = low_confidence
        self._open: set[Session] = set()
        self._opening: set[asyncio.Timeout] = set()
        """Of streams whose config has not come."""
        self._is_draining = False
        metrics.streams(lambda: len(self._open))

    def drain(self, grace: float) -> None:
        """Lets each stream finish its utterance, within `grace` seconds."""
        self._is_draining = True
        now = asyncio.get_running_loop().time()
        for patience in self._opening:
            patience.reschedule(now)
        for session in self._open:
            session.drain(grace)

    async def stream_recognize(self, requests: AsyncIterator[bytes], context: Context) -> None:
        """Handles one stream of serialized messages."""
        await self._calls.run(context, "StreamRecognize", self._serve(requests, context))

    async def _serve(self, requests: AsyncIterator[bytes], context: Context) -> None:
        opening = self._read_opening(await self._first(requests))
        session = self._admit(opening, context.peer())
        sequence = count()
        try:
            async with aclosing(session.events(_read_requests(requests))) as events:
                async for event in events:
                    message = await self._message(opening, event)
                    message.sequence = next(sequence)
                    await self._write(context, message)
        finally:
            self._open.remove(session)

    async def _first(self, requests: AsyncIterator[bytes]) -> bytes:
        """The first message; empty where there is none."""
        try:
            async with asyncio.timeout(0 if self._is_draining else self._limits.idle) as patience:
                self._opening.add(patience)
                return await anext(requests, b"")
        except TimeoutError as error:
            if self._is_draining:
                raise UnavailableError("the server is stopping; ask another one", 1.0) from error
            raise DeadlineExceededError(
                f"no config came for {self._limits.idle:g} s: send it first"
            ) from error
        finally:
            self._opening.discard(patience)

    async def _write(self, context: Context, message: service_pb2.StreamRecognizeResponse) -> None:
        """Waits while the caller does not read, if not for ever: its stream is another's place."""
        try:
            async with asyncio.timeout(self._limits.idle):
                await context.write(message.SerializeToString())
        except TimeoutError as error:
            raise DeadlineExceededError(
                f"nothing was read for {self._limits.idle:g} s: read the results as they come"
            ) from error

    def _admit(self, opening: _Opening, caller: str) -> Session:
        if len(self._open) >= self._max_streams:
            raise OverloadedError(
                f"all {self._max_streams} streams of this server are taken; try again",
                _RETRY_SECONDS,
            )
        session = Session(
            opening.model,
            lambda: StreamDecoder(opening.audio),
            opening.options,
            self._limits,
            caller=caller,
        )
        self._open.add(session)
        return session

    def _read_opening(self, data: bytes) -> _Opening:
        message = wire.parse(service_pb2.StreamRecognizeRequest, data)
        if message.WhichOneof("request") != "config":
            raise InvalidRequestError("config", "the first message of a stream must be its config")
        config = message.config
        with _within("config"):
            model = self._catalog.get(config.config.model)
            audio = wire.read_audio_spec(config.audio_config)
            StreamDecoder(audio)
            query = wire.read_query(
                config.config,
                model.manifest,
                model.classes,
                default=recognition_pb2.GRANULARITY_FRAME,
            )
            detection = config.voice_activity_detection
            if detection not in service_pb2.VoiceActivityDetection.values():
                raise InvalidRequestError("voice_activity_detection", f"unknown value {detection}")
        framing = framing_of(
            model.manifest,
            model.max_window,
            window=wire.seconds(config, "window"),
            hop=wire.seconds(config, "hop"),
            lookahead=wire.seconds(config, "lookahead"),
        )
        options = StreamOptions(
            framing,
            frames=query.frames,
            interim_results=config.interim_results,
            voice_activity=detection != service_pb2.VOICE_ACTIVITY_DETECTION_DISABLED,
            frame_embeddings=query.frame_embeddings,
        )
        return _Opening(config.request_id, model, query, audio, options)

    async def _message(
        self, opening: _Opening, event: Event
    ) -> service_pb2.StreamRecognizeResponse:
        if isinstance(event, Final):
            # Its utterance may be minutes long.
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._executor, self._final, opening, event)
        return _message(opening, event)

    def _final(self, opening: _Opening, event: Final) -> service_pb2.StreamRecognizeResponse:
        model, query, recognition = opening.model, opening.query, event.recognition
        rate = model.manifest.sample_rate
        logits = recognition.logits if recognition else None
        emotion = None if logits is None else query.classes.emotion(logits)
        final = service_pb2.FinalResult(
            start_offset=wire.duration(event.start_sample / rate),
            end_offset=wire.duration(event.end_sample / rate),
            warnings=wire.warnings(self._advice(opening, event, emotion)),
            metadata=wire.metadata(
                model,
                recognition,
                audio_seconds=len(event.samples) / rate,
                decode_seconds=0.0,
            ),
        )
        if recognition is not None:
            wire.fill_result(final, recognition, emotion, query, model.manifest, event.start_sample)
        if query.processed_audio:
            final.processed_audio = wire.linear16(event.samples)
        self._metrics.audio("StreamRecognize", len(event.samples) / rate)
        return service_pb2.StreamRecognizeResponse(utterance_index=event.utterance, final=final)

    def _advice(self, opening: _Opening, event: Final, emotion: Emotion | None) -> Iterator[Advice]:
        spec = opening.audio
        audio = DecodedAudio(event.samples, spec.sample_rate or 0, spec.channels)
        level = audio.level
        yield from about_audio(audio, level)
        yield from about_length(audio.seconds)
        if event.heard_speech is False and not level.is_silent:
            yield Advice(Code.SILENT, "no speech was heard: the result means nothing")
        if event.recognition is not None:
            yield from about_emotion(emotion, self._low_confidence)


async def _read_requests(requests: AsyncIterator[bytes]) -> AsyncIterator[Request]:
    """What follows the config.

    Raises:
        InvalidRequestError: a message of another kind.
    """
    async for data in requests:
        message = wire.parse(service_pb2.StreamRecognizeRequest, data)
        match message.WhichOneof("request"):
            case "audio":
                yield message.audio
            case "end_utterance":
                yield EndUtterance()
            case "config":
                raise InvalidRequestError("config", "a stream has one config, its first message")
            case _:
                raise InvalidRequestError("request", "send audio or end_utterance")


def _message(opening: _Opening, event: Event) -> service_pb2.StreamRecognizeResponse:
    """Any event but Final, which takes longer."""
    manifest, classes = opening.model.manifest, opening.query.classes
    rate = manifest.sample_rate
    reply = service_pb2.StreamRecognizeResponse()
    match event:
        case Started(framing):
            frame_seconds = framing.frame_hop / rate
            reply.started.MergeFrom(
                service_pb2.StreamStarted(
                    request_id=opening.request_id,
                    model=manifest.name,
                    model_version=manifest.version,
                    window=wire.duration(framing.window * frame_seconds),
                    hop=wire.duration(framing.hop * frame_seconds),
                    lookahead=wire.duration(framing.lookahead * frame_seconds),
                    frame_hop=wire.duration(frame_seconds),
                )
            )
            return reply
        case Frames():
            scores = wire.frame_scores(
                classes.probabilities(event.logits),
                classes,
                manifest,
                first_frame=event.first_frame,
                start_seconds=event.start_sample / rate,
                is_final=event.is_final,
            )
            reply.frames.MergeFrom(scores)
        case Interim():
            reply.interim.result.MergeFrom(wire.emotion_result(classes.emotion(event.logits)))
            reply.interim.start_offset.MergeFrom(wire.duration(event.start_sample / rate))
            reply.interim.end_offset.MergeFrom(wire.duration(event.end_sample / rate))
        case Speech():
            reply.speech.type = (
                service_pb2.SPEECH_EVENT_TYPE_START
                if event.begins
                else service_pb2.SPEECH_EVENT_TYPE_END
            )
            reply.speech.offset.MergeFrom(wire.duration(event.sample / rate))
        case HopChanged():
            hop = event.hop * manifest.frame_hop / rate
            text = (
                f"the server can't keep up: results come every {hop:g} s now"
                if event.degraded
                else f"the server has caught up: results come every {hop:g} s again"
            )
            (warning,) = wire.warnings([Advice(Code.DEGRADED, text)])
            reply.warning.MergeFrom(warning)
    reply.utterance_index = event.utterance
    return reply


@contextmanager
def _within(field: str) -> Iterator[None]:
    """Puts the name of the enclosing field before that of an invalid one."""
    try:
        yield
    except InvalidRequestError as error:
        raise InvalidRequestError(f"{field}.{error.field}", str(error)) from error
