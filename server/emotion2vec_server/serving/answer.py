"""What a caller gets: a result, and how it came about."""

from __future__ import annotations

from dataclasses import dataclass

from emotion2vec_runtime.recognition.result import Result

from emotion2vec_server.serving.served_model import ServedModel


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """The result for one recording, or one utterance of a stream. Times are in seconds.

    Attributes:
        batch_size: of the largest batch that the audio was part of; 0 where no model ran.
        source_rate: sample rate of the recording as it was sent, Hz; 0 where that is not known.
        source_channels: its channels; 0 where that is not known.
    """

    request_id: str
    model: ServedModel
    result: Result
    decode_seconds: float = 0.0
    queue_seconds: float = 0.0
    run_seconds: float = 0.0
    batch_size: int = 0
    source_rate: int = 0
    source_channels: int = 0
