"""What runs next, and what is not even accepted. No clock, no threads, no event loop, no model.

A request is offered, and refused where it could only wait in vain. It waits in one of two lanes,
and leaves with the batch that a free instance takes. Batches are formed when an instance is free,
never before: while the model is busy they grow by themselves.

- Live windows (urgent) lead, unless they had `_URGENT_WEIGHT` times what whole utterances had while
  both waited; within a lane, turns are fair over callers (`fair_queue`).
- The request whose turn it is always leads. Others join it where the cost model says that this is
  cheaper (`packing`), and only those whose turn is near: so nobody is overtaken without end.
- An idle instance runs what there is, unless callers of the last batch are due back at any moment
  and waiting for them is cheaper (`gather`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Generic, Literal, NamedTuple

from emotion2vec_runtime.errors import RequestError, TooLargeError

from emotion2vec_server.batching.estimator import Cost, Estimator
from emotion2vec_server.batching.fair_queue import FairQueue, Ticket, TicketT
from emotion2vec_server.batching.gather import Gather, Wait
from emotion2vec_server.batching.packing import Budget, pack
from emotion2vec_server.errors import DeadlineExceededError, OverloadedError

_URGENT_WEIGHT = 4
_HORIZON = 4
"""Batches' worth of requests among which a batch may choose: enough to find like lengths."""
_CALLER_SHARE = 4
"""A caller may hold this many times the room that is left in the queue, so that no flood fills it
(dynamic thresholds: Choudhury and Hahne, 1998). A caller alone gets four fifths of the queue."""
_REGROW = 1.01
"""Growth of a budget that memory had cut, for each large batch that fits."""
_SOONEST_RETRY = 0.01
_SAFETY_FACTOR = 5.0
"""How much longer than expected a wait may be, of which a deadline depends. Waits are expected as
averages: like lengths overtake, a batch formed with time to spare is larger, and refusing takes
from the same cores, which halves what the model gets of a small machine."""
_CLOCK = 1e-6
"""Seconds: a run that the clock did not see."""

Reason = Literal["too_large", "deadline", "queue_full", "caller_share", "too_slow"]


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """Bounds of a batch, and of what waits. A frame is 20 ms of audio."""

    max_rows: int = 64
    max_frames: int = 12_000
    """Of a batch, padded: its longest row times its rows. No request may be longer."""
    max_queued_requests: int = 2048
    max_queued_frames: int = 180_000

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")


class Refusal(NamedTuple):
    """Why a request was not accepted: a word for the metrics, and the error for its caller."""

    reason: Reason
    error: RequestError


@dataclass(slots=True, eq=False)
class Batch(Generic[TicketT]):
    """What an instance took, at the time `taken`."""

    tickets: Sequence[TicketT]
    taken: float
    due: float
    """When it should end."""
    backlog: bool
    """Whether others had to stay behind."""

    @property
    def work(self) -> float:
        return sum(ticket.work for ticket in self.tickets)

    @property
    def longest(self) -> int:
        return max(ticket.frames for ticket in self.tickets)


class Turn(NamedTuple, Generic[TicketT]):
    """What a free instance gets: a batch, or how long to wait for one."""

    batch: Batch[TicketT] | None
    wait: float | None
    """Seconds; None for as long as nothing comes."""
    late: Sequence[TicketT]
    """Taken out of the queue because their deadline can't be met any more."""


class _Lane(FairQueue[TicketT]):
    """One of the queues, with its place in the rotation between them (stride scheduling)."""

    def __init__(self, weight: int) -> None:
        super().__init__()
        self._weight = weight
        self.used = 0.0

    def serve(self, ticket: TicketT) -> None:
        self.used += ticket.frames / self._weight
        super().serve(ticket)


