"""EmotionRecognitionService: what each call does, in the order in which it does it.

The handlers take and give serialized messages, so one that is no protobuf gets our own error
instead of gRPC's, and nothing is parsed before there is someone to serve it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import grpc
from emotion2vec.v1 import models_pb2, service_pb2

from emotion2vec_server import wire
from emotion2vec_server.advice import Advice, about_audio, about_emotion, about_length
from emotion2vec_server.audio import AudioSpec, DecodedAudio, decode
from emotion2vec_server.calls import Calls
from emotion2vec_server.catalog import Catalog
from emotion2vec_server.emotion import Emotion
from emotion2vec_server.envelope import open_envelope
from emotion2vec_server.errors import InvalidRequestError
from emotion2vec_server.intake import Intake
from emotion2vec_server.metrics import Metrics
from emotion2vec_server.recognizer import Recognition, Recognizer
from emotion2vec_server.status import Context
from emotion2vec_server.stream_service import LiveStreams

SERVICE_NAME = service_pb2.DESCRIPTOR.services_by_name["EmotionRecognitionService"].full_name

R = TypeVar("R")
_QUICK_BYTES = 2**19
"""Of raw samples at the model's rate, 16 s in 16 bits: to take them in costs less (0.3 ms at most)
than to hand them to another thread, which has to wait for the interpreter lock there and back."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one caller may ask for, and below which confidence the caller is warned."""

    max_audio_seconds: float
    low_confidence: float


class Heard(NamedTuple):
    """Decoded audio, what is doubtful about it, and how long it took to find out."""

    audio: DecodedAudio
    advice: tuple[Advice, ...]
    seconds: float


class Asked(NamedTuple):
    """A request, when nothing of its bytes is needed any more."""

    request_id: str
    model: Recognizer
    query: wire.Query
    heard: Heard


