"""A long recording's parts, put together to what Recognize gives for a short one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from emotion2vec_client.results import Frames, Recognition, RecordingPart


class Assembly:
    """The parts of one recording, as they come."""

    def __init__(self) -> None:
        self._parts: dict[int, list[RecordingPart]] = {}
        """By channel."""

    def add(self, part: RecordingPart) -> None:
        self._parts.setdefault(part.channel, []).append(part)

    def complete(self, result: Recognition) -> Recognition:
        """The result, with what the parts hold."""
        if result.channels:
            channels = enumerate(result.channels)
            whole = (_completed(one, self._parts.get(number, [])) for number, one in channels)
            return replace(result, channels=tuple(whole))
        return _completed(result, self._parts.get(0, []))


def _completed(result: Recognition, parts: Sequence[RecordingPart]) -> Recognition:
    frames = [part.frames for part in parts if part.frames is not None]
    embeddings = [part.frame_embeddings for part in parts if part.frame_embeddings is not None]
    audio, scale = _joined_audio(parts)
    has_segments = len(parts) > 1 and result.emotion is not None
    return replace(
        result,
        frames=_joined_frames(frames) if frames else None,
        frame_embeddings=np.concatenate(embeddings) if embeddings else None,
        # Recognize has none either where all of it is one window.
        segments=tuple(part.segment for part in parts) if has_segments else (),
        processed_audio=audio,
        processed_audio_scale=scale,
    )


def _joined_frames(frames: Sequence[Frames]) -> Frames:
    return replace(frames[0], probabilities=np.concatenate([one.probabilities for one in frames]))


def _joined_audio(parts: Sequence[RecordingPart]) -> tuple[NDArray[np.int16] | None, float]:
    """All samples on one scale, and that."""
    pieces = [
        (part.processed_audio, part.processed_audio_scale)
        for part in parts
        if part.processed_audio is not None
    ]
    if not pieces:
        return None, 1.0
    largest = max(scale for _, scale in pieces)
    same = (
        audio if scale == largest else np.rint(audio * np.float64(scale / largest)).astype(np.int16)
        for audio, scale in pieces
    )
    return np.concatenate(list(same)), largest
