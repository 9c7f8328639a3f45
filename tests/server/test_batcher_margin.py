"""How far an estimate may be off."""

from __future__ import annotations

import random

from emotion2vec_server.batching.margin import Margin


def learned(errors: list[float]) -> float:
    margin = Margin()
    for error in errors:
        margin.learn(error)
    return margin.seconds


def test_a_good_estimate_needs_none() -> None:
    assert learned([0.0] * 50) == 0.0


def test_it_covers_nearly_all_errors() -> None:
    draw, margin, beyond = random.Random(0), Margin(), 0
    for _ in range(2000):
        error = draw.gauss(0.1, 0.05)
        beyond += error > margin.seconds
        margin.learn(error)
    assert beyond < 0.05 * 2000
    assert margin.seconds < 0.35, "0.1 and five standard deviations are enough for anything"


def test_waits_that_end_early_add_nothing() -> None:
    assert learned([-0.2] * 200) == 0.0


def test_it_shrinks_as_soon_as_errors_do() -> None:
    assert learned([1.0, -1.0] * 50 + [0.01, -0.01] * 50) < 0.1
