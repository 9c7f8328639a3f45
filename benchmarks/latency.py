"""`latency`: FunASR beside our bundle, in process and through the server, one clip at a time.

All contestants are loaded before, each in its own process with the same number of threads, and take
turns on the same clip.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import geometric_mean, median
from typing import Any, Protocol

from emotion2vec_client import Client
from emotion2vec_runtime.bundle import MANIFEST, Manifest

from benchmarks import floor, models, process
from benchmarks.floor import Floor
from benchmarks.latency_worker import speech_of
from benchmarks.process import Server, emotion2vec_server
from benchmarks.speech import SAMPLE_RATE, recordings

REFERENCE = "FunASR"
TARGET_SECONDS = (0.5, 2.0)
"""What today's web page promises for an answer, on a GPU."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured, and how often."""

    lengths: tuple[float, ...] = (1, 3, 5, 10, 25, 30)
    rounds: int = 3
    granularities: tuple[str, ...] = ("utterance", "frame")


@dataclass(frozen=True, slots=True)
class Cost:
    """What one call cost."""

    seconds: float
    cpu_seconds: float
    peak: int
    """Most memory in use during it, in bytes."""
    scores: list[float]


@dataclass(frozen=True, slots=True)
class Call:
    """One call, and who made it on what."""

    contestant: str
    length: float
    granularity: str
    cost: Cost


@dataclass(frozen=True, slots=True)
class Start:
    """From the start of the process on; bytes and seconds."""

    ready: float
    first_answer: float
    resident: int
    """Once ready, before the first call."""


@dataclass(frozen=True, slots=True)
class Latency:
    """The section's result."""

    threads: int
    calls: list[Call] = field(default_factory=list)
    starts: dict[str, Start] = field(default_factory=dict)
    """By contestant."""
    floor: Floor | None = None

    def seconds(self, contestant: str, length: float, granularity: str = "utterance") -> float:
        """The median of its calls."""
        return median(cost.seconds for cost in self.costs(contestant, length, granularity))

    def costs(self, contestant: str, length: float, granularity: str = "utterance") -> list[Cost]:
        wanted = (contestant, length, granularity)
        return [
            call.cost
            for call in self.calls
            if (call.contestant, call.length, call.granularity) == wanted
        ]

    @property
    def lengths(self) -> list[float]:
        return sorted({call.length for call in self.calls})

    def speedups(self, contestant: str) -> list[float]:
        """FunASR's seconds by the contestant's, geometric mean over the lengths: by round."""
        by_length = [
            [
                theirs.seconds / ours.seconds
                for theirs, ours in zip(
                    self.costs(REFERENCE, length), self.costs(contestant, length), strict=True
                )
            ]
            for length in self.lengths
        ]
        return [geometric_mean(ratios) for ratios in zip(*by_length, strict=True)]

    def difference(self, contestant: str) -> float:
        """Largest absolute difference of a probability from FunASR's."""
        return max(
            abs(ours - theirs)
            for length in self.lengths
            for ours, theirs in zip(
                self.costs(contestant, length)[0].scores,
                self.costs(REFERENCE, length)[0].scores,
                strict=True,
            )
        )


class Contestant(Protocol):
    """Something that is loaded and answers."""

    start: Start

    def recognize(self, length: float, granularity: str) -> Cost: ...


class Worker:
    """A `latency_worker` process."""

    def __init__(self, pipe: subprocess.Popen[str], began: float) -> None:
        self._pipe = pipe
        resident = self._read()["resident"]
        ready = time.perf_counter() - began
        self.recognize(1.0, "utterance")
        self.start = Start(ready, time.perf_counter() - began, resident)

    def recognize(self, length: float, granularity: str) -> Cost:
        assert self._pipe.stdin is not None
        request = {"length": length, "frames": granularity == "frame"}
        print(json.dumps(request), file=self._pipe.stdin, flush=True)
        return Cost(**self._read())

    def _read(self) -> dict[str, Any]:
        assert self._pipe.stdout is not None
        line = self._pipe.stdout.readline()
        if not line:
            raise RuntimeError("a contestant of the latency benchmark ended; its messages tell why")
        answer: dict[str, Any] = json.loads(line)
        return answer


class Remote:
    """Our server, called through our client."""

    def __init__(self, server: Server, client: Client, began: float) -> None:
        self._server, self._client = server, client
        self._speech = recordings()
        ready = time.perf_counter() - began
        resident = process.resident_bytes(server.pid)
        self.recognize(1.0, "utterance")
        self.start = Start(ready, time.perf_counter() - began, resident)

    def recognize(self, length: float, granularity: str) -> Cost:
        pcm = speech_of(length, self._speech).tobytes()
        process.forget_peak(self._server.pid)
        began, cpu = time.perf_counter(), process.cpu_seconds(self._server.pid)
        result = self._client.recognize(
            pcm, encoding="linear16", sample_rate=SAMPLE_RATE, frames=granularity == "frame"
        )
        seconds = time.perf_counter() - began
        return Cost(
            seconds,
            process.cpu_seconds(self._server.pid) - cpu,
            process.peak_resident_bytes(self._server.pid),
            [score.probability for score in result.emotion.scores] if result.emotion else [],
        )


def measure(plan: Plan, logs: Path, threads: int) -> Latency:
    """Loads all contestants and has them take turns."""
    bundle, source = models.bundle("large"), models.checkpoint("large")
    result, least = Latency(threads), floor.measure(threads)
    with ExitStack() as stack:
        contestants: dict[str, Contestant] = {
            REFERENCE: stack.enter_context(_worker("funasr", source, "fp32", threads, logs))
        }
        for precision in _precisions(bundle):
            worker = _worker("backend", bundle, precision, threads, logs)
            contestants[f"bundle {precision}"] = stack.enter_context(worker)
        contestants["server"] = stack.enter_context(_remote(bundle, threads, logs))
        result.starts.update({name: one.start for name, one in contestants.items()})
        for granularity in plan.granularities:
            for length in plan.lengths:
                for _ in range(plan.rounds):
                    for name, contestant in contestants.items():
                        cost = contestant.recognize(length, granularity)
                        result.calls.append(Call(name, length, granularity, cost))
                least = least.or_faster(floor.measure(threads))
    return replace(result, floor=least)


def _precisions(bundle: Path) -> list[str]:
    manifest = Manifest.model_validate_json((bundle / MANIFEST).read_text(encoding="utf-8"))
    return [item.precision for item in manifest.artifacts if item.precision in ("fp32", "int8")]


@contextmanager
def _worker(
    contestant: str, source: Path, precision: str, threads: int, logs: Path
) -> Iterator[Contestant]:
    flags = ["--source", str(source), "--precision", precision, "--threads", str(threads)]
    command = [sys.executable, "-m", "benchmarks.latency_worker", contestant, *flags]
    log = logs / f"latency-{contestant}-{precision}.log"
    began = time.perf_counter()
    with (
        log.open("w", encoding="utf-8") as errors,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as pipe,
    ):
        try:
            yield Worker(pipe, began)
        finally:
            pipe.kill()


@contextmanager
def _remote(bundle: Path, threads: int, logs: Path) -> Iterator[Contestant]:
    flags = ["--model", str(bundle), "--threads", str(threads)]
    began = time.perf_counter()
    with (
        emotion2vec_server(logs / "latency-server.log", *flags) as server,
        Client(server.address, timeout=300) as client,
    ):
        yield Remote(server, client, began)
