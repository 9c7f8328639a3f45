"""Streams on a card, on paper."""

from __future__ import annotations

import pytest

from benchmarks.card_streams import HOP, MODES, Card, held

SMALL = 10e12
"""Operations a second of a card that few streams fill."""


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_the_simulation_holds_what_the_arithmetic_says(mode) -> None:
    card = Card(mode, SMALL)
    each = card.seconds(64, mode.frames) / 64 * 50 / HOP
    assert held(card, host=0.0) == pytest.approx(1 / each, rel=0.2)


def test_one_process_holds_what_its_event_loop_can_answer() -> None:
    card = Card(MODES[2], 1000 * SMALL)
    assert held(card, host=0.005) == pytest.approx(100, rel=0.1)