class EmotionRecognitionService:
    """The handlers of the service."""

    def __init__(
        self,
        catalog: Catalog,
        streams: LiveStreams,
        calls: Calls,
        intake: Intake,
        executor: Executor,
        limits: Limits,
        metrics: Metrics,
    ) -> None:
        """`executor` runs what would block the event loop."""
        self._catalog = catalog
        self._streams = streams
        self._calls = calls
        self._intake = intake
        self._executor = executor
        self._limits = limits
        self._metrics = metrics

    def handler(self) -> grpc.GenericRpcHandler:
        """The service, ready to be added to a gRPC server."""
        unary = grpc.unary_unary_rpc_method_handler
        return grpc.method_handlers_generic_handler(
            SERVICE_NAME,
            {
                # To the caller it is unary. So, the body is read when we ask for it.
                "Recognize": grpc.stream_unary_rpc_method_handler(self.recognize),
                "StreamRecognize": grpc.stream_stream_rpc_method_handler(
                    self._streams.stream_recognize
                ),
                "ListModels": unary(self.list_models),
                "GetModel": unary(self.get_model),
            },
        )

    async def recognize(self, _requests: AsyncIterator[bytes], context: Context) -> bytes:
        return await self._calls.run(context, "Recognize", self._recognize(context))

    async def list_models(self, data: bytes, context: Context) -> bytes:
        return await self._calls.run(context, "ListModels", self._list_models(data))

    async def get_model(self, data: bytes, context: Context) -> bytes:
        return await self._calls.run(context, "GetModel", self._get_model(data))

    async def _recognize(self, context: Context) -> bytes:
        caller, deadline = context.peer(), _deadline(context)
        asked = await self._take_in(context, caller, deadline)
        self._metrics.audio("Recognize", asked.heard.audio.seconds)
        recognition = await asked.model.recognize(
            asked.heard.audio.samples,
            deadline=deadline,
            frame_embeddings=asked.query.frame_embeddings,
            caller=caller,
        )
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug("recognized", extra=_log_fields(asked, recognition))
        if not recognition.segments:
            return self._reply(asked, recognition)
        # Minutes of frames take long enough to be felt by the other callers.
        return await self._off_loop(self._reply, asked, recognition)

    async def _list_models(self, data: bytes) -> bytes:
        wire.parse(service_pb2.ListModelsRequest, data)
        models = [self._describe(model) for model in self._catalog.models()]
        return service_pb2.ListModelsResponse(models=models).SerializeToString()

    async def _get_model(self, data: bytes) -> bytes:
        request = wire.parse(service_pb2.GetModelRequest, data)
        model = self._describe(self._catalog.get(request.name))
        return service_pb2.GetModelResponse(model=model).SerializeToString()

    async def _take_in(self, context: Context, caller: str, deadline: float | None) -> Asked:
        """Reads and decodes a request; its bytes are given up with that.

        A model without room for the result is found out as soon as can be: before the body is read
        where there is one model, and before anything is decoded that takes long.
        """
        models = self._catalog.models()
        if len(models) == 1:
            models[0].batcher.check(deadline=deadline, caller=caller)
        async with self._intake.receive(caller, lambda: _body(context)) as data:
            envelope, audio = open_envelope(data)
            request = wire.parse(service_pb2.RecognizeRequest, envelope)
            model = self._catalog.get(request.config.model)
            query = wire.read_query(request.config, model.manifest, model.classes)
            spec = wire.read_audio_spec(request.audio_config)
            content, limit = request.audio or audio, self._limits.max_audio_seconds
            if spec.is_as_heard and len(content) < _QUICK_BYTES:
                heard = _hear(content, spec, limit)
            else:
                model.batcher.check(deadline=deadline, caller=caller)
                heard = await self._off_loop(_hear, content, spec, limit)
            return Asked(request.request_id, model, query, heard)

    async def _off_loop(self, function: Callable[..., R], *arguments: object) -> R:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, function, *arguments)

    def _describe(self, model: Recognizer) -> models_pb2.Model:
        return wire.model_message(
            model,
            is_default=model is self._catalog.get(""),
            max_audio_seconds=self._limits.max_audio_seconds,
        )

    def _reply(self, asked: Asked, recognition: Recognition) -> bytes:
        query, heard, manifest = asked.query, asked.heard, asked.model.manifest
        logits = recognition.logits
        emotion = None if logits is None else query.classes.emotion(logits)
        reply = service_pb2.RecognizeResponse(
            request_id=asked.request_id,
            warnings=wire.warnings(self._advice(heard, emotion)),
            metadata=wire.metadata(
                asked.model,
                recognition,
                audio_seconds=heard.audio.seconds,
                decode_seconds=heard.seconds,
            ),
        )
        wire.fill_result(reply, recognition, emotion, query, manifest)
        if query.frames and recognition.frame_logits is not None:
            probabilities = query.classes.probabilities(recognition.frame_logits)
            reply.frames.CopyFrom(wire.frame_scores(probabilities, query.classes, manifest))
        if query.processed_audio:
            reply.processed_audio = wire.linear16(heard.audio.samples)
        return reply.SerializeToString()

    def _advice(self, heard: Heard, emotion: Emotion | None) -> Iterator[Advice]:
        yield from heard.advice
        yield from about_length(heard.audio.seconds)
        yield from about_emotion(emotion, self._limits.low_confidence)


def _hear(data: bytes | memoryview, spec: AudioSpec, max_seconds: float) -> Heard:
    began = time.perf_counter()
    audio = decode(data, spec, max_seconds)
    advice = tuple(about_audio(audio, audio.level))
    return Heard(audio, advice, time.perf_counter() - began)


async def _body(context: Context) -> bytes:
    data: object = await context.read()
    if isinstance(data, bytes):
        return data
    raise InvalidRequestError("", "the call carries no request; send one RecognizeRequest")


def _deadline(context: Context) -> float | None:
    """The caller's deadline on the clock of `time.monotonic`."""
    remaining = context.time_remaining()
    return None if remaining is None else time.monotonic() + remaining


def _log_fields(asked: Asked, recognition: Recognition) -> dict[str, object]:
    return {
        "request_id": asked.request_id,
        "model": asked.model.manifest.name,
        "audio_seconds": round(asked.heard.audio.seconds, 3),
        "decode_ms": round(1000 * asked.heard.seconds, 2),
        "queue_ms": round(1000 * recognition.queue_seconds, 2),
        "inference_ms": round(1000 * recognition.run_seconds, 2),
        "batch_size": recognition.batch_size,
    }
