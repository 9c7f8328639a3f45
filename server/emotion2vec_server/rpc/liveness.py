"""When a connection is asked for a sign of life, and when it is given up.

One that has not begun to speak HTTP/2 within `handshake` seconds is no client. After `silence`
seconds without a byte the peer is asked (PING), and must answer within `answer`: one that vanished
without a word (a cable, a NAT) gives back what it holds. One without a call for `idle` seconds is
sent away: it costs a file descriptor, and its client opens another when it has something to ask.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds; see above."""

    handshake: float = 10.0
    silence: float = 60.0
    answer: float = 20.0
    idle: float = 600.0
    request: float = 60.0
    """For the message of a call that has only one."""
    stall: float = 60.0
    """How long an answer may stand still; see `stalls`."""
    check: float = 2.5
    """Between two looks at all this."""


class Verdict(Enum):
    """What to do with a connection."""

    KEEP = "keep"
    PING = "ping"
    LEAVE = "leave"
    DROP = "drop"


class Liveness:
    """What is known of one connection's life. To be checked now and then."""

    def __init__(self, patience: Patience, now: float) -> None:
        """`now` is in seconds, of any clock."""
        self._patience = patience
        self._born = self._heard = self._used = now
        self._asked: float | None = None

    def check(self, now: float, *, heard: bool, is_greeted: bool, is_busy: bool) -> Verdict:
        """What is due. `heard`: bytes have come since the last check; `is_greeted`: it speaks
        HTTP/2; `is_busy`: calls are under way."""
        patience = self._patience
        if heard:
            self._heard, self._asked = now, None
        if is_busy:
            self._used = now
        if not is_greeted:
            return Verdict.DROP if now - self._born >= patience.handshake else Verdict.KEEP
        if self._asked is not None:
            return Verdict.DROP if now - self._asked >= patience.answer else Verdict.KEEP
        if now - self._heard >= patience.silence:
            self._asked = now
            return Verdict.PING
        return Verdict.LEAVE if now - self._used >= patience.idle else Verdict.KEEP
