"""What a turn sounded like, in the form that LiveKit keeps as a stream's context."""

from __future__ import annotations

from typing import Self

from emotion2vec_client import Emotion
from pydantic import BaseModel


class UserEmotion(BaseModel):
    """The emotion of one stretch of the user's speech: a `livekit.agents.stt.SpeakerContext`."""

    label: str
    confidence: float
    """Of the label, 0 to 1."""
    scores: dict[str, float]
    """Of every label; they sum to 1."""

    @classmethod
    def of(cls, emotion: Emotion) -> Self:
        return cls(
            label=emotion.label,
            confidence=emotion.confidence,
            scores={score.label: score.probability for score in emotion.scores},
        )

    def to_instructions(self) -> str:
        """One sentence for the LLM."""
        return (
            f"The user's last words sounded {self.label} (probability {self.confidence:.2f}, by "
            "tone of voice alone). Take it as a cue for how to answer, and don't mention it."
        )
