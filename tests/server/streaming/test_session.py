from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from emotion2vec_server.streaming.events import (
    Closing,
    Event,
    Final,
    Frames,
    Interim,
    Speech,
    Started,
)
from emotion2vec_server.streaming.reader import EndUtterance, Request
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.server.streaming.live import (
    FIELD,
    FRAMING,
    HOP,
    LIMITS,
    OPTIONS,
    FakeModel,
    assert_frames_tile,
    frame_count,
    listen,
    make_manifest,
    make_session,
    only,
    ramp,
)

# The stream as a whole.


@st.composite
def streams(draw: st.DrawFn) -> list[tuple[int, list[int]]]:
    """Utterances: their lengths in samples, and where their *bytes* are cut."""
    lengths = draw(st.lists(st.integers(0, 40 * HOP), min_size=1, max_size=3))
    return [
        (length, sorted(draw(st.lists(st.integers(0, 4 * length), max_size=8))))
        for length in lengths
    ]


@settings(max_examples=60)
@given(streams(), st.booleans(), st.booleans())
def test_frames_tile_and_final_equals_recognize(
    stream: list[tuple[int, list[int]]], interim: bool, voice: bool
) -> None:
    requests: list[Request] = []
    begin = 0
    for length, cuts in stream:
        data = ramp(begin, begin + length)
        edges = [0, *cuts, len(data)]
        requests += [data[i:j] for i, j in pairwise(edges)]
        requests.append(EndUtterance())
        begin += length

    async def run() -> tuple[list[Event], FakeModel]:
        model = FakeModel()
        options = replace(OPTIONS, interim_results=interim, voice_activity=voice)
        return await listen(make_session(model, options), requests), model

    events, model = asyncio.run(run())
    assert isinstance(events[0], Started)
    finals = only(Final, events)
    spoken = [length for length, _ in stream if length]
    assert [final.end_sample - final.start_sample for final in finals] == spoken
    assert model.most_running <= 1
    start = 0
    for index, (final, length) in enumerate(zip(finals, spoken, strict=True)):
        assert (final.utterance, final.start_sample) == (index, start)
        np.testing.assert_array_equal(final.samples, np.arange(start, start + length))
        assert_frames_tile(events, index, start, length)
        if length < FIELD:
            assert final.completed is None
        else:
            expected = asyncio.run(recognize(final.samples))
            assert final.completed is not None
            np.testing.assert_array_equal(final.completed.result.logits, expected)
        start += length


async def recognize(samples: np.ndarray) -> np.ndarray:
    return (await FakeModel().recognize(samples)).result.logits


async def test_a_stream_without_audio_ends_well() -> None:
    assert await listen(make_session(FakeModel()), []) == [Started(FRAMING)]


async def test_closing_twice_gives_one_result() -> None:
    requests = [EndUtterance(), ramp(0, 8000), EndUtterance(), EndUtterance(), ramp(8000, 16_000)]
    finals = only(Final, await listen(make_session(FakeModel()), requests))
    assert [(final.utterance, final.closing) for final in finals] == [
        (0, Closing.END_UTTERANCE),
        (1, Closing.HALF_CLOSE),
    ]


async def test_an_empty_message_is_no_end() -> None:
    requests = [b"", ramp(0, 4000), b"", ramp(4000, 8000)]
    (final,) = only(Final, await listen(make_session(FakeModel()), requests))
    assert final.end_sample == 8000


async def test_an_utterance_at_its_limit_is_closed_and_the_next_goes_on() -> None:
    limits = replace(LIMITS, utterance=0.5)
    events = await listen(make_session(FakeModel(), limits=limits), [ramp(0, 20_000)])
    finals = only(Final, events)
    assert [(final.start_sample, final.end_sample, final.closing) for final in finals] == [
        (0, 8000, Closing.TOO_LONG),
        (8000, 16_000, Closing.TOO_LONG),
        (16_000, 20_000, Closing.HALF_CLOSE),
    ]
    for index, start in enumerate((0, 8000, 16_000)):
        assert_frames_tile(events, index, start, min(8000, 20_000 - start))


async def test_only_what_was_asked_for_is_run_and_sent() -> None:
    model = FakeModel()
    events = await listen(
        make_session(model, replace(OPTIONS, frames=False, frame_embeddings=True)),
        [ramp(0, 16_000)],
    )
    assert [type(event) for event in events] == [Started, Final]
    assert model.windows == []
    assert only(Final, events)[0].completed.result.frame_embeddings is not None


