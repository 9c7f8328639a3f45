"""`archives`: a folder of recordings by `emotion2vec score`, and by loops in one process.

The contestants take turns over the same files, in rounds, so that a machine which slows down slows
all of them down. Loading is not counted: `latency` says what it takes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import soundfile

from benchmarks import models
from benchmarks.process import Server, cpu_seconds, emotion2vec_server
from benchmarks.speech import SAMPLE_RATE, Mix, clips

FUNASR, LOOP, SCORE = "FunASR, in a loop", "our runtime, in a loop", "emotion2vec score"


@dataclass(frozen=True, slots=True)
class Plan:
    """How many recordings, of which lengths, how often."""

    recordings: int = 70
    rounds: int = 3
    mix: Mix = field(default_factory=lambda: Mix(shortest=1.5, median=3.0, longest=8.0))


@dataclass(frozen=True, slots=True)
class Turn:
    """One contestant over all recordings, in one round; seconds."""

    contestant: str
    seconds: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Archives:
    """The section's result."""

    plan: Plan
    audio_seconds: float
    turns: list[Turn]

    def of(self, contestant: str) -> list[Turn]:
        """By round."""
        return [turn for turn in self.turns if turn.contestant == contestant]

    def ratios(self, slower: str, faster: str) -> list[float]:
        """How many times the one took what the other did, by round."""
        pairs = zip(self.of(slower), self.of(faster), strict=True)
        return [one.seconds / other.seconds for one, other in pairs]


class Contestant(Protocol):
    """Something that goes over files; gives seconds of time and of CPU."""

    def run(self, paths: Sequence[Path]) -> tuple[float, float]: ...


class Loop:
    """An `archives_worker` process."""

    def __init__(self, pipe: subprocess.Popen[str]) -> None:
        self._pipe = pipe
        self._read()

    def run(self, paths: Sequence[Path]) -> tuple[float, float]:
        assert self._pipe.stdin is not None
        print(json.dumps([str(path) for path in paths]), file=self._pipe.stdin, flush=True)
        cost = self._read()
        return cost["seconds"], cost["cpu"]

    def _read(self) -> dict[str, Any]:
        assert self._pipe.stdout is not None
        line = self._pipe.stdout.readline()
        if not line:
            raise RuntimeError("a contestant of the archive benchmark ended; its messages tell why")
        answer: dict[str, Any] = json.loads(line)
        return answer


class Score:
    """The command, on a server that runs."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def run(self, paths: Sequence[Path]) -> tuple[float, float]:
        with tempfile.TemporaryDirectory() as folder:
            listed, table = Path(folder, "list.txt"), Path(folder, "table.parquet")
            listed.write_text("".join(f"{path}\n" for path in paths), encoding="utf-8")
            command = [sys.executable, "-m", "emotion2vec_client", "score", "--quiet"]
            flags = ["--list", str(listed), "--output", str(table)]
            began, cpu = time.perf_counter(), self._cpu()
            subprocess.run([*command, *flags, "--server", self._server.address], check=True)
            return time.perf_counter() - began, self._cpu() - cpu

    def _cpu(self) -> float:
        # The command is reaped when it has ended, and then counts as this process's.
        own = subprocess_seconds()
        return cpu_seconds(self._server.pid) + own


def subprocess_seconds() -> float:
    """CPU time of the processes that this one has started and reaped."""
    times = os.times()
    return times.children_user + times.children_system


def measure(plan: Plan, logs: Path, threads: int, seed: int) -> Archives:
    """Writes the recordings, loads all contestants and has them take turns."""
    bundle, checkpoint = models.bundle("large"), models.checkpoint("large")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        paths, audio = _write(plan, folder, seed)
        contestants: dict[str, Contestant] = {
            FUNASR: stack.enter_context(_loop(checkpoint, "funasr", threads, logs)),
            f"{LOOP}, fp32": stack.enter_context(_loop(bundle, "fp32", threads, logs)),
            f"{LOOP}, int8": stack.enter_context(_loop(bundle, "int8", threads, logs)),
        }
        flags = ["--model", str(bundle), "--precision", "int8", "--threads", str(threads)]
        server = stack.enter_context(emotion2vec_server(logs / "archives-server.log", *flags))
        contestants[f"{SCORE}, int8"] = Score(server)
        for contestant in contestants.values():
            contestant.run(paths[:2])
        turns = [
            Turn(name, *contestant.run(paths))
            for _ in range(plan.rounds)
            for name, contestant in contestants.items()
        ]
    return Archives(plan, audio, turns)


def _write(plan: Plan, folder: Path, seed: int) -> tuple[list[Path], float]:
    speech = clips(plan.mix, plan.recordings, seed)
    paths = [folder / f"{number:04}.flac" for number in range(len(speech))]
    for path, samples in zip(paths, speech, strict=True):
        soundfile.write(path, samples, SAMPLE_RATE)
    return paths, sum(map(len, speech)) / SAMPLE_RATE


@contextmanager
def _loop(source: Path, precision: str, threads: int, logs: Path) -> Iterator[Contestant]:
    flags = [str(source), precision, str(threads)]
    command = [sys.executable, "-m", "benchmarks.archives_worker", *flags]
    with (
        (logs / f"archives-{precision}.log").open("w", encoding="utf-8") as errors,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as pipe,
    ):
        try:
            yield Loop(pipe)
        finally:
            pipe.kill()
