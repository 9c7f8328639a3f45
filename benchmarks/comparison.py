"""`peers`: our server beside what a user would pick instead, and below the in-process ceiling.

The same graph, clips, load, thread count and client protocol style for all. The peers take arrays,
so all are sent raw samples; ours then gets the same clips as MP3 and FLAC. The contestants take
turns in rounds (A B C A B C), so that a machine which slows down slows all of them down; each turn
starts its server, has it answer some clips, and stops it, so that nobody idles beside another.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks import ceiling, loadgen, models
from benchmarks.bodies import ENCODINGS, RAW
from benchmarks.ceiling import Ceiling
from benchmarks.cell import Cell
from benchmarks.loadgen import Job
from benchmarks.process import Server, alive, emotion2vec_server
from benchmarks.rivals import PEERS
from benchmarks.speech import Mix

OURS = "emotion2vec-server"
CHECKED_CLIPS = 8
LARGEST_DIFFERENCE = {"fp32": 1e-4, "fp16": 0.01}
"""Between two servers' probabilities of one clip: they run the same graph, in other batches."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured on one model, and for how many seconds each."""

    model: str
    callers: tuple[int, ...] = (1, 8, 64)
    rounds: int = 3
    seconds: float = 5.0
    warmup: float = 1.5
    ceiling_seconds: float = 14.0


@dataclass(frozen=True, slots=True)
class Turn:
    """One server under one load, in one round."""

    model: str
    server: str
    """A contestant; with its encoding where the bodies were not raw samples."""
    callers: int
    round: int
    cell: Cell


@dataclass(frozen=True, slots=True)
class Comparison:
    """The section's result."""

    mix: Mix
    turns: list[Turn] = field(default_factory=list)
    ceilings: dict[str, Ceiling] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    """Why a contestant is missing, by its name."""

    def rates(self, model: str, server: str, callers: int) -> list[float]:
        """Seconds of speech a second, by round."""
        wanted = (model, server, callers)
        return [
            turn.cell.audio_rate
            for turn in self.turns
            if (turn.model, turn.server, turn.callers) == wanted
        ]

    def ratios(self, model: str, server: str, callers: int) -> list[float]:
        """Our rate over that server's, by round; empty where one is missing."""
        pairs = zip(
            self.rates(model, OURS, callers), self.rates(model, server, callers), strict=False
        )
        return [ours / theirs for ours, theirs in pairs if theirs]


def measure(
    plans: Sequence[Plan], peers: Sequence[str], logs: Path, threads: int, seed: int
) -> Comparison:
    """Installs the peers where needed and runs all rounds of all plans.

    Server logs go to `logs`.
    """
    result = Comparison(Mix())
    contestants = [OURS, *(name for name in peers if _installed(name, result))]
    for plan in plans:
        graph, provider = models.graph_file(plan.model), models.provider(plan.model)
        result.ceilings[plan.model] = ceiling.measure(
            graph, threads, provider, plan.ceiling_seconds, seed
        )
        expected: list[list[float]] | None = None
        tolerance = LARGEST_DIFFERENCE[models.precision(plan.model)]
        for index, name in itertools.product(range(plan.rounds), contestants):
            if name in result.failures:
                continue
            log = logs / f"peers-{plan.model}-{name}-{index}.log"
            with _running(name, plan.model, threads, log) as (server, target):
                job = Job(target, server.address, server.pid, plan.seconds, plan.warmup, seed=seed)
                expected = _check(name, job, expected, tolerance, result)
                if name in result.failures:
                    continue
                for encoding, callers in itertools.product(_encodings(name), plan.callers):
                    load = replace(job, encoding=encoding, callers=callers, timeout=_patience(plan))
                    cell = Cell.of(loadgen.run(load))
                    result.turns.append(
                        Turn(plan.model, _shown(name, encoding), callers, index, cell)
                    )
    return result


def _encodings(name: str) -> Sequence[str]:
    """What a contestant is sent: all but our server take arrays only."""
    return ENCODINGS if name == OURS else (RAW,)


def _shown(name: str, encoding: str) -> str:
    return name if encoding == RAW else f"{name} {encoding}"


def _patience(plan: Plan) -> float:
    """A call that takes longer than this is lost: the server hangs."""
    return 30 + 2 * plan.seconds


def _installed(name: str, result: Comparison) -> bool:
    try:
        PEERS[name].install()
        result.versions[name] = PEERS[name].version
    except subprocess.CalledProcessError as error:
        print(f"{name} is left out: {error}", file=sys.stderr)
        result.failures[name] = "could not be installed"
        return False
    return True


@contextmanager
def _running(name: str, model: str, threads: int, log: Path) -> Iterator[tuple[Server, str]]:
    """The contestant, and the target that calls it."""
    if name == OURS:
        flags = models.server_arguments(model)
        flags += ["--threads", str(threads), "--instances", "1"]
        with emotion2vec_server(log, *flags) as server:
            yield server, "recognize"
    else:
        peer = PEERS[name]
        graph, provider = models.graph_file(model), models.provider(model)
        with peer.running(graph, threads, provider, log) as server:
            yield server, peer.target


def _check(
    name: str,
    job: Job,
    expected: list[list[float]] | None,
    tolerance: float,
    result: Comparison,
) -> list[list[float]] | None:
    """Waits until the server answers, and holds its answers against the first contestant's."""
    try:
        answers = loadgen.first_answers(job, CHECKED_CLIPS, partial(alive, job.pid))
    except RuntimeError as error:
        result.failures[name] = str(error)
        return expected
    if expected is None:
        return answers
    ours, theirs = np.array(expected), np.array(answers)
    if ours.shape != theirs.shape or np.abs(ours - theirs).max() > tolerance:
        result.failures[name] = "gave other probabilities than the rest"
    return expected
