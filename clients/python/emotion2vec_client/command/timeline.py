"""Scores over time, whether they come from frames or from the segments of long audio."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emotion2vec_client.readings import Stretch, stretches
from emotion2vec_client.results import Emotion, Float32, Frames, Recognition, Segment


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """Scores of T pieces of audio in a row. Seconds from its beginning."""

    labels: tuple[str, ...]
    edges: NDArray[np.float64]
    """[T + 1]: where each piece begins, and where the last one ends."""
    probabilities: Float32
    """[T, C]; 0 where a piece has no scores."""
    stretches: tuple[Stretch, ...]
    """The leading labels."""


def timeline(recognition: Recognition) -> Timeline | None:
    """The finest scores over time that there are; None without any."""
    frames, emotion = recognition.frames, recognition.emotion
    if frames is not None and len(frames.probabilities):
        return _of_frames(frames)
    if emotion is not None and recognition.segments:
        labels = tuple(score.label for score in emotion.scores)
        return _of_segments(labels, recognition.segments)
    return None


def _of_frames(frames: Frames) -> Timeline:
    edges = np.append(frames.times, frames.times[-1] + frames.hop)
    return Timeline(frames.labels, edges, frames.probabilities, tuple(stretches(frames)))


def _of_segments(labels: tuple[str, ...], segments: tuple[Segment, ...]) -> Timeline:
    """Segments overlap: each is shown up to where the next one begins."""
    edges = np.array([*(segment.start for segment in segments), segments[-1].end])
    rows = [_row(labels, segment.emotion) for segment in segments]
    leading = tuple(
        Stretch(segment.emotion.label, float(start), float(end), segment.emotion.confidence)
        for segment, start, end in zip(segments, edges[:-1], edges[1:], strict=True)
        if segment.emotion is not None
    )
    return Timeline(labels, edges, np.array(rows, np.float32), leading)


def _row(labels: tuple[str, ...], emotion: Emotion | None) -> list[float]:
    scores = {score.label: score.probability for score in emotion.scores} if emotion else {}
    return [scores.get(label, 0.0) for label in labels]
