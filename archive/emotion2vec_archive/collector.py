"""From the events of a stream to the utterances of a recording. No I/O."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from emotion2vec_client import Frames, StreamEvent, StreamFinal, StreamFrames

from emotion2vec_archive.row import Utterance


class UtteranceCollector:
    """Puts the frames of each utterance to its final result."""

    def __init__(self) -> None:
        self.utterances: list[Utterance] = []
        self._frames: list[Frames] = []

    def take(self, event: StreamEvent) -> None:
        """The next event of the stream."""
        if isinstance(event, StreamFrames):
            self._frames.append(event.frames)
        elif isinstance(event, StreamFinal):
            recognition = replace(event.recognition, frames=_joined(self._frames))
            self._frames = []
            self.utterances.append(
                Utterance(event.start, event.end, event.ended_by.value, recognition)
            )


def _joined(parts: list[Frames]) -> Frames | None:
    if not parts:
        return None
    return replace(parts[0], probabilities=np.concatenate([part.probabilities for part in parts]))
