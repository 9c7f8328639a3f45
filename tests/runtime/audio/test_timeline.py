"""Where frames belong in time."""

from __future__ import annotations

import pytest
from emotion2vec_runtime.audio.containers.timeline import Placed, Timeline

RATE = 48000
FRAME = 960


def play(timeline: Timeline, times: list[float]) -> list[Placed | None]:
    return [timeline.place(time, FRAME, RATE) for time in times]


@pytest.mark.parametrize("drift", [-2e-4, 2e-4])
def test_clocks_that_differ_make_no_holes(drift: float) -> None:
    """200 ppm: 0.7 s an hour."""
    timeline = Timeline(None)
    assert not any(play(timeline, [n * 0.02 * (1 + drift) for n in range(180_000)]))
    assert timeline.lost == 0


def test_times_may_be_off_by_a_little() -> None:
    timeline = Timeline(None)
    assert not any(play(timeline, [round(n * 0.02 + 0.01 * (n % 3), 2) for n in range(1000)]))


def test_a_hole_is_filled_once() -> None:
    timeline = Timeline(None)
    placed = play(timeline, [1.0, 1.02, 2.04, 2.06])
    assert placed == [None, None, Placed(RATE, 0, FRAME), None]
    assert timeline.lost == 1
    assert timeline.heard == pytest.approx(0.08)


def test_a_time_that_jumps_back_is_followed() -> None:
    timeline = Timeline(None)
    assert not any(play(timeline, [1.0, 1.02, 0.2, 0.22]))


@pytest.mark.parametrize(("stated", "time"), [(10.0, 20.0), (None, 1e6)])
def test_a_time_that_can_not_be_is_no_hole(stated: float | None, time: float) -> None:
    timeline = Timeline(stated)
    assert not any(play(timeline, [0.0, 0.02, time, time + 0.02]))
