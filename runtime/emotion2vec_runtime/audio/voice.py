"""Voice activity: where somebody is to be heard, and where nobody is.

In frames of 20 ms on the model's own frame grid. A detector judges each frame; runs of frames that
a change must last keep speech from fluttering. Unless told otherwise the detector is an energy gate
over a tracked noise floor, a gate against *silence*, no classifier of speech, and on purpose:

- What must not be scored is silence. Laughter, sobs, sighs and screams carry emotion, and a
  detector of words has no reason to keep them.
- It needs no model. docs/streaming.md compares it with WebRTC's and Silero's detectors on the same
  recordings, with what they cost.

Its price: a door that slams opens it too, and a passing lorry keeps it open. Where that ends
utterances late there is `silero`. Frames and the final result always cover all audio.

Level: variance of a frame (its mean is left out, so a DC offset is silence) in dB below full
scale. Noise floor: a low percentile of the last seconds, as in minimum statistics (R. Martin,
"Noise power spectral density estimation based on optimal smoothing and minimum statistics",
2001): speech pauses often enough to show the floor, and a few frames of digital zero (lost
packets) don't hide it. It opens at a higher level than that at which it closes.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from emotion2vec_runtime.arrays import Float32, Samples
from emotion2vec_runtime.audio.samples import as_float

FRAME = 320
"""Samples of a frame: 20 ms at 16 kHz."""

QUIETEST = -60.0
"""dBFS under which nothing is to be heard, whatever the floor: noise of a good recording's room."""
OPENS_ABOVE = 9.0
"""dB over the floor at which the gate opens; noise alone stays within about 6 dB of it."""
CLOSES_BELOW = 5.0
"""dB over the floor at which it closes again."""
ONSET = 4
"""Frames (80 ms) that sound must last: shorter than a syllable, longer than a click."""
HANGOVER = 25
"""Frames (500 ms) that silence must last: longer than the pauses between words."""
MEMORY = 250
"""Frames (5 s) from which the floor is taken: in that time a speaker pauses or breathes."""
PERCENTILE = 0.1
MOSTLY = 0.5
"""Share of silence above which it takes over the mean of the frames."""

_BLOCK = 25

Speech = NDArray[np.bool_]
"""[n // FRAME]: for each whole frame of n samples, whether it lies in speech."""


class Change(NamedTuple):
    """Speech began, or ended, at this sample of the utterance."""

    begins: bool
    sample: int


class NoiseFloor:
    """A low percentile of the last levels."""

    def __init__(self) -> None:
        # As if silence had come before: a stream may begin in the middle of a word.
        self._recent = deque([QUIETEST] * MEMORY)
        self._ordered = [QUIETEST] * MEMORY

    def follow(self, level: float) -> float:
        """Takes one level in, and gives the floor; both in dBFS."""
        del self._ordered[bisect_left(self._ordered, self._recent.popleft())]
        self._recent.append(level)
        insort(self._ordered, level)
        return self._ordered[int(MEMORY * PERCENTILE)]


class Detector(Protocol):
    """Judges the frames of one stream in order. What it has learned of the stream outlives an
    utterance; of one that waits for speech the end may be heard again (`begin`, `push`)."""

    def begin(self) -> None:
        """A new utterance begins: samples that are not judged yet are forgotten."""

    def push(self, samples: Float32) -> Sequence[float]:
        """Scores of the frames that float32 samples [n] settled."""

    def sounds(self, score: float, *, speaking: bool) -> bool:
        """Whether there is anything to be heard in a frame of this score, in speech or beside it.
        Asked once of each frame."""

    def needs(self, frames: int) -> int:
        """Samples of an utterance that must have been heard for so many frames to be judged."""


class EnergyGate:
    """Tells what is louder than the noise floor; scores are in dBFS."""

    def __init__(self) -> None:
        self._floor = NoiseFloor()
        self.begin()

    def begin(self) -> None:
        """See `Detector.begin`."""
        self._rest: Float32 = np.empty(0, dtype=np.float32)

    def push(self, samples: Float32) -> Sequence[float]:
        """See `Detector.push`."""
        samples = np.concatenate((self._rest, samples))
        whole = len(samples) // FRAME * FRAME
        self._rest = samples[whole:].copy()
        scores: list[float] = levels(samples[:whole]).tolist()
        return scores

    def sounds(self, score: float, *, speaking: bool) -> bool:
        """See `Detector.sounds`."""
        margin = CLOSES_BELOW if speaking else OPENS_ABOVE
        return score > max(self._floor.follow(score) + margin, QUIETEST)

    def needs(self, frames: int) -> int:
        """See `Detector.needs`."""
        return frames * FRAME