async def test_a_model_without_a_classifier_gives_final_embeddings_only() -> None:
    model = FakeModel(make_manifest(labels=()))
    options = replace(OPTIONS, interim_results=True)
    events = await listen(make_session(model, options), [ramp(0, 16_000)])
    assert [type(event) for event in events] == [Started, Final]
    assert model.windows == []


# Interim results.


async def test_interim_is_the_mean_of_the_best_known_frames() -> None:
    options = replace(OPTIONS, interim_results=True)
    events = await listen(make_session(FakeModel(), options), [ramp(0, 16_000)])
    interims = only(Interim, events)
    assert len(interims) == frame_count(16_000) // FRAMING.hop
    for interim in interims:
        frames = frame_count(interim.end_sample)
        np.testing.assert_allclose(interim.logits[0], np.arange(frames).mean() * HOP, rtol=1e-6)
        assert interim.start_sample == 0


async def test_provisional_frames_follow_the_final_ones() -> None:
    options = replace(OPTIONS, interim_results=True)
    frames = only(Frames, await listen(make_session(FakeModel(), options), [ramp(0, 8000)]))
    assert [event.is_final for event in frames[:4]] == [True, False, True, False]
    for final, early in pairwise(frames[:-1]):
        if early.is_final:
            continue
        assert early.first_frame == final.first_frame + len(final.logits)
        assert len(early.logits) == FRAMING.lookahead
        begins = (early.first_frame + np.arange(4)) * HOP
        np.testing.assert_array_equal(early.logits[:, 0], begins)


async def test_frames_can_be_left_out_of_interim_results() -> None:
    options = replace(OPTIONS, interim_results=True, frames=False)
    events = await listen(make_session(FakeModel(), options), [ramp(0, 16_000)])
    assert not only(Frames, events)
    assert only(Interim, events)


# Voice activity.


def sound(seconds: float) -> bytes:
    rng = np.random.default_rng(3)
    return (0.1 * rng.standard_normal(round(seconds * 16_000))).astype(np.float32).tobytes()


def silence(seconds: float) -> bytes:
    return np.zeros(round(seconds * 16_000), dtype=np.float32).tobytes()


VOICED = replace(OPTIONS, interim_results=True, voice_activity=True)


async def test_speech_events_and_no_interim_in_silence() -> None:
    requests = [silence(2.0), sound(1.0), silence(3.0)]
    events = await listen(make_session(FakeModel(), VOICED), requests)
    begins, ends = only(Speech, events)
    assert begins.begins
    assert not ends.begins
    assert begins.sample == pytest.approx(32_000, abs=640)
    assert ends.sample == pytest.approx(48_000, abs=640)
    where = [interim.end_sample for interim in only(Interim, events)]
    assert min(where) >= 32_000
    assert max(where) <= 48_000 + 16_000
    assert only(Final, events)[0].heard_speech is True


async def test_silent_frames_do_not_count_in_interim_results() -> None:
    loud = np.frombuffer(sound(1.0), dtype=np.float32) + 0.5
    requests = [silence(2.0), loud.astype(np.float32).tobytes(), silence(1.0)]
    interims = only(Interim, await listen(make_session(FakeModel(), VOICED), requests))
    # Silent frames have logits of 0, the others of 0.5 on average.
    np.testing.assert_allclose([interim.logits for interim in interims[5:]], 0.45, atol=0.1)


async def test_silence_alone_gives_no_interim_and_says_so() -> None:
    events = await listen(make_session(FakeModel(), VOICED), [silence(3.0)])
    assert not only(Interim, events)
    assert not only(Speech, events)
    assert only(Final, events)[0].heard_speech is False
    assert_frames_tile_count(events, 48_000)


def assert_frames_tile_count(events: Sequence[Event], length: int) -> None:
    finals = [event for event in only(Frames, events) if event.is_final]
    assert sum(len(event.logits) for event in finals) == frame_count(length)


async def test_speech_ends_with_the_utterance() -> None:
    events = await listen(
        make_session(FakeModel(), VOICED), [sound(1.0), EndUtterance(), sound(1.0)]
    )
    assert [(speech.utterance, speech.begins) for speech in only(Speech, events)] == [
        (0, True),
        (0, False),
        (1, True),
        (1, False),
    ]
    assert [speech.sample for speech in only(Speech, events)] == [0, 16_000, 16_000, 32_000]
