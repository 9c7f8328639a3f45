"""A stream whose calls break off: its caller gets what an undisturbed one would have brought.

The server's own session is at the other end. Each sample is its own number in the stream, and so
are the scores of a frame, so that what comes twice, or not at all, is seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from emotion2vec.v1.service_pb2 import EndUtterance, StreamRecognizeRequest
from emotion2vec_client import (
    Frames,
    Recognition,
    StreamEvent,
    StreamFinal,
    StreamFrames,
    StreamStarted,
    StreamWarning,
    UtteranceEnd,
)
from emotion2vec_client.audio import RawFormat
from emotion2vec_client.reconnect.resumption import Resumption
from emotion2vec_client.results import Metadata
from emotion2vec_server.streaming import events, reader
from emotion2vec_server.streaming.session import Session
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.server.streaming.live import (
    HOP,
    LIMITS,
    OPTIONS,
    Caller,
    FakeModel,
    Listener,
    frame_count,
    make_session,
    ramp,
    settle,
)

RATE = 16_000
AUDIO = RawFormat("float32", RATE, 1)
LONGEST = 0.5  # seconds of an utterance
METADATA = Metadata("m", "v", "fp32", "cpu", 1.0, 0.0, 0.0, 0.0, 1)
ENDED_BY = {
    events.Closing.END_UTTERANCE: UtteranceEnd.CALLER,
    events.Closing.HALF_CLOSE: UtteranceEnd.AUDIO,
    events.Closing.TOO_LONG: UtteranceEnd.LONGEST,
}


def session(interim: bool) -> Session:
    options = replace(OPTIONS, interim_results=interim)
    return make_session(FakeModel(), options, replace(LIMITS, utterance=LONGEST))


async def answers(
    messages: list[StreamRecognizeRequest], *, interim: bool, is_whole: bool
) -> list[StreamEvent]:
    """What a call brings that sends so much; it ends well if that is the whole."""
    caller = Caller()
    for message in messages:
        is_mark = message.WhichOneof("request") == "end_utterance"
        caller.send(reader.EndUtterance() if is_mark else message.audio)
    listener = Listener(session(interim), caller.requests())
    if is_whole:
        caller.close()
        await listener.task
    else:
        await settle()
        listener.task.cancel()
        await asyncio.gather(listener.task, return_exceptions=True)
    return [found for event in listener.events for found in as_client_has_it(event)]


def as_client_has_it(event: events.Event) -> Iterator[StreamEvent]:
    match event:
        case events.Started():
            yield StreamStarted(0, 0, "", "m", "v", 3.0, 0.5, 0.4, 0.02, "windowed")
        case events.Frames():
            start = event.start_sample / RATE
            frames = Frames(
                ("a", "b"), event.logits, event.first_frame, start, 0.02, event.is_final
            )
            yield StreamFrames(0, event.utterance, frames)
        case events.Final():
            # The samples stand for what the model says of them.
            heard = Recognition("", None, None, event.samples, None, (), None, (), METADATA)
            span = event.start_sample / RATE, event.end_sample / RATE
            yield StreamFinal(0, event.utterance, *span, heard, ENDED_BY[event.closing])


def messages_of(pieces: list[int | None]) -> list[StreamRecognizeRequest]:
    """Audio of so many samples each; None for an end of the utterance."""
    begin, messages = 0, []
    for samples in pieces:
        if samples is None:
            messages.append(StreamRecognizeRequest(end_utterance=EndUtterance()))
        else:
            messages.append(StreamRecognizeRequest(audio=ramp(begin, begin + samples)))
            begin += samples
    return messages


def heard(
    messages: list[StreamRecognizeRequest], breaks: list[tuple[int, int]], interim: bool
) -> list[StreamEvent]:
    """What the stream's caller gets, if its calls break off after so many messages and events."""
    stream = Resumption(AUDIO, awaits_speech=False)
    found: list[StreamEvent] = []
    for sent, received in [*breaks, (len(messages), -1)]:
        begin = stream.resume()
        for message in messages[stream.end : begin + sent]:
            stream.add(message)
        is_whole = received < 0
        call = [stream.message(number) for number in range(begin, stream.end)]
        brought = asyncio.run(answers(call, interim=interim, is_whole=is_whole))
        for event in brought if is_whole else brought[:received]:
            found += stream.take(event)
    return found


def only(kind: type[Any], found: list[StreamEvent]) -> list[Any]:
    return [event for event in found if isinstance(event, kind)]


PIECES = st.lists(st.one_of(st.integers(1, 6_000), st.none()), min_size=1, max_size=12)
BREAKS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=4)


@settings(max_examples=150, deadline=None)
@given(PIECES, BREAKS, st.booleans())
def test_the_caller_gets_what_one_call_would_have_brought(
    pieces: list[int | None], breaks: list[tuple[int, int]], interim: bool
) -> None:
    messages = messages_of(pieces)
    whole, found = heard(messages, [], interim), heard(messages, breaks, interim)
    assert [event.sequence for event in found] == list(range(len(found)))
    assert len(only(StreamStarted, found)) == 1
    assert not only(StreamWarning, found)
    finals = only(StreamFinal, found)
    for ours, theirs in zip(finals, only(StreamFinal, whole), strict=True):
        assert (ours.utterance, ours.ended_by) == (theirs.utterance, theirs.ended_by)
        assert (ours.start, ours.end) == pytest.approx((theirs.start, theirs.end))
        np.testing.assert_array_equal(ours.recognition.embedding, theirs.recognition.embedding)
    for final in finals:
        parts = [
            event.frames
            for event in only(StreamFrames, found)
            if event.frames.is_final and event.utterance == final.utterance
        ]
        first = round(final.start * RATE)
        count = frame_count(round(final.end * RATE) - first)
        expected = first + HOP * np.arange(count)
        scores = [part.probabilities[:, 0] for part in parts]
        np.testing.assert_array_equal(np.concatenate([*scores, []]), expected)
        indices = [part.first_index + np.arange(len(part.probabilities)) for part in parts]
        np.testing.assert_array_equal(np.concatenate([*indices, []]), np.arange(count))
        for part in parts:
            assert part.start == pytest.approx(part.probabilities[0, 0] / RATE)


def test_what_is_lost_is_said() -> None:
    stream = Resumption(AUDIO, awaits_speech=False, kept_seconds=1.0)
    assert stream.resume() == 0
    for message in messages_of([8_000] * 5):
        stream.add(message)
    assert stream.resume() == 3
    started = StreamStarted(0, 0, "", "m", "v", 3.0, 0.5, 0.4, 0.02, "windowed")
    warning, event = stream.take(started)
    assert isinstance(warning, StreamWarning)
    assert warning.warning.loss is not None
    assert warning.warning.loss.lost == pytest.approx(1.5)
    assert isinstance(event, StreamStarted)
    # What follows counts on from there.
    frames = Frames(("a", "b"), np.zeros((5, 2), np.float32), 0, 0.0, 0.02)
    (event,) = stream.take(StreamFrames(0, 0, frames))
    assert isinstance(event, StreamFrames)
    assert event.frames.start == pytest.approx(1.5)


def test_silence_that_belongs_to_no_utterance_is_no_loss() -> None:
    stream = Resumption(AUDIO, awaits_speech=True, kept_seconds=1.0)
    stream.resume()
    for message in messages_of([8_000] * 5):
        stream.add(message)
    stream.resume()
    started = StreamStarted(0, 0, "", "m", "v", 3.0, 0.5, 0.4, 0.02, "windowed")
    (event,) = stream.take(started)
    assert isinstance(event, StreamStarted)
