"""How far the event loop lags behind."""

from __future__ import annotations

import random

from emotion2vec_server.batching.lag import Lag


def learned(waits: list[float]) -> float:
    lag = Lag()
    for seconds in waits:
        lag.learn(seconds)
    return lag.seconds


def test_a_prompt_loop_has_none() -> None:
    assert learned([0.0] * 50) == 0.0


def test_it_covers_nearly_all_waits() -> None:
    draw, lag, beyond = random.Random(0), Lag(), 0
    for _ in range(2000):
        seconds = max(0.0, draw.gauss(0.1, 0.05))
        beyond += seconds > lag.seconds
        lag.learn(seconds)
    assert beyond < 0.05 * 2000
    assert lag.seconds < 0.35, "0.1 and five standard deviations are enough for anything"


def test_it_shrinks_as_soon_as_waits_do() -> None:
    assert learned([2.0, 0.0] * 50 + [0.02, 0.0] * 50) < 0.1
