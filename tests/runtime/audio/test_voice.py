from __future__ import annotations

import numpy as np
import pytest
from emotion2vec_runtime.audio.voice import (
    FRAME,
    HANGOVER,
    MEMORY,
    MOSTLY,
    ONSET,
    QUIETEST,
    Change,
    NoiseFloor,
    VoiceActivity,
    levels,
    mostly_silent,
)
from hypothesis import given, settings
from hypothesis import strategies as st

RATE = 16_000
RNG = np.random.default_rng(7)


def noise(seconds: float, dbfs: float) -> np.ndarray:
    amplitude = 10 ** (dbfs / 20)
    return (amplitude * RNG.standard_normal(round(seconds * RATE))).astype(np.float32)


def speech(seconds: float, dbfs: float = -20.0) -> np.ndarray:
    """A voiced sound with the rhythm of syllables: 4 a second, each 30 dB deep."""
    time = np.arange(round(seconds * RATE)) / RATE
    voice = sum(np.sin(2 * np.pi * 140 * k * time) / k for k in range(1, 12))
    syllables = 10 ** (-30 * np.sin(np.pi * 4 * time) ** 2 / 20)
    sound = voice * syllables
    return (sound * 10 ** (dbfs / 20) / sound.std()).astype(np.float32)


def run(samples: np.ndarray, gate: VoiceActivity | None = None) -> list[Change]:
    gate = gate or VoiceActivity()
    return gate.push(samples)


@pytest.mark.parametrize("background", [-90.0, -60.0, -45.0])
def test_finds_where_speech_begins_and_ends(background: float) -> None:
    samples = np.concatenate([np.zeros(6 * RATE), speech(2.0), np.zeros(2 * RATE)])
    changes = run((samples + noise(10.0, background)).astype(np.float32))
    if background > QUIETEST:
        # Until its level is learned, noise passes for sound.
        assert [change.begins for change in changes[:-2]] == [True, False]
    assert [change.begins for change in changes[-2:]] == [True, False]
    begins, ends = (change.sample / RATE for change in changes[-2:])
    assert begins == pytest.approx(6.0, abs=0.1)
    assert ends == pytest.approx(8.0, abs=0.15)


def test_pauses_between_words_do_not_end_it() -> None:
    words = np.concatenate([speech(0.4), np.zeros(round(0.3 * RATE), dtype=np.float32)] * 6)
    assert run(words) == [Change(begins=True, sample=0)]


@pytest.mark.parametrize("level", [-100.0, -70.0, -62.0])
def test_silence_is_no_speech(level: float) -> None:
    assert run(noise(20.0, level)) == []


def test_an_offset_is_silence() -> None:
    assert run(np.full(5 * RATE, 0.5, dtype=np.float32)) == []


def test_a_click_is_no_speech() -> None:
    samples = np.zeros(5 * RATE, dtype=np.float32)
    samples[20_000:20_400] = 0.9
    assert run(samples) == []


def test_steady_noise_is_learned() -> None:
    gate = VoiceActivity()
    changes = run(noise(6.0, -40.0), gate)
    assert [change.begins for change in changes] == [True, False]
    assert run(noise(30.0, -40.0), gate) == []


def test_lost_packets_do_not_hide_the_noise_floor() -> None:
    samples = noise(30.0, -45.0)
    for begin in range(6 * RATE, 30 * RATE, RATE):
        samples[begin : begin + 640] = 0.0
    gate = VoiceActivity()
    run(samples[: 6 * RATE], gate)
    assert run(samples[6 * RATE :], gate) == []


def test_the_floor_outlives_an_utterance() -> None:
    gate = VoiceActivity()
    run(noise(8.0, -40.0), gate)
    gate.begin()
    assert run(noise(5.0, -40.0), gate) == []
    assert not gate.heard_speech


def test_speech_ends_with_its_utterance() -> None:
    gate = VoiceActivity()
    assert run(speech(1.0), gate) == [Change(begins=True, sample=0)]
    assert gate.end(16_000) == [Change(begins=False, sample=16_000)]
    assert gate.heard_speech
    gate.begin()
    assert gate.end(0) == []


