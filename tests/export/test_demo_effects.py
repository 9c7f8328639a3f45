"""The effects keep their promises on signals whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from emotion2vec_export.demo import effects
from emotion2vec_export.demo.effects import SAMPLE_RATE, Samples
from emotion2vec_export.demo.nonspeech import nonspeech
from hypothesis import given, settings
from hypothesis import strategies as st


def tone(hertz: float, seconds: float = 1.0, rate: int = SAMPLE_RATE) -> Samples:
    time = np.arange(int(seconds * rate)) / rate
    return np.sin(2 * np.pi * hertz * time).astype(np.float32)


def pitch_of(samples: Samples) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(samples.size)))
    return float(spectrum.argmax() * SAMPLE_RATE / samples.size)


@pytest.mark.parametrize("hertz", [100, 1000, 5000])
def test_interpolation_resamples_a_tone(hertz: float) -> None:
    step = 22050 / SAMPLE_RATE
    positions = np.arange(0, 22049, step)
    resampled = effects.sinc_interpolate(tone(hertz, rate=22050), positions, cutoff=1 / step)
    expected = np.sin(2 * np.pi * hertz * positions / 22050)
    assert np.abs(resampled - expected)[200:-200].max() < 5e-3


def test_interpolation_leaves_no_alias() -> None:
    step = 22050 / SAMPLE_RATE
    positions = np.arange(0, 22049, step)
    above = effects.sinc_interpolate(tone(9500, rate=22050), positions, cutoff=1 / step)
    assert effects.rms(above) < 0.01


def test_bend_raises_the_pitch_by_an_octave() -> None:
    bent = effects.bend(tone(200), np.full(SAMPLE_RATE, 12.0))
    assert bent.size == pytest.approx(SAMPLE_RATE / 2, abs=2)
    assert pitch_of(bent) == pytest.approx(400, abs=4)


def test_tilt_moves_an_octave_by_its_decibels() -> None:
    low, high = (effects.rms(effects.tilt(tone(f), -6.02)) for f in (1000, 2000))
    assert low / high == pytest.approx(2.0, rel=0.05)


def test_tremolo_reaches_its_depth() -> None:
    level = effects.envelope(effects.tremolo(tone(1000), np.full(SAMPLE_RATE, 5.0), 0.8))
    inner = level[2000:-2000]
    assert inner.min() / inner.max() == pytest.approx(0.2, abs=0.05)


def test_fade_sinks_by_its_decibels() -> None:
    faded = effects.fade(np.ones(1000, dtype=np.float32), 20)
    assert faded[-1] / faded[0] == pytest.approx(0.1, rel=1e-3)


def test_companding_is_near_and_not_equal() -> None:
    before = tone(440) * np.float32(0.5)
    after = effects.companded(before)
    assert 0 < np.abs(after - before).max() < 0.02


@settings(max_examples=30)
@given(st.integers(0, 2**31), st.integers(400, 20000))
def test_nonspeech_has_the_size_asked_for_and_fits(seed: int, size: int) -> None:
    samples = nonspeech(np.random.default_rng(seed), size)
    assert samples.shape == (size,)
    assert samples.dtype == np.float32
    assert np.abs(samples).max() <= 0.9001
    np.testing.assert_array_equal(samples, nonspeech(np.random.default_rng(seed), size))


@settings(max_examples=30)
@given(st.integers(0, 2**31), st.sampled_from([0.0, 1e-30, 1e-3, 1.0, 1e3]))
def test_effects_stay_finite_at_any_level(seed: int, level: float) -> None:
    rng = np.random.default_rng(seed)
    samples = (rng.standard_normal(3000) * level).astype(np.float32)
    rate = np.full(3000, 30.0)
    for changed in (
        effects.drive(samples, 6),
        effects.creak(samples, rate, 0.9),
        effects.breathe(samples, rng, 0.5),
        effects.tilt(samples, 4),
        effects.band_limit(samples, 300, 3400),
        effects.reverberate(samples, rng, 0.2, 0.3),
        effects.scaled(samples, 0.9),
    ):
        assert changed.shape == samples.shape
        assert np.isfinite(changed).all()
