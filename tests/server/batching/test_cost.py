"""The cost model: what it learns from few, noisy and unfinished measurements."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from emotion2vec_runtime.errors import OutOfMemoryError
from emotion2vec_server.batching.cost import CostModel, Point, measure
from hypothesis import given, settings
from hypothesis import strategies as st

Law = Callable[[int, int], float]


def middling(batch: int, frames: int) -> float:
    return 0.01716 + 0.000839 * batch * frames / 150


def large_on_cpu(batch: int, frames: int) -> float:
    """emotion2vec+ large in fp32 on two cores, by docs/cpu.md's figures."""
    return batch * (0.0026 * frames + 3.6e-7 * frames**2)


def gpu(batch: int, frames: int) -> float:
    return 0.004 + 2e-6 * batch * frames + 1e-9 * batch * frames**2


LAWS = pytest.mark.parametrize("law", [middling, large_on_cpu, gpu])


class Machine:
    """A machine whose time passes only while it runs."""

    def __init__(self, law: Law, noise: float = 0.0, seed: int = 5) -> None:
        self.now = 0.0
        self.ran: list[tuple[int, int]] = []
        self._law = law
        self._noise = noise
        self._draw = random.Random(seed)

    def run(self, batch: int, frames: int) -> None:
        self.ran.append((batch, frames))
        slow = 1 + self._noise * self._draw.expovariate(1)
        self.now += self._law(batch, frames) * slow

    def clock(self) -> float:
        return self.now

    def measure(self, seconds: float = 5.0) -> CostModel:
        return measure(
            self.run, max_batch=32, max_frames=12_000, budget_seconds=seconds, clock=self.clock
        )


@pytest.mark.parametrize("seed", range(20))
def test_noise_in_short_runs_does_not_decide_what_long_clips_cost(seed: int) -> None:
    machine = Machine(large_on_cpu, noise=0.2, seed=seed)
    model = machine.measure(seconds=1.5)
    assert max(frames for _, frames in machine.ran) <= 150
    assert 0.6 < model.seconds(1, 1499) / large_on_cpu(1, 1499) < 2


@LAWS
def test_a_law_of_its_own_form_is_found(law: Law) -> None:
    model = Machine(law).measure()
    for batch, frames in ((1, 49), (3, 200), (8, 499), (32, 350), (1, 1499)):
        assert model.seconds(batch, frames) == pytest.approx(law(batch, frames), rel=0.02)


@LAWS
def test_noise_is_smoothed(law: Law) -> None:
    model = Machine(law, noise=0.3).measure(600.0)
    for batch, frames in ((1, 100), (4, 200), (8, 350), (1, 750)):
        assert model.seconds(batch, frames) == pytest.approx(law(batch, frames), rel=0.35)


def test_a_few_disturbed_runs_do_not_count() -> None:
    points = [Point(b, f, middling(b, f)) for b in (1, 2, 4, 8) for f in (50, 150, 350, 750)]
    points[3] = points[3]._replace(seconds=10 * points[3].seconds)
    points[9] = points[9]._replace(seconds=5 * points[9].seconds)
    assert CostModel(points).seconds(32, 150) == pytest.approx(middling(32, 150), rel=0.05)


def test_noise_in_both_directions_cancels_out() -> None:
    shapes = [(b, f) for b in (1, 2, 4, 8, 16) for f in (50, 100, 150, 350, 500, 750)]
    factors = (0.6, 1.0, 1.65)
    points = [
        Point(b, f, middling(b, f) * factors[(b + number) % 3])
        for number, (b, f) in enumerate(shapes)
    ]
    model = CostModel(points)
    assert model.seconds(8, 350) == pytest.approx(middling(8, 350), rel=0.12)


@LAWS
@pytest.mark.parametrize("seconds", [0.1, 1.0, 5.0])
def test_measuring_keeps_to_its_time(law: Law, seconds: float) -> None:
    machine = Machine(law)
    machine.measure(seconds)
    smallest = law(1, 50) + law(2, 50) + law(1, 150)
    assert machine.now <= seconds + smallest
    assert all(batch <= 32 and batch * frames <= 12_000 for batch, frames in machine.ran)


def test_without_time_for_more_than_one_shape_batches_are_not_said_to_pay() -> None:
    model = CostModel([Point(1, 50, 0.35)])
    assert model.seconds(8, 50) == pytest.approx(8 * 0.35)


def test_shapes_that_do_not_fit_in_memory_are_left_out() -> None:
    machine = Machine(gpu)

    def run(batch: int, frames: int) -> None:
        if batch * frames > 3000:
            raise OutOfMemoryError
        machine.run(batch, frames)

    model = measure(run, max_batch=32, max_frames=12_000, clock=machine.clock)
    assert max(point.batch * point.frames for point in model.points) <= 3000


@pytest.mark.parametrize(("max_batch", "max_frames"), [(1, 1), (1, 49), (3, 100), (256, 10**6)])
def test_any_limits_can_be_measured(max_batch: int, max_frames: int) -> None:
    machine = Machine(gpu)
    model = measure(machine.run, max_batch=max_batch, max_frames=max_frames, clock=machine.clock)
    assert model.seconds(1, max_frames) > 0


@settings(max_examples=50)
@given(
    st.lists(
        st.builds(Point, st.integers(1, 64), st.integers(1, 1500), st.floats(1e-5, 100)),
        min_size=1,
        max_size=12,
    )
)
def test_time_is_positive_and_grows_with_batch_and_length(points: list[Point]) -> None:
    model = CostModel(points)
    grid = [[model.seconds(batch, frames) for frames in (1, 50, 1500)] for batch in (1, 2, 64)]
    assert all(seconds > 0 for row in grid for seconds in row)
    assert all(row == sorted(row) for row in grid)
    assert all(list(column) == sorted(column) for column in zip(*grid, strict=True))


@pytest.mark.parametrize("points", [[], [Point(1, 50, 0.0)]])
def test_points_without_time_are_refused(points: list[Point]) -> None:
    with pytest.raises(ValueError, match="points"):
        CostModel(points)
