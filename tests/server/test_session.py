from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import replace
from itertools import pairwise
from typing import TypeVar

import numpy as np
import pytest
from emotion2vec_server.errors import (
    DeadlineExceededError,
    InferenceError,
    InvalidRequestError,
    OverloadedError,
    RequestError,
    TooLargeError,
    UnavailableError,
)
from emotion2vec_server.session import Session
from emotion2vec_server.streaming.events import (
    Closing,
    Event,
    Final,
    Frames,
    HopChanged,
    Interim,
    Speech,
    Started,
)
from emotion2vec_server.streaming.reader import EndUtterance, Request, StreamLimits
from emotion2vec_server.streaming.utterance import StreamOptions
from emotion2vec_server.windows import Framing
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.server.live import (
    FIELD,
    HOP,
    Caller,
    FakeModel,
    FloatDecoder,
    frame_count,
    make_manifest,
    ramp,
    requests_of,
)

E = TypeVar("E")
FRAMING = Framing(window=20, hop=5, lookahead=4, frame_hop=HOP, frame_field=FIELD)
OPTIONS = StreamOptions(FRAMING, voice_activity=False)
LIMITS = StreamLimits()


def make_session(
    model: FakeModel, options: StreamOptions = OPTIONS, limits: StreamLimits = LIMITS
) -> Session:
    return Session(model, FloatDecoder, options, limits)


async def listen(session: Session, requests: Iterable[Request]) -> list[Event]:
    return [event async for event in session.events(requests_of(requests))]


def only(kind: type[E], events: Iterable[object]) -> list[E]:
    return [event for event in events if isinstance(event, kind)]


def assert_frames_tile(events: Iterable[Event], utterance: int, start: int, length: int) -> None:
    """The utterance's final frames are all there, in order, each with its own frame's logits."""
    frames = [
        event for event in only(Frames, events) if event.is_final and event.utterance == utterance
    ]
    indices = [event.first_frame + i for event in frames for i in range(len(event.logits))]
    assert indices == list(range(frame_count(length)))
    for event in frames:
        assert event.start_sample == start + event.first_frame * HOP
        begins = event.start_sample + np.arange(len(event.logits)) * HOP
        np.testing.assert_array_equal(event.logits[:, 0], begins)
        np.testing.assert_array_equal(event.logits[:, 1], begins + FIELD - 1)


async def settle() -> None:
    """Lets every task run until it waits."""
    for _ in range(200):
        await asyncio.sleep(0)


class Listener:
    """Takes a session's events in the background, as they come."""

    def __init__(self, session: Session, requests: AsyncIterator[Request]) -> None:
        self.events: list[Event] = []
        self.task = asyncio.create_task(self._listen(session, requests))

    async def _listen(self, session: Session, requests: AsyncIterator[Request]) -> None:
        async with aclosing(session.events(requests)) as events:
            async for event in events:
                self.events.append(event)


# The stream as a whole.


@st.composite
def streams(draw: st.DrawFn) -> list[tuple[int, list[int]]]:
    """Utterances: their lengths in samples, and where their *bytes* are cut."""
    lengths = draw(st.lists(st.integers(0, 40 * HOP), min_size=1, max_size=3))
    return [
        (length, sorted(draw(st.lists(st.integers(0, 4 * length), max_size=8))))
        for length in lengths
    ]


@settings(deadline=None, max_examples=60)
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
            assert final.recognition is None
        else:
            expected = asyncio.run(recognize(final.samples))
            assert final.recognition is not None
            np.testing.assert_array_equal(final.recognition.logits, expected)
        start += length


async def recognize(samples: np.ndarray) -> np.ndarray:
    return (await FakeModel().recognize(samples)).logits


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
    assert only(Final, events)[0].recognition.frame_embeddings is not None


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


# Back-pressure.


async def test_reading_goes_on_while_the_model_runs_but_not_without_end() -> None:
    model, caller = FakeModel(), Caller()
    model.gate.clear()
    listener = Listener(
        make_session(model, limits=replace(LIMITS, read_ahead=1.0)), caller.requests()
    )
    for _ in range(100):
        caller.speak(1600)
    caller.close()
    await settle()
    assert model.running == 1
    # The first window's audio, a second ahead, and what is in hand.
    assert 10 <= caller.taken <= 16
    model.gate.set()
    await listener.task
    assert_frames_tile(listener.events, 0, 0, 160_000)


