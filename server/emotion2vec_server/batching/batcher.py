"""The batcher: requests from an event loop share batches; each instance of the model is a thread.

    submit -> Scheduler -> a free instance takes a batch -> execute -> each caller gets its result

Policy is `batching.scheduler`; here are the threads. An instance takes its next batch itself, so
that the model never waits for the event loop; and one call into the loop answers a whole batch. The
batcher knows neither audio nor model: an item is whatever `execute` takes.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from typing import Generic, NamedTuple, TypeVar

from emotion2vec_runtime.errors import InferenceError, OutOfMemoryError, RequestError

from emotion2vec_server.batching.estimator import Cost
from emotion2vec_server.batching.fair_queue import Ticket
from emotion2vec_server.batching.observer import BatchRun, NullObserver, Observer
from emotion2vec_server.batching.scheduler import Batch, BatchLimits, Scheduler
from emotion2vec_server.errors import (
    RETRY_SECONDS,
    DeadlineExceededError,
    OutOfMemoryForOneError,
    stopping,
)

__all__ = ["BatchLimits", "BatchRun", "Batcher", "Completed", "Cost", "Observer"]

Item = TypeVar("Item")
Result = TypeVar("Result")
Other = TypeVar("Other")

_FAILURES = 3
"""Batches in a row of which nothing succeeded: then the model is failing."""
_log = logging.getLogger(__name__)


class Completed(NamedTuple, Generic[Result]):
    """A result, and how it came about."""

    result: Result
    queue_seconds: float
    run_seconds: float
    batch_size: int

    def replaced(self, result: Other) -> Completed[Other]:
        """Another result, made of this one, that came about in the same way."""
        return Completed(result, self.queue_seconds, self.run_seconds, self.batch_size)


@dataclass(slots=True, eq=False, kw_only=True)
class _Request(Ticket, Generic[Item, Result]):
    item: Item
    future: asyncio.Future[Completed[Result]]


class Batcher(Generic[Item, Result]):
    """Runs requests through `execute` in batches, from one event loop."""

    def __init__(
        self,
        execute: Callable[[Sequence[Item]], Sequence[Result]],
        cost: Cost,
        limits: BatchLimits,
        instances: int = 1,
        observer: Observer | None = None,
    ) -> None:
        """Starts a thread for each instance.

        Args:
            execute: runs a batch and returns one result for each item, in order. Called from
                `instances` threads, so as many batches run at once.
            cost: time of a batch; see `CostModel`.
            limits: bounds of a batch and of the queue.
            instances: batches that run at once, each in a thread of its own.
            observer: for metrics and health.
        """
        if instances < 1:
            raise ValueError("instances must be at least 1")
        self._execute = execute
        self._observer = observer or NullObserver()
        self._scheduler: Scheduler[_Request[Item, Result]] = Scheduler(cost, limits, instances)
        self._wake = threading.Condition(threading.Lock())
        self._sleepers = 0
        self._accepted = 0
        self._draining = False
        self._closed = False
        self._empty = asyncio.Event()
        self._failures = 0
        self._loop: asyncio.AbstractEventLoop
        self._threads = [
            threading.Thread(target=self._work, name=f"batch-{number}", daemon=True)
            for number in range(instances)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._scheduler)

    @property
    def waiting_frames(self) -> int:
        return self._scheduler.frames

    def check(self, *, deadline: float | None = None, caller: str = "") -> None:
        """Raises what `submit` would raise for the shortest item of a caller.

        To be asked before an item is made, where that takes time and memory.
        """
        now = time.monotonic()
        shortest = Ticket(1, now, inf if deadline is None else deadline, caller=caller)
        with self._wake:
            refusal = self._scheduler.refusal(shortest, now)
        if refusal is not None:
            self._observer.rejected(refusal.reason)
            raise refusal.error

    async def submit(
        self,
        item: Item,
        *,
        frames: int,
        deadline: float | None = None,
        urgent: bool = False,
        caller: str = "",
        after: Sequence[int] = (),
    ) -> Completed[Result]:
        """Queues an item and waits for its result.

        To cancel the task takes the item out of the queue: it then costs nothing.

        Args:
            item: what `execute` takes.
            frames: its length, at least 1.
            deadline: `time.monotonic()` after which a result is worthless.
            urgent: whether it goes before those that are not (windows of live streams).
            caller: whom to share the model fairly between.
            after: frames of the parts of the same recording that were queued just before this one.

        Raises:
            DeadlineExceededError: no result by the deadline; the model was spared where possible.
            OverloadedError: the queue is full or too long for the deadline, or memory ran out.
            TooLargeError: longer than a batch may be.
            InferenceError: `execute` raises on this item, even when it runs alone.
            UnavailableError: draining or closed.
        """
        if self._draining:
            self._observer.rejected("draining")
            raise stopping()
        if frames < 1:
            raise ValueError("frames must be at least 1")
        loop = asyncio.get_running_loop()
        self._loop = loop
        now = time.monotonic()
        request: _Request[Item, Result] = _Request(
            frames=frames,
            arrived=now,
            deadline=inf if deadline is None else deadline,
            urgent=urgent,
            caller=caller,
            after=after,
            item=item,
            future=loop.create_future(),
        )
        with self._wake:
            refusal = self._scheduler.offer(request, now)
            if self._sleepers and self._scheduler.worth_waking:
                self._wake.notify()
        if refusal is not None:
            self._observer.rejected(refusal.reason)
            raise refusal.error
        timer = (
            None
            if deadline is None
            else loop.call_later(deadline - now, self._reject, [request], "late", _too_late)
        )
        self._accepted += 1
        try:
            return await request.future
        except asyncio.CancelledError:
            self._observer.rejected("cancelled")
            raise
        finally:
            if timer is not None:
                timer.cancel()
            self._leave(request)

    async def drain(self) -> None:
        """Refuses new requests, and returns when all that were accepted have their outcome.

        A call that submits several items one after the other must have ended before.
        """
        self._draining = True
        with self._wake:
            self._wake.notify_all()
        if self._accepted:
            await self._empty.wait()

    async def close(self) -> None:
        """Drains, and ends the threads."""
        await self.drain()
        with self._wake:
            self._closed = True
            self._wake.notify_all()
        for thread in self._threads:
            await asyncio.to_thread(thread.join)

    # On the event loop

    def _leave(self, request: _Request[Item, Result]) -> None:
        if request.waiting:
            with self._wake:
                if request.waiting:
                    self._scheduler.withdraw(request)
        self._accepted -= 1
        if self._draining and not self._accepted:
            self._empty.set()

    def _answer(
        self,
        requests: Sequence[_Request[Item, Result]],
        results: Sequence[Result],
        began: float,
        ended: float,
    ) -> None:
        rows, seconds = len(requests), ended - began
        for request, result in zip(requests, results, strict=True):
            if not request.future.done():
                queued = began - request.arrived
                request.future.set_result(Completed(result, queued, seconds, rows))
        self._observer.ran(
            BatchRun(
                rows=rows,
                frames=sum(request.frames for request in requests),
                padded_frames=rows * max(request.frames for request in requests),
                run_seconds=seconds,
                queue_seconds=tuple(began - request.arrived for request in requests),
            )
        )

    def _reject(
        self,
        requests: Sequence[_Request[Item, Result]],
        reason: str,
        make_error: Callable[[], RequestError],
    ) -> None:
        for request in requests:
            if not request.future.done():
                request.future.set_exception(make_error())
                self._observer.rejected(reason)

    def _judge(self, error: Exception | None) -> None:
        """A batch ended, and nothing in it succeeded (with this error), or something did (None)."""
        was_failing = self._failing
        self._failures = 0 if error is None else self._failures + 1
        if self._failing and not was_failing:
            self._observer.failing(f"{type(error).__name__}: {error}")
        elif was_failing and not self._failing:
            self._observer.failing(None)

    @property
    def _failing(self) -> bool:
        return self._failures >= _FAILURES

    # In the instances' threads

    def _work(self) -> None:
        while (batch := self._take()) is not None:
            answered, error = self._run(batch.tickets)
            clean = error is None and answered == len(batch.tickets)
            with self._wake:
                self._scheduler.finished(batch, time.monotonic(), clean=clean)
            if answered:
                error = None
            if error is not None or (answered and self._failures):
                self._post(self._judge, error)

    def _take(self) -> Batch[_Request[Item, Result]] | None:
        """Waits for the next batch; None when closed."""
        with self._wake:
            while True:
                # While the model fails, each request is a probe that can't harm another.
                rows = 1 if self._failing else None
                turn = self._scheduler.take(time.monotonic(), rows=rows, gather=not self._draining)
                if turn.late:
                    self._post(self._reject, turn.late, "late", _too_late)
                if turn.batch is not None:
                    if turn.batch.backlog and self._sleepers:
                        self._wake.notify()
                    return turn.batch
                if self._closed:
                    return None
                self._sleepers += 1
                self._wake.wait(turn.wait)
                self._sleepers -= 1

    def _run(self, requests: Sequence[_Request[Item, Result]]) -> tuple[int, Exception | None]:
        """Runs and answers requests; where that fails, each half, so that a poisoned item fails
        alone. Returns how many got a result, and an error if there was one."""
        requests = [request for request in requests if not request.future.done()]
        if not requests:
            return 0, None
        began = time.monotonic()
        try:
            results = self._execute([request.item for request in requests])
            if len(results) != len(requests):
                raise ValueError(f"{len(requests)} items gave {len(results)} results")
        except Exception as error:  # noqa: BLE001 - whatever the model does, its callers get an answer
            if len(requests) == 1:
                self._fail(requests[0], error)
                return 0, error
            if isinstance(error, OutOfMemoryError):
                with self._wake:
                    self._scheduler.out_of_memory(len(requests) * max(r.frames for r in requests))
            half = len(requests) // 2
            answered = self._run(requests[:half])[0] + self._run(requests[half:])[0]
            return answered, error
        self._post(self._answer, requests, results, began, time.monotonic())
        return len(requests), None

    def _fail(self, request: _Request[Item, Result], error: Exception) -> None:
        if isinstance(error, OutOfMemoryError):
            _log.warning("out of memory for one request of %d frames", request.frames)
            self._post(self._reject, [request], "out_of_memory", _no_memory)
        else:
            _log.error("the model failed on one request", exc_info=error)
            self._post(self._reject, [request], "failed", _failed)

    def _post(self, callback: Callable[..., None], *args: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits for the answer
            self._loop.call_soon_threadsafe(callback, *args)


def _too_late() -> RequestError:
    return DeadlineExceededError("the deadline leaves the model no time; allow more, or ask later")


def _failed() -> RequestError:
    return InferenceError("the model failed on this audio; the server's log says why")


def _no_memory() -> RequestError:
    return OutOfMemoryForOneError(
        "memory ran out on this audio alone; send shorter audio, or try later", RETRY_SECONDS
    )
