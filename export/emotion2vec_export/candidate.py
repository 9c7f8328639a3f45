"""A form of the graph that is offered, and taken if it is close enough to FunASR."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from emotion2vec_export.fitted import Fitted


class Candidate(NamedTuple):
    """One of those that a precision may have."""

    path: Path
    scheme: str | None = None
    """Which of them, where there is a choice."""
    fitted: Fitted | None = None
    """What was found for its matrices, which a step takes over."""
