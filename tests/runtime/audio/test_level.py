"""How loud audio is."""

from __future__ import annotations

import numpy as np
import pytest
from emotion2vec_runtime.audio import AudioSpec, Encoding, Level, decode


def sine(amplitude: float) -> np.ndarray:
    t = np.arange(16000) / 16000
    return (amplitude * np.sin(2 * np.pi * 200 * t)).astype(np.float32)


def test_a_sine_has_its_textbook_level() -> None:
    level = Level(sine(0.5))
    assert level.rms == pytest.approx(0.5 / np.sqrt(2), rel=1e-4)
    assert level.peak == pytest.approx(0.5, rel=1e-3)
    assert Level(-sine(0.5)[:60]).peak == pytest.approx(0.5, rel=1e-2)


@pytest.mark.parametrize(
    "samples",
    [np.zeros(0, np.float32), np.zeros(16000, np.float32), np.full(16000, 0.5, np.float32)],
)
def test_nothing_zeros_and_an_offset_are_silent(samples: np.ndarray) -> None:
    assert Level(samples).is_silent


def test_the_silence_of_a_law_is_silent_and_quiet_speech_is_not() -> None:
    spec = AudioSpec(Encoding.ALAW, 8000)
    assert decode(b"\xd5\x55" * 4000, spec, 10).level.is_silent
    assert not Level(sine(0.003)).is_silent


def test_clipping_is_told_from_a_full_scale_peak() -> None:
    peaks = sine(0.9)
    peaks[::1600] = 1.0
    assert not Level(peaks).is_clipped
    assert Level(np.clip(sine(1.5), -1, 1)).is_clipped


@pytest.mark.parametrize("rate", [8000, 44100])
def test_clipping_survives_resampling(rate: int) -> None:
    t = np.arange(rate) / rate
    values = np.clip(2 * np.sin(2 * np.pi * 200 * t), -1, 1).astype("<f4")
    spec = AudioSpec(Encoding.FLOAT32, rate)
    assert decode(values.tobytes(), spec, 10).level.is_clipped
