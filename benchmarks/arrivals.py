"""When requests arrive, and how long they took: the arithmetic of load, without any I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


def poisson(rate: float, seconds: float, seed: int) -> list[float]:
    """Arrival times within [0, seconds), of callers who know nothing of each other.

    Args:
        rate: arrivals a second, on average.
        seconds: how long they keep coming.
        seed: same seed, same times.
    """
    if rate <= 0 or seconds <= 0:
        return []
    random = np.random.default_rng(seed)
    count = random.poisson(rate * seconds)
    # Given their number, the arrivals of a Poisson process are uniform.
    return sorted(random.uniform(0.0, seconds, count).tolist())


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of a sample of durations, in seconds; all 0 for an empty one."""

    p50: float
    p95: float
    p99: float
    worst: float

    @classmethod
    def of(cls, durations: Sequence[float]) -> Percentiles:
        """Nearest-rank percentiles: each is a duration that was measured."""
        if not durations:
            return cls(0.0, 0.0, 0.0, 0.0)
        levels = np.percentile(durations, [50, 95, 99, 100], method="inverted_cdf")
        return cls(*map(float, levels))


def mean_batch(sizes: Sequence[int]) -> float:
    """Mean size of the batches that requests of these batch sizes were part of.

    A batch of b has b requests that say b, so the requests stand for sum(1/b) batches. 0 where
    nothing is known.
    """
    known = [size for size in sizes if size > 0]
    return len(known) / sum(1 / size for size in known) if known else 0.0
