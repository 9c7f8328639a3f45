"""Speech to measure with, in the forms in which it comes: the package's own recordings.

They are nine sentences in as many emotions, synthesised. Some are heard while int8 is made and the
others when a graph is judged, so that no graph is judged by what it was fitted to.
"""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import soundfile
from numpy.typing import NDArray

Samples = NDArray[np.float32]
"""[S] at 16 kHz."""

RATE = 16000
TO_FIT = ("angry", "fearful", "happy", "other", "sad")
TO_JUDGE = ("disgusted", "neutral", "surprised", "unknown")

_TELEPHONE_BAND = (300, 3400)  # Hz, of ITU-T G.712.
_SNR_DECIBELS = 20


def recording(name: str) -> Samples:
    with files("emotion2vec_export").joinpath("speech", f"{name}.flac").open("rb") as file:
        samples, _ = soundfile.read(file, dtype="float32")
    return np.asarray(samples, np.float32)


def telephone(samples: Samples) -> Samples:
    """What the telephone's band leaves of it."""
    spectrum = np.fft.rfft(samples)
    frequencies = np.fft.rfftfreq(len(samples), 1 / RATE)
    low, high = _TELEPHONE_BAND
    spectrum[(frequencies < low) | (frequencies > high)] = 0
    return np.asarray(np.fft.irfft(spectrum, len(samples)), np.float32)


def noisy(samples: Samples) -> Samples:
    """In white noise."""
    level = np.sqrt(np.square(samples).mean()) * 10 ** (-_SNR_DECIBELS / 20)
    noise = np.random.default_rng(0).standard_normal(len(samples))
    return np.asarray(samples + level * noise, np.float32)


def speech(samples: int) -> Samples:
    """So many samples of the recordings to judge by, one after the other, again and again."""
    return np.resize(np.concatenate([recording(name) for name in TO_JUDGE]), samples)


def fitting_clips() -> list[Samples]:
    """What int8 is fitted to: some 25 s."""
    clips = [recording(name) for name in TO_FIT]
    # Of silence too, all of whose frames are alike: a shift there is the whole difference.
    silence = np.zeros(RATE // 2, np.float32)
    return [*clips, *map(telephone, clips), *map(noisy, clips[:2]), silence]
