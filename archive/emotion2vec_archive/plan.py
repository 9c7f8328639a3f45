"""How a table is made: what its rows have in common, so that runs can add to one another."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from emotion2vec_archive.row import Per


class Embeddings(StrEnum):
    """Where embeddings go."""

    NONE = "none"
    COLUMN = "column"
    """A column of the Parquet table."""
    NPY = "npy"
    """A file of their own beside the table, with its row numbers in the table."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a table is made by, from end to end."""

    model: str
    model_version: str
    labels: tuple[str, ...]
    """Of the columns, in the model's order."""
    embedding_size: int
    per: Per
    speech_only: bool
    embeddings: Embeddings
    frames: bool

    def to_dict(self) -> dict[str, Any]:
        """As the journal keeps it."""
        return {**asdict(self), "labels": list(self.labels)}
