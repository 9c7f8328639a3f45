"""Which of the waiting requests share a batch with the one whose turn it is."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import NamedTuple

from emotion2vec_server.batching.estimator import Estimator
from emotion2vec_server.batching.fair_queue import TicketT

_PAYS = 0.9
"""A batch must cost less than this part of the leader alone, for what it does. All members wait for
its end, so a gain within the error of the cost model is worth nobody's wait."""


class Budget(NamedTuple):
    """What one batch may hold. A single row always fits."""

    rows: int
    frames: int
    """Padded: longest row times rows."""


def pack(
    pool: Sequence[TicketT], estimate: Estimator, budget: Budget, now: float
) -> Sequence[TicketT]:
    """The batch that is cheapest for what it does; `pool[0]` is always in it.

    Sorts the pool by length and grows the batch from the leader, one neighbour at a time: the next
    longer, which pads the others, or the next shorter, which is padded. Of all batches on the way
    it keeps the one whose time is least beside what its members would cost without each other:
    alone, or in as large a batch of their own length as the rest of the pool could make. None of
    them misses the deadline of a member.
    """
    others = max(1, min(budget.rows, len(pool) - 1))

    def cost_without_batch(ticket: TicketT) -> float:
        return min(ticket.alone, estimate.nominal(others, ticket.frames) / others)

    leader = pool[0]
    line = sorted(pool, key=lambda ticket: ticket.frames)
    first = last = line.index(leader)
    longest, deadline, worth = leader.frames, leader.deadline, cost_without_batch(leader)
    best, best_ratio = (first, last), _PAYS * leader.alone / worth
    for rows in range(2, min(budget.rows, len(line)) + 1):
        step, step_ratio = -1, inf
        for at in (first - 1, last + 1):
            if not 0 <= at < len(line):
                continue
            added = line[at]
            frames = max(longest, added.frames)
            cost = estimate.nominal(rows, frames)
            if rows * frames > budget.frames:
                continue
            if now + cost * estimate.correction > min(deadline, added.deadline):
                continue
            ratio = cost / (worth + cost_without_batch(added))
            if ratio < step_ratio:
                step, step_ratio = at, ratio
        if step < 0:
            break
        added = line[step]
        first, last = min(first, step), max(last, step)
        longest, worth = max(longest, added.frames), worth + cost_without_batch(added)
        deadline = min(deadline, added.deadline)
        if step_ratio < best_ratio:
            best, best_ratio = (first, last), step_ratio
    return line[best[0] : best[1] + 1]
