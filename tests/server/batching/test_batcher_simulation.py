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

import pytest
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


LIMITS = BatchLimits(max_rows=32, max_frames=16_000)


def ours(cost: Cpu | Middling | Gpu) -> Scheduler[Ticket]:
    return Scheduler(cost, LIMITS)


class Scaled:
    """A cost model that is wrong by a factor."""

    def __init__(self, cost: Middling, factor: float) -> None:
        self._cost = cost
        self._factor = factor

    def seconds(self, batch: int, frames: int) -> float:
        return self._factor * self._cost.seconds(batch, frames)


def three_seconds(draw: random.Random) -> int:
    return 150


def one_to_fifteen_seconds(draw: random.Random) -> int:
    return min(750, max(50, int(draw.lognormvariate(5.3, 0.6))))


LENGTHS = pytest.mark.parametrize("frames", [three_seconds, one_to_fifteen_seconds])
CALLERS = pytest.mark.parametrize("callers", [1, 2, 4, 8, 16, 32, 64, 128])


@LENGTHS
@CALLERS
@pytest.mark.parametrize(
    ("cost", "seconds"),
    [
        pytest.param(Cpu(), 300.0, id="cpu"),
        pytest.param(Middling(), 5.0, id="middling"),
        pytest.param(Gpu(), 2.0, id="gpu"),
    ],
)
def test_no_simple_policy_answers_more(
    cost: Cpu | Middling | Gpu,
    seconds: float,
    callers: int,
    frames: Callable[[random.Random], int],
) -> None:
    def rate(policy: Policy) -> float:
        return closed_loop(World(policy, cost), callers, seconds, frames).rate

    best = max(rate(policy) for policy in (Fifo(1), Fifo(32), Hasty(ours(cost))))
    assert rate(ours(cost)) > 0.9 * best


@pytest.mark.parametrize("callers", [2, 4, 8, 16])
def test_gathering_pays_for_few_callers_of_a_middling_model(callers: int) -> None:
    cost = Middling()
    hasty = closed_loop(World(Hasty(ours(cost)), cost), callers, 5, three_seconds)
    gathering = closed_loop(World(ours(cost), cost), callers, 5, three_seconds)
    assert gathering.rate > 1.25 * hasty.rate
    assert gathering.latency < hasty.latency


@pytest.mark.parametrize("cost", [Cpu(), Middling(), Gpu()])
def test_a_lone_caller_never_waits(cost: Cpu | Middling | Gpu) -> None:
    outcome = closed_loop(World(ours(cost), cost), 1, 60, three_seconds)
    assert all(latency == pytest.approx(cost.seconds(1, 150)) for _, latency in outcome.answered)


def test_callers_who_come_when_they_like_are_not_kept_waiting() -> None:
    def latency(policy: Policy) -> float:
        world = World(policy, Middling())
        open_loop(world, 100, 20, three_seconds)
        return world.run(20).latency

    assert latency(ours(Middling())) < 1.05 * latency(Hasty(ours(Middling())))


def test_many_callers_of_a_middling_model_get_its_best_batches() -> None:
    outcome = closed_loop(World(ours(Middling()), Middling()), 64, 10, three_seconds)
    assert outcome.rate > 0.98 * 32 / Middling().seconds(32, 150)


def test_on_a_cpu_that_gains_nothing_clips_run_one_by_one() -> None:
    outcome = closed_loop(World(ours(Cpu()), Cpu()), 16, 300, one_to_fifteen_seconds)
    assert {len(batch) for batch in outcome.batches} == {1}


def test_like_lengths_share_batches() -> None:
    def padding(policy: Policy) -> float:
        outcome = closed_loop(World(policy, Gpu()), 128, 2, one_to_fifteen_seconds)
        padded = sum(len(rows) * max(row.frames for row in rows) for rows in outcome.batches)
        return padded / sum(row.frames for rows in outcome.batches for row in rows)

    assert padding(ours(Gpu())) < 1.35
    assert padding(Fifo(32)) > 2


def test_a_flood_does_not_drown_the_others() -> None:
    """One caller floods; eight others ask one at a time, and wait for a few batches at most."""
    world = World(ours(Middling()), Middling())
    open_loop(world, 2000, 10, one_to_fifteen_seconds, caller="flood")
    outcome = closed_loop(world, 8, 10, one_to_fifteen_seconds)
    longest_batch = max(
        Middling().seconds(len(rows), max(row.frames for row in rows)) for rows in outcome.batches
    )
    for caller in range(8):
        latencies = outcome.latencies(str(caller))
        assert len(latencies) > 20
        assert max(latencies) < 8 * longest_batch
    assert {ticket.caller for ticket, _ in outcome.refused} == {"flood"}


