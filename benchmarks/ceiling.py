"""The ceiling: what a loop in one process does on the same clips, without any serving around it.

It has all cores to itself and all clips beforehand. It takes them in groups of 64, as so many
callers would leave them, sorts each group by length, and runs batches of one size; the best size
counts.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.model import Model
from benchmarks.speech import SAMPLE_RATE, Mix, clips

GROUP = 64
BATCHES = (1, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True, slots=True)
class Ceiling:
    """Seconds of speech recognised a second, by batch size."""

    rates: dict[int, float]

    @property
    def batch(self) -> int:
        return max(self.rates, key=self.rates.__getitem__)

    @property
    def rate(self) -> float:
        return max(self.rates.values())


def measure(graph: Path, threads: int, provider: str, seconds: float, seed: int) -> Ceiling:
    """Runs the loop in a process of its own, for about `seconds` in all.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    flags = ["--graph", str(graph), "--threads", str(threads), "--provider", provider]
    flags += ["--seconds", str(seconds), "--seed", str(seed)]
    command = [sys.executable, "-m", "benchmarks.ceiling", *flags]
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return Ceiling({int(batch): rate for batch, rate in json.loads(run.stdout).items()})


def _rates(model: Model, speech: list[bytes], seconds: float) -> dict[int, float]:
    """Speech seconds a second by batch size, up to the size of which one batch takes too long."""
    rates: dict[int, float] = {}
    for batch in BATCHES:
        batches = [speech[first : first + batch] for first in range(0, len(speech), batch)]
        # Else a slow model would be timed on the shortest clips of the first group alone.
        random.Random(batch).shuffle(batches)
        heard, slowest, began = 0.0, 0.0, time.perf_counter()
        for part in itertools.cycle(batches):
            before = time.perf_counter()
            model(part)
            slowest = max(slowest, time.perf_counter() - before)
            heard += sum(map(len, part)) / (2 * SAMPLE_RATE)
            if time.perf_counter() > began + seconds:
                break
        rates[batch] = heard / (time.perf_counter() - began)
        if slowest > seconds / 2:
            break
    return rates


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--graph", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--provider", required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    options = parser.parse_args()
    model = Model(options.graph, options.threads, options.provider)
    drawn = [clip.tobytes() for clip in clips(Mix(), 2 * GROUP, options.seed)]
    groups = [
        sorted(drawn[first : first + GROUP], key=len) for first in range(0, len(drawn), GROUP)
    ]
    speech = [clip for group in groups for clip in group]
    model(speech[:1])
    json.dump(_rates(model, speech, options.seconds / len(BATCHES)), sys.stdout)


if __name__ == "__main__":
    main()
