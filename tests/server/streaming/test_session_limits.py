from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace

import numpy as np
import pytest
from emotion2vec_runtime.arrays import Float32
from emotion2vec_runtime.audio.voice import EnergyGate
from emotion2vec_runtime.errors import InferenceError, InvalidRequestError
from emotion2vec_server.errors import OverloadedError, UnavailableError
from emotion2vec_server.streaming.decoding import RawDecoding
from emotion2vec_server.streaming.ends import ends_of
from emotion2vec_server.streaming.events import (
    Closing,
    Final,
    Frames,
    HopChanged,
)
from emotion2vec_server.streaming.session import Session
from emotion2vec_server.streaming.utterance import StreamOptions

from tests.server.streaming.live import (
    LIMITS,
    OPTIONS,
    Caller,
    FakeModel,
    FloatDecoder,
    Listener,
    assert_frames_tile,
    listen,
    make_session,
    only,
    ramp,
    requests_of,
    settle,
)

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


async def test_a_huge_message_does_not_hold_up_others() -> None:
    session = make_session(FakeModel(), limits=replace(LIMITS, read_ahead=1000.0))
    listener = Listener(session, requests_of([ramp(0, 1_600_000)]))
    for _ in range(20):
        await asyncio.sleep(0)
    # So much for 20 turns of the loop; the whole message has 781 slices.
    assert 0 < session._utterance.length + session._inbox._samples < 30 * 2048
    listener.task.cancel()
    await asyncio.wait({listener.task})


class Counting(EnergyGate):
    """A detector that takes long: notes how often others had their turn before each piece."""

    turns = 0

    def __init__(self) -> None:
        super().__init__()
        self.at: list[int] = []

    def push(self, samples: Float32) -> Sequence[float]:
        self.at.append(Counting.turns)
        return super().push(samples)


async def test_hearing_what_was_read_ahead_holds_up_nobody() -> None:
    async def others() -> None:
        while True:
            Counting.turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(others())
    detector = Counting()
    session = Session(
        FakeModel(), RawDecoding(FloatDecoder), with_ends(), LIMITS, detector=detector
    )
    # All of it is in the inbox before the session hears any.
    for _ in range(20):
        await session._inbox.put(np.zeros(2048, np.float32))
    await listen(session, [])
    other.cancel()
    # The end of what waits for speech is heard again at once.
    assert all(
        later > earlier for earlier, later in zip(detector.at, detector.at[2:], strict=False)
    )


async def test_the_utterance_buffer_is_all_that_grows() -> None:
    session = make_session(FakeModel(), limits=replace(LIMITS, utterance=2.0))
    async for event in session.events(requests_of(ramp(0, 1600) for _ in range(2000))):
        if isinstance(event, Final):
            assert len(event.samples) <= 32_000
    assert session._utterance.index == 100


# Overload.


async def test_degrades_and_recovers() -> None:
    model, caller = FakeModel(), Caller()
    # The clock ticks at each look, so a window takes some ticks.
    tick, now = 1.0, 0.0

    def clock() -> float:
        nonlocal now
        now += tick
        return now

    session = Session(
        model, RawDecoding(FloatDecoder), OPTIONS, replace(LIMITS, overload=1e9), clock=clock
    )
    listener = Listener(session, caller.requests())
    caller.speak(32_000)
    await settle()
    changes = only(HopChanged, listener.events)
    assert [(change.hop, change.degraded) for change in changes] == [(10, True), (12, True)]
    tick = 0.001
    slow = len(model.windows)
    caller.speak(16 * 16_000)
    caller.close()
    await listener.task
    changes = only(HopChanged, listener.events)[2:]
    assert [(change.hop, change.degraded) for change in changes] == [(6, True), (5, False)]
    # Each final message covers one hop: the one asked for, the stretched ones, and back again.
    sizes = [len(event.logits) for event in only(Frames, listener.events)]
    assert {5, 10, 12} <= set(sizes[:slow])
    assert {12, 6, 5} <= set(sizes[slow:])
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
    with pytest.raises(UnavailableError, match=r"nothing came for 0\.02 s"):
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
    with pytest.raises(UnavailableError, match="open a new one"):
        await listener.task
    await settle()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert only(Final, listener.events)[0].closing is Closing.EXPIRED


@pytest.mark.parametrize("messages", [[ramp(0, 1600)] * 1000, [ramp(0, 1_600_000)]])
async def test_an_old_stream_ends_however_much_has_come(messages: list[bytes]) -> None:
    model = FakeModel()
    model.gate.clear()
    limits = replace(LIMITS, life=0.02, read_ahead=0.1)
    listener = Listener(make_session(model, limits=limits), requests_of(messages))
    asyncio.get_running_loop().call_later(0.1, model.gate.set)
    with pytest.raises(UnavailableError, match="open a new one"):
        await listener.task
    (final,) = only(Final, listener.events)
    assert final.closing is Closing.EXPIRED
    assert final.end_sample < 32_000


async def test_audio_that_ends_within_a_sample_is_the_callers_mistake() -> None:
    with pytest.raises(InvalidRequestError):
        await listen(make_session(FakeModel()), [ramp(0, 8000), b"\0"])


async def test_audio_that_ends_within_a_sample_does_not_hide_why_the_server_ended_it() -> None:
    caller = Caller()
    listener = Listener(
        make_session(FakeModel(), limits=replace(LIMITS, life=0.02)), caller.requests()
    )
    caller.send(ramp(0, 8000) + b"\0")
    with pytest.raises(UnavailableError):
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


def with_ends() -> StreamOptions:
    ends = ends_of(16_000, LIMITS.utterance, 0.5, None)
    return replace(OPTIONS, voice_activity=True, ends=ends)


async def test_draining_waits_for_nobody_who_does_not_speak() -> None:
    caller = Caller()
    session = make_session(FakeModel(), with_ends())
    listener = Listener(session, caller.requests())
    caller.send(np.zeros(8000, np.float32).tobytes())
    await settle()
    session.drain(grace=60.0)
    with pytest.raises(UnavailableError):
        await asyncio.wait_for(listener.task, 30)


async def test_draining_ends_a_stream_with_the_silence_that_ends_its_utterance() -> None:
    caller, random = Caller(), np.random.default_rng(0)
    session = make_session(FakeModel(), with_ends())
    listener = Listener(session, caller.requests())
    caller.send((0.1 * random.standard_normal(16_000)).astype(np.float32).tobytes())
    await settle()
    session.drain(grace=60.0)
    await settle()
    assert not listener.task.done()
    caller.send(np.zeros(16_000, np.float32).tobytes())
    with pytest.raises(UnavailableError):
        await asyncio.wait_for(listener.task, 30)
    (final,) = only(Final, listener.events)
    assert final.closing is Closing.SILENCE


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
