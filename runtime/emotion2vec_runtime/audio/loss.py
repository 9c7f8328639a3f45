"""What of a recording could not be heard: said to the caller, never passed over."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class LossKind(Enum):
    """How audio was lost."""

    TRUNCATED = "TRUNCATED"
    """The recording ends before the length that it states, or within its last part."""
    DAMAGED = "DAMAGED"
    """Parts could not be decoded, or bytes are left over that nothing says how to read."""


class Loss(NamedTuple):
    """One kind of loss in one recording; times are seconds."""

    kind: LossKind
    stated_seconds: float | None
    """What the file says that it holds; None where it does not say."""
    heard_seconds: float
    """What was decoded, silence in place of lost parts included."""
    lost_seconds: float | None
    """Of it: lost parts, which are heard as silence, so that times behind them stay true. None
    where the length of what is lost is unknown."""
    message: str
    """One sentence for the caller."""
