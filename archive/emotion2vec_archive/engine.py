"""What scores a recording: a server, or something else with the same answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from emotion2vec_client import Recognition

from emotion2vec_archive.recording import Recording
from emotion2vec_archive.row import Utterances


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What the table must know about the model before the first result."""

    name: str
    version: str
    labels: Sequence[str]
    """In the model's order; empty where it has no classifier."""
    embedding_size: int


class ScoringError(Exception):
    """A recording could not be scored, and would not be if it were tried at once again.

    Attributes:
        code: what a program tells it by, such as "INVALID_ARGUMENT" or "UNREADABLE".
        message: what a person is told.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Engine(Protocol):
    """Scores recordings, several at once."""

    @property
    def model(self) -> ModelInfo: ...

    async def score(self, recording: Recording) -> Recognition | Utterances:
        """The recognition of a recording, with frames, and with what else was asked for.

        Raises:
            ScoringError: this recording can't be scored; others may.
            EngineError: nothing can be scored any more.
        """
        ...


class EngineError(Exception):
    """Nothing can be scored any more; the message says why and what to do."""
