"""A soak: live streams in real time for long, with joins, leaves, kills, and a drain at the end.

    python -m benchmarks.soak --streams 50 --minutes 30

Half of the streams stay until the server stops, most others leave and are followed by new ones, and
one in five is in a process that is killed with SIGKILL and replaced. Exit status 0: all that was
sent by a stream that lives was heard, no frame and no final result is missing or came twice, the
server's memory is flat, and what killed streams held is free again.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks import machine, process
from benchmarks.loadgen import read_metrics
from benchmarks.machine import Machine
from benchmarks.markdown import MIB, table
from benchmarks.process import Server, emotion2vec_server
from benchmarks.soakgen import Callers, Job, Outcome

RESULTS = Path(__file__).resolve().parent / "results"
MARKS = (0, 25, 50, 75, 100)
"""Where memory is shown, in percent of the time."""
MOST_GROWTH = 0.05
"""Of the median of memory, from the second quarter to the last one, where it counts as flat."""
VICTIM_GROUPS = 2
JOIN_SECONDS = 60.0
STOP_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Plan:
    """Times are in seconds."""

    streams: int
    seconds: float
    life: tuple[float, float] = (5.0, 60.0)
    """Of a stream that leaves."""
    victims_life: tuple[float, float] = (15.0, 45.0)
    between: float = 1.0
    """Two looks at the server."""
    seed: int = 0

    @property
    def victims(self) -> int:
        """Streams of a process that is killed; there are `VICTIM_GROUPS` such at once."""
        return self.streams // (5 * VICTIM_GROUPS)

    @property
    def staying(self) -> int:
        return self.streams // 2

    @property
    def coming(self) -> int:
        return self.streams - self.staying - VICTIM_GROUPS * self.victims


@dataclass(frozen=True, slots=True)
class Look:
    """The server at one moment."""

    second: float
    resident: int
    """Bytes."""
    files: int
    """Descriptors that it has open."""
    active: int
    """Streams, as it says."""


@dataclass(slots=True)
class Soak:
    """What came of it."""

    plan: Plan
    machine: Machine
    idle: Look | None = None
    """Before the first stream."""
    looks: list[Look] = field(default_factory=list)
    """While all streams are there; times are from when they had come."""
    killed: int = 0
    """Streams whose process was killed."""
    outcome: Outcome = field(default_factory=Outcome)
    """Of all streams that were not killed."""
    cpu_seconds: float = 0.0
    """Of the server, while looked at."""
    stop_seconds: float = 0.0
    """From SIGTERM to the server's end."""

    @property
    def growth(self) -> float:
        """Of the median of memory, from the second quarter to the last one."""
        quarter = len(self.looks) // 4
        second, last = self.looks[quarter : 2 * quarter], self.looks[-quarter:]
        if not quarter:
            return 0.0
        return median(look.resident for look in last) / median(look.resident for look in second) - 1

    @property
    def most_active(self) -> int:
        """Streams that the server had open at once, at most."""
        return max((look.active for look in self.looks), default=0)

    def faults(self) -> list[str]:
        """All that is not as it should be."""
        found = list(self.outcome.faults)
        if self.growth > MOST_GROWTH:
            found.append(f"memory grew by {self.growth:.1%} in the second half")
        if self.most_active > self.plan.streams:
            found.append(
                f"{self.most_active} streams were open at once, where {self.plan.streams} lived"
            )
        if self.outcome.drained < self.plan.staying:
            found.append(f"{self.outcome.drained} streams got their final result while it stopped")
        return found


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
        job = Job(self._address, self._plan.victims, seed=self._plan.seed + self._started)
        ends = now + self._random.uniform(*self._plan.victims_life)
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
        job = Job(server.address, plan.staying, plan.coming, plan.life, seed=plan.seed)
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


