"""Requests in the order in which fairness serves them: start-time fair queueing over callers.

In virtual time a request starts when all that its caller asked for before has been served: at
`max(V, F)`, F being the virtual finish of the caller's last request. V grows by the frames served,
shared among the callers that wait. So a caller with one request overtakes the backlog of a flood;
yet nobody is overtaken without end, since V passes every start at last, and a newcomer starts at V.
(Goyal, Vin, Cheng: Start-time Fair Queueing, SIGCOMM 1996; V as in a fluid fair server.)

Adding and removing take O(log n) comparisons.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Generic, TypeVar


@dataclass(slots=True, eq=False)
class Ticket:
    """What the queue has to know of a request. Times are seconds of one monotonic clock."""

    frames: int
    arrived: float
    deadline: float = inf
    urgent: bool = False
    caller: str = ""
    after: Sequence[int] = ()
    """Frames of the other parts of the same recording that were offered just before."""
    alone: float = 0.0
    """Seconds in a batch of one, as the cost model has it; set on acceptance."""
    work: float = 0.0
    """Seconds that it adds to the queue, see `estimator`; set on acceptance."""
    place: tuple[float, int] = field(default=(0.0, 0), init=False)
    """Virtual start, and the number of the arrival; set by the queue."""
    waiting: bool = field(default=False, init=False)


TicketT = TypeVar("TicketT", bound=Ticket)


@dataclass(slots=True)
class _Caller:
    requests: int = 0
    frames: int = 0
    finish: float = 0.0


class FairQueue(Generic[TicketT]):
    """Waiting requests, in the order in which they are to lead a batch."""

    def __init__(self) -> None:
        self._order: list[tuple[float, int, TicketT]] = []
        self._callers: dict[str, _Caller] = {}
        self._waiting = 0
        self._virtual = 0.0
        self._arrivals = 0
        self.frames = 0
        self.work = 0.0

    def __len__(self) -> int:
        return len(self._order)

    def first(self, count: int) -> list[TicketT]:
        return [ticket for _, _, ticket in self._order[:count]]

    def held_by(self, caller: str) -> tuple[int, int]:
        """Requests and frames that a caller has waiting."""
        state = self._callers.get(caller)
        return (state.requests, state.frames) if state else (0, 0)

    def work_before(self, caller: str) -> float:
        """About how much waiting work would be done before a new request of this caller."""
        if not self._order:
            return 0.0
        place = bisect_left(self._order, (self._start(caller), self._arrivals + 1))
        return self.work * place / len(self._order)

    def add(self, ticket: TicketT) -> None:
        start = self._start(ticket.caller)
        self._arrivals += 1
        ticket.place = (start, self._arrivals)
        ticket.waiting = True
        insort(self._order, (start, self._arrivals, ticket))
        state = self._callers.setdefault(ticket.caller, _Caller())
        self._waiting += state.requests == 0
        state.requests += 1
        state.frames += ticket.frames
        state.finish = start + ticket.frames
        self.frames += ticket.frames
        self.work += ticket.work

    def serve(self, ticket: TicketT) -> None:
        """Takes out a request that is about to run; virtual time moves on."""
        self._virtual += ticket.frames / self._waiting
        self._take(ticket)

    def withdraw(self, ticket: TicketT) -> None:
        """Takes out a request that won't run; its caller isn't charged for it."""
        self._callers[ticket.caller].finish -= ticket.frames
        self._take(ticket)

    def _start(self, caller: str) -> float:
        state = self._callers.get(caller)
        return max(self._virtual, state.finish) if state else self._virtual

    def _take(self, ticket: TicketT) -> None:
        del self._order[bisect_left(self._order, ticket.place)]
        ticket.waiting = False
        state = self._callers[ticket.caller]
        state.requests -= 1
        state.frames -= ticket.frames
        self._waiting -= state.requests == 0
        self.frames -= ticket.frames
        self.work -= ticket.work
        if not self._order:
            self._callers.clear()
            self._virtual = self.work = 0.0
        elif len(self._callers) > 2 * self._waiting + 64:
            self._forget_idle()

    def _forget_idle(self) -> None:
        """Drops callers whose past no longer matters; keeps memory within the waiting ones."""
        self._callers = {
            name: state
            for name, state in self._callers.items()
            if state.requests or state.finish > self._virtual
        }