def test_frames_in_speech() -> None:
    gate = VoiceActivity()
    run(np.concatenate([np.zeros(RATE, np.float32), speech(1.0), np.zeros(RATE, np.float32)]), gate)
    marked = np.flatnonzero(gate.in_speech(0, 150))
    assert abs(marked[0] - 50) <= 1
    assert abs(marked[-1] - 100) <= 8
    assert len(marked) == marked[-1] - marked[0] + 1
    assert len(gate.in_speech(148, 153)) == 5


def test_frames_of_a_pause_too_short_to_end_speech_count_as_speech() -> None:
    gate = VoiceActivity()
    run(np.concatenate([speech(0.5), np.zeros(FRAME * (HANGOVER - 5), np.float32)]), gate)
    assert gate.in_speech(0, 40).all()


@settings(max_examples=30)
@given(st.lists(st.integers(0, 5 * RATE), max_size=40))
def test_chunking_changes_nothing(cuts: list[int]) -> None:
    samples = np.concatenate([noise(1.0, -50), speech(2.0), noise(2.0, -50)])
    gate = VoiceActivity()
    chunked = [c for piece in np.split(samples, sorted(cuts)) for c in gate.push(piece)]
    whole = VoiceActivity()
    assert chunked == whole.push(samples)
    np.testing.assert_array_equal(gate.in_speech(0, 250), whole.in_speech(0, 250))


@settings(max_examples=30)
@given(st.lists(st.tuples(st.floats(0.02, 1.5), st.sampled_from([-90, -50, -30, -10])), max_size=8))
def test_changes_alternate_and_run_forward(pieces: list[tuple[float, int]]) -> None:
    samples = np.concatenate([np.zeros(0, np.float32), *(noise(*piece) for piece in pieces)])
    gate = VoiceActivity()
    changes = gate.push(samples) + gate.end(len(samples))
    assert [change.begins for change in changes] == [i % 2 == 0 for i in range(len(changes))]
    places = [change.sample for change in changes]
    assert places == sorted(places)
    assert all(0 <= place <= len(samples) for place in places)


def test_noise_floor_is_a_low_percentile_of_the_recent_past() -> None:
    floor = NoiseFloor()
    assert floor.follow(-20.0) == QUIETEST
    heard = [floor.follow(-20.0) for _ in range(MEMORY)]
    assert heard[-1] == -20.0
    assert heard[MEMORY // 2] == QUIETEST


def test_levels_in_dbfs() -> None:
    tone = np.sin(np.arange(FRAME) * 2 * np.pi / 32).astype(np.float32)
    measured = levels(np.concatenate([tone, 0 * tone, 0.1 * tone]))
    np.testing.assert_allclose(measured, [-3.01, -100.0, -23.01], atol=0.02)
    assert ONSET < HANGOVER


@settings(max_examples=200, deadline=None)
@given(
    parts=st.lists(
        st.tuples(st.integers(1, 120), st.sampled_from([-100, -70, -62, -55, -48, -40, -30, -20])),
        min_size=1,
        max_size=12,
    ),
    jitter=st.floats(0, 8),
    seed=st.integers(0, 1000),
)
def test_whether_most_is_silent_is_what_the_gate_says(
    parts: list[tuple[int, int]], jitter: float, seed: int
) -> None:
    """Though seldom all of it is asked."""
    random = np.random.default_rng(seed)
    levels_ = np.concatenate([np.full(count, level) for count, level in parts])
    levels_ = levels_ + jitter * random.standard_normal(len(levels_))
    amplitudes = 10 ** (levels_ / 20)
    samples = np.repeat(amplitudes, FRAME) * np.tile([1, -1], len(levels_) * FRAME // 2)
    samples = np.clip(samples, -1, 1).astype(np.float32)
    gate = VoiceActivity()
    gate.push(samples)
    assert mostly_silent(samples) == (gate.silent_share if gate.silent_share > MOSTLY else None)
    assert mostly_silent(samples[:FRAME]) in (None, 1.0)
