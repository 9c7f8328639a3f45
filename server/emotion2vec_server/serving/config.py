"""What a caller may ask of a recognition, and what that means for one model."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from emotion2vec_runtime.errors import InvalidRequestError
from emotion2vec_runtime.recognition.emotion import Classes
from emotion2vec_runtime.recognition.result import Options

from emotion2vec_server.serving.served_model import ServedModel


class Granularity(Enum):
    """How fine the scores are."""

    UTTERANCE = "UTTERANCE"
    FRAME = "FRAME"


class Channels(Enum):
    """How several channels are recognised."""

    MIX = "MIX"
    SEPARATE = "SEPARATE"


@dataclass(frozen=True, slots=True)
class RecognitionConfig:
    """As the caller sent it; the names are the wire's.

    Attributes:
        model: empty for the default one.
        granularity: None where the caller named none.
        allowed_labels: score these only; empty for all.
        speech_only: pool over the frames with speech.
    """

    model: str = ""
    granularity: Granularity | None = None
    return_embedding: bool = False
    return_frame_embeddings: bool = False
    return_processed_audio: bool = False
    allowed_labels: tuple[str, ...] = ()
    channels: Channels = Channels.MIX
    speech_only: bool = False

    def options(self, model: ServedModel, default: Granularity) -> Options:
        """What is asked of this model; `default` is the granularity of a caller who named none.

        Raises:
            InvalidRequestError: a label that does not exist, or frame scores of a model that has no
                classifier.
        """
        labels = model.manifest.labels
        frames = (self.granularity or default) is Granularity.FRAME
        if self.granularity and frames and not labels:
            raise InvalidRequestError(
                "config.granularity",
                f"model {model.manifest.name} has no classifier and so no frame scores; "
                "ask for return_frame_embeddings",
            )
        return Options(
            Classes(labels, self.allowed_labels) if self.allowed_labels else model.classes,
            frames=frames and bool(labels),
            # Without a classifier the embedding is the only result there is.
            embedding=self.return_embedding or not labels,
            frame_embeddings=self.return_frame_embeddings,
            processed_audio=self.return_processed_audio,
            separate=self.channels is Channels.SEPARATE,
            speech_only=self.speech_only,
        )
