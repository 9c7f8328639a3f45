"""The factor on a wait that a deadline depends on."""

from __future__ import annotations

import random

from emotion2vec_server.batching.caution import Caution


def test_it_rises_until_hardly_anybody_is_late() -> None:
    draw, caution, late = random.Random(0), Caution(), 0
    for batch in range(4000):
        if draw.lognormvariate(1.6, 0.3) > caution.factor:
            caution.late()
            late += batch >= 1000
        else:
            caution.in_time()
    assert 0 < late < 0.08 * 3000


def test_it_is_bounded_and_forgets() -> None:
    caution = Caution()
    least = caution.factor
    assert least > 1
    for _ in range(100):
        caution.late()
    assert least < caution.factor < 20
    for _ in range(1000):
        caution.in_time()
    assert caution.factor == least
    caution.late()
    caution.forget()
    assert caution.factor == least
