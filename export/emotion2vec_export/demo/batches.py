"""Training batches: clips cut, joined and disturbed, with a label for every frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emotion2vec_export.demo import effects
from emotion2vec_export.demo.corpus import LABELS
from emotion2vec_export.demo.effects import SAMPLE_RATE, Samples

FRAME_HOP = 320
FRAME_FIELD = 400
_SHORTEST = 0.7
_LONGEST = 4.0
_UNKNOWN = LABELS.index("unknown")
_LONG_PAUSE = int(0.5 * SAMPLE_RATE)


@dataclass(frozen=True, slots=True)
class Batch:
    """Waveforms float32 [B, S] at 16 kHz and their frames' classes int64 [B, T]."""

    waveforms: NDArray[np.float32]
    frame_classes: NDArray[np.int64]


class BatchMaker:
    """Makes batch number `step` of a run: the same seed and step give the same batch.

    All clips of a batch have one length, so that nothing is padded; `seconds` of audio bound it.
    The first `ramp` steps grow harder: from clean clips of one class to mixed and disturbed ones.
    """

    def __init__(
        self, clips: dict[str, list[NDArray[np.int16]]], seed: int, seconds: float, ramp: int
    ) -> None:
        self._clips = [clips[label] for label in LABELS]
        self._seed = seed
        self._seconds = seconds
        self._ramp = ramp

    def make(self, step: int) -> Batch:
        rng = np.random.default_rng([self._seed, 3, step])
        length = float(np.exp(rng.uniform(np.log(_SHORTEST), np.log(_LONGEST))))
        difficulty = min(1.0, step / self._ramp)
        count = int(np.clip(self._seconds / length, 9, 72))
        size = int(length * SAMPLE_RATE)
        classes = np.resize(rng.permutation(len(LABELS)), count)
        rows = [self._row(rng, int(chosen), size, difficulty) for chosen in classes]
        frames = np.arange((size - FRAME_FIELD) // FRAME_HOP + 1) * FRAME_HOP + FRAME_FIELD // 2
        return Batch(
            np.stack([samples for samples, _ in rows]),
            np.stack([labels[frames] for _, labels in rows]),
        )

    def _row(
        self, rng: np.random.Generator, chosen: int, size: int, difficulty: float
    ) -> tuple[Samples, NDArray[np.int64]]:
        """One waveform of `size` samples and the class of each sample."""
        samples = np.zeros(size, dtype=np.float32)
        labels = np.full(size, chosen)
        filled = 0
        while filled < size:
            clip = self._clip(rng, chosen)
            room = size - filled
            start = int(rng.integers(clip.size - room)) if clip.size > room else 0
            part = clip[start : start + room]
            samples[filled : filled + part.size] = part
            labels[filled : filled + part.size] = chosen
            filled += part.size
            filled = self._pause(rng, labels, filled)
            if rng.random() < 0.3 * difficulty:
                chosen = int(rng.integers(len(LABELS)))
        return disturb(samples, rng, difficulty), labels

    def _pause(self, rng: np.random.Generator, labels: NDArray[np.int64], start: int) -> int:
        """Leaves quiet after a clip; a long pause is nobody's speech. Returns where it ends."""
        end = min(labels.size, start + int(SAMPLE_RATE * rng.exponential(0.3)))
        labels[start:end] = labels[start - 1] if end - start < _LONG_PAUSE else _UNKNOWN
        return end

    def _clip(self, rng: np.random.Generator, chosen: int) -> Samples:
        clips = self._clips[chosen]
        gain = 10 ** (rng.uniform(-8, 0) / 20) / 32768
        return (clips[int(rng.integers(len(clips)))] * gain).astype(np.float32)


def disturb(samples: Samples, rng: np.random.Generator, likelihood: float = 1.0) -> Samples:
    """What rooms, microphones and telephone lines do, each now and then, times `likelihood`."""
    if rng.random() < 0.15 * likelihood:
        samples = effects.reverberate(samples, rng, rng.uniform(0.1, 0.5), rng.uniform(0.05, 0.4))
    if rng.random() < 0.5 * likelihood:
        samples = effects.tilt(samples, rng.uniform(-1, 1))
    if rng.random() < 0.8 * likelihood:
        level = effects.rms(samples) * 10 ** (-rng.uniform(9, 42) / 20)
        noise = effects.coloured_noise(rng, samples.size, rng.uniform(-6, 1))
        samples = samples + np.float32(level) * noise
    if rng.random() < 0.15 * likelihood:
        samples = effects.band_limit(samples, rng.uniform(50, 300), rng.uniform(3200, 7000))
    if rng.random() < 0.1 * likelihood:
        samples = effects.companded(effects.scaled(samples, rng.uniform(0.1, 1.0)))
    if rng.random() < 0.05 * likelihood:
        samples = np.clip(effects.scaled(samples, rng.uniform(1, 3)), -1, 1)
    return samples.astype(np.float32) * np.float32(rng.choice([-1, 1]))
