"""Numbers as people read them."""

from __future__ import annotations


def percent(share: float) -> str:
    """A share from 0 to 1."""
    return f"{share:.1%}"


def clock(seconds: float) -> str:
    """m:ss.s, or h:mm:ss beyond an hour."""
    tenths = round(10 * seconds)
    if tenths < 36_000:
        return f"{tenths // 600}:{tenths % 600 / 10:04.1f}"
    whole = tenths // 10
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def span(seconds: float) -> str:
    """How much audio, in the unit that suits it."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:,.1f} h"


def long_span(seconds: float) -> str:
    """The same in words."""
    if seconds < 60:
        return f"{seconds:.0f} seconds"
    if seconds < 3600:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:,.1f} hours"
