"""Times of a recording as people read them."""

from __future__ import annotations


def clock(seconds: float) -> str:
    """ "M:SS", or "H:MM:SS" from an hour on; of part of a second only what is whole."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
