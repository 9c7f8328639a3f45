"""When to try a failed call again. No I/O: both clients ask here and sleep in their own way.

gRPC's own retries (gRFC A6, a `retryPolicy` in the service config) were not taken: they choose by
status code alone and so can't tell RESOURCE_EXHAUSTED that will pass (RetryInfo) from audio that
will always be too large; they ignore RetryInfo; they stop at five attempts; and they give up, in
silence, on a call whose request outgrows a 256 KiB buffer, which is most audio.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from emotion2vec_client.errors import RecognitionError

_SHORTEST = 0.05  # seconds; "come back in 0 s" must not become a busy loop


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How failed calls are tried again; all of it happens within the call's timeout.

    Where the server says when to come back (RetryInfo: it is loading, draining or full), that is
    obeyed until the timeout. Where it doesn't, the server can't be reached, or has stopped with the
    call under way, and a few tries with growing pauses bridge a restart.

    Attributes:
        attempts: calls in all, where the server gives no time to come back; 1 turns retries off.
        first_pause: seconds before the second of them at most; doubles from try to try.
        longest_pause: seconds that no pause exceeds, unless the server asks for more.
        jitter: share by which the server's own time is lengthened at most, so that a crowd of
            clients does not come back at once.
    """

    attempts: int = 4
    first_pause: float = 0.5
    longest_pause: float = 5.0
    jitter: float = 0.25

    def __post_init__(self) -> None:
        if self.attempts < 1 or min(self.first_pause, self.longest_pause, self.jitter) < 0:
            raise ValueError("attempts must be 1 or more, pauses and jitter 0 or more")


NO_RETRY = RetryPolicy(attempts=1)


class Tries:
    """The tries of one call: take `remaining()` as the timeout of each, ask `pause` after it."""

    def __init__(
        self,
        policy: RetryPolicy,
        timeout: float | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._policy = policy
        self._clock = clock
        self._chance = chance
        self._deadline = None if timeout is None else clock() + timeout
        self._failed = 0

    def remaining(self) -> float | None:
        """Seconds until the call's deadline, 0 when it has passed; None without one."""
        return None if self._deadline is None else max(0.0, self._deadline - self._clock())

    def got_through(self) -> None:
        """There is something new: what fails next is the first failure again."""
        self._failed = 0

    def pause(self, error: RecognitionError) -> float | None:
        """Seconds to wait before the next try; None when `error` is the answer."""
        self._failed += 1
        pause = self._pause(error)
        remaining = self.remaining()
        if pause is None or (remaining is not None and pause >= remaining):
            return None
        return pause

    def _pause(self, error: RecognitionError) -> float | None:
        policy = self._policy
        if not error.retryable or policy.attempts == 1:
            return None
        if error.retry_after is not None:
            return max(error.retry_after, _SHORTEST) * (1 + policy.jitter * self._chance())
        if self._failed >= policy.attempts:
            return None
        ceiling = min(policy.first_pause * 2.0 ** (self._failed - 1), policy.longest_pause)
        # Between half and all of it: full jitter (down to 0) would knock at once on a closed door.
        return ceiling * (1 + self._chance()) / 2
