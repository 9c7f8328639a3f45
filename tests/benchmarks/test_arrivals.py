"""When requests arrive, and what is made of how long they took."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.arrivals import Percentiles, mean_batch, poisson

DURATIONS = st.lists(st.floats(0, 1e3), min_size=1, max_size=200)


@given(rate=st.floats(0.01, 500), seconds=st.floats(0.01, 20), seed=st.integers(0, 2**32))
def test_arrivals_are_sorted_and_lie_within_their_time(
    rate: float, seconds: float, seed: int
) -> None:
    times = poisson(rate, seconds, seed)
    assert times == sorted(times)
    assert all(0 <= time < seconds for time in times)
    assert times == poisson(rate, seconds, seed)


def test_arrivals_come_at_their_rate_and_independently() -> None:
    counts = [len(poisson(40, 5, seed)) for seed in range(300)]
    assert np.mean(counts) == pytest.approx(200, rel=0.02)
    # A Poisson count's variance is its mean; a regular schedule would have none.
    assert np.var(counts) == pytest.approx(200, rel=0.25)
    gaps = [later - earlier for earlier, later in itertools.pairwise(poisson(1000, 20, 7))]
    assert np.std(gaps) == pytest.approx(np.mean(gaps), rel=0.05)


@pytest.mark.parametrize(("rate", "seconds"), [(0, 10), (-1, 10), (5, 0)])
def test_no_rate_or_no_time_gives_no_arrivals(rate: float, seconds: float) -> None:
    assert poisson(rate, seconds, 0) == []


def test_percentiles_are_measured_values() -> None:
    assert Percentiles.of([n / 100 for n in range(1, 101)]) == Percentiles(0.5, 0.95, 0.99, 1.0)


def test_percentiles_of_nothing_are_zero() -> None:
    assert Percentiles.of([]) == Percentiles(0.0, 0.0, 0.0, 0.0)


@given(DURATIONS)
def test_percentiles_are_ordered_and_among_the_durations(durations: list[float]) -> None:
    found = Percentiles.of(durations)
    assert found.p50 <= found.p95 <= found.p99 <= found.worst == max(durations)
    assert {found.p50, found.p95, found.p99} <= set(durations)


@given(st.lists(st.integers(1, 64), min_size=1, max_size=20))
def test_mean_batch_is_that_of_the_batches(batches: list[int]) -> None:
    of_requests = [size for size in batches for _ in range(size)]
    assert mean_batch(of_requests) == pytest.approx(np.mean(batches))


def test_mean_batch_of_servers_that_do_not_tell_is_zero() -> None:
    assert mean_batch([]) == 0
    assert mean_batch([0, 0]) == 0
