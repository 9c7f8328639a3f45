"""`doors`: what HTTP costs beside gRPC.

The same clips at both doors of one server, taking turns, so that what disturbs one disturbs the
other.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks import loadgen, models
from benchmarks.bodies import RAW
from benchmarks.cell import Cell
from benchmarks.loadgen import Job
from benchmarks.process import Server, emotion2vec_server
from benchmarks.speech import Mix

DOORS = {"gRPC": "recognize", "HTTP": "http"}
"""As `targets` calls them."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured on one model, and for how many seconds each."""

    model: str
    callers: tuple[int, ...] = (1, 8, 64)
    encodings: tuple[str, ...] = (RAW, "mp3")
    rounds: int = 3
    seconds: float = 5.0
    warmup: float = 1.0


@dataclass(frozen=True, slots=True)
class Turn:
    """One door under one load, in one round."""

    model: str
    encoding: str
    callers: int
    door: str
    cell: Cell


@dataclass(frozen=True, slots=True)
class Doors:
    """The section's result."""

    mix: Mix
    turns: list[Turn] = field(default_factory=list)

    def cells(self, model: str, encoding: str, callers: int, door: str) -> list[Cell]:
        """By round."""
        wanted = (model, encoding, callers, door)
        return [
            turn.cell
            for turn in self.turns
            if (turn.model, turn.encoding, turn.callers, turn.door) == wanted
        ]


def measure(plans: Sequence[Plan], logs: Path, seed: int) -> Doors:
    """Starts a server a plan, whose log goes to `logs`."""
    result = Doors(Mix())
    for plan in plans:
        log = logs / f"doors-{plan.model}.log"
        with emotion2vec_server(log, *models.server_arguments(plan.model)) as server:
            for encoding, callers in itertools.product(plan.encodings, plan.callers):
                result.turns.extend(_turns(plan, server, encoding, callers, seed))
    return result


def _turns(plan: Plan, server: Server, encoding: str, callers: int, seed: int) -> list[Turn]:
    job = Job("", "", server.pid, plan.seconds, plan.warmup, seed=seed)
    job = replace(job, callers=callers, encoding=encoding)
    addresses = {"gRPC": server.address, "HTTP": server.http_address}
    turns = []
    for _ in range(plan.rounds):
        for door, target in DOORS.items():
            measured = replace(job, target=target, address=addresses[door])
            cell = Cell.of(loadgen.run(measured))
            turns.append(Turn(plan.model, encoding, callers, door, cell))
    return turns
