"""The soak notices what is lost, comes twice, or grows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from emotion2vec.v1 import service_pb2
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import machine
from benchmarks.delays import FRAME_FIELD, FRAME_HOP, StreamError
from benchmarks.soak.crowd import Outcome
from benchmarks.soak.report import write
from benchmarks.soak.result import Look, Plan, Soak
from benchmarks.soak.tiling import Tiling
from benchmarks.speech import SAMPLE_RATE

Reply = service_pb2.StreamRecognizeResponse


def conversation(lengths: list[int], size: int) -> list[Reply]:
    """What a server says to utterances of so many samples, in messages of `size` frames."""
    replies = [Reply()]
    start = 0
    for utterance, length in enumerate(lengths):
        frames = max(0, (length - FRAME_FIELD) // FRAME_HOP + 1)
        for first in range(0, frames, size):
            reply = Reply(utterance_index=utterance)
            reply.frames.first_frame_index = first
            reply.frames.frame_count = min(size, frames - first)
            reply.frames.is_final = True
            replies.append(reply)
        reply = Reply(utterance_index=utterance)
        reply.final.start_offset.FromNanoseconds(start * 10**9 // SAMPLE_RATE)
        start += length
        reply.final.end_offset.FromNanoseconds(start * 10**9 // SAMPLE_RATE)
        replies.append(reply)
    return numbered(replies)


def numbered(replies: list[Reply]) -> list[Reply]:
    for sequence, reply in enumerate(replies):
        reply.sequence = sequence
    return replies


def told(replies: list[Reply], sent: int | None = None) -> Tiling:
    tiling = Tiling()
    for reply in replies:
        tiling.told(reply)
    tiling.ended(sent)
    return tiling


@given(lengths=st.lists(st.integers(1, 50_000), max_size=5), size=st.integers(1, 40))
def test_all_that_was_sent_and_told_once_is_no_fault(lengths: list[int], size: int) -> None:
    tiling = told(conversation(lengths, size), sent=sum(lengths))
    assert tiling.utterances == len(lengths)
    assert tiling.heard == sum(lengths)
    assert tiling.frames == sum(max(0, (length - 400) // 320 + 1) for length in lengths)


@pytest.mark.parametrize("spoilt", range(1, 8))
@pytest.mark.parametrize("spoil", [lambda told: [], lambda told: [told, told]])
def test_what_is_lost_or_comes_twice_is_a_fault(
    spoilt: int, spoil: Callable[[Reply], list[Reply]]
) -> None:
    """Of two utterances in three messages of frames and a final result each."""
    whole = conversation([16_000, 16_000], size=20)
    replies = [Reply.FromString(reply.SerializeToString()) for reply in whole]
    replies[spoilt : spoilt + 1] = [
        Reply.FromString(reply.SerializeToString()) for reply in spoil(replies[spoilt])
    ]
    with pytest.raises(StreamError):
        told(numbered(replies), sent=32_000)


def test_messages_are_numbered() -> None:
    replies = conversation([16_000], size=20)
    with pytest.raises(StreamError, match="message: 2 came where 1 was due"):
        told([replies[0], *replies[2:]])


def test_audio_that_was_not_heard_is_a_fault() -> None:
    with pytest.raises(StreamError, match="last sample: 16000 came where 17600 was due"):
        told(conversation([16_000], size=20), sent=17_600)


PLAN = Plan(streams=10, seconds=1200.0)


def soak(resident: Callable[[float], float], active: int = 10, drained: int = 5) -> Soak:
    looks = [Look(second, round(resident(second)), 9, active) for second in range(0, 1200, 10)]
    return Soak(PLAN, machine.describe(), looks=looks, outcome=Outcome(drained=drained))


@pytest.mark.parametrize(
    ("result", "faults"),
    [
        (soak(lambda second: 3e8), []),
        # A server fills its pools in the beginning.
        (soak(lambda second: 3e8 + 1e8 * min(second / 300, 1)), []),
        (soak(lambda second: 3e8 + 1e5 * second), ["memory grew by 17.4%"]),
        (soak(lambda second: 3e8, active=11), ["11 streams were open at once"]),
        (soak(lambda second: 3e8, drained=4), ["4 streams got their final result"]),
    ],
)
def test_the_verdict(result: Soak, faults: list[str]) -> None:
    found = result.faults()
    assert len(found) == len(faults)
    assert all(text in fault for text, fault in zip(faults, found, strict=True))


def test_the_report_shows_memory_and_faults(tmp_path: Path) -> None:
    text = write(soak(lambda second: 100 * 2**20, active=11), tmp_path).read_text()
    assert "| 75 % | 890 | 100 | 9 | 11 |" in text
    assert "- 11 streams were open at once, where 10 lived" in text
    assert "No fault." in write(soak(lambda second: 3e8), tmp_path).read_text()
