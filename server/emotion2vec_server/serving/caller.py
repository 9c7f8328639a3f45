"""Who asks, and until when."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """The one who makes a call.

    Attributes:
        name: whom the server shares itself fairly between: a token's holder, or an address. Never
            a connection: who opens many must gain nothing by it.
        deadline: on the clock of `time.monotonic`, after which an answer is worthless.
    """

    name: str = ""
    deadline: float | None = None
