"""The run: a server, the callers, and who kills some of them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from benchmarks import machine, process
from benchmarks.loadgen import read_metrics
from benchmarks.process import Server, emotion2vec_server
from benchmarks.soak.callers import Callers
from benchmarks.soak.crowd import Job
from benchmarks.soak.result import VICTIM_GROUPS, Look, Plan, Soak

JOIN_SECONDS = 60.0
STOP_SECONDS = 60.0


class Victims:
    """Processes with streams that are killed when their time has come, and followed by others."""

    def __init__(self, plan: Plan, address: str, log: Path) -> None:
        self._plan = plan
        self._address = address
        self._log = log
        self._random = np.random.default_rng([plan.seed, 1])
        self._started = 0
        self.killed = 0
        """Streams."""
        now = time.monotonic()
        self._groups = [self._start(now) for _ in range(VICTIM_GROUPS)]

    def kill_those_due(self) -> None:
        """Kills, and starts as many.

        Raises:
            RuntimeError: one has ended by itself.
        """
        now = time.monotonic()
        for index, (callers, ends) in enumerate(self._groups):
            if callers.has_ended:
                raise RuntimeError(f"callers ended early; see {self._log}")
            if now >= ends:
                callers.kill()
                self.killed += self._plan.victims
                self._groups[index] = self._start(now)

    def callers(self) -> list[Callers]:
        """Those alive now."""
        return [callers for callers, _ in self._groups]

    def close(self) -> None:
        for callers in self.callers():
            callers.kill()

    def _start(self, now: float) -> tuple[Callers, float]:
        self._started += 1
        plan = self._plan
        seed = plan.seed + self._started
        job = Job(self._address, plan.victims, utterance=plan.utterance, seed=seed)
        ends = now + self._random.uniform(*plan.victims_life)
        return Callers(job, self._log), ends


def run(plan: Plan, logs: Path) -> Soak:
    """Runs the soak on the demo model; server and callers log to `logs`.

    Raises:
        RuntimeError: the server or a process of callers failed.
    """
    soak = Soak(plan, machine.describe())
    # One address may have four fifths of the places; the longest life is beyond the soak's.
    limits = {"--max-streams": 4 * plan.streams, "--max-stream-seconds": plan.seconds + 600}
    arguments = [str(word) for limit in limits.items() for word in limit]
    with emotion2vec_server(logs / "server.log", *arguments) as server, ExitStack() as stack:
        soak.idle = _look(server, 0.0)
        job = Job(server.address, plan.staying, plan.coming, plan.life, plan.utterance, plan.seed)
        crowd = Callers(job, logs / "callers.log")
        stack.callback(crowd.kill)
        victims = Victims(plan, server.address, logs / "callers.log")
        stack.callback(victims.close)
        _wait_for_all(plan, server)
        cpu = process.cpu_seconds(server.pid)
        for second in _ticks(plan):
            soak.looks.append(_look(server, second))
            victims.kill_those_due()
            if crowd.has_ended:
                raise RuntimeError(f"the callers ended early; see {logs}")
        soak.cpu_seconds = process.cpu_seconds(server.pid) - cpu
        soak.killed = victims.killed
        _drain(soak, server, [crowd, *victims.callers()])
    return soak


def _ticks(plan: Plan) -> Iterator[float]:
    """Seconds since the first one, until the plan's are over."""
    began = time.monotonic()
    while (second := time.monotonic() - began) < plan.seconds:
        yield second
        time.sleep(plan.between)


def _look(server: Server, second: float) -> Look:
    metrics = read_metrics(server.metrics_url)
    return Look(
        second=second,
        resident=process.resident_bytes(server.pid),
        files=len(list(Path(f"/proc/{server.pid}/fd").iterdir())),
        active=round(metrics["emotion2vec_active_streams"]),
    )


def _wait_for_all(plan: Plan, server: Server) -> None:
    ends = time.monotonic() + JOIN_SECONDS
    while _look(server, 0.0).active < plan.streams:
        if time.monotonic() > ends:
            raise RuntimeError(f"not all streams were open within {JOIN_SECONDS:g} s")
        time.sleep(0.1)


def _drain(soak: Soak, server: Server, all_callers: Sequence[Callers]) -> None:
    """Stops the server while all stream, and takes what the callers counted."""
    for callers in all_callers:
        callers.stop()
    began = time.monotonic()
    os.kill(server.pid, signal.SIGTERM)
    while process.alive(server.pid):
        if time.monotonic() > began + STOP_SECONDS:
            raise RuntimeError(f"the server did not stop within {STOP_SECONDS:g} s")
        time.sleep(0.1)
    soak.stop_seconds = time.monotonic() - began
    for callers in all_callers:
        soak.outcome.add(callers.outcome())
