"""The generator of live streams, a process of its own: a `Job` from stdin, an `Outcome` to stdout.

Each stream is a caller of its own: its own connection, its own place in the recordings, its own
moment to begin. It sends 100 ms of speech when they would have been spoken, whether or not the
server keeps up. gRPC is spoken without our client, whose events cost more than what is measured
needs: the generator shares the machine with the server.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass, field

import grpc
import numpy as np
from emotion2vec.v1 import audio_pb2, recognition_pb2, service_pb2
from google.protobuf.duration_pb2 import Duration

from benchmarks import process
from benchmarks.delays import CHUNK, CHUNK_SECONDS, FrameDelays, StreamError
from benchmarks.loadgen import read_metrics
from benchmarks.speech import SAMPLE_RATE, Int16, cut, recordings

METHOD = "/emotion2vec.v1.EmotionRecognitionService/StreamRecognize"
STAGGER_SECONDS = 1.0
"""Streams begin anywhere within it."""


@dataclass(frozen=True, slots=True)
class Job:
    """So many streams at once, with the server's default window, hop and lookahead."""

    address: str
    pid: int
    """Of the server, whose CPU time is read."""
    streams: int
    seconds: float
    """In which the frames that count fall due."""
    incremental: bool = True
    warmup: float = 4.0
    """After the last stream began. Longer than the window, so that all windows are whole."""
    patience: float = 5.0
    """How long to wait, at the end, for frames that are overdue."""
    seed: int = 0
    metrics_url: str = ""

    @property
    def length(self) -> float:
        """The longest that a stream may live, in seconds."""
        return STAGGER_SECONDS + self.warmup + self.seconds + self.patience


@dataclass(slots=True)
class Outcome:
    """What was counted; times are in seconds."""

    seconds: float = 0.0
    window: float = 0.0
    hop: float = 0.0
    lookahead: float = 0.0
    """These three as the server said."""
    delays: list[float] = field(default_factory=list)
    turnarounds: list[float] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)
    """By how much the generator sent its chunks late."""
    degraded: int = 0
    """Streams that were told DEGRADED at any time."""
    errors: dict[str, int] = field(default_factory=dict)
    """Streams that ended early, by reason."""
    server_cpu_seconds: float = 0.0
    client_cpu_seconds: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)
    """By how much the server's own counters rose."""


class Stream:
    """One caller: `open`, then `play`, then `close`."""

    def __init__(self, job: Job, speech: Int16) -> None:
        self._job = job
        self._speech = speech
        # Or all channels of this process would share one connection.
        options = [("grpc.use_local_subchannel_pool", 1)]
        self._channel = grpc.aio.insecure_channel(job.address, options=options)
        self.lags: list[float] = []
        self.is_degraded = False

    async def open(self) -> service_pb2.StreamStarted:
        """Connects and sends the config, no audio yet.

        Raises:
            grpc.aio.AioRpcError: the server refused the stream.
            StreamError: it ended it.
        """
        method: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = self._channel.stream_stream(
            METHOD
        )
        self._call = method()
        audio = audio_pb2.AudioConfig(
            encoding=audio_pb2.AUDIO_ENCODING_LINEAR16, sample_rate_hertz=SAMPLE_RATE
        )
        mode = (
            service_pb2.STREAM_MODE_INCREMENTAL
            if self._job.incremental
            else service_pb2.STREAM_MODE_WINDOWED
        )
        config = service_pb2.StreamConfig(audio_config=audio, mode=mode)
        request = service_pb2.StreamRecognizeRequest(config=config)
        await self._call.write(request.SerializeToString())
        return (await self._read()).started

    async def play(self, began: float, frames: FrameDelays, ends: float) -> None:
        """Sends audio from the moment `began` on, until `frames` is complete or `ends` is past.

        Raises:
            grpc.aio.AioRpcError: the stream failed.
            StreamError: it ended, or its frames do not tile.
        """
        sending = asyncio.create_task(self._send(began))
        try:
            async with asyncio.timeout(ends - time.perf_counter()):
                await self._listen(frames)
        except TimeoutError:
            pass
        finally:
            frames.give_up(time.perf_counter())
            sending.cancel()
            # Why a call failed is told where it is read.
            with suppress(asyncio.CancelledError, asyncio.InvalidStateError, grpc.aio.AioRpcError):
                await sending

    async def close(self) -> None:
        await self._channel.close()

    async def _send(self, began: float) -> None:
        for index in itertools.count():
            due = began + index * CHUNK_SECONDS
            await asyncio.sleep(due - time.perf_counter())
            self.lags.append(max(0.0, time.perf_counter() - due))
            chunk = self._speech[index * CHUNK : (index + 1) * CHUNK]
            message = service_pb2.StreamRecognizeRequest(audio=chunk.tobytes())
            await self._call.write(message.SerializeToString())

    async def _listen(self, frames: FrameDelays) -> None:
        while not frames.is_complete:
            reply = await self._read()
            if reply.HasField("frames") and reply.frames.is_final:
                first, count = reply.frames.first_frame_index, reply.frames.frame_count
                frames.came(first, count, time.perf_counter())
            elif reply.warning.code == recognition_pb2.WARNING_CODE_DEGRADED:
                self.is_degraded = True

    async def _read(self) -> service_pb2.StreamRecognizeResponse:
        data = await self._call.read()
        if not isinstance(data, bytes):
            raise StreamError("ended early")
        return service_pb2.StreamRecognizeResponse.FromString(data)