async def test_a_caller_who_does_not_read_stops_the_stream() -> None:
    model, caller = FakeModel(), Caller()
    for _ in range(100):
        caller.speak(1600)
    async with aclosing(
        make_session(model, limits=replace(LIMITS, read_ahead=1.0)).events(caller.requests())
    ) as events:
        await anext(events)
        await anext(events)
        await settle()
        assert len(model.windows) == 1
        assert caller.taken <= 16


async def test_one_huge_message_is_decoded_piece_by_piece() -> None:
    model, caller = FakeModel(), Caller()
    model.gate.clear()
    session = make_session(model, limits=replace(LIMITS, read_ahead=1.0))
    listener = Listener(session, caller.requests())
    caller.speak(1_600_000)
    await settle()
    held = session._utterance.length + session._inbox._samples
    assert held < 32_000
    listener.task.cancel()
    await asyncio.wait({listener.task})


async def test_the_utterance_buffer_is_all_that_grows() -> None:
    session = make_session(FakeModel(), limits=replace(LIMITS, utterance=2.0))
    async for event in session.events(requests_of(ramp(0, 1600) for _ in range(2000))):
        if isinstance(event, Final):
            assert len(event.samples) <= 32_000
    assert session._utterance.index == 100


# Overload.


async def test_degrades_and_recovers() -> None:
    model, caller = FakeModel(), Caller()
    # The clock ticks twice a window: its difference is the window's turnaround.
    tick, now = 1.0, 0.0

    def clock() -> float:
        nonlocal now
        now += tick
        return now

    session = Session(model, FloatDecoder, OPTIONS, replace(LIMITS, overload=1e9), clock=clock)
    listener = Listener(session, caller.requests())
    caller.speak(32_000)
    await settle()
    changes = only(HopChanged, listener.events)
    assert [(change.hop, change.degraded) for change in changes] == [(10, True), (12, True)]
    tick = 0.001
    caller.speak(16 * 16_000)
    caller.close()
    await listener.task
    changes = only(HopChanged, listener.events)[2:]
    assert [(change.hop, change.degraded) for change in changes] == [(6, True), (5, False)]
    assert_frames_tile(listener.events, 0, 0, 18 * 16_000)


async def test_a_full_queue_is_waited_for() -> None:
    model = FakeModel()
    model.errors = [OverloadedError("full", retry_after=0.001)] * 3
    events = await listen(make_session(model), [ramp(0, 16_000)])
    assert_frames_tile(events, 0, 0, 16_000)


async def test_a_queue_that_stays_full_ends_the_stream() -> None:
    model = FakeModel()
    model.errors = [OverloadedError("full", retry_after=60.0)]
    with pytest.raises(OverloadedError):
        await listen(make_session(model), [ramp(0, 16_000)])


# Ends.


async def test_an_idle_stream_gets_its_final_result_and_an_error() -> None:
    caller = Caller()
    listener = Listener(
        make_session(FakeModel(), limits=replace(LIMITS, idle=0.02)), caller.requests()
    )
    caller.speak(8000)
    with pytest.raises(DeadlineExceededError, match=r"nothing came for 0\.02 s"):
        await listener.task
    (final,) = only(Final, listener.events)
    assert (final.closing, final.end_sample) == (Closing.IDLE, 8000)


async def test_a_busy_server_makes_no_stream_idle() -> None:
    model, caller = FakeModel(), Caller()
    model.gate.clear()
    limits = replace(LIMITS, idle=0.02, read_ahead=0.1)
    listener = Listener(make_session(model, limits=limits), caller.requests())
    for _ in range(20):
        caller.speak(1600)
    caller.close()
    asyncio.get_running_loop().call_later(0.1, model.gate.set)
    await listener.task
    assert_frames_tile(listener.events, 0, 0, 32_000)


async def test_an_old_stream_gets_its_final_result_and_an_error() -> None:
    caller = Caller()
    listener = Listener(
        make_session(FakeModel(), limits=replace(LIMITS, life=0.02)), caller.requests()
    )
    caller.speak(8000)
    with pytest.raises(TooLargeError, match="open a new one"):
        await listener.task
    assert only(Final, listener.events)[0].closing is Closing.EXPIRED


