"""Speech to send: clips of realistic lengths, cut from the repository's recordings.

A clip is what a telephone or a voice agent would send: 16 kHz, mono, signed 16-bit samples. The
same seed gives the same clips in every process.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

Int16 = NDArray[np.int16]

SAMPLE_RATE = 16_000
ROOT = Path(__file__).resolve().parent.parent
FOLDERS = (ROOT / "examples", ROOT / "tests" / "data" / "heldout")


@dataclass(frozen=True, slots=True)
class Mix:
    """A clipped log-normal mix of lengths, in seconds: many short utterances, few long ones.

    The defaults give a mean of 5 s, as turns in conversations and commands have it.
    """

    shortest: float = 1.0
    median: float = 4.2
    longest: float = 15.0
    spread: float = 0.65
    """Standard deviation of the logarithm of the length."""

    def lengths(self, count: int, seed: int) -> NDArray[np.float64]:
        """[count] seconds."""
        normal = np.random.default_rng(seed).normal(math.log(self.median), self.spread, count)
        return np.clip(np.exp(normal), self.shortest, self.longest)


def recordings(folders: Sequence[Path] = FOLDERS) -> Int16:
    """All recordings of `folders`, one after the other: [S].

    Raises:
        FileNotFoundError: there are none.
    """
    paths = sorted(path for folder in folders for path in folder.rglob("*.flac"))
    if not paths:
        where = ", ".join(str(folder) for folder in folders)
        raise FileNotFoundError(f"no .flac file in {where}; check the repository out again")
    return np.concatenate([_read(path) for path in paths])


def clips(mix: Mix, count: int, seed: int, speech: Int16 | None = None) -> list[Int16]:
    """`count` clips, each from a random place of the speech, which repeats where it ends."""
    speech = recordings() if speech is None else speech
    starts = np.random.default_rng([seed, 1]).integers(len(speech), size=count)
    return [
        cut(speech, int(start), round(seconds * SAMPLE_RATE))
        for start, seconds in zip(starts, mix.lengths(count, seed), strict=True)
    ]


def cut(speech: Int16, start: int, samples: int) -> Int16:
    """`samples` samples from `start` on; the speech repeats where it ends."""
    repeats = -(-(start + samples) // len(speech))
    return np.tile(speech, repeats)[start : start + samples]


def as_floats(pcm: Int16) -> NDArray[np.float32]:
    """What a model hears: full scale is -1 to 1."""
    return pcm.astype(np.float32) / np.float32(32768)


def _read(path: Path) -> Int16:
    samples: NDArray[Any]
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono = samples.mean(axis=1)
    if rate != SAMPLE_RATE:
        mono = soxr.resample(mono, rate, SAMPLE_RATE)
    pcm: Int16 = (np.clip(mono, -1, 1) * 32767).astype(np.int16)
    return pcm
