"""Streams of a soak, a process of their own: a `Job` from stdin, an `Outcome` to stdout.

Each stream is a caller of its own: its own connection, its own speech in chunks of 100 ms when they
would have been spoken, in utterances of random lengths. All that it is told is checked as it comes.
A second line on stdin says that the server is about to stop. Until then no stream may be ended by
the server; from then on each one is, behind the final result of its open utterance.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

import grpc
import numpy as np
from emotion2vec.v1 import audio_pb2, service_pb2
from emotion2vec_client.ending import Ending

from benchmarks.delays import CHUNK, StreamError
from benchmarks.soak.tiling import Tiling
from benchmarks.speech import SAMPLE_RATE, Int16, cut, recordings
from benchmarks.streamgen import METHOD

STAGGER_SECONDS = 2.0
"""Streams begin anywhere within it."""
WORD_SECONDS = 10.0
"""How much later than the server's ends the word may come that it stops."""
Request = service_pb2.StreamRecognizeRequest


@dataclass(frozen=True, slots=True)
class Job:
    """Times are in seconds; ranges are of uniform draws."""

    address: str
    staying: int
    """Streams that live until the server stops."""
    coming: int = 0
    """Streams at once that leave, and are followed by others."""
    life: tuple[float, float] = (5.0, 60.0)
    """Of a stream that leaves."""
    utterance: tuple[float, float] = (1.0, 12.0)
    seed: int = 0


@dataclass(slots=True)
class Outcome:
    """What was counted over all streams."""

    frames: int = 0
    """Final ones."""
    utterances: int = 0
    """With their final result."""
    left: int = 0
    """Streams that half-closed, and were told of all that they had sent."""
    drained: int = 0
    """Streams that the stopping server ended, behind the final result of all that it had heard."""
    refused: int = 0
    """Streams that came while it stopped."""
    degraded: int = 0
    """Streams that were told DEGRADED at any time."""
    latest: float = 0.0
    """By how many seconds a chunk was sent late at most."""
    faults: list[str] = field(default_factory=list)

    def add(self, other: Outcome) -> None:
        """What another process counted."""
        self.frames += other.frames
        self.utterances += other.utterances
        self.left += other.left
        self.drained += other.drained
        self.refused += other.refused
        self.degraded += other.degraded
        self.latest = max(self.latest, other.latest)
        self.faults += other.faults


class Stream:
    """One caller: `play`, once."""

    def __init__(self, job: Job, speech: Int16, random: np.random.Generator) -> None:
        """`speech` goes on where it ends: its last chunk is its first one again."""
        self._job = job
        self._speech = speech
        self._random = random
        self._start = int(random.integers(len(speech)))
        self._sent = 0
        self.tiling = Tiling()
        self.latest = 0.0

    async def play(self, life: float | None) -> grpc.aio.AioRpcError | None:
        """Speaks for `life` seconds, or until the server ends the stream; returns its error.

        Raises:
            StreamError: something was lost or came twice.
        """
        # Or all channels of this process would share one connection.
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(self._job.address, options=options) as channel:
            method: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(METHOD)
            call = method(self._requests(life))
            ending = Ending(call)
            error = None
            try:
                async for data in call:
                    self.tiling.told(service_pb2.StreamRecognizeResponse.FromString(data))
            except grpc.aio.AioRpcError as raised:
                error = await ending.of(raised)
            finally:
                call.cancel()
        try:
            self.tiling.ended(None if error else self._sent)
        except StreamError as lost:
            raise StreamError(f"{lost}, at the end: {_shown(error)}") from error
        return error

    async def _requests(self, life: float | None) -> AsyncIterator[bytes]:
        audio = audio_pb2.AudioConfig(
            encoding=audio_pb2.AUDIO_ENCODING_LINEAR16, sample_rate_hertz=SAMPLE_RATE
        )
        config = service_pb2.StreamConfig(audio_config=audio, interim_results=True)
        yield Request(config=config).SerializeToString()
        began = time.perf_counter()
        ends = float("inf") if life is None else began + life
        utterance_ends = began + self._random.uniform(*self._job.utterance)
        while (due := began + self._sent / SAMPLE_RATE) < ends:
            await asyncio.sleep(due - time.perf_counter())
            self.latest = max(self.latest, time.perf_counter() - due)
            at = (self._start + self._sent) % (len(self._speech) - CHUNK)
            self._sent += CHUNK
            yield Request(audio=self._speech[at : at + CHUNK].tobytes()).SerializeToString()
            if due >= utterance_ends:
                yield Request(end_utterance=service_pb2.EndUtterance()).SerializeToString()
                utterance_ends = due + self._random.uniform(*self._job.utterance)