def test_live_windows_go_first_and_do_not_starve_the_rest() -> None:
    world = World(ours(Cpu()), Cpu())
    draw = random.Random(1)
    when = 0.0
    # Bulk asks for twice what there is; windows for half of it.
    while (when := when + draw.expovariate(1.1)) < 300:
        world.at(when, lambda: world.submit(Ticket(150, world.now, caller="bulk")))
    when = 0.0
    while (when := when + draw.expovariate(0.4)) < 300:
        world.at(when, lambda: world.submit(Ticket(100, world.now, urgent=True, caller="live")))
    outcome = world.run(300)
    assert mean(outcome.latencies("live")) < 4 * Cpu().seconds(1, 150)
    assert len(outcome.latencies("bulk")) > 60


def test_urgent_work_without_end_leaves_the_rest_its_share() -> None:
    world = World(ours(Middling()), Middling())
    for _ in range(400):
        world.submit(Ticket(150, 0.0, urgent=True, caller="live"))
    for _ in range(100):
        world.submit(Ticket(150, 0.0, caller="bulk"))
    outcome = world.run(0.5)
    served = [ticket.urgent for ticket, _ in outcome.answered]
    assert 0.7 < mean(served) < 0.9


@pytest.mark.parametrize("factor", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("deadline", [0.12, 0.4])
def test_at_three_times_the_capacity_what_is_accepted_is_in_time(
    deadline: float, factor: float
) -> None:
    """Whether the cost model is right or wrong by ten. First come, first served answers 1% here."""
    world = World(Scheduler(Scaled(Middling(), factor), LIMITS), Middling())
    open_loop(world, 2100, 10, three_seconds, deadline)
    outcome = world.run(10)
    assert outcome.rate > 0.9 * 32 / Middling().seconds(32, 150)
    assert outcome.wasted < 0.02 * len(outcome.answered)
    late = [wait for _, wait in outcome.refused if wait > 0.1]
    assert len(late) < 0.1 * len(outcome.answered)


class Shared(Middling):
    """Costs by the clip, however long: what a full batch saves, a small one throws away."""

    def seconds(self, batch: int, frames: int) -> float:
        return 0.01716 + 0.00084 * batch + 1e-7 * batch * frames


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_overload_of_an_uneven_machine(seed: int) -> None:
    """Batches take one to four times as long from one moment to the next, and lengths are mixed:
    estimates are wrong, some that were accepted are late, but they don't drag others along."""
    draw = random.Random(seed)
    world = World(Scheduler(Shared(), LIMITS), Shared())

    def becomes(slow: float) -> None:
        world.slow = slow

    for tenth in range(200):
        slow = draw.uniform(1, 4)
        world.at(tenth / 10, lambda slow=slow: becomes(slow))  # type: ignore[misc]
    open_loop(world, 2100, 20, lambda draw: draw.randint(50, 750), deadline=1.0, seed=seed)
    outcome = world.run(20)
    late = outcome.wasted + sum(wait > 0.1 for _, wait in outcome.refused)
    assert late < 0.01 * len(outcome.answered)
    assert mean(map(len, outcome.batches)) > 20


def test_an_estimate_that_is_far_too_high_does_not_stop_the_service() -> None:
    world = World(Scheduler(Scaled(Middling(), 10), LIMITS), Middling())
    open_loop(world, 20, 20, three_seconds, deadline=0.06)
    outcome = world.run(20)
    assert len(outcome.answered) > 0.9 * (len(outcome.answered) + len(outcome.refused))


def test_a_model_that_became_slow_and_fast_again_is_used_to_the_full() -> None:
    world = World(ours(Middling()), Middling())
    open_loop(world, 2100, 15, three_seconds, deadline=0.4)

    def becomes(slow: float) -> None:
        world.slow = slow

    world.at(5, lambda: becomes(8))
    world.at(10, lambda: becomes(1))
    outcome = world.run(15)
    last = [ticket for ticket, latency in outcome.answered if ticket.arrived > 12]
    assert len(last) > 0.9 * 2.6 * 32 / Middling().seconds(32, 150)
