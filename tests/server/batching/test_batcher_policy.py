"""What the batcher's policy promises whatever happens, as properties; and fairness by example."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from math import inf

import pytest
from emotion2vec_server.batching.estimator import Estimator
from emotion2vec_server.batching.fair_queue import FairQueue, Ticket
from emotion2vec_server.batching.gather import Gather
from emotion2vec_server.batching.packing import Budget, pack
from emotion2vec_server.batching.scheduler import Batch, BatchLimits, Refusal, Scheduler
from emotion2vec_server.errors import OverloadedError
from hypothesis import given, settings
from hypothesis import strategies as st

LIMITS = BatchLimits(max_rows=8, max_frames=1000, max_queued_requests=40, max_queued_frames=9000)


class Line:
    """t(B, T) = shared + each x B T."""

    def __init__(self, shared: float, each: float) -> None:
        self._shared = shared
        self._each = each

    def seconds(self, batch: int, frames: int) -> float:
        return self._shared + self._each * batch * frames


COSTS = st.sampled_from([Line(0.02, 1e-6), Line(1e-4, 1e-4), Line(1e-9, 1e-2)])
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("offer"),
            st.integers(1, 1100),
            st.sampled_from(["a", "b", "c"]),
            st.booleans(),
            st.one_of(st.none(), st.floats(-0.1, 2)),
        ),
        st.tuples(st.just("withdraw"), st.integers(0, 1000)),
        st.tuples(st.just("take")),
        st.tuples(st.just("finish"), st.booleans()),
        st.tuples(st.just("wait"), st.floats(1e-6, 1)),
        st.tuples(st.just("no memory"), st.integers(2, 1000)),
    ),
    max_size=120,
)


class Play:
    """Plays steps on a scheduler, checks each turn, and books where every ticket went."""

    def __init__(self, cost: Line) -> None:
        self.scheduler: Scheduler[Ticket] = Scheduler(cost, LIMITS)
        self.now = 100.0
        self.waiting: list[Ticket] = []
        self.running: list[Batch[Ticket]] = []
        self.gone: Counter[Ticket] = Counter()

    def offer(self, frames: int, caller: str, urgent: bool, deadline: float | None) -> None:
        ticket = Ticket(frames, self.now, urgent=urgent, caller=caller)
        if deadline is not None:
            ticket.deadline = self.now + deadline
        refusal = self.scheduler.offer(ticket, self.now)
        if refusal is None:
            assert ticket.deadline > self.now
            self.waiting.append(ticket)
        elif isinstance(refusal.error, OverloadedError):
            assert refusal.error.retry_after is not None
            assert 0 < refusal.error.retry_after < 1e6

    def withdraw(self, choice: int) -> None:
        if self.waiting:
            ticket = self.waiting.pop(choice % len(self.waiting))
            self.scheduler.withdraw(ticket)
            self.gone[ticket] += 1

    def take(self) -> None:
        turn = self.scheduler.take(self.now)
        taken = list(turn.batch.tickets) if turn.batch else []
        for ticket in [*turn.late, *taken]:
            self.waiting.remove(ticket)
            self.gone[ticket] += 1
        if turn.batch is None:
            assert turn.wait is None or turn.wait > 0
            return
        self.running.append(turn.batch)
        assert len(taken) <= LIMITS.max_rows
        assert len(taken) == 1 or len(taken) * turn.batch.longest <= LIMITS.max_frames
        assert all(ticket.deadline > self.now for ticket in taken)

    def finish(self, clean: bool) -> None:
        if self.running:
            self.now += 1e-3
            self.scheduler.finished(self.running.pop(0), self.now, clean=clean)

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def check(self) -> None:
        assert len(self.scheduler) == len(self.waiting) <= LIMITS.max_queued_requests
        frames = sum(ticket.frames for ticket in self.waiting)
        assert self.scheduler.frames == frames <= LIMITS.max_queued_frames
        assert set(self.gone.values()) <= {1}


@settings(max_examples=200)
@given(COSTS, STEPS)
def test_every_request_leaves_once_within_the_budget_and_in_time(
    cost: Line, steps: list[tuple[object, ...]]
) -> None:
    play = Play(cost)
    act: dict[object, Callable[..., None]] = {
        "offer": play.offer,
        "withdraw": play.withdraw,
        "take": play.take,
        "finish": play.finish,
        "wait": play.wait,
        "no memory": play.scheduler.out_of_memory,
    }
    for name, *arguments in steps:
        act[name](*arguments)
        play.check()
    # Nobody stays behind: as many turns as there are requests empty the queue.
    for _ in range(2 * len(play.waiting)):
        play.finish(clean=True)
        play.wait(1.0)
        play.take()
    assert not play.waiting


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 100)), min_size=1, max_size=60))
def test_the_fair_queue_serves_all_and_counts_right(arrivals: list[tuple[str, int]]) -> None:
    queue: FairQueue[Ticket] = FairQueue()
    tickets = [Ticket(frames, 0.0, caller=caller) for caller, frames in arrivals]
    for ticket in tickets:
        queue.add(ticket)
    served = []
    while queue:
        [first] = queue.first(1)
        queue.serve(first)
        served.append(first)
        assert queue.frames == sum(ticket.frames for ticket in tickets if ticket.waiting)
    assert len(served) == len(set(served)) == len(tickets)
    for caller in "abcd":
        own = [ticket for ticket in served if ticket.caller == caller]
        assert own == [ticket for ticket in tickets if ticket.caller == caller]


@given(st.lists(st.integers(1, 100), min_size=20, max_size=60), st.integers(1, 100))
def test_callers_who_both_wait_get_equal_frames(many: list[int], few: int) -> None:
    """The bound of start-time fair queueing: the difference is at most one request of each."""
    queue: FairQueue[Ticket] = FairQueue()
    for frames in many:
        queue.add(Ticket(frames, 0.0, caller="many"))
    for _ in range(20):
        queue.add(Ticket(few, 0.0, caller="few"))
    got = Counter(many=0, few=0)
    while queue.held_by("many")[0] and queue.held_by("few")[0]:
        [first] = queue.first(1)
        queue.serve(first)
        got[first.caller] += first.frames
        assert abs(got["many"] - got["few"]) <= max(many) + few


def test_newcomers_without_end_do_not_starve_a_flood() -> None:
    queue: FairQueue[Ticket] = FairQueue()
    flood = [Ticket(100, 0.0, caller="flood") for _ in range(10)]
    for ticket in flood:
        queue.add(ticket)
    for number in range(200):
        queue.add(Ticket(100, 0.0, caller=f"new {number}"))
        queue.serve(queue.first(1)[0])
    assert not any(ticket.waiting for ticket in flood)


def test_the_fair_queue_forgets_callers_who_left() -> None:
    queue: FairQueue[Ticket] = FairQueue()
    queue.add(Ticket(10**9, 0.0, caller="stays"))
    for number in range(5000):
        ticket = Ticket(1, 0.0, caller=str(number))
        queue.add(ticket)
        queue.serve(ticket)
    assert len(queue._callers) < 1000


def _pack(cost: Line, lengths: list[int], budget: Budget, **leader: float) -> list[int]:
    estimate = Estimator(cost, budget.rows, budget.frames, instances=1)
    pool = [Ticket(frames, 0.0, alone=cost.seconds(1, frames)) for frames in lengths]
    for name, value in leader.items():
        setattr(pool[0], name, value)
    return [ticket.frames for ticket in pack(pool, estimate, budget, now=0.0)]


@pytest.mark.parametrize(
    ("cost", "lengths", "expected"),
    [
        (Line(0.0, 1e-3), [100, 100, 100], [100]),
        (Line(1.0, 1e-6), [100, 500, 50], [50, 100, 500]),
        (Line(0.05, 1e-3), [100, 900, 110, 90, 800], [90, 100, 110]),
    ],
    ids=["batches never pay", "batches always pay", "like lengths pay"],
)
def test_the_cost_model_decides_who_shares_a_batch(
    cost: Line, lengths: list[int], expected: list[int]
) -> None:
    assert _pack(cost, lengths, Budget(32, 10_000)) == expected


def test_a_batch_does_not_grow_past_a_members_deadline() -> None:
    cost = Line(0.1, 1e-4)
    assert len(_pack(cost, [100] * 20, Budget(32, 10_000))) == 20
    assert len(_pack(cost, [100] * 20, Budget(32, 10_000), deadline=0.155)) == 5


def test_behind_many_that_are_late_others_are_found() -> None:
    """They may be all that waits: then nothing else would wake the worker."""
    scheduler: Scheduler[Ticket] = Scheduler(Line(0.02, 5e-6), LIMITS)
    late = [Ticket(50, 0.0, deadline=1.0, caller=f"late {number}") for number in range(35)]
    patient = Ticket(50, 0.0, caller="patient")
    for ticket in (*late, patient):
        assert scheduler.offer(ticket, 0.0) is None
    turn = scheduler.take(0.99, gather=False)
    assert set(turn.late) == set(late)
    assert turn.batch is not None
    assert list(turn.batch.tickets) == [patient]


def _offer_recording(
    scheduler: Scheduler[Ticket], frames: list[int], deadline: float = inf
) -> list[Refusal]:
    """Its parts, one after the other."""
    tickets = [
        Ticket(part, 0.0, deadline=deadline, caller="long", after=frames[:number])
        for number, part in enumerate(frames)
    ]
    return [refusal for ticket in tickets if (refusal := scheduler.offer(ticket, 0.0))]


def test_a_recording_is_not_afraid_of_itself() -> None:
    """Its own parts ahead of it are work that is known; those of others may take longer."""
    cost, frames = Line(1e-9, 1e-3), [900] * 5 + [100]
    needed = sum(cost.seconds(1, part) for part in frames)
    idle, busy = Scheduler[Ticket](cost, LIMITS), Scheduler[Ticket](cost, LIMITS)
    assert not _offer_recording(idle, frames, deadline=1.2 * needed)
    for number in range(3):
        assert busy.offer(Ticket(300, 0.0, caller=str(number)), 0.0) is None
    refusals = _offer_recording(busy, frames, deadline=1.4 * needed)
    assert {refusal.reason for refusal in refusals} == {"too_slow"}


def test_a_recording_is_let_in_by_its_first_part() -> None:
    """A queue that is shorter than one recording takes it, and then nobody, until it is done."""
    limits = BatchLimits(max_frames=1000, max_queued_requests=4, max_queued_frames=2000)
    scheduler: Scheduler[Ticket] = Scheduler(Line(0.1, 1e-4), limits)
    assert not _offer_recording(scheduler, [900] * 8)
    refusals = _offer_recording(scheduler, [900])
    assert [refusal.reason for refusal in refusals] == ["queue_full"]


def test_the_smallest_batch_that_is_worthwhile() -> None:
    shared = Estimator(Line(0.017, 8e-6), rows=64, max_frames=64_000, instances=1)
    assert shared.worthwhile(100) == 16
    alone = Estimator(Line(0.0, 1e-3), rows=64, max_frames=64_000, instances=1)
    assert alone.worthwhile(100) == 1


def test_work_is_measured_in_time_and_not_in_frames() -> None:
    """Where a batch shares its cost, short clips wait as long as long ones."""
    waits = []
    for frames in (20, 100):
        scheduler: Scheduler[Ticket] = Scheduler(Line(0.1, 1e-7), LIMITS)
        for number in range(30):
            assert scheduler.offer(Ticket(frames, 0.0, caller=str(number)), 0.0) is None
        waits.append(scheduler.retry_after(scheduler._bulk.work, 0.0))
    assert waits[0] == pytest.approx(waits[1], rel=0.01)


def test_the_urgent_lead() -> None:
    scheduler: Scheduler[Ticket] = Scheduler(Line(0.0001, 1e-2), LIMITS)
    bulk, urgent = Ticket(100, 0.0), Ticket(100, 0.0, urgent=True)
    for ticket in (bulk, urgent):
        assert scheduler.offer(ticket, 0.0) is None
    turn = scheduler.take(0.0)
    assert turn.batch is not None
    assert list(turn.batch.tickets) == [urgent]


def test_a_flood_leaves_room_for_others() -> None:
    scheduler: Scheduler[Ticket] = Scheduler(Line(0.1, 1e-4), LIMITS)
    refusals = [scheduler.offer(Ticket(1, 0.0, caller="flood"), 0.0) for _ in range(100)]
    assert {refusal.reason for refusal in refusals if refusal} == {"caller_share"}
    assert scheduler.offer(Ticket(1, 0.0, caller="other"), 0.0) is None


def test_a_budget_that_memory_cut_grows_again() -> None:
    scheduler: Scheduler[Ticket] = Scheduler(Line(0.1, 1e-6), LIMITS)
    scheduler.out_of_memory(400)
    sizes, now = [], 0.0
    for _ in range(300):
        for _ in range(8):
            scheduler.offer(Ticket(100, now), now)
        turn = scheduler.take(now, gather=False)
        assert turn.batch is not None
        sizes.append(len(turn.batch.tickets))
        now += 0.1
        scheduler.finished(turn.batch, now)
    assert sizes[0] == 2
    assert max(sizes) == 8


def test_only_a_run_with_a_backlog_lowers_the_drain_rate() -> None:
    estimate = Estimator(Line(0.017, 1e-5), rows=32, max_frames=16_000, instances=1)
    before, work = estimate.drain_seconds(1.0), estimate.work(100)
    assert work < 0.018 / 2, "most of a batch is shared"
    estimate.learn(1, work, 100, seconds=0.02, backlog=False)
    assert estimate.drain_seconds(1.0) == before
    estimate.learn(1, work, 100, seconds=0.02, backlog=True)
    assert estimate.drain_seconds(1.0) > before


def test_gathering_stops_when_callers_no_longer_come_back() -> None:
    gather, waits = Gather(), 0
    for number in range(40):
        now = float(number)
        gather.finished(4, now)
        gather.arrived(now + 0.001)
        waits += gather.wait(now + 0.001, 1, 32, lambda rows: 0.1 + 0.001 * rows) is not None
    assert 0 < waits < 30