class Crowd:
    """All streams of one job."""

    def __init__(self, job: Job) -> None:
        """To be made within the event loop that runs it."""
        self._job = job
        self._streams = [Stream(job, speech) for speech in _speeches(job)]
        self._errors: Counter[str] = Counter()
        self._outcome = Outcome()

    async def run(self) -> Outcome:
        """Opens all streams, plays them, counts."""
        job, outcome = self._job, self._outcome
        await asyncio.gather(*map(self._open, self._streams))
        begins = time.perf_counter() + CHUNK_SECONDS
        counted_from = begins + STAGGER_SECONDS + job.warmup
        counted = counted_from, counted_from + job.seconds
        offsets = np.random.default_rng(job.seed).uniform(0, STAGGER_SECONDS, job.streams).tolist()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch(counted))
            for stream, offset in zip(self._streams, offsets, strict=True):
                group.create_task(self._play(stream, begins + offset, counted))
        for stream in self._streams:
            outcome.lags += stream.lags
            outcome.degraded += stream.is_degraded
        outcome.errors = dict(self._errors)
        return outcome

    async def close(self) -> None:
        await asyncio.gather(*(stream.close() for stream in self._streams))

    async def _open(self, stream: Stream) -> None:
        outcome = self._outcome
        try:
            started = await stream.open()
        except (grpc.aio.AioRpcError, StreamError) as error:
            self._errors[_kind(error)] += 1
        else:
            outcome.window = _seconds(started.window)
            outcome.hop = _seconds(started.hop)
            outcome.lookahead = _seconds(started.lookahead)
            self._frame_seconds = _seconds(started.frame_hop)

    async def _play(self, stream: Stream, began: float, counted: tuple[float, float]) -> None:
        if self._errors:
            # Refused streams make this a measurement of something else.
            return
        lookahead = round(self._outcome.lookahead / self._frame_seconds)
        frames = FrameDelays(began, lookahead, counted)
        try:
            await stream.play(began, frames, counted[1] + self._job.patience)
        except (grpc.aio.AioRpcError, StreamError) as error:
            self._errors[_kind(error)] += 1
        self._outcome.delays += frames.delays
        self._outcome.turnarounds += frames.turnarounds

    async def _watch(self, counted: tuple[float, float]) -> None:
        """Reads CPU times and the server's counters at both ends of what counts."""
        job, outcome = self._job, self._outcome
        await asyncio.sleep(counted[0] - time.perf_counter())
        before = await self._metrics()
        began = time.perf_counter()
        client, server = time.process_time(), process.cpu_seconds(job.pid)
        await asyncio.sleep(counted[1] - time.perf_counter())
        outcome.client_cpu_seconds = time.process_time() - client
        outcome.server_cpu_seconds = process.cpu_seconds(job.pid) - server
        outcome.seconds = time.perf_counter() - began
        after = await self._metrics()
        outcome.metrics = {name: after[name] - before.get(name, 0.0) for name in after}

    async def _metrics(self) -> dict[str, float]:
        url = self._job.metrics_url
        return await asyncio.to_thread(read_metrics, url) if url else {}


def _speeches(job: Job) -> list[Int16]:
    """For each stream, speech from a random place on: views of one array."""
    speech = recordings()
    samples = round((job.length + 1) * SAMPLE_RATE)
    track = cut(speech, 0, len(speech) + samples)
    starts = np.random.default_rng([job.seed, 1]).integers(len(speech), size=job.streams)
    return [track[start : start + samples] for start in starts.tolist()]


def _kind(error: Exception) -> str:
    return error.code().name if isinstance(error, grpc.aio.AioRpcError) else str(error)


def _seconds(duration: Duration) -> float:
    return duration.ToNanoseconds() / 1e9


async def _run(job: Job) -> Outcome:
    crowd = Crowd(job)
    try:
        return await crowd.run()
    finally:
        await crowd.close()


def run(job: Job) -> Outcome:
    """Runs `job` in a process of its own.

    Raises:
        RuntimeError: the generator failed.
    """
    return Outcome(**process.exchange("benchmarks.streamgen", asdict(job)))


def main() -> None:
    job = Job(**json.load(sys.stdin))
    json.dump(asdict(asyncio.run(_run(job))), sys.stdout)


if __name__ == "__main__":
    main()
