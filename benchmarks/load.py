"""`load`: how our server does under closed and open loops, through the whole client.

The closed loops come first, with raw samples, MP3 and FLAC; the best of the first kind is the
capacity that the open loops take a share of. At the end comes an overload: several times the
capacity, from callers who give a deadline.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks import loadgen, models
from benchmarks.arrivals import Percentiles
from benchmarks.bodies import ENCODINGS, RAW
from benchmarks.cell import Cell
from benchmarks.loadgen import Job
from benchmarks.process import emotion2vec_server, resident_bytes
from benchmarks.speech import Mix


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured on one model, and for how many seconds each."""

    callers: tuple[int, ...] = (1, 8, 64)
    """Of the closed loops, one for each encoding."""
    shares: tuple[float, ...] = (0.5, 0.7, 0.9)
    """Of capacity: the open loops."""
    seconds: float = 10.0
    warmup: float = 2.0
    overload: float = 3.0
    """Times capacity; 0 for no overload."""
    deadline: float = 1.0
    """Seconds, of each call of the overload."""


@dataclass(frozen=True, slots=True)
class Loop:
    """One load and what came of it."""

    model: str
    encoding: str
    callers: int
    """0 for an open loop."""
    share: float
    """Of capacity; 0 for a closed loop."""
    offered: float
    """Arrivals a second; 0 for a closed loop."""
    cell: Cell


@dataclass(frozen=True, slots=True)
class Overload:
    """More calls than can be answered. Rates are per second, durations in seconds."""

    model: str
    offered: float
    answered: float
    deadline: float
    latency: Percentiles
    refused: Percentiles
    """How long it took to be told RESOURCE_EXHAUSTED."""
    errors: dict[str, int]
    resident_bytes: tuple[int, int]
    """Of the server, before and after."""


@dataclass(frozen=True, slots=True)
class Load:
    """The section's result."""

    mix: Mix
    loops: list[Loop]
    resident_bytes: dict[str, int]
    """Of the server after its loops, by model."""
    overloads: list[Overload] = field(default_factory=list)


def measure(plans: Mapping[str, Plan], logs: Path, seed: int) -> Load:
    """Runs all loops, one server a model ("demo" is the bundled one). Server logs go to `logs`."""
    result = Load(Mix(), [], {})
    for model, plan in plans.items():
        arguments = models.server_arguments(model)
        with emotion2vec_server(logs / f"load-{model}.log", *arguments) as server:
            job = Job(
                "client",
                server.address,
                server.pid,
                plan.seconds,
                plan.warmup,
                mix=result.mix,
                seed=seed,
                # A full queue in front of a slow model is long.
                timeout=900,
                metrics_url=server.metrics_url,
            )
            result.loops.extend(_loops(model, job, plan))
            result.resident_bytes[model] = resident_bytes(server.pid)
            if plan.overload:
                capacity = _capacity(result.loops, model)
                result.overloads.append(_overload(model, job, plan, capacity))
    return result


def _loops(model: str, job: Job, plan: Plan) -> list[Loop]:
    loops = []
    for encoding, callers in itertools.product(ENCODINGS, plan.callers):
        cell = Cell.of(loadgen.run(replace(job, encoding=encoding, callers=callers)))
        loops.append(Loop(model, encoding, callers, 0.0, 0.0, cell))
    capacity = _capacity(loops, model)
    for share in plan.shares:
        offered = share * capacity
        cell = Cell.of(loadgen.run(replace(job, callers=0, rate=offered)))
        loops.append(Loop(model, RAW, 0, share, offered, cell))
    return loops


def _capacity(loops: Sequence[Loop], model: str) -> float:
    """Answers a second, of the best closed loop with raw samples."""
    closed = [
        loop for loop in loops if loop.callers and (loop.model, loop.encoding) == (model, RAW)
    ]
    return max(loop.cell.rate for loop in closed)


def _overload(model: str, job: Job, plan: Plan, capacity: float) -> Overload:
    """Through the plain target: what our client would do about a refusal is to try again."""
    offered = plan.overload * capacity
    before = resident_bytes(job.pid)
    outcome = loadgen.run(
        replace(job, target="recognize", callers=0, rate=offered, deadline=plan.deadline)
    )
    return Overload(
        model=model,
        offered=offered,
        answered=outcome.rate,
        deadline=plan.deadline,
        latency=Percentiles.of(outcome.latencies),
        refused=Percentiles.of(outcome.failed_after.get("RESOURCE_EXHAUSTED", [])),
        errors=outcome.errors,
        resident_bytes=(before, resident_bytes(job.pid)),
    )