class Scheduler(Generic[TicketT]):
    """The queue of one model and its policy. Times are seconds of one monotonic clock."""

    def __init__(self, cost: Cost, limits: BatchLimits, instances: int = 1) -> None:
        self._limits = limits
        self._instances = instances
        self._estimate = Estimator(cost, limits.max_rows, limits.max_frames, instances)
        self._urgent: _Lane[TicketT] = _Lane(_URGENT_WEIGHT)
        self._bulk: _Lane[TicketT] = _Lane(1)
        self._running: list[Batch[TicketT]] = []
        self._gather = Gather()
        self._goal = 1
        self._max_frames = float(limits.max_frames)

    def __len__(self) -> int:
        return len(self._urgent) + len(self._bulk)

    @property
    def frames(self) -> int:
        """Frames that wait."""
        return self._urgent.frames + self._bulk.frames

    @property
    def worth_waking(self) -> bool:
        """Whether an instance that waits should look again."""
        return len(self) >= self._goal

    def offer(self, ticket: TicketT, now: float) -> Refusal | None:
        """Accepts a request, or says why not."""
        ticket.alone = self._estimate.nominal(1, ticket.frames)
        ticket.work = self._estimate.work(ticket.frames)
        lane, other = self._lanes(ticket.urgent)
        refusal = self.refusal(ticket, now)
        if refusal is None:
            if not lane:
                lane.used = max(lane.used, other.used)
            lane.add(ticket)
            self._gather.arrived(now)
        return refusal

    def refusal(self, ticket: Ticket, now: float) -> Refusal | None:
        """Why such a request would not be accepted now; None where it would."""
        lane, _ = self._lanes(ticket.urgent)
        if ticket.frames > self._limits.max_frames:
            return Refusal("too_large", TooLargeError("the audio is longer than one batch may be"))
        if ticket.deadline <= now:
            return Refusal("deadline", DeadlineExceededError("the deadline has passed"))
        if not ticket.after and (crowded := self._crowded(ticket, lane, now)):
            return crowded
        if ticket.deadline < inf and self and self._end(ticket, lane, now) > ticket.deadline:
            return self._overloaded("too_slow", "the queue is longer than your time", ticket, now)
        return None

    def withdraw(self, ticket: TicketT) -> None:
        """Forgets a request that waits: its caller left, or its deadline passed."""
        self._lanes(ticket.urgent)[0].withdraw(ticket)

    def take(self, now: float, *, rows: int | None = None, gather: bool = True) -> Turn[TicketT]:
        """The next batch for a free instance.

        Args:
            now: the time.
            rows: a bound for this batch, below the limits' own.
            gather: whether to wait for callers who are due back.
        """
        pool, late = self._pool(now)
        self._goal = 1
        if not pool:
            return Turn(None, None, late)
        budget = Budget(rows or self._limits.max_rows, int(self._max_frames))
        wait = self._wait(budget, now) if gather else None
        if wait is not None:
            self._goal = len(self) + wait.requests
            return Turn(None, wait.seconds, late)
        chosen = pack(pool, self._estimate, budget, now)
        for ticket in chosen:
            self._lanes(ticket.urgent)[0].serve(ticket)
        batch = Batch(chosen, now, now, backlog=len(self) > 0)
        batch.due += self._estimate.seconds(len(chosen), batch.longest)
        self._running.append(batch)
        return Turn(batch, None, late)

    def finished(self, batch: Batch[TicketT], now: float, *, clean: bool = True) -> None:
        """A batch has run; `clean` if in one piece, so that its time tells what it costs."""
        self._running.remove(batch)
        self._gather.finished(len(batch.tickets), now)
        if clean:
            rows, longest = len(batch.tickets), batch.longest
            seconds = max(now - batch.taken, _CLOCK)
            self._estimate.learn(rows, batch.work, longest, seconds, backlog=batch.backlog)
            if rows * longest > self._max_frames / 2:
                self._max_frames = min(self._limits.max_frames, self._max_frames * _REGROW)

    def out_of_memory(self, padded_frames: int) -> None:
        """A batch of this size did not fit: keeps to half of it, for now."""
        self._max_frames = min(self._max_frames, padded_frames / 2)

    def retry_after(self, work: float, now: float) -> float:
        """Seconds until there should be room for so much work."""
        return max(_SOONEST_RETRY, self._instance_free(now) + self._estimate.drain_seconds(work))

    def _lanes(self, urgent: bool) -> tuple[_Lane[TicketT], _Lane[TicketT]]:
        """The lane of such a request, and the other one."""
        return (self._urgent, self._bulk) if urgent else (self._bulk, self._urgent)

    def _crowded(self, ticket: Ticket, lane: _Lane[TicketT], now: float) -> Refusal | None:
        """Why there is no place for a recording. Its first part is asked; the others follow it,
        or one of many parts would never fit into a short queue."""
        seats = self._limits.max_queued_requests - len(self)
        room = self._limits.max_queued_frames - self.frames
        requests, frames = lane.held_by(ticket.caller)
        if seats < 1 or room < ticket.frames:
            return self._overloaded("queue_full", "the queue is full", ticket, now)
        if requests > _CALLER_SHARE * seats or frames > _CALLER_SHARE * room:
            return self._overloaded("caller_share", "too many of your calls wait", ticket, now)
        return None

    def _overloaded(self, reason: Reason, problem: str, ticket: Ticket, now: float) -> Refusal:
        seconds = self.retry_after(max(ticket.work, self._mean_work), now)
        return Refusal(reason, OverloadedError(f"{problem}; try again in {seconds:.2g} s", seconds))

    def _instance_free(self, now: float) -> float:
        """Seconds until an instance is free."""
        if len(self._running) < self._instances:
            return 0.0
        return max(0.0, min(batch.due for batch in self._running) - now)

    @property
    def _mean_work(self) -> float:
        """Of a request that waits."""
        return (self._urgent.work + self._bulk.work) / max(1, len(self))

    def _end(self, ticket: Ticket, lane: _Lane[TicketT], now: float) -> float:
        """When a new request should be done at the latest: after its wait, and its own batch.
        The safety factor is for the wait: those ahead who can share the batch are counted as they
        are, and so is the rest of its own recording, which nobody can get in the way of."""
        usual = round(self._estimate.usual_rows)
        rows = min(max(usual, self._estimate.worthwhile(ticket.frames)), len(self) + 1)
        ahead = lane.work_before(ticket.caller)
        if lane is self._bulk:
            ahead += self._urgent.work
        shared = (rows - 1) * self._mean_work
        own = sum(map(self._estimate.work, ticket.after))
        known = min(ahead, max(shared, own))
        wait = self._estimate.drain_seconds(known + _SAFETY_FACTOR * (ahead - known))
        return now + self._instance_free(now) + wait + self._estimate.seconds(rows, ticket.frames)

    def _pool(self, now: float) -> tuple[list[TicketT], list[TicketT]]:
        """Requests whose turn is near, the next one first; and those found too late, removed."""
        late: list[TicketT] = []
        near: list[TicketT] = []
        # Behind those that are late, others may wait whom nothing else would wake an instance for.
        while self and not near:
            near = self._near()
            hopeless = self._hopeless(near, now)
            for ticket in hopeless:
                self.withdraw(ticket)
            near = [ticket for ticket in near if ticket.waiting]
            late += hopeless
        if not near and any(ticket.deadline > now for ticket in late):
            self._estimate.doubt()
        return near, late

    def _near(self) -> list[TicketT]:
        """Requests whose turn is near, the next one first."""
        urgent_leads = bool(self._urgent) and not (
            self._bulk and self._bulk.used < self._urgent.used
        )
        lead, other = self._lanes(urgent_leads)
        count = int(_HORIZON * (self._estimate.usual_rows + _HORIZON))
        near = lead.first(count)
        return near + other.first(count - len(near))

    def _hopeless(self, near: Sequence[TicketT], now: float) -> list[TicketT]:
        """Those of them that can't be in time any more."""
        scale = self._estimate.correction
        return [ticket for ticket in near if now + ticket.alone * scale > ticket.deadline]

    def _wait(self, budget: Budget, now: float) -> Wait | None:
        """Whether callers who are due back are worth waiting for."""
        frames = -(-self.frames // len(self))
        room = min(budget.rows, budget.frames // frames)
        return self._gather.wait(
            now, len(self), room, lambda rows: self._estimate.seconds(rows, frames)
        )
