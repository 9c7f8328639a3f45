"""Anger or disgust that lasts, or whatever labels the caller names, over the frames of a stream.

The same rule as the client's `readings` of a recording: probabilities are averaged over `SMOOTHING`
seconds around each frame, fewer at both ends of an utterance, and those of the labels together must
reach the rule's, for as long as it says. A frame is judged once the frames around it are final, so
what is said depends on the frames alone, never on how they came.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from emotion2vec_runtime.arrays import Float32
from emotion2vec_runtime.recognition.emotion import Classes
from numpy.typing import NDArray

SMOOTHING_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class AlertRule:
    """What is to be alerted of.

    Attributes:
        classes: those that the stream scores.
        columns: of the labels that count, among them.
        probability: of these labels together.
        least: frames that it must last.
        smoothing: frames to average over.
    """

    classes: Classes
    columns: tuple[int, ...]
    probability: float
    least: int
    smoothing: int


@dataclass(frozen=True, slots=True)
class Span:
    """Frames [first, last) of an utterance, over which the labels reached the rule's probability.

    Attributes:
        label: the more probable of them.
        probability: mean of them together.
        has_ended: else it goes on.
    """

    first: int
    last: int
    label: str
    probability: float
    has_ended: bool


class Alerts:
    """The alerts of one utterance: each is told when it has lasted long enough, and at its end."""

    def __init__(self, rule: AlertRule) -> None:
        self._rule = rule
        self._sums = np.zeros((1, len(rule.columns)))
        """Of the probabilities of all frames up to here, and before each that is still needed."""
        self._first = 0
        """The frame that follows the first of the sums."""
        self._judged = 0
        """Frames that were judged."""
        self._begin = 0
        self._total = np.zeros(len(rule.columns))
        """Of the smoothed frames from `_begin` on, all of which reach the rule's probability."""

    def push(self, logits: Float32) -> Iterator[Span]:
        """Takes the next final frames [T, all classes] in."""
        probabilities = self._rule.classes.probabilities(logits)[:, self._rule.columns]
        sums = probabilities.cumsum(axis=0, dtype=np.float64)
        self._sums = np.vstack([self._sums, self._sums[-1] + sums])
        yield from self._judge(self._count - (self._rule.smoothing + 1) // 2 + 1)
        needed = max(0, self._judged - self._rule.smoothing // 2)
        self._sums = self._sums[needed - self._first :]
        self._first = needed

    def finish(self) -> Iterator[Span]:
        """No more are to come."""
        yield from self._judge(self._count)
        if self._judged - self._begin >= self._rule.least:
            yield self._span(has_ended=True)

    @property
    def _count(self) -> int:
        return self._first + len(self._sums) - 1

    def _judge(self, last: int) -> Iterator[Span]:
        """Judges the frames up to `last`."""
        for smoothed in self._smoothed(self._judged, last):
            if smoothed.sum() >= self._rule.probability:
                self._total += smoothed
                self._judged += 1
                if self._judged - self._begin == self._rule.least:
                    yield self._span(has_ended=False)
                continue
            if self._judged - self._begin >= self._rule.least:
                yield self._span(has_ended=True)
            self._judged += 1
            self._begin = self._judged
            self._total[:] = 0.0

    def _smoothed(self, first: int, last: int) -> NDArray[np.float64]:
        """[last - first, labels]"""
        frames = np.arange(first, last)
        begin = np.maximum(frames - self._rule.smoothing // 2, 0)
        end = np.minimum(frames + (self._rule.smoothing + 1) // 2, self._count)
        sums = self._sums[end - self._first] - self._sums[begin - self._first]
        smoothed: NDArray[np.float64] = sums / (end - begin)[:, None]
        return smoothed

    def _span(self, *, has_ended: bool) -> Span:
        names = self._rule.classes.names
        return Span(
            self._begin,
            self._judged,
            names[self._rule.columns[int(self._total.argmax())]],
            float(self._total.sum() / (self._judged - self._begin)),
            has_ended,
        )
