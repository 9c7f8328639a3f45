"""The load generator, a process of its own: a `Job` from stdin, an `Outcome` to stdout.

Closed loop: so many callers, each sends its next clip when the last one is answered. Open loop:
clips arrive when they arrive, whether or not the server keeps up, and a latency counts from the
moment the clip should have been sent, so that a server which stalls can't hide it.

Only what happens after the warm-up is counted. What is under way at the end is waited for, so that
no load is left behind for the next measurement; of it, failures count.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

from benchmarks import process
from benchmarks.arrivals import poisson
from benchmarks.bodies import RAW, bodies
from benchmarks.speech import SAMPLE_RATE, Mix, clips
from benchmarks.targets import Answer, CallError, Target, open_target


@dataclass(frozen=True, slots=True)
class Job:
    """One measurement."""

    target: str
    address: str
    pid: int
    """Of the server, whose CPU time is read."""
    seconds: float
    warmup: float = 1.0
    callers: int = 0
    """Closed loop with so many callers; 0 for an open loop."""
    rate: float = 0.0
    """Arrivals a second of the open loop."""
    mix: Mix = field(default_factory=Mix)
    clips: int = 128
    """Different clips, sent in turn."""
    encoding: str = RAW
    """Of their bodies, made before the run."""
    seed: int = 0
    timeout: float = 60.0
    """After which the caller gives up, without the server's knowledge."""
    deadline: float = 0.0
    """Seconds that a call may take, as the server is told; 0 for any."""
    metrics_url: str = ""


@dataclass(slots=True)
class Outcome:
    """What was counted from the end of the warm-up on."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    """Of requests that were answered, in seconds."""
    audio_seconds: float = 0.0
    """Of the same requests."""
    errors: dict[str, int] = field(default_factory=dict)
    failed_after: dict[str, list[float]] = field(default_factory=dict)
    """Seconds that each failed call took, by the kind of its error."""
    batch_sizes: list[int] = field(default_factory=list)
    queue_seconds: list[float] = field(default_factory=list)
    inference_seconds: list[float] = field(default_factory=list)
    server_cpu_seconds: float = 0.0
    client_cpu_seconds: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)
    """By how much the server's own counters rose."""

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds if self.seconds else 0.0


class Recorder:
    """Collects what happens while it is on."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._on = False
        self._began = self._ended = math.inf
        self.outcome = Outcome()

    def begin(self) -> None:
        self._on = True
        self._began = time.perf_counter()
        self._client = time.process_time()
        self._server = process.cpu_seconds(self._job.pid)

    def end(self) -> None:
        self._on = False
        self._ended = time.perf_counter()
        outcome = self.outcome
        outcome.seconds = self._ended - self._began
        outcome.client_cpu_seconds = time.process_time() - self._client
        outcome.server_cpu_seconds = process.cpu_seconds(self._job.pid) - self._server

    def answered(self, seconds: float, audio_seconds: float, answer: Answer) -> None:
        if not self._on:
            return
        outcome = self.outcome
        outcome.latencies.append(seconds)
        outcome.audio_seconds += audio_seconds
        if answer.batch_size:
            outcome.batch_sizes.append(answer.batch_size)
            outcome.queue_seconds.append(answer.queue_seconds)
            outcome.inference_seconds.append(answer.inference_seconds)

    def failed(self, kind: str, due: float) -> None:
        """A call failed that was due at `due`: of a server that hangs it shows after the end only,
        so what was under way while this was on counts, too."""
        now, outcome = time.perf_counter(), self.outcome
        if self._began < now and due < self._ended:
            outcome.failed_after.setdefault(kind, []).append(now - due)
            outcome.errors[kind] = len(outcome.failed_after[kind])


class Load:
    """One job under way."""

    def __init__(self, job: Job, target: Target, seconds: list[float]) -> None:
        """`seconds` are the lengths of the target's clips."""
        self._job = job
        self._target = target
        self._seconds = seconds
        self._next = itertools.cycle(range(len(seconds)))
        self.recorder = Recorder(job)

    async def run(self) -> Outcome:
        """Warms up, measures, waits for what is under way."""
        job = self._job
        length = job.warmup + job.seconds
        ends = time.perf_counter() + length
        if job.callers:
            work = [asyncio.create_task(self._caller(ends)) for _ in range(job.callers)]
        else:
            work = [asyncio.create_task(self._arrivals(length))]
        await asyncio.sleep(job.warmup)
        before = await self._metrics()
        self.recorder.begin()
        await asyncio.sleep(job.seconds)
        self.recorder.end()
        after = await self._metrics()
        await asyncio.gather(*work)
        outcome = self.recorder.outcome
        outcome.metrics = {name: after[name] - before.get(name, 0.0) for name in after}
        return outcome

    async def _caller(self, ends: float) -> None:
        while (now := time.perf_counter()) < ends:
            await self._send(now)

    async def _arrivals(self, length: float) -> None:
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for offset in poisson(self._job.rate, length, self._job.seed):
                await asyncio.sleep(began + offset - time.perf_counter())
                group.create_task(self._send(began + offset))

    async def _send(self, due: float) -> None:
        clip = next(self._next)
        try:
            async with asyncio.timeout(self._job.timeout):
                answer = await self._target.call(clip)
        except CallError as error:
            self.recorder.failed(str(error), due)
            # A server that refuses at once must not turn callers into a busy loop.
            await asyncio.sleep(0.01)
        except TimeoutError:
            self.recorder.failed("timeout", due)
        else:
            self.recorder.answered(time.perf_counter() - due, self._seconds[clip], answer)

    async def _metrics(self) -> dict[str, float]:
        url = self._job.metrics_url
        return await asyncio.to_thread(read_metrics, url) if url else {}


