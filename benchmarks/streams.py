"""`streams`: how many live streams our server holds, how late frames come, and what a stream costs.

A number of streams holds where 99 of 100 frames come within a second and no stream is DEGRADED, in
two of three tries. The largest is looked for by doubling, then by halving the gap; each step is a
row of the report. Once in steps, and once in windows, to show what it is worth to pay for new audio
alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from benchmarks import models, streamgen
from benchmarks.arrivals import Percentiles
from benchmarks.cell import histogram_mean
from benchmarks.process import emotion2vec_server
from benchmarks.streamgen import Job, Outcome

LIMIT_SECONDS = 1.0
"""What the 99th percentile of the delays may be where a number of streams holds."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured on one model."""

    first: int = 16
    """Streams of the first step."""
    most: int = 256
    """As many as a server takes, unless told otherwise."""
    halvings: int = 2
    seconds: float = 4.0
    """Of each step, besides its warm-up."""
    modes: tuple[bool, ...] = (True, False)
    """Incremental, and windowed."""


@dataclass(frozen=True, slots=True)
class Step:
    """So many streams at once, and what came of it.

    CPU is in milliseconds a second of a stream's speech, times are in seconds.
    """

    model: str
    incremental: bool
    """Whether the streams go in steps, not in windows."""
    streams: int
    frames: int
    delay: Percentiles
    """Of final frames: from when the last sample that they need was due to be sent."""
    turnaround: Percentiles
    """The same of the newest frame of each message: without the wait for the hop's end."""
    lag: float
    """By how much the generator itself sent chunks late, 99th percentile."""
    degraded: int
    errors: dict[str, int]
    server_cpu: float
    client_cpu: float
    batch: float
    """Mean size; 0 where none ran."""

    @classmethod
    def of(cls, model: str, incremental: bool, streams: int, outcome: Outcome) -> Step:
        seconds = streams * outcome.seconds
        each = 1000 / seconds if seconds else 0.0
        return cls(
            model=model,
            incremental=incremental,
            streams=streams,
            frames=len(outcome.delays),
            delay=Percentiles.of(outcome.delays),
            turnaround=Percentiles.of(outcome.turnarounds),
            lag=Percentiles.of(outcome.lags).p99,
            degraded=outcome.degraded,
            errors=outcome.errors,
            server_cpu=outcome.server_cpu_seconds * each,
            client_cpu=outcome.client_cpu_seconds * each,
            batch=histogram_mean(outcome.metrics, "emotion2vec_batch_size") or 0.0,
        )

    @property
    def holds(self) -> bool:
        kept_up = self.frames > 0 and self.delay.p99 < LIMIT_SECONDS
        return kept_up and not self.degraded and not self.errors


@dataclass(slots=True)
class Streams:
    """The section's result."""

    steps: list[Step]
    window: float = 0.0
    hop: float = 0.0
    lookahead: float = 0.0
    """These three, in seconds, as the server said."""

    def of(self, model: str, incremental: bool) -> list[Step]:
        """The steps of one search, by number of streams."""
        key = (model, incremental)
        found = [step for step in self.steps if (step.model, step.incremental) == key]
        return sorted(found, key=lambda step: step.streams)

    def largest(self, model: str, incremental: bool) -> Step | None:
        """The largest number of streams that held; None where none did."""
        held = [step for step in self.of(model, incremental) if step.holds]
        return held[-1] if held else None

    def searches(self) -> list[tuple[str, bool]]:
        """Model and mode of each search, in the order of measurement."""
        return list(dict.fromkeys((step.model, step.incremental) for step in self.steps))


def search(holds: Callable[[int], bool], first: int, most: int, halvings: int) -> int:
    """The largest number up to `most` found to hold, 0 where none does; each is asked for once.

    Doubles from `first` on until one does not hold, then halves the gap `halvings` times.
    """
    low, high, step = 0, most + 1, min(first, most)
    while low < step < high:
        if holds(step):
            low, step = step, min(2 * step, most)
        else:
            high = step
    for _ in range(halvings):
        middle = (low + high) // 2
        if not low < middle < high:
            break
        if holds(middle):
            low = middle
        else:
            high = middle
    return low


def measure(plans: Mapping[str, Plan], logs: Path, seed: int) -> Streams:
    """Runs all searches, a server each ("demo" is the bundled model), which log to `logs`."""
    result = Streams([])
    for model, plan in plans.items():
        arguments = models.server_arguments(model)
        with emotion2vec_server(logs / f"streams-{model}.log", *arguments) as server:
            for incremental in plan.modes:
                job = Job(
                    server.address,
                    server.pid,
                    streams=0,
                    seconds=plan.seconds,
                    incremental=incremental,
                    seed=seed,
                    metrics_url=server.metrics_url,
                )
                _search(model, plan, job, result)
    return result


def settle(attempt: Callable[[], Step]) -> Step:
    """The try that agrees with an earlier one on whether its number of streams holds.

    Near the edge a machine's mood decides a single try. Two tries agree, or a third decides.
    """
    tries = [attempt()]
    while True:
        latest = attempt()
        if any(earlier.holds == latest.holds for earlier in tries):
            return latest
        tries.append(latest)


def _search(model: str, plan: Plan, job: Job, result: Streams) -> None:
    def attempt(streams: int) -> Step:
        outcome = streamgen.run(replace(job, streams=streams))
        result.window, result.hop = outcome.window, outcome.hop
        result.lookahead = outcome.lookahead
        return Step.of(model, job.incremental, streams, outcome)

    def holds(streams: int) -> bool:
        step = settle(partial(attempt, streams))
        result.steps.append(step)
        return step.holds

    search(holds, plan.first, plan.most, plan.halvings)
