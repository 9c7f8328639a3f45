"""What the processor adds to a pipeline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipecat.frames.frames import DataFrame


@dataclass
class UserEmotionFrame(DataFrame):
    """How one stretch of the user's speech sounded; it comes before the speech's transcription."""

    label: str
    confidence: float
    """Of the label, 0 to 1."""
    scores: dict[str, float]
    """Of every label; they sum to 1."""
    seconds: float
    """Length of the audio that was heard."""

    def as_metadata(self) -> dict[str, Any]:
        """What a transcription carries under `metadata["emotion"]`."""
        return {"label": self.label, "confidence": self.confidence, "scores": self.scores}
