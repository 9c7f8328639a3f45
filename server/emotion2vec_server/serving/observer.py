"""Who wants to know what the server does: metrics."""

from __future__ import annotations

from typing import Protocol


class Observer(Protocol):
    """Called on the event loop, and must not block. `method` is the name of the use case."""

    def ended(self, door: str, method: str, status: str, seconds: float) -> None:
        """A call that came by this door ended with this status (`google.rpc.Code`), so many seconds
        after it began."""

    def audio(self, method: str, seconds: float) -> None:
        """So much audio came in."""

    def rejected(self, model: str, reason: str) -> None:
        """A request got no result; `model` is empty where it can't be known."""
