"""A small real gRPC server that behaves as it is told, and both clients behind one surface."""

from __future__ import annotations

import asyncio
import signal
import threading
import wave
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from emotion2vec.v1 import audio_pb2, models_pb2, recognition_pb2, service_pb2, service_pb2_grpc
from emotion2vec_client import AsyncClient, Client, RetryPolicy, StreamEvent
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health, health_pb2_grpc

LABELS = (
    ("angry", "生气"),
    ("disgusted", "厌恶"),
    ("fearful", "恐惧"),
    ("happy", "开心"),
    ("neutral", "中立"),
    ("other", "其他"),
    ("sad", "难过"),
    ("surprised", "吃惊"),
    ("unknown", "<unk>"),
)
EMBEDDING_SIZE = 8
FAST = RetryPolicy(first_pause=0.01, longest_pause=0.02, jitter=0.0)


# A shell's background job, as a test run may be, ignores SIGINT, and so would its children.
signal.signal(signal.SIGINT, signal.default_int_handler)


def duration(seconds: float) -> Duration:
    message = Duration()
    message.FromNanoseconds(round(seconds * 1e9))
    return message


@dataclass(frozen=True)
class Failure:
    """A status as the server sends it: with google.rpc details."""

    code: grpc.StatusCode
    message: str = "no"
    retry_after: float | None = None
    field: str | None = None

    def abort(self, context: grpc.ServicerContext) -> None:
        status = Status(code=self.code.value[0], message=self.message)
        if self.retry_after is not None:
            delay = duration(self.retry_after)
            status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=delay))
        if self.field is not None:
            violation = error_details_pb2.BadRequest.FieldViolation(field=self.field)
            status.details.add().Pack(error_details_pb2.BadRequest(field_violations=[violation]))
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        context.abort(self.code, self.message)


def emotion(probabilities: Sequence[float], labels: Sequence[str] = ()) -> Any:
    pairs = [pair for pair in LABELS if not labels or pair[0] in labels]
    scores = np.asarray(probabilities, np.float64)[: len(pairs)]
    scores = scores / scores.sum()
    best = np.sort(scores)[::-1]
    return recognition_pb2.EmotionResult(
        label=pairs[int(scores.argmax())][0],
        confidence=best[0],
        scores=[
            recognition_pb2.EmotionScore(label=name, native_label=native, probability=score)
            for (name, native), score in zip(pairs, scores, strict=True)
        ],
        margin=best[0] - best[1] if len(best) > 1 else best[0],
        entropy=0.5,
    )


def frame_scores(count: int, first: int = 0, *, is_final: bool = True) -> Any:
    """Frame i leads with label i mod 9."""
    probabilities = np.full((count, len(LABELS)), 0.05, np.float32)
    rows = np.arange(count)
    probabilities[rows, (rows + first) % len(LABELS)] = 0.6
    return recognition_pb2.FrameScores(
        labels=[name for name, _ in LABELS],
        first_frame_index=first,
        start_offset=duration(first * 0.02),
        frame_hop=duration(0.02),
        frame_count=count,
        probabilities=probabilities.ravel(),
        is_final=is_final,
    )


