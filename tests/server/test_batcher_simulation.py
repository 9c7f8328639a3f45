"""The batcher's policy in virtual time, beside the policies that a user would write first.

A discrete-event simulation drives the real `Scheduler`: its clock is a number, so a minute of load
takes a moment, and every figure is the same in every run.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from math import inf
from statistics import mean
from typing import Protocol

from emotion2vec_server.batching.fair_queue import Ticket
from emotion2vec_server.batching.scheduler import Batch, BatchLimits, Refusal, Scheduler, Turn


class Cpu:
    """The large graph on two cores: 8 clips of 1 to 10 s cost about twice as much in one batch."""

    def seconds(self, batch: int, frames: int) -> float:
        return 0.012 * batch * frames * (1 + 0.02 * (batch - 1))


class Middling:
    """18 ms alone, 44 ms for 32 (3 s clips)."""

    def seconds(self, batch: int, frames: int) -> float:
        return 0.01716 + 0.000839 * batch * frames / 150


class Gpu:
    """Nothing but latency until the card is full, then a little for each frame."""

    def seconds(self, batch: int, frames: int) -> float:
        return 0.001 + max(0.005, 2.6e-6 * batch * frames)


class Policy(Protocol):
    def offer(self, ticket: Ticket, now: float) -> Refusal | None: ...
    def take(self, now: float) -> Turn[Ticket]: ...
    def finished(self, batch: Batch[Ticket], now: float) -> None: ...


class Fifo:
    """First come, first served, up to `rows` at a time; what a batcher of fifty lines does."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._queue: list[Ticket] = []

    def offer(self, ticket: Ticket, now: float) -> None:
        self._queue.append(ticket)

    def take(self, now: float) -> Turn[Ticket]:
        chosen, self._queue = self._queue[: self._rows], self._queue[self._rows :]
        return Turn(Batch(chosen, now, now, False) if chosen else None, None, [])

    def finished(self, batch: Batch[Ticket], now: float) -> None: ...


class Hasty:
    """Ours without gathering."""

    def __init__(self, scheduler: Scheduler[Ticket]) -> None:
        self._scheduler = scheduler
        self.offer, self.finished = scheduler.offer, scheduler.finished

    def take(self, now: float) -> Turn[Ticket]:
        return self._scheduler.take(now, gather=False)


@dataclass
class Outcome:
    """What a load got. Times in seconds, of virtual time."""

    seconds: float = 0.0
    answered: list[tuple[Ticket, float]] = field(default_factory=list)
    wasted: int = 0
    refused: list[tuple[Ticket, float]] = field(default_factory=list)
    batches: list[Sequence[Ticket]] = field(default_factory=list)
    busy: float = 0.0

    @property
    def rate(self) -> float:
        """Answered requests a second."""
        return len(self.answered) / self.seconds

    @property
    def latency(self) -> float:
        return mean(latency for _, latency in self.answered)

    def latencies(self, caller: str) -> list[float]:
        return [latency for ticket, latency in self.answered if ticket.caller == caller]


class World:
    """One worker, a queue and its callers, in virtual time."""

    def __init__(self, policy: Policy, cost: Cpu | Middling | Gpu, slow: float = 1.0) -> None:
        self.now = 0.0
        self.outcome = Outcome()
        self.slow = slow
        self._policy = policy
        self._cost = cost
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._busy = False
        self._done: dict[Ticket, Callable[[bool], None]] = {}

    def at(self, when: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._numbers), action))

    def submit(self, ticket: Ticket, done: Callable[[bool], None] = lambda _: None) -> None:
        refusal = self._policy.offer(ticket, self.now)
        if refusal is not None:
            self.outcome.refused.append((ticket, 0.0))
            done(False)
            return
        self._done[ticket] = done
        if not self._busy:
            self._start()

    def run(self, until: float) -> Outcome:
        while self._events and self._events[0][0] <= until:
            self.now, _, action = heapq.heappop(self._events)
            action()
        self.outcome.seconds = until
        return self.outcome

    def _start(self) -> None:
        if self._busy:
            return
        turn = self._policy.take(self.now)
        for ticket in turn.late:
            self.outcome.refused.append((ticket, self.now - ticket.arrived))
            self._done.pop(ticket)(False)
        if turn.batch is not None:
            self._busy = True
            rows = turn.batch.tickets
            seconds = self.slow * self._cost.seconds(len(rows), max(t.frames for t in rows))
            self.outcome.busy += seconds
            self.outcome.batches.append(rows)
            batch = turn.batch
            self.at(self.now + seconds, lambda: self._finish(batch))
        elif turn.wait is not None:
            self.at(self.now + turn.wait, self._start)

    def _finish(self, batch: Batch[Ticket]) -> None:
        self._busy = False
        self._policy.finished(batch, self.now)
        for ticket in batch.tickets:
            if self.now > ticket.deadline:
                self.outcome.wasted += 1
                self._done.pop(ticket)(False)
            else:
                self.outcome.answered.append((ticket, self.now - ticket.arrived))
                self._done.pop(ticket)(True)
        self._start()


def closed_loop(
    world: World,
    callers: int,
    seconds: float,
    frames: Callable[[random.Random], int],
    per_answer: float = 0.0003,
    back_after: float = 0.001,
) -> Outcome:
    """Callers who ask again as soon as they have an answer.

    The server needs `per_answer` for each answer of a batch, one after the other, and a caller is
    back after about `back_after`: what a gRPC server and its clients take on a small machine.
    """
    draw = random.Random(7)
    free_at = 0.0

    def ask(caller: int) -> None:
        ticket = Ticket(frames(draw), world.now, caller=str(caller))
        world.submit(ticket, lambda _: answered(caller))

    def answered(caller: int) -> None:
        nonlocal free_at
        free_at = max(free_at, world.now) + per_answer
        world.at(free_at + draw.lognormvariate(0, 0.5) * back_after, lambda: ask(caller))

    for caller in range(callers):
        world.at(draw.uniform(0, 0.01), lambda caller=caller: ask(caller))  # type: ignore[misc]
    return world.run(seconds)


def open_loop(
    world: World,
    per_second: float,
    seconds: float,
    frames: Callable[[random.Random], int],
    deadline: float = inf,
    caller: str = "",
    seed: int = 7,
) -> None:
    """Poisson arrivals."""
    draw = random.Random(seed)
    when = 0.0
    while (when := when + draw.expovariate(per_second)) < seconds:

        def ask(length: int = frames(draw)) -> None:
            world.submit(Ticket(length, world.now, deadline=world.now + deadline, caller=caller))

        world.at(when, ask)
