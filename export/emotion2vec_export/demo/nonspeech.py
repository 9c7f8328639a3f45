"""Sounds without a voice, for the class `unknown`; float32 [S] at 16 kHz."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from emotion2vec_export.demo import effects
from emotion2vec_export.demo.effects import SAMPLE_RATE, Curve, Samples


def nonspeech(rng: np.random.Generator, size: int) -> Samples:
    """`size` samples of a random kind, peak 0.9 at most; exact digital silence is one of them."""
    kind = _KINDS[rng.integers(len(_KINDS))]
    return effects.scaled(kind(rng, size).astype(np.float32), rng.uniform(0.05, 0.9))


def _silence(rng: np.random.Generator, size: int) -> Curve:
    """Digital silence, or the dither of a converter."""
    if rng.random() < 0.3:
        return np.zeros(size)
    return np.round(rng.standard_normal(size) * rng.uniform(0.3, 3)) / 32768


def _noise(rng: np.random.Generator, size: int) -> Curve:
    noise = effects.coloured_noise(rng, size, rng.uniform(-8, 3))
    if rng.random() < 0.4:
        noise = effects.band_limit(noise, rng.uniform(20, 800), rng.uniform(1500, 7500))
    swell = 1 + rng.uniform(0, 0.9) * effects.wander(rng, size, rng.uniform(0.3, 6))
    return np.asarray(noise * swell)


def _tone(rng: np.random.Generator, size: int) -> Curve:
    """A steady or gliding tone, with a few harmonics at times."""
    start = 10 ** rng.uniform(np.log10(60), np.log10(4000))
    end = start * 2 ** rng.uniform(-1.5, 1.5) if rng.random() < 0.4 else start
    phase = 2 * np.pi * np.cumsum(np.geomspace(start, end, size)) / SAMPLE_RATE
    harmonics = rng.integers(1, 6)
    tone = sum(np.sin(phase * n) / n ** rng.uniform(0.7, 2) for n in range(1, harmonics + 1))
    return np.asarray(tone)


def _hum(rng: np.random.Generator, size: int) -> Curve:
    """Mains hum at 50 or 60 Hz over a hiss."""
    time = np.arange(size) / SAMPLE_RATE
    mains = rng.choice([50, 60])
    hum = sum(
        rng.uniform(0, 1) / n * np.sin(2 * np.pi * (mains * n * time + rng.uniform()))
        for n in range(1, 9)
    )
    return np.asarray(hum + rng.uniform(0.01, 0.2) * rng.standard_normal(size))


def _keys(rng: np.random.Generator, size: int) -> Curve:
    """Telephone keys and ring tones: pairs of tones, on and off."""
    time = np.arange(size) / SAMPLE_RATE
    period, duty = rng.uniform(0.15, 1.0), rng.uniform(0.3, 0.8)
    low, high = rng.choice([350, 440, 697, 770, 852, 941]), rng.choice([480, 620, 1209, 1336, 1477])
    gate = (time / period) % 1.0 < duty
    return np.asarray(gate * (np.sin(2 * np.pi * low * time) + np.sin(2 * np.pi * high * time)))


def _clicks(rng: np.random.Generator, size: int) -> Curve:
    """Sparse clicks and knocks, each with a short resonance."""
    train = np.zeros(size)
    count = max(1, int(size / SAMPLE_RATE * rng.uniform(1, 12)))
    train[rng.integers(0, size, count)] = rng.uniform(-1, 1, count)
    ring = np.arange(int(0.05 * SAMPLE_RATE)) / SAMPLE_RATE
    resonance = np.exp(-ring * rng.uniform(60, 600)) * np.cos(
        2 * np.pi * rng.uniform(200, 4000) * ring
    )
    return np.convolve(train, resonance)[:size] + 1e-3 * rng.standard_normal(size)


def _music(rng: np.random.Generator, size: int) -> Curve:
    """Plucked notes of an equal-tempered scale, one or two at a time."""
    out = np.zeros(size)
    beat = int(SAMPLE_RATE * rng.uniform(0.15, 0.5))
    root = rng.uniform(110, 330)
    for start in range(0, size, beat):
        time = np.arange(size - start) / SAMPLE_RATE
        decay = np.exp(-time * rng.uniform(2, 6))
        for degree in rng.choice([0, 2, 4, 5, 7, 9, 11, 12], rng.integers(1, 3)):
            pitch = root * 2 ** (degree / 12)
            out[start:] += decay * sum(
                np.sin(2 * np.pi * pitch * n * time) / n for n in range(1, 5)
            )
    return out


_KINDS: tuple[Callable[[np.random.Generator, int], Curve], ...] = (
    _silence, _noise, _noise, _tone, _hum, _keys, _clicks, _music,
)  # fmt: skip
