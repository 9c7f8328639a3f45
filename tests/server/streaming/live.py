"""What tests of live streams need: a model, a caller and a listener, all deterministic.

Samples of the tests' audio are their own index in the stream, so the fake model's "logits" of a
frame name the frame: column 0 is its first sample, column 1 its last.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from typing import TypeVar

import numpy as np
from emotion2vec_runtime.arrays import Float32
from emotion2vec_runtime.bundle import Artifact, Label, Manifest, Parity
from emotion2vec_runtime.errors import InvalidRequestError
from emotion2vec_runtime.recognition.recognition import Recognition
from emotion2vec_runtime.recognition.runner import ClipOutput
from emotion2vec_server.batching.batcher import Completed
from emotion2vec_server.streaming.decoding import RawDecoding
from emotion2vec_server.streaming.events import Event, Frames
from emotion2vec_server.streaming.reader import EndUtterance, Request, StreamLimits
from emotion2vec_server.streaming.session import Session
from emotion2vec_server.streaming.utterance import StreamOptions
from emotion2vec_server.streaming.windows import Framing

E = TypeVar("E")
HOP, FIELD = 320, 400
FRAMING = Framing(window=20, hop=5, lookahead=4, frame_hop=HOP, frame_field=FIELD)
OPTIONS = StreamOptions(FRAMING, voice_activity=False)
LIMITS = StreamLimits()


def frame_count(samples: int) -> int:
    return max(0, (samples - FIELD) // HOP + 1)


def make_manifest(labels: Sequence[str] = ("angry", "happy")) -> Manifest:
    artifact = Artifact(
        file="model.onnx",
        sha256="0" * 64,
        size=0,
        kind="onnx",
        precision="fp32",
        inputs=(),
        outputs=(),
        parity=Parity(reference="none", bound=1e-4, rows=()),
    )
    return Manifest(
        name="test",
        source="none",
        source_revision="",
        labels=tuple(Label(name=name) for name in labels),
        frame_hop=HOP,
        frame_field=FIELD,
        embedding_size=2,
        normalize=True,
        opset=17,
        exporter={},
        artifacts=(artifact,),
    )


def frame_logits(samples: Float32) -> Float32:
    """[T, 2]: the first and the last sample of each frame."""
    starts = np.arange(frame_count(len(samples))) * HOP
    return np.stack([samples[starts], samples[starts + FIELD - 1]], axis=1)


class FakeModel:
    """Stands for the recognizer. `gate` holds every run back while it is clear."""

    def __init__(self, manifest: Manifest | None = None) -> None:
        self.manifest = manifest or make_manifest()
        self.gate = asyncio.Event()
        self.gate.set()
        self.windows: list[int] = []
        """Samples of each window that was asked for."""
        self.utterances: list[int] = []
        self.running = 0
        self.most_running = 0
        self.errors: list[Exception] = []
        """Raised one a window, first to last, before any succeeds."""

    async def infer(
        self, samples: Float32, *, urgent: bool = False, caller: str = ""
    ) -> Completed[ClipOutput]:
        assert urgent
        self.windows.append(len(samples))
        if self.errors:
            raise self.errors.pop(0)
        self.running += 1
        self.most_running = max(self.running, self.most_running)
        try:
            await self.gate.wait()
        finally:
            self.running -= 1
        logits = frame_logits(samples) if self.manifest.labels else None
        return Completed(ClipOutput(None, np.zeros(2, np.float32), logits, None), 0.0, 0.0, 1)

    async def recognize(
        self,
        samples: Float32,
        *,
        frame_embeddings: bool = False,
        speech_only: bool = False,
        urgent: bool = False,
        caller: str = "",
    ) -> Completed[Recognition]:
        self.utterances.append(len(samples))
        await self.gate.wait()
        logits = frame_logits(samples) if self.manifest.labels else None
        recognition = Recognition(
            logits=None if logits is None else logits.mean(axis=0),
            embedding=samples[:2].copy(),
            frame_logits=logits,
            frame_embeddings=np.zeros((1, 2), np.float32) if frame_embeddings else None,
        )
        return Completed(recognition, 0.0, 0.0, 1)


class FloatDecoder:
    """float32 bytes, at the model's rate; keeps `delay` samples back, as a resampler does."""

    def __init__(self, delay: int = 7) -> None:
        self._bytes = b""
        self._kept: Float32 = np.empty(0, dtype=np.float32)
        self._delay = delay

    def push(self, data: bytes) -> Float32:
        self._bytes += data
        whole = len(self._bytes) // 4 * 4
        samples = np.concatenate((self._kept, np.frombuffer(self._bytes[:whole], np.float32)))
        self._bytes = self._bytes[whole:]
        ready = max(0, len(samples) - self._delay)
        self._kept = samples[ready:]
        return samples[:ready]

    def finish(self) -> Float32:
        if self._bytes:
            raise InvalidRequestError("audio", "the audio ended within a sample")
        return self._kept


class Caller:
    """Requests under the test's control: `send` them, then `close`."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Request | Exception | None] = asyncio.Queue()
        self.taken = 0
        """Requests that the stream has read."""
        self._sent = 0

    def send(self, *requests: Request | Exception) -> None:
        for request in requests:
            self._queue.put_nowait(request)

    def speak(self, samples: int) -> None:
        """Sends the next samples: each is its own index in the stream."""
        self.send(ramp(self._sent, self._sent + samples))
        self._sent += samples

    def end_utterance(self) -> None:
        self.send(EndUtterance())

    def close(self) -> None:
        self._queue.put_nowait(None)

    async def requests(self) -> AsyncIterator[Request]:
        while (request := await self._queue.get()) is not None:
            self.taken += 1
            if isinstance(request, Exception):
                raise request
            yield request


def ramp(begin: int, end: int) -> bytes:
    return np.arange(begin, end, dtype=np.float32).tobytes()


async def requests_of(requests: Iterable[Request]) -> AsyncIterator[Request]:
    for request in requests:
        yield request


def make_session(
    model: FakeModel, options: StreamOptions = OPTIONS, limits: StreamLimits = LIMITS
) -> Session:
    return Session(model, RawDecoding(FloatDecoder), options, limits)


async def listen(session: Session, requests: Iterable[Request]) -> list[Event]:
    return [event async for event in session.events(requests_of(requests))]


def only(kind: type[E], events: Iterable[object]) -> list[E]:
    return [event for event in events if isinstance(event, kind)]


def assert_frames_tile(events: Iterable[Event], utterance: int, start: int, length: int) -> None:
    """The utterance's final frames are all there, in order, each with its own frame's logits."""
    frames = [
        event for event in only(Frames, events) if event.is_final and event.utterance == utterance
    ]
    indices = [event.first_frame + i for event in frames for i in range(len(event.logits))]
    assert indices == list(range(frame_count(length)))
    for event in frames:
        assert event.start_sample == start + event.first_frame * HOP
        begins = event.start_sample + np.arange(len(event.logits)) * HOP
        np.testing.assert_array_equal(event.logits[:, 0], begins)
        np.testing.assert_array_equal(event.logits[:, 1], begins + FIELD - 1)


async def settle() -> None:
    """Lets every task run until it waits."""
    for _ in range(200):
        await asyncio.sleep(0)


class Listener:
    """Takes a session's events in the background, as they come."""

    def __init__(self, session: Session, requests: AsyncIterator[Request]) -> None:
        self.events: list[Event] = []
        self.task = asyncio.create_task(self._listen(session, requests))

    async def _listen(self, session: Session, requests: AsyncIterator[Request]) -> None:
        async with aclosing(session.events(requests)) as events:
            async for event in events:
                self.events.append(event)