class VoiceActivity:
    """Where there is speech in one stream, utterance by utterance."""

    def __init__(self, detector: Detector | None = None) -> None:
        """`detector` is an `EnergyGate` unless it is given."""
        self._detector = detector or EnergyGate()
        self.begin()

    def begin(self) -> None:
        """A new utterance begins, in silence until proven otherwise."""
        self._detector.begin()
        self._heard = 0
        """Samples."""
        self._marks = bytearray()
        """One byte a frame: 1 in speech."""
        self._speaking = False
        self._against = 0
        """How many of the last frames in a row contradict `_speaking`."""

    def push(self, samples: Float32) -> list[Change]:
        """The changes that float32 samples [n] made certain; they lie up to HANGOVER back."""
        self._heard += len(samples)
        changes = (self._step(score) for score in self._detector.push(samples))
        return [change for change in changes if change is not None]

    @property
    def quiet(self) -> int | None:
        """Samples since speech ended; None while there is speech, or has not been any."""
        last = self._marks.rfind(1)
        if self._speaking or last < 0:
            return None
        return self._heard - (last + 1) * FRAME

    @property
    def lasts(self) -> int:
        """Samples that must come before speech can be known to have ended, at the least."""
        judged = len(self._marks) + HANGOVER - self._against
        return self._detector.needs(judged) - self._heard

    def end(self, sample: int) -> list[Change]:
        """The utterance ends at `sample`, and with it its speech."""
        changes = [Change(begins=False, sample=sample)] if self._speaking else []
        self._speaking = False
        return changes

    def in_speech(self, first: int, last: int) -> NDArray[np.bool_]:
        """For each of frames [first, last), whether it lies in speech, as far as is known now.

        A frame that is not yet judged (less than one frame of audio) is like the one before it.
        """
        marks = np.frombuffer(bytes(self._marks[first:last]), dtype=np.bool_)
        return np.pad(marks, (0, last - first - len(marks)), constant_values=self._speaking)

    @property
    def heard_speech(self) -> bool:
        """Whether there was any in this utterance."""
        return 1 in self._marks

    @property
    def silent_share(self) -> float:
        """Of this utterance's frames, 0 to 1; 0 where there are none."""
        return self._marks.count(0) / max(1, len(self._marks))

    def _step(self, score: float) -> Change | None:
        sounding = self._detector.sounds(score, speaking=self._speaking)
        self._marks.append(self._speaking)
        self._against = self._against + 1 if sounding != self._speaking else 0
        if self._against < (HANGOVER if self._speaking else ONSET):
            return None
        self._speaking = not self._speaking
        first = len(self._marks) - self._against
        self._marks[first:] = bytes([self._speaking]) * self._against
        self._against = 0
        return Change(begins=self._speaking, sample=first * FRAME)


def find_speech(samples: Samples) -> Speech:
    """Where speech is in a recording [n] that begins in silence."""
    voice = VoiceActivity()
    voice.push(as_float(samples))
    return voice.in_speech(0, len(samples) // FRAME)


def mostly_silent(samples: Samples) -> float | None:
    """The share of silence in a recording [n], where that is more than `MOSTLY`; else None."""
    heard = as_float(samples[: len(samples) // FRAME * FRAME])
    frames = len(heard) // FRAME
    if frames and _surely_speech(levels(heard)) >= (1 - MOSTLY) * frames:
        return None
    voice = VoiceActivity()
    voice.push(heard)
    return voice.silent_share if voice.silent_share > MOSTLY else None


def _surely_speech(level: NDArray[np.float64]) -> int:
    """How many frames of these levels [n] are speech to the energy gate, at the least.

    Every request is asked, and the gate takes as long for a recording of 8 s as gRPC for the call.
    For a block of frames at once: what precedes it is in the window of the noise floor of each of
    them, whose percentile can only be lower with more frames in it. What is louder than that opens
    the gate, and keeps it open through what is shorter than the hangover.
    """
    past = MEMORY - _BLOCK
    known = np.concatenate((np.full(past, QUIETEST), level))
    windows = sliding_window_view(known, past)[: len(level) : _BLOCK]
    rank = int(MEMORY * PERCENTILE)
    floors = np.partition(windows, rank, axis=1)[:, rank]
    opens = np.maximum(floors + OPENS_ABOVE, QUIETEST).repeat(_BLOCK)[: len(level)]
    runs = np.convolve(level > opens, np.ones(ONSET))[: len(level)] == ONSET
    places = np.flatnonzero(runs)
    gaps = np.diff(places) - 1
    return len(places) + int(gaps[gaps < HANGOVER].sum())


def levels(samples: Float32) -> NDArray[np.float64]:
    """Level of each frame in dBFS; `samples` are whole frames. Digital silence is -100."""
    frames = samples.reshape(-1, FRAME)
    centred = frames - np.add.reduce(frames, axis=1, keepdims=True) / np.float32(FRAME)
    power = np.einsum("ij,ij->i", centred, centred) / FRAME
    decibels: NDArray[np.float64] = 10.0 * np.log10(power.astype(np.float64) + 1e-10)
    return decibels