def report(soak: Soak) -> str:
    """Markdown."""
    plan, outcome, faults = soak.plan, soak.outcome, soak.faults()
    counts = {
        "final frames": outcome.frames,
        "utterances with their final result": outcome.utterances,
        "streams that left, all they had sent heard": outcome.left,
        "streams killed with their process": soak.killed,
        "streams drained at the end, the open utterance's final result told": outcome.drained,
        "streams that came while it stopped, refused": outcome.refused,
        "streams told DEGRADED": outcome.degraded,
        "most streams open at once": soak.most_active,
        "faults": len(faults),
    }
    idle = [soak.idle] if soak.idle else []
    seconds = soak.looks[-1].second if soak.looks else 0.0
    return "\n\n".join(
        (
            "# Soak",
            f"{soak.machine.summary}\n"
            f"Load average before the run: {soak.machine.busy:.2f}. The callers share these cores.",
            f"{plan.streams} live streams for {plan.seconds / 60:g} minutes on the demo model: "
            f"{plan.staying} stay, {plan.coming} leave after {plan.life[0]:g} to "
            f"{plan.life[1]:g} s and are followed by others, {VICTIM_GROUPS * plan.victims} "
            f"are killed after {plan.victims_life[0]:g} to {plan.victims_life[1]:g} s. Each sends "
            "16-bit speech at its own speed in utterances of 1 to 12 s; each message, frame, "
            "utterance and sample is checked to come once and in its order.",
            table(("what", "count"), [(name, f"{count:,}") for name, count in counts.items()]),
            "\n".join(f"- {fault}" for fault in faults) or "No fault.",
            table(
                ("server", "second", "resident, MiB", "open files", "streams"),
                [
                    *(_row("idle", look) for look in idle),
                    *(_row(f"{mark} %", _at(soak.looks, mark)) for mark in MARKS if soak.looks),
                ],
            ),
            f"Memory, median of the last quarter against the second one: {soak.growth:+.1%}; "
            f"flat is up to {MOST_GROWTH:+.0%}. CPU: "
            f"{1000 * soak.cpu_seconds / (plan.streams * seconds or 1):.1f} ms for a second of a "
            f"stream. Stopped {soak.stop_seconds:.1f} s after SIGTERM; chunks were sent "
            f"{outcome.latest:.2f} s late at most.",
        )
    )


def _at(looks: Sequence[Look], mark: int) -> Look:
    return looks[round(mark / 100 * (len(looks) - 1))]


def _row(name: str, look: Look) -> list[str]:
    resident = f"{look.resident / MIB:.0f}"
    return [name, f"{look.second:.0f}", resident, str(look.files), str(look.active)]


def write(soak: Soak, directory: Path) -> Path:
    """Writes soak.json and soak.md into `directory`; the path of the latter."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "soak.json").write_text(json.dumps(asdict(soak), indent=1) + "\n")
    path = directory / "soak.md"
    path.write_text(report(soak) + "\n", encoding="utf-8")
    return path


def main() -> int:
    """Exit status 0: no fault."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--streams", type=int, default=50, help="at once (default: 50)")
    parser.add_argument("--minutes", type=float, default=30, help="(default: 30)")
    parser.add_argument("--seed", type=int, default=0, help="of lives and places in the speech")
    today = datetime.now(UTC).date().isoformat()
    parser.add_argument(
        "--output",
        type=Path,
        default=RESULTS / today,
        metavar="DIR",
        help="where soak.md goes (default: benchmarks/results/DATE)",
    )
    options = parser.parse_args()
    if options.streams < 5 * VICTIM_GROUPS or options.minutes <= 0:
        parser.error(f"a soak takes {5 * VICTIM_GROUPS} streams or more, and some time")
    # So that the server and the callers are stopped however the run ends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    logs = Path(tempfile.mkdtemp(prefix="emotion2vec-soak-"))
    print(f"logs: {logs}", file=sys.stderr)
    soak = run(Plan(options.streams, 60 * options.minutes, seed=options.seed), logs)
    print(write(soak, options.output))
    faults = soak.faults()
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
