"""`load`: how our server does under closed and open loops, through the whole client.

The closed loops come first; the best of them is the capacity that the open loops take a share of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import loadgen, models
from benchmarks.cell import Cell
from benchmarks.loadgen import Job
from benchmarks.process import emotion2vec_server, resident_bytes
from benchmarks.speech import Mix


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured on one model, and for how many seconds each."""

    callers: tuple[int, ...] = (1, 8, 32, 64)
    shares: tuple[float, ...] = (0.5, 0.7, 0.9)
    """Of capacity: the open loops."""
    seconds: float = 10.0
    warmup: float = 2.0


@dataclass(frozen=True, slots=True)
class Loop:
    """One load and what came of it."""

    model: str
    callers: int
    """0 for an open loop."""
    share: float
    """Of capacity; 0 for a closed loop."""
    offered: float
    """Arrivals a second; 0 for a closed loop."""
    cell: Cell


@dataclass(frozen=True, slots=True)
class Load:
    """The section's result."""

    mix: Mix
    loops: list[Loop]
    resident_bytes: dict[str, int]
    """Of the server after its loops, by model."""


def measure(plans: Mapping[str, Plan], logs: Path, seed: int) -> Load:
    """Runs all loops, one server a model ("demo" is the bundled one). Server logs go to `logs`."""
    result = Load(Mix(), [], {})
    for model, plan in plans.items():
        arguments = _server_arguments(model)
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
    return result


def _server_arguments(model: str) -> Sequence[str]:
    """None for the bundled demo model."""
    return () if model == "demo" else ("--model", str(models.bundle(model)))


def _loops(model: str, job: Job, plan: Plan) -> list[Loop]:
    loops = []
    for callers in plan.callers:
        cell = Cell.of(loadgen.run(replace(job, callers=callers)))
        loops.append(Loop(model, callers, 0.0, 0.0, cell))
    capacity = max(loop.cell.rate for loop in loops)
    for share in plan.shares:
        offered = share * capacity
        cell = Cell.of(loadgen.run(replace(job, callers=0, rate=offered)))
        loops.append(Loop(model, 0, share, offered, cell))
    return loops
