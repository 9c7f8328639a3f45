"""How well a model does on labelled clips."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emotion2vec_export.demo.corpus import LABELS, Clip
from emotion2vec_export.demo.effects import Samples


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Counts and confidences over a set of clips."""

    confusion: NDArray[np.int64]
    """Clips [C, C]: row the true class, column the answer."""
    confidences: NDArray[np.float64]
    """Probability of the answer, one a clip."""
    frame_accuracy: float
    """Share of all frames whose own best class is the clip's."""

    @property
    def accuracy(self) -> float:
        return float(self.confusion.trace() / self.confusion.sum())

    @property
    def recalls(self) -> NDArray[np.float64]:
        """Share of each class's clips that were answered right."""
        return np.asarray(self.confusion.diagonal() / self.confusion.sum(axis=1))


def evaluate(
    frame_logits: Callable[[Samples], NDArray[np.float32]], clips: Iterable[Clip]
) -> Evaluation:
    """Runs `frame_logits` (waveform [S] to scores [T, C]) over `clips`, one by one."""
    confusion = np.zeros((len(LABELS), len(LABELS)), dtype=np.int64)
    confidences, right, frames = [], 0, 0
    for clip in clips:
        truth = LABELS.index(clip.label)
        scores = frame_logits(clip.samples)
        probabilities = _softmax(scores.mean(axis=0))
        confusion[truth, probabilities.argmax()] += 1
        confidences.append(float(probabilities.max()))
        right += int((scores.argmax(axis=1) == truth).sum())
        frames += len(scores)
    return Evaluation(confusion, np.array(confidences), right / frames)


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    powers = np.exp(logits.astype(np.float64) - logits.max())
    return np.asarray(powers / powers.sum())
