"""What an export can fail with. Messages are for the user: what is wrong and what to do."""

from __future__ import annotations

from emotion2vec_runtime.bundle import Parity
from emotion2vec_runtime.errors import Emotion2vecError


class ExportError(Emotion2vecError):
    """The checkpoint can't be fetched, read, or turned into a faithful bundle."""


class UnfaithfulError(ExportError):
    """The exported model differs from FunASR's by more than its bound."""

    def __init__(self, message: str, parity: Parity | None = None) -> None:
        """`parity`: the rows that are beyond the bounds, the worst first."""
        super().__init__(message)
        self.parity = parity