async def test_audio_that_ends_within_a_sample_is_the_callers_mistake() -> None:
    with pytest.raises(InvalidRequestError):
        await listen(make_session(FakeModel()), [ramp(0, 8000), b"\0"])


async def test_audio_that_ends_within_a_sample_does_not_hide_why_the_server_ended_it() -> None:
    caller = Caller()
    listener = Listener(
        make_session(FakeModel(), limits=replace(LIMITS, life=0.02)), caller.requests()
    )
    caller.send(ramp(0, 8000) + b"\0")
    with pytest.raises(TooLargeError):
        await listener.task


async def test_an_error_of_the_requests_reaches_the_caller_after_what_came_before() -> None:
    caller = Caller()
    listener = Listener(make_session(FakeModel()), caller.requests())
    caller.speak(16_000)
    caller.send(InvalidRequestError("config", "config comes once"))
    with pytest.raises(InvalidRequestError, match="config comes once"):
        await listener.task
    assert only(Frames, listener.events)


async def test_a_failing_model_ends_the_stream() -> None:
    model = FakeModel()
    model.errors = [InferenceError("the model failed")]
    with pytest.raises(InferenceError):
        await listen(make_session(model), [ramp(0, 16_000)])


@pytest.mark.parametrize("samples", [0, 1600, 16_000])
async def test_a_caller_who_leaves_stops_everything(samples: int) -> None:
    model, caller = FakeModel(), Caller()
    model.gate.clear()
    listener = Listener(make_session(model), caller.requests())
    caller.speak(samples)
    caller.close()
    await settle()
    listener.task.cancel()
    await asyncio.wait({listener.task})
    assert model.running == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_one_stream_that_dies_leaves_another_unharmed() -> None:
    model, dying, living = FakeModel(), Caller(), Caller()
    one = Listener(make_session(model), dying.requests())
    other = Listener(make_session(model), living.requests())
    for step in range(20):
        living.speak(1600)
        dying.speak(1600)
        await settle()
        if step == 10:
            one.task.cancel()
    living.close()
    await other.task
    assert_frames_tile(other.events, 0, 0, 32_000)


# Draining.


async def test_draining_lets_the_utterance_finish() -> None:
    caller = Caller()
    session = make_session(FakeModel())
    listener = Listener(session, caller.requests())
    caller.speak(8000)
    await settle()
    session.drain(grace=60.0)
    caller.speak(8000)
    await settle()
    assert not listener.task.done()
    caller.end_utterance()
    with pytest.raises(UnavailableError) as caught:
        await listener.task
    assert caught.value.retry_after is not None
    (final,) = only(Final, listener.events)
    assert (final.end_sample, final.closing) == (16_000, Closing.END_UTTERANCE)


async def test_draining_between_utterances_ends_at_once() -> None:
    caller = Caller()
    session = make_session(FakeModel())
    listener = Listener(session, caller.requests())
    caller.speak(8000)
    caller.end_utterance()
    await settle()
    session.drain(grace=60.0)
    with pytest.raises(UnavailableError):
        await listener.task


async def test_draining_closes_an_utterance_that_goes_on_too_long() -> None:
    caller = Caller()
    session = make_session(FakeModel())
    listener = Listener(session, caller.requests())
    caller.speak(8000)
    await settle()
    session.drain(grace=0.01)
    with pytest.raises(UnavailableError):
        await listener.task
    assert only(Final, listener.events)[0].closing is Closing.DRAINED


async def test_draining_a_stream_whose_caller_has_sent_all_ends_it_well() -> None:
    model, caller = FakeModel(), Caller()
    model.gate.clear()
    session = make_session(model)
    listener = Listener(session, caller.requests())
    caller.speak(16_000)
    caller.close()
    await settle()
    session.drain(grace=0.0)
    model.gate.set()
    await listener.task
    assert only(Final, listener.events)[0].end_sample == 16_000


@pytest.mark.parametrize(
    "error", [DeadlineExceededError, TooLargeError, UnavailableError], ids=lambda e: e.__name__
)
def test_ends_have_a_status(error: type[RequestError]) -> None:
    assert error.status != "INTERNAL"
