"""Utterances that the server ends: by silence, by length, and never by how the audio was cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from emotion2vec_runtime.arrays import Float32
from emotion2vec_runtime.errors import InvalidRequestError
from emotion2vec_server.streaming.decoding import RawDecoding
from emotion2vec_server.streaming.ends import ends_of
from emotion2vec_server.streaming.events import Closing, Event, Final, Frames, Speech
from emotion2vec_server.streaming.reader import EndUtterance, KeepAlive, Request
from emotion2vec_server.streaming.session import Session
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.server.streaming.live import (
    LIMITS,
    OPTIONS,
    FakeModel,
    FloatDecoder,
    frame_count,
    listen,
    make_session,
    only,
)

RATE = 16000


def audio(*parts: tuple[float, float]) -> Float32:
    """Seconds of noise at a level each: 0.1 is speech to the gate, 0 is silence."""
    random = np.random.default_rng(0)
    noise = [level * random.standard_normal(round(s * RATE)) for s, level in parts]
    return np.concatenate(noise).astype(np.float32)


TURNS = audio((2.0, 0.0), (1.0, 0.1), (1.5, 0.0), (0.7, 0.1), (0.3, 0.0), (0.4, 0.1), (2.0, 0.0))
"""Two turns; in the second one a pause that is shorter than what ends it."""


def heard(
    requests: Iterable[Request], *, silence: float = 0.5, longest: float = 15.0
) -> list[Event]:
    ends = ends_of(RATE, LIMITS.utterance, silence, longest)
    options = replace(OPTIONS, voice_activity=True, interim_results=True, ends=ends)

    async def run() -> list[Event]:
        return await listen(make_session(FakeModel(), options), requests)

    return asyncio.run(run())


def spans(events: Sequence[Event]) -> list[tuple[float, float, Closing]]:
    return [
        (final.start_sample / RATE, final.end_sample / RATE, final.closing)
        for final in only(Final, events)
    ]


def test_silence_ends_an_utterance_and_speech_begins_the_next() -> None:
    (first, first_end, why), (second, second_end, why_second) = spans(heard([TURNS.tobytes()]))
    # Speech is at 2.0 to 3.0 s, and at 4.5 to 5.9 s.
    assert 1.2 <= first <= 1.7
    assert first_end == pytest.approx(3.5, abs=0.03)
    assert 3.7 <= second <= 4.2
    assert second_end == pytest.approx(6.4, abs=0.03)
    assert why is why_second is Closing.SILENCE


def assert_whole(events: Sequence[Event], sent: Float32) -> None:
    """Each utterance begins with speech, and has all its frames and samples."""
    finals = only(Final, events)
    for final in finals:
        frames = [
            event.first_frame + i
            for event in only(Frames, events)
            if event.is_final and event.utterance == final.utterance
            for i in range(len(event.logits))
        ]
        length = final.end_sample - final.start_sample
        assert frames == list(range(frame_count(length)))
        np.testing.assert_array_equal(final.samples, sent[final.start_sample : final.end_sample])
        edges = [speech for speech in only(Speech, events) if speech.utterance == final.utterance]
        assert edges[0].begins
    assert [final.utterance for final in finals] == list(range(len(finals)))


def test_silence_between_utterances_is_not_scored() -> None:
    assert_whole(heard([TURNS.tobytes()]), TURNS)


@settings(max_examples=200)
@given(st.lists(st.tuples(st.floats(0.02, 0.6), st.floats(-64, -40)), min_size=3, max_size=16))
def test_noise_at_the_edge_of_being_heard_loses_nothing(parts: list[tuple[float, float]]) -> None:
    sent = audio(*((seconds, 10 ** (level / 20)) for seconds, level in parts), (1.0, 0.0))
    assert_whole(heard([sent.tobytes()]), sent)


def test_a_longer_silence_joins_turns() -> None:
    ((_, end, _),) = spans(heard([TURNS.tobytes()], silence=1.6))
    assert end == pytest.approx(5.9 + 1.6, abs=0.03)


def test_long_speech_goes_on_in_the_next_one() -> None:
    ends = spans(heard([audio((5.0, 0.1), (1.0, 0.0)).tobytes()], longest=2.0))
    assert [span[:2] for span in ends[:2]] == [(0.0, 2.0), (2.0, 4.0)]
    assert [span[2] for span in ends] == [Closing.TOO_LONG, Closing.TOO_LONG, Closing.SILENCE]
    assert ends[2][0] == 4.0


@settings(max_examples=25)
@given(st.lists(st.integers(0, 4 * len(TURNS)), max_size=12))
def test_cuts_between_messages_change_nothing(cuts: list[int]) -> None:
    data = TURNS.tobytes()
    pieces = [data[i:j] for i, j in pairwise([0, *sorted(cuts), len(data)])]
    whole, cut = heard([data]), heard(pieces)
    assert spans(cut) == spans(whole)
    assert only(Speech, cut) == only(Speech, whole)


class InBlocks(RawDecoding):
    """Gives samples in blocks of a size of its own, as a container's decoder does."""

    def __init__(self, block: int) -> None:
        super().__init__(FloatDecoder)
        self._block = block

    async def feed(self, data: bytes) -> AsyncGenerator[Float32, None]:
        samples = np.frombuffer(data, np.float32)
        for begin in range(0, len(samples), self._block):
            yield samples[begin : begin + self._block]

    async def finish(self) -> AsyncGenerator[Float32, None]:
        yield np.empty(0, np.float32)


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.floats(0.06, 0.4), st.floats(0.1, 1.2)), min_size=1, max_size=5),
    st.integers(300, 40_000),
)
@example([(0.11, 1.0)], 40_000)
def test_how_a_decoder_cuts_changes_nothing(sounds: list[tuple[float, float]], block: int) -> None:
    """Also not where a short sound begins and ends within one block."""
    sent = audio(*(part for sound, pause in sounds for part in ((sound, 0.1), (pause, 0.0))))

    async def run(size: int) -> list[Event]:
        ends = ends_of(RATE, LIMITS.utterance, 0.5, 15.0)
        options = replace(OPTIONS, voice_activity=True, ends=ends)
        session = Session(FakeModel(), InBlocks(size), options, LIMITS)
        return await listen(session, [sent.tobytes()])

    whole, cut = asyncio.run(run(block)), asyncio.run(run(160))
    assert spans(whole) == spans(cut)
    assert only(Speech, whole) == only(Speech, cut)


def test_nobody_who_speaks_is_no_utterance() -> None:
    assert spans(heard([audio((5.0, 0.0)).tobytes()])) == []


def test_a_caller_may_end_one_too() -> None:
    first, rest = TURNS[: round(2.5 * RATE)], TURNS[round(2.5 * RATE) :]
    ends = spans(heard([first.tobytes(), EndUtterance(), KeepAlive(), rest.tobytes()]))
    assert (ends[0][1], ends[0][2]) == (2.5, Closing.END_UTTERANCE)
    assert ends[1][0] == 2.5


@pytest.mark.parametrize(("silence", "longest"), [(0.4, 15.0), (0.5, 0.5), (0.5, 301.0)])
def test_what_can_not_be_is_refused(silence: float, longest: float) -> None:
    with pytest.raises(InvalidRequestError, match="it may be"):
        ends_of(RATE, LIMITS.utterance, silence, longest)
