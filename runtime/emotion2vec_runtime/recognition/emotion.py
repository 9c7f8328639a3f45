"""From logits to emotions: probabilities, the leading label, how sure it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emotion2vec_runtime.arrays import Float32
from emotion2vec_runtime.bundle import Label
from emotion2vec_runtime.errors import InvalidRequestError


@dataclass(frozen=True, slots=True)
class Emotion:
    """Scores of one utterance, segment or window.

    `probabilities` [C] are in the order of `classes.labels` and sum to 1. `margin` is the highest
    less the second highest. `entropy` is divided by its maximum, log(C): 0 is certain, 1 a blind
    guess.
    """

    classes: Classes
    probabilities: tuple[float, ...]
    label: str
    confidence: float
    margin: float
    entropy: float

    @property
    def scores(self) -> dict[str, float]:
        """The probability of each label, in the classes' order."""
        return dict(zip(self.classes.names, self.probabilities, strict=True))


class Classes:
    """The classes that a request asks for: all of the model's, or those that it allows."""

    def __init__(self, labels: Sequence[Label], allowed: Sequence[str] = ()) -> None:
        """Chooses the columns.

        Raises:
            InvalidRequestError: a label in `allowed` is not one of the model's.
        """
        known = [label.name for label in labels]
        for name in allowed:
            if name not in known:
                raise InvalidRequestError(
                    "config.allowed_labels",
                    f"unknown label {name!r}; this model has {', '.join(known) or 'none'}",
                )
        self._columns = [
            index for index, name in enumerate(known) if not allowed or name in allowed
        ]
        self.labels = tuple(labels[index] for index in self._columns)
        self.names = tuple(label.name for label in self.labels)

    def probabilities(self, logits: Float32) -> Float32:
        """Softmax over the chosen columns of the last axis: [..., all classes] -> [..., C]."""
        chosen = logits[..., self._columns].astype(np.float64)
        chosen -= chosen.max(axis=-1, keepdims=True)
        np.exp(chosen, out=chosen)
        chosen /= chosen.sum(axis=-1, keepdims=True)
        return chosen.astype(np.float32)

    def emotion(self, logits: Float32) -> Emotion:
        """The emotion that the logits [all classes] of one piece of audio stand for.

        In plain Python: for a handful of numbers it takes a tenth of numpy's time.
        """
        every = logits.tolist()
        chosen = [every[column] for column in self._columns]
        highest = max(chosen)
        weights = [math.exp(logit - highest) for logit in chosen]
        total = sum(weights)
        probabilities = tuple(weight / total for weight in weights)
        confidence = max(probabilities)
        second = sorted(probabilities)[-2] if len(probabilities) > 1 else 0.0
        return Emotion(
            classes=self,
            probabilities=probabilities,
            label=self.names[probabilities.index(confidence)],
            confidence=confidence,
            margin=confidence - second,
            entropy=_normalized_entropy(probabilities),
        )


def _normalized_entropy(probabilities: Sequence[float]) -> float:
    if len(probabilities) < 2:
        return 0.0
    entropy = -sum([share * math.log(share) for share in probabilities if share > 0])
    return entropy / math.log(len(probabilities))