def read_metrics(url: str) -> dict[str, float]:
    """The samples of a Prometheus page, each under its name and labels."""
    with urllib.request.urlopen(url, timeout=10) as reply:
        lines = reply.read().decode().splitlines()
    samples = (line.rpartition(" ") for line in lines if line and not line.startswith("#"))
    return {name: float(value) for name, _, value in samples}


async def _run(job: Job) -> Outcome:
    speech = clips(job.mix, job.clips, job.seed)
    sent = bodies(speech, job.encoding)
    target = open_target(job.target, job.address, sent, job.encoding, job.deadline)
    load = Load(job, target, [len(clip) / SAMPLE_RATE for clip in speech])
    try:
        return await load.run()
    finally:
        await target.close()


def run(job: Job) -> Outcome:
    """Runs `job` in a process of its own.

    Raises:
        RuntimeError: the load generator failed.
    """
    return Outcome(**process.exchange("benchmarks.loadgen", asdict(job)))


def first_answers(
    job: Job, count: int, alive: Callable[[], bool], limit: float = 120.0
) -> list[list[float]]:
    """The scores of the job's first `count` clips, as soon as the server answers at all.

    Raises:
        RuntimeError: it does not, within `limit` seconds, or has ended.
    """
    sent = bodies(clips(job.mix, job.clips, job.seed)[:count], job.encoding)

    async def ask() -> list[list[float]]:
        opened = open_target(job.target, job.address, sent, job.encoding)
        try:
            await _until_answer(opened, alive, limit)
            answers = await asyncio.gather(*(opened.call(clip) for clip in range(count)))
        finally:
            await opened.close()
        return [answer.scores.tolist() for answer in answers]

    return asyncio.run(ask())


async def _until_answer(target: Target, alive: Callable[[], bool], limit: float) -> None:
    ends = time.perf_counter() + limit
    while alive() and time.perf_counter() < ends:
        try:
            async with asyncio.timeout(limit):
                await target.call(0)
        except (CallError, TimeoutError):
            await asyncio.sleep(0.2)
        else:
            return
    raise RuntimeError("the server does not answer")


def main() -> None:
    fields = json.load(sys.stdin)
    job = Job(**{**fields, "mix": Mix(**fields["mix"])})
    json.dump(asdict(asyncio.run(_run(job))), sys.stdout)


if __name__ == "__main__":
    main()
