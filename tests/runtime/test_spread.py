"""Batches over several cards."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from emotion2vec_runtime.backends.base import Outputs
from emotion2vec_runtime.backends.spread import Spread
from emotion2vec_runtime.errors import InferenceError, OutOfMemoryError

CLIP, LENGTHS = np.zeros((1, 400), np.float32), np.array([400])


class Card:
    """A backend that takes a while, or has no memory."""

    provider, precision = "cuda", "fp16"

    def __init__(self, meeting: threading.Barrier | None = None) -> None:
        self._meeting = meeting
        self.batches = 0

    def run(self, waveforms, lengths, *, frame_embeddings=False) -> Outputs:
        self.batches += 1
        if self._meeting is None:
            raise OutOfMemoryError("no memory")
        self._meeting.wait(10)
        return Outputs(None, waveforms, None, None, lengths)


def test_batches_that_run_at_once_run_on_different_cards() -> None:
    meeting = threading.Barrier(2)
    cards = [Card(meeting), Card(meeting)]
    both = Spread(cards, 2)
    callers = [threading.Thread(target=both.run, args=(CLIP, LENGTHS)) for _ in cards]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(10)
    assert [card.batches for card in cards] == [1, 1]
    assert (both.provider, both.precision) == ("cuda", "fp16")


class SlowCard(Card):
    """One whose batches end when they are told to."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = threading.Semaphore(0)
        self.ends = threading.Semaphore(0)

    def run(self, waveforms, lengths, *, frame_embeddings=False) -> Outputs:
        self.batches += 1
        self.begun.release()
        assert self.ends.acquire(timeout=10)
        return Outputs(None, waveforms, None, None, lengths)


def test_no_card_idles_while_another_has_two() -> None:
    first, second = SlowCard(), SlowCard()
    spread = Spread([first, second], 4)

    def begin_on(card: SlowCard) -> threading.Thread:
        caller = threading.Thread(target=spread.run, args=(CLIP, LENGTHS))
        caller.start()
        assert card.begun.acquire(timeout=10)
        return caller

    callers = [begin_on(first), begin_on(second)]
    # The second is at work for long; whatever comes one by one goes to the first.
    for _ in range(3):
        first.ends.release()
        callers[0].join(10)
        callers[0] = begin_on(first)
    first.ends.release()
    second.ends.release()
    for caller in callers:
        caller.join(10)
    assert (first.batches, second.batches) == (4, 1)


def test_a_card_without_memory_is_not_lost() -> None:
    spread = Spread([Card()], 1)
    for _ in range(3):
        with pytest.raises(OutOfMemoryError):
            spread.run(CLIP, LENGTHS)


class Faulty(Card):
    """One that has fallen off the bus: it fails at once, and so is never busy."""

    def __init__(self) -> None:
        super().__init__()
        self.is_broken = True

    def run(self, waveforms, lengths, *, frame_embeddings=False) -> Outputs:
        self.batches += 1
        if self.is_broken:
            raise InferenceError("CUDA error: no device")
        return Outputs(None, waveforms, None, None, lengths)


def test_a_card_that_fails_costs_no_batch_and_draws_none() -> None:
    now = 0.0
    broken, sound = Faulty(), Faulty()
    sound.is_broken = False
    spread = Spread([broken, sound], 2, clock=lambda: now)
    for _ in range(5):
        spread.run(CLIP, LENGTHS)
    assert (broken.batches, sound.batches) == (1, 5)
    # What was a passing fault is over, and half of the machine must not stay idle for it.
    broken.is_broken, now = False, 61.0
    for _ in range(4):
        spread.run(CLIP, LENGTHS)
    assert broken.batches > 1


def test_batches_that_come_one_by_one_go_to_all_cards() -> None:
    """So that a warm-up warms each."""
    cards = [Faulty() for _ in range(4)]
    for card in cards:
        card.is_broken = False
    spread = Spread(cards, 8)
    for _ in range(8):
        spread.run(CLIP, LENGTHS)
    assert [card.batches for card in cards] == [2, 2, 2, 2]


def test_a_batch_that_no_card_can_run_makes_none_of_them_rest() -> None:
    lost, sound = Faulty(), Faulty()
    spread = Spread([lost, sound], 2)
    with pytest.raises(InferenceError):
        spread.run(CLIP, LENGTHS)
    sound.is_broken = False
    for _ in range(20):
        spread.run(CLIP, LENGTHS)
    assert lost.batches <= 2


def test_what_no_card_can_run_has_failed() -> None:
    cards = [Faulty(), Faulty()]
    spread = Spread(cards, 2)
    for _ in range(3):
        with pytest.raises(InferenceError, match="no device"):
            spread.run(CLIP, LENGTHS)
    assert [card.batches for card in cards] == [3, 3]
    for card in cards:
        card.is_broken = False
    spread.run(CLIP, LENGTHS)