@dataclass
class FakeService(service_pb2_grpc.EmotionRecognitionServiceServicer):
    """Answers honestly from what it got, after the failures it was given."""

    failures: deque[Failure] = field(default_factory=deque)
    failure_of: dict[bytes, Failure] = field(default_factory=dict)
    requests: list[Any] = field(default_factory=list)
    metadata: list[dict[str, Any]] = field(default_factory=list)
    seconds_left: list[float | None] = field(default_factory=list)
    probabilities: tuple[float, ...] = (0.7, 0.05, 0.05, 0.1, 0.02, 0.02, 0.02, 0.02, 0.02)
    warnings: tuple[Any, ...] = ()
    segments: tuple[Any, ...] = ()
    alerts: tuple[Any, ...] = ()
    has_classifier: bool = True
    gate: threading.Event | None = None
    entered: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    ended: threading.Event = field(default_factory=threading.Event)

    def Recognize(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._begin(request, context)
        failure = self.failure_of.get(request.audio)
        if failure is not None:
            failure.abort(context)
        samples = self._samples(request.audio_config, request.audio)
        reply = service_pb2.RecognizeResponse(
            request_id=request.request_id,
            result=emotion(self.probabilities, request.config.allowed_labels),
            warnings=self.warnings,
            segments=self.segments,
            metadata=recognition_pb2.ResponseMetadata(
                model=request.config.model or "fake",
                model_version="v1",
                precision="fp32",
                provider="cpu",
                audio_duration=duration(len(samples) / 16000),
                inference_duration=duration(0.125),
                batch_size=1,
            ),
        )
        frames = max(0, (len(samples) - 400) // 320 + 1)
        if not self.has_classifier:
            reply.ClearField("result")
        if request.config.granularity == recognition_pb2.GRANULARITY_FRAME:
            reply.frames.CopyFrom(frame_scores(frames))
        if request.config.return_embedding:
            reply.embedding.shape.append(EMBEDDING_SIZE)
            reply.embedding.values.extend(range(EMBEDDING_SIZE))
        if request.config.return_frame_embeddings:
            reply.frame_embeddings.shape.extend((frames, EMBEDDING_SIZE))
            reply.frame_embeddings.values.extend(range(frames * EMBEDDING_SIZE))
        if request.config.return_processed_audio:
            reply.processed_audio = samples.tobytes()
        if request.config.channels == recognition_pb2.CHANNELS_SEPARATE:
            return self._by_channel(reply)
        return reply

    @staticmethod
    def _by_channel(reply: Any) -> Any:
        """The same for two channels."""
        separate = service_pb2.RecognizeResponse(
            request_id=reply.request_id, metadata=reply.metadata
        )
        for number in range(2):
            channel = separate.channel_results.add(channel=number)
            for each, value in reply.ListFields():
                if each.name in channel.DESCRIPTOR.fields_by_name:
                    if each.message_type is None:
                        setattr(channel, each.name, value)
                    elif each.is_repeated:
                        getattr(channel, each.name).extend(value)
                    else:
                        getattr(channel, each.name).CopyFrom(value)
        return separate

    def RecognizeRecording(self, requests: Any, context: Any) -> Any:  # noqa: N802
        """One part of all of it, and the rest of what Recognize answers."""
        config = next(requests).config
        whole = service_pb2.RecognizeRequest(
            request_id=config.request_id,
            config=config.config,
            audio_config=config.audio_config,
            audio=b"".join(request.audio for request in requests),
        )
        result = self.Recognize(whole, context)
        part = service_pb2.RecordingPart(processed_audio=result.processed_audio)
        part.segment.end_offset.CopyFrom(result.metadata.audio_duration)
        part.segment.result.CopyFrom(result.result)
        for name in ("frames", "frame_embeddings"):
            if result.HasField(name):
                getattr(part, name).CopyFrom(getattr(result, name))
                result.ClearField(name)
        result.ClearField("processed_audio")
        yield service_pb2.RecognizeRecordingResponse(part=part)
        yield service_pb2.RecognizeRecordingResponse(result=result)

    def StreamRecognize(self, requests: Any, context: Any) -> Any:  # noqa: N802
        context.add_callback(self.ended.set)
        config = next(requests).config
        self._begin(config, context)
        sequence = 0
        utterance = 0
        heard = bytearray()

        def reply(**event: Any) -> Any:
            nonlocal sequence
            message = service_pb2.StreamRecognizeResponse(
                sequence=sequence, utterance_index=utterance, **event
            )
            sequence += 1
            return message

        def final() -> Any:
            end = duration(len(self._samples(config.audio_config, bytes(heard))) / 16000)
            result = service_pb2.FinalResult(result=emotion(self.probabilities), end_offset=end)
            return reply(final=result)

        yield reply(
            started=service_pb2.StreamStarted(
                request_id=config.request_id, model="fake", hop=config.hop, window=config.window
            )
        )
        for alert in self.alerts:
            yield reply(alert=alert)
        for request in requests:
            if request.WhichOneof("request") == "end_utterance":
                yield final()
                utterance += 1
                heard.clear()
                continue
            heard += request.audio
            self.requests.append(request)
            yield reply(frames=frame_scores(5, first=len(heard) // 640))
        yield reply(
            speech=service_pb2.SpeechEvent(
                type=service_pb2.SPEECH_EVENT_TYPE_END, offset=duration(1.5)
            )
        )
        yield reply(interim=service_pb2.InterimResult(result=emotion(self.probabilities)))
        warning = recognition_pb2.Warning(
            code=recognition_pb2.WARNING_CODE_DEGRADED, message="hop is now 1 s"
        )
        yield reply(warning=warning)
        yield reply()  # an event of the future
        if heard:
            yield final()

    def ListModels(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._begin(request, context)
        return service_pb2.ListModelsResponse(models=[self._model("fake"), self._model("other")])

    def GetModel(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._begin(request, context)
        if request.name not in ("", "fake", "other"):
            Failure(grpc.StatusCode.NOT_FOUND, f"no model {request.name!r}").abort(context)
        return service_pb2.GetModelResponse(model=self._model(request.name or "fake"))

    def _begin(self, request: Any, context: Any) -> None:
        self.requests.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        self.seconds_left.append(context.time_remaining())
        self.entered.release()
        if self.gate is not None:
            self.gate.wait(30)
        if self.failures:
            self.failures.popleft().abort(context)

    def _model(self, name: str) -> Any:
        return models_pb2.Model(
            name=name,
            version="abc",
            is_default=name == "fake",
            is_demo=True,
            labels=[models_pb2.Label(name=label, native_name=native) for label, native in LABELS],
            embedding_size=EMBEDDING_SIZE,
            sample_rate_hertz=16000,
            frame_hop=duration(0.02),
            precision="fp32",
            provider="cpu",
        )

    @staticmethod
    def _samples(config: Any, audio: bytes) -> Any:
        """As int16 at 16 kHz; containers count as 16-bit WAV with a plain header."""
        if config.encoding == audio_pb2.AUDIO_ENCODING_FLOAT32:
            return (np.frombuffer(audio, "<f4") * 32767).astype("<i2")
        raw = config.encoding == audio_pb2.AUDIO_ENCODING_LINEAR16
        samples = audio if raw else audio[44:]
        return np.frombuffer(samples[: len(samples) // 2 * 2], "<i2")


@dataclass
class FakeServer:
    """The service on a free port of the loopback."""

    service: FakeService
    address: str
    health: health.HealthServicer
    grpc_server: grpc.Server


@pytest.fixture
def make_failure() -> type[Failure]:
    return Failure


@pytest.fixture
def server() -> Iterator[FakeServer]:
    service = FakeService()
    health_service = health.HealthServicer()
    grpc_server = grpc.server(
        ThreadPoolExecutor(16), options=[("grpc.max_receive_message_length", 16 * 2**20)]
    )
    service_pb2_grpc.add_EmotionRecognitionServiceServicer_to_server(service, grpc_server)
    health_pb2_grpc.add_HealthServicer_to_server(health_service, grpc_server)
    port = grpc_server.add_insecure_port("127.0.0.1:0")
    grpc_server.start()
    yield FakeServer(service, f"127.0.0.1:{port}", health_service, grpc_server)
    if service.gate is not None:
        service.gate.set()
    grpc_server.stop(None).wait()


class AsyncInDisguise:
    """AsyncClient with the surface of Client, so that one test holds for both."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._client = AsyncClient(*args, **kwargs)
        self._runner = asyncio.Runner()

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            return self._runner.run(getattr(self._client, name)(*args, **kwargs))

        return call

    def stream(self, chunks: Iterable[Any], **kwargs: Any) -> Iterator[StreamEvent]:
        async def arriving() -> AsyncIterator[Any]:
            for chunk in chunks:
                yield chunk

        return self._iterate(self._client.stream(arriving(), **kwargs))

    def recognize_recording(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        return self._iterate(self._client.recognize_recording(*args, **kwargs))

    def _iterate(self, events: Any) -> Iterator[Any]:
        try:
            while True:
                try:
                    yield self._runner.run(anext(events))
                except StopAsyncIteration:
                    return
        finally:
            self._runner.run(events.aclose())

    def close(self) -> None:
        self._runner.run(self._client.close())
        self._runner.close()


@pytest.fixture(params=[Client, AsyncInDisguise], ids=["sync", "asyncio"])
def connect(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Makes clients of one kind and closes them."""
    clients = []

    def make(*args: Any, **kwargs: Any) -> Any:
        clients.append(request.param(*args, **kwargs))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def client(connect: Any, server: FakeServer) -> Any:
    return connect(server.address, retry=FAST, timeout=20)


def write_wav(path: Path, seconds: float = 1.0, rate: int = 16000, channels: int = 1) -> Path:
    count = int(seconds * rate)
    tone = (np.sin(np.arange(count) * 0.05) * 8000).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.repeat(tone, channels).tobytes())
    return path


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    return write_wav(tmp_path / "speech.wav")
