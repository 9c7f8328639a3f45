from __future__ import annotations

from emotion2vec_server.streaming.pace import MOST_PATIENCE, PATIENCE, SPAN, Pace

FRAME = 0.02


def run(pace: Pace, turnaround: float, seconds: float) -> list[int]:
    """The hops chosen while windows of `seconds` of audio take `turnaround` each."""
    hops = []
    heard = 0.0
    while heard < seconds:
        heard += pace.hop * FRAME
        if pace.observe(turnaround):
            hops.append(pace.hop)
    return hops


def test_keeps_the_hop_while_the_server_keeps_up() -> None:
    pace = Pace(25, 110, FRAME)
    assert run(pace, turnaround=0.4, seconds=600) == []
    assert not pace.degraded


def test_one_slow_window_changes_nothing() -> None:
    pace = Pace(25, 110, FRAME)
    run(pace, 0.05, 10)
    assert not pace.observe(1.2)
    assert run(pace, 0.05, 10) == []


def test_stretches_step_by_step_to_the_longest_hop() -> None:
    pace = Pace(25, 110, FRAME)
    assert run(pace, turnaround=3.0, seconds=60) == [50, 100, 110]
    assert pace.degraded


def test_stretches_no_further_than_needed() -> None:
    pace = Pace(25, 110, FRAME)
    assert run(pace, turnaround=0.7, seconds=600) == [50]


def test_recovers_by_itself() -> None:
    pace = Pace(25, 110, FRAME)
    run(pace, 3.0, 60)
    assert run(pace, turnaround=0.05, seconds=8 * PATIENCE) == [55, 27, 25]
    assert not pace.degraded


def test_does_not_recover_where_the_shorter_hop_would_be_too_much() -> None:
    pace = Pace(25, 110, FRAME)
    run(pace, 0.7, 60)
    # Under 0.9 of the hop in force, over 0.4 of the shorter one.
    assert run(pace, turnaround=0.3, seconds=600) == []


def test_a_relapse_makes_it_more_patient() -> None:
    pace = Pace(25, 50, FRAME)
    waits = []
    for _ in range(8):
        assert run(pace, 0.7, 6.0) == [50]
        waited = 0.0
        while not pace.observe(0.1):
            waited += pace.hop * FRAME
        waits.append(waited)
    assert waits == sorted(waits)
    # The slow windows must leave the view before the calm is counted.
    forgetting = SPAN * 50 * FRAME
    assert PATIENCE <= waits[0] <= PATIENCE + forgetting
    assert 2 * PATIENCE < waits[-1] <= MOST_PATIENCE + forgetting


def test_does_not_stretch_where_there_is_no_room() -> None:
    pace = Pace(25, 25, FRAME)
    assert run(pace, 3.0, 60) == []
    assert not pace.degraded


def test_each_hop_is_judged_by_its_own_windows() -> None:
    pace = Pace(25, 110, FRAME)
    assert pace.observe(1.9)
    # 1.9 + 1.8 would be too much for the new hop; 1.8 alone is not.
    assert not pace.observe(1.8)
    assert pace.hop == 50


def test_calm_that_is_broken_again_and_again_is_no_calm() -> None:
    pace = Pace(25, 110, FRAME)
    run(pace, 0.7, 60)
    for _ in range(20):
        assert run(pace, turnaround=0.01, seconds=PATIENCE - 1.0) == []
        assert run(pace, turnaround=0.85, seconds=1.0) == []
