"""How many live streams of emotion2vec+ large a card would hold: arithmetic, and a simulation.

    python -m benchmarks.card_streams [--rate TFLOPS] [--host MS]

No card is needed, and none is measured. The server's own scheduler runs in virtual time; a batch
takes what its products take at the rate that a card reached with the fp16 graph, a fixed time for
its kernels to start, and, where the state of the streams lies in the host's memory, the time to
copy keys and values there and back. Each result then takes the event loop's time of one process.
A number of streams is held where 99 of 100 hops are answered within half a second: with the hop
itself, their frames come within one.
"""

from __future__ import annotations

import argparse
import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import count

import numpy as np
from emotion2vec_server.batching.fair_queue import Ticket
from emotion2vec_server.batching.scheduler import Batch, BatchLimits, Scheduler

from benchmarks import floor

HOP, LOOKAHEAD, WINDOW = 25, 20, 150
"""Frames: the server's defaults."""
CONTEXT = 45
"""Frames of features that a step's positional convolutions need beside its own."""
LATEST = 0.5
START_SECONDS = 0.0013
"""Of a batch's kernels: an H100 took 3.8 ms for a clip of 10 s on a graph twice as deep, of which
its products were 1.4 ms (2026-11-26)."""
COPY_RATE = 12e9
"""Bytes a second between pageable memory and a card on PCIe 5."""
SECONDS = 20.0
MOST = 16384


@dataclass(frozen=True, slots=True)
class Mode:
    """How streams go: what one of them runs each hop, and what is copied for it."""

    name: str
    frames: int
    """Through the blocks."""
    new: int
    """Through the front end."""
    mixed: int
    """Through the positional convolutions."""
    keys: int
    """Frames whose keys and values are attended to, beside its own."""
    copied: int
    """Frames whose keys and values cross the bus."""

    def products(self) -> float:
        """Multiplications and additions of one hop of one stream."""
        tokens = self.frames + floor.EXTRA_TOKENS
        blocks = tokens * sum(k * n for k, n in floor.SHAPES)
        attention = 2 * tokens * (tokens + self.keys) * floor.SIZE
        front_end = self.new * sum(k * n * rows for k, n, rows in floor.FRONT_END)
        return 2.0 * (
            floor.BLOCKS * (blocks + attention) + front_end + self.mixed * floor.POSITIONAL
        )

    def copied_bytes(self) -> float:
        """In fp16, of all blocks."""
        return 2.0 * 2 * floor.BLOCKS * floor.SIZE * self.copied


RUN = HOP + LOOKAHEAD
MODES = (
    Mode("windows", frames=WINDOW, new=WINDOW, mixed=WINDOW, keys=0, copied=0),
    Mode(
        "steps, state in the host's memory",
        frames=RUN,
        new=HOP,
        mixed=RUN + CONTEXT,
        keys=WINDOW,
        copied=WINDOW + RUN,
    ),
    Mode(
        "steps, state on the card",
        frames=RUN,
        new=HOP,
        mixed=RUN + CONTEXT,
        keys=WINDOW,
        copied=0,
    ),
)


@dataclass(frozen=True, slots=True)
class Card:
    """What a batch takes on it."""

    mode: Mode
    rate: float
    """Of products, in operations a second."""

    def seconds(self, batch: int, frames: int) -> float:
        """Of a batch of hops. All have the same length."""
        each = self.mode.products() / self.rate + self.mode.copied_bytes() / COPY_RATE
        return START_SECONDS + batch * each * frames / self.mode.frames


class Simulation:
    """Streams on a card in virtual time."""

    def __init__(self, card: Card, host: float) -> None:
        """`host` is one process's time for a hop, in seconds."""
        self._card = card
        self._host = host
        limits = BatchLimits(max_queued_requests=4 * MOST, max_queued_frames=4 * MOST * WINDOW)
        self._scheduler: Scheduler[Ticket] = Scheduler(card, limits)
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._numbers = count()
        self._is_busy = False
        self._host_free_at = 0.0
        self._delays: list[float] = []

    def delays(self, streams: int) -> list[float]:
        """How long the answer to each hop took; what was never answered took as long as all."""
        draw = random.Random(0)
        for stream in range(streams):
            self._at(draw.uniform(0, HOP / 50), partial(self._ask, str(stream)))
        while self._events and self._events[0][0] <= SECONDS:
            now, _, action = heapq.heappop(self._events)
            action(now)
        return self._delays + [SECONDS] * len(self._scheduler)

    def _at(self, when: float, action: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (when, next(self._numbers), action))

    def _ask(self, caller: str, now: float) -> None:
        ticket = Ticket(self._card.mode.frames, now, urgent=True, caller=caller)
        self._scheduler.offer(ticket, now)
        self._at(now + HOP / 50, partial(self._ask, caller))
        self._start(now)

    def _start(self, now: float) -> None:
        if self._is_busy:
            return
        turn = self._scheduler.take(now)
        if turn.batch is not None:
            self._is_busy = True
            seconds = self._card.seconds(len(turn.batch.tickets), turn.batch.longest)
            self._at(now + seconds, partial(self._end, turn.batch))
        elif turn.wait is not None:
            self._at(now + turn.wait, self._start)

    def _end(self, batch: Batch[Ticket], now: float) -> None:
        self._is_busy = False
        self._scheduler.finished(batch, now)
        for ticket in batch.tickets:
            self._host_free_at = max(self._host_free_at, now) + self._host
            self._delays.append(self._host_free_at - ticket.arrived)
        self._start(now)


def held(card: Card, host: float) -> int:
    """The most streams, to within a sixteenth; 0 where fewer than 16."""

    def holds(streams: int) -> bool:
        return float(np.quantile(Simulation(card, host).delays(streams), 0.99)) <= LATEST

    if not holds(16):
        return 0
    most = 16
    while most < MOST and holds(2 * most):
        most *= 2
    step = most // 2
    while step >= most // 16 and most < MOST:
        most += step if holds(most + step) else 0
        step //= 2
    return most


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rate",
        type=float,
        default=243,
        help="TFLOP/s of a batch: an H100 reached 32%% of its 760 with this graph (2026-11-26)",
    )
    parser.add_argument(
        "--host",
        type=float,
        default=6.5,
        help="ms of a process's event loop for a second of a stream (two cores, 2026-11-28)",
    )
    options = parser.parse_args()
    print("| | GFLOP, MB copied a second of a stream | by arithmetic | simulated | one process |")
    print("| --- | ---: | ---: | ---: | ---: |")
    hops = 50 / HOP
    for mode in MODES:
        card = Card(mode, 1e12 * options.rate)
        each = card.seconds(64, mode.frames) / 64 * hops
        amounts = f"{hops * mode.products() / 1e9:.0f}, {hops * mode.copied_bytes() / 1e6:.0f}"
        alone = held(card, host=0.0)
        served = held(card, host=options.host / 1000 / hops)
        print(f"| {mode.name} | {amounts} | {1 / each:.0f} | {alone} | {served} |", flush=True)


if __name__ == "__main__":
    main()
