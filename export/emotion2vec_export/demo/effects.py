"""Voice and recording effects on float32 waveforms [S] at 16 kHz, in numpy alone."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16000

Samples = NDArray[np.float32]
Curve = NDArray[np.floating]

_TAPS = 24
_PHASES = 1024
_EPSILON = 1e-9


def sinc_interpolate(samples: Samples, positions: Curve, cutoff: float = 1.0) -> Samples:
    """Values of `samples` at fractional `positions`, with a Hann-windowed sinc.

    `cutoff` below 1 (in units of the Nyquist frequency) keeps a lower output rate free of aliases.
    """
    base = np.floor(positions).astype(np.int64)
    phase = ((positions - base) * _PHASES).astype(np.int64)
    around = np.lib.stride_tricks.sliding_window_view(np.pad(samples, _TAPS), _TAPS)
    kernel = _sinc_kernel(min(cutoff, 1.0))
    values = np.einsum("nt,nt->n", around[base + _TAPS // 2 + 1], kernel[phase])
    return np.asarray(values, dtype=np.float32)


@cache
def _sinc_kernel(cutoff: float) -> Samples:
    """Windowed sinc, [phases, taps]; tap `_TAPS / 2 - 1` is the sample before."""
    distance = np.arange(-_TAPS // 2 + 1, _TAPS // 2 + 1) - np.arange(_PHASES)[:, None] / _PHASES
    window = 0.5 + 0.5 * np.cos(2 * np.pi * distance / (_TAPS + 1))
    return (np.sinc(cutoff * distance) * cutoff * window).astype(np.float32)


def bend(samples: Samples, semitones: Curve) -> Samples:
    """Shifts the pitch by `semitones` (one value a sample) as a tape would: tempo goes with it."""
    positions = np.cumsum(2 ** (semitones / 12))
    positions = positions[positions < samples.size - 1]
    return sinc_interpolate(samples, positions)


def wander(rng: np.random.Generator, size: int, hertz: float) -> Curve:
    """A random curve of `size` samples within about ±1 that turns about `hertz` times a second."""
    knots = max(4, int(size / SAMPLE_RATE * hertz * 2) + 2)
    values = np.clip(rng.standard_normal(knots), -2, 2) / 2
    return np.interp(np.linspace(0, knots - 1, size), np.arange(knots), values)


def tremolo(samples: Samples, rate: Curve, depth: float) -> Samples:
    """Amplitude modulation at `rate` hertz (one value a sample), down by `depth` (0 to 1)."""
    phase = 2 * np.pi * np.cumsum(rate) / SAMPLE_RATE
    return (samples * (1 - depth * (0.5 + 0.5 * np.sin(phase)))).astype(np.float32)


def creak(samples: Samples, rate: Curve, depth: float) -> Samples:
    """Slow glottal pulses: each cycle of `rate` hertz starts sharp and dies away."""
    phase = np.cumsum(rate) / SAMPLE_RATE % 1.0
    return (samples * (1 - depth + depth * 1.6 * np.exp(-4 * phase))).astype(np.float32)


def breathe(samples: Samples, rng: np.random.Generator, level: float) -> Samples:
    """Adds aspiration: bright noise that follows the speech, `level` times as strong."""
    hiss = tilt(rng.standard_normal(samples.size).astype(np.float32), 3.0)
    hiss *= envelope(samples) / (rms(hiss) + _EPSILON)
    return samples + np.float32(level) * hiss


def tilt(samples: Samples, decibels_per_octave: float) -> Samples:
    """Tilts the spectrum about 1 kHz; positive is brighter."""
    frequencies = np.maximum(_frequencies(samples.size), 60.0)
    gain = (frequencies / 1000) ** (decibels_per_octave / 6.02)
    return _filter(samples, gain)


def resonate(samples: Samples, hertz: float, decibels: float) -> Samples:
    """A formant: the octave about `hertz` is raised by `decibels` at its middle."""
    octaves = np.log2(np.maximum(_frequencies(samples.size), 20.0) / hertz)
    return _filter(samples, 10 ** (decibels / 20 * np.exp(-((octaves / 0.5) ** 2))))


def band_limit(samples: Samples, low: float, high: float) -> Samples:
    """Keeps `low` to `high` hertz, with soft edges, as a telephone line does."""
    frequencies = np.maximum(_frequencies(samples.size), 1.0)
    gain = 1 / np.sqrt((1 + (low / frequencies) ** 8) * (1 + (frequencies / high) ** 16))
    return _filter(samples, gain)


def drive(samples: Samples, gain: float) -> Samples:
    """Soft clipping of the waveform, `gain` times over its root mean square."""
    peak = rms(samples) * 4 / max(gain, _EPSILON)
    return np.asarray(np.tanh(samples / (peak + _EPSILON)) * peak, dtype=np.float32)


def fade(samples: Samples, decibels: float) -> Samples:
    """Lets the level sink by `decibels` from start to end."""
    return (samples * 10 ** (np.linspace(0, -decibels, samples.size) / 20)).astype(np.float32)


def reverberate(samples: Samples, rng: np.random.Generator, seconds: float, wet: float) -> Samples:
    """A small room: exponentially decaying noise of `seconds` to -60 dB."""
    size = max(int(seconds * SAMPLE_RATE), 1)
    tail = rng.standard_normal(size) * 10 ** (-3 * np.arange(size) / size)
    tail /= np.sqrt(np.sum(tail**2)) + _EPSILON
    length = _fft_size(samples.size + size)
    spectrum = np.fft.rfft(samples, length) * np.fft.rfft(tail, length)
    return (samples + wet * np.fft.irfft(spectrum, length)[: samples.size]).astype(np.float32)


def companded(samples: Samples) -> Samples:
    """What 8-bit mu-law (ITU-T G.711's curve, mu = 255) leaves of samples within ±1."""
    squeezed = np.sign(samples) * np.log1p(255 * np.abs(samples)) / np.log(256)
    squeezed = np.round(squeezed * 127) / 127
    heard = np.sign(squeezed) * np.expm1(np.abs(squeezed) * np.log(256)) / 255
    return np.asarray(heard, dtype=np.float32)


def coloured_noise(rng: np.random.Generator, size: int, decibels_per_octave: float) -> Samples:
    """Noise of unit root mean square: 0 is white, -3 pink, -6 brown."""
    noise = tilt(rng.standard_normal(size).astype(np.float32), decibels_per_octave)
    return noise / np.float32(rms(noise) + _EPSILON)


def envelope(samples: Samples, seconds: float = 0.02) -> Samples:
    """Root mean square over a moving window of `seconds`."""
    size = max(int(seconds * SAMPLE_RATE), 1)
    power = np.convolve(samples**2, np.full(size, 1 / size), mode="same")[: samples.size]
    return np.sqrt(np.maximum(power, 0)).astype(np.float32)


def trim(samples: Samples, floor: float = 0.02) -> Samples:
    """Cuts the quiet off both ends: what stays below `floor` times the peak."""
    loud = np.flatnonzero(np.abs(samples) > floor * np.abs(samples).max(initial=0.0))
    return samples[loud[0] : loud[-1] + 1] if loud.size else samples


def rms(samples: Samples) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if samples.size else 0.0


def scaled(samples: Samples, peak: float) -> Samples:
    """The waveform with its largest absolute value at `peak`; silence stays silent."""
    largest = float(np.abs(samples).max(initial=0.0))
    return samples * np.float32(peak / largest) if largest > _EPSILON else samples


def _filter(samples: Samples, gain: Curve) -> Samples:
    size = _fft_size(samples.size)
    return np.fft.irfft(np.fft.rfft(samples, size) * gain, size)[: samples.size].astype(np.float32)


def _frequencies(size: int) -> Curve:
    return np.fft.rfftfreq(_fft_size(size), 1 / SAMPLE_RATE)


def _fft_size(size: int) -> int:
    """The next multiple of 2048: a prime length would be many times slower."""
    return -(-size // 2048) * 2048