class Crowd:
    """All streams of one job."""

    def __init__(self, job: Job) -> None:
        """To be made within the event loop that runs it."""
        self._job = job
        speech = recordings()
        self._speech = cut(speech, 0, len(speech) + CHUNK)
        self._outcome = Outcome()
        self._is_stopping = asyncio.Event()

    async def run(self) -> Outcome:
        """Returns when the server has ended all streams."""
        job = self._job
        async with asyncio.TaskGroup() as group:
            for index in range(job.staying):
                group.create_task(self._stay(np.random.default_rng([job.seed, index])))
            for index in range(job.staying, job.staying + job.coming):
                group.create_task(self._come_and_go(np.random.default_rng([job.seed, index])))
        return self._outcome

    def stop(self) -> None:
        """The server is about to stop."""
        self._is_stopping.set()

    async def _stay(self, random: np.random.Generator) -> None:
        await asyncio.sleep(random.uniform(0, STAGGER_SECONDS))
        await self._play(random, life=None)

    async def _come_and_go(self, random: np.random.Generator) -> None:
        await asyncio.sleep(random.uniform(0, STAGGER_SECONDS))
        while not self._is_stopping.is_set():
            await self._play(random, life=random.uniform(*self._job.life))

    async def _play(self, random: np.random.Generator, life: float | None) -> None:
        outcome, stream = self._outcome, Stream(self._job, self._speech, random)
        began = time.perf_counter()
        try:
            error = await stream.play(life)
        except StreamError as lost:
            self._fault(began, str(lost))
            return
        finally:
            tiling = stream.tiling
            outcome.frames += tiling.frames
            outcome.utterances += tiling.utterances
            outcome.degraded += tiling.is_degraded
            outcome.latest = max(outcome.latest, stream.latest)
        if error is None:
            outcome.left += 1
        elif error.code() is not grpc.StatusCode.UNAVAILABLE or not await self._stops():
            self._fault(began, f"the server ended the stream: {_shown(error)}")
        elif tiling.utterances:
            outcome.drained += 1
        else:
            outcome.refused += 1

    async def _stops(self) -> bool:
        """Whether the word comes that the server stops; it may come a little later than the end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(WORD_SECONDS):
                await self._is_stopping.wait()
        return self._is_stopping.is_set()

    def _fault(self, began: float, what: str) -> None:
        self._outcome.faults.append(f"{what}, {time.perf_counter() - began:.1f} s after it began")


def _shown(error: grpc.aio.AioRpcError | None) -> str:
    return f"{error.code().name}, {error.details()}" if error else "OK"


async def _run(job: Job) -> Outcome:
    crowd = Crowd(job)

    async def listen() -> None:
        await asyncio.to_thread(sys.stdin.readline)
        crowd.stop()

    listening = asyncio.create_task(listen())
    outcome = await crowd.run()
    await listening
    return outcome


def main() -> None:
    fields: dict[str, Any] = json.loads(sys.stdin.readline())
    ranges = {name: tuple(fields[name]) for name in ("life", "utterance")}
    json.dump(asdict(asyncio.run(_run(Job(**{**fields, **ranges})))), sys.stdout)


if __name__ == "__main__":
    main()
