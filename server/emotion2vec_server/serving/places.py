"""Places for calls, shared out over callers so that nobody keeps the others out."""

from __future__ import annotations

from collections import Counter

SHARE = 4
"""A caller may have this many times what is left: alone four fifths of it all (dynamic thresholds:
Choudhury and Hahne, 1998)."""


class Places:
    """So many places, and who has them."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._held: Counter[str] = Counter()
        self.taken = 0
        """By all callers."""

    def take(self, caller: str, count: int = 1) -> bool:
        """Takes so many for a caller; False where they are not there, or not for this one."""
        left = self._count - self.taken
        if left < count or self._held[caller] > SHARE * left:
            return False
        self._held[caller] += count
        self.taken += count
        return True

    def give_back(self, caller: str, count: int = 1) -> None:
        """So many that were taken are free again."""
        self.taken -= count
        self._held[caller] -= count
        if not self._held[caller]:
            del self._held[caller]
