"""The batcher's threads, deterministic: a gate holds the model until the test says so."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest
from emotion2vec_runtime.errors import (
    InferenceError,
    OutOfMemoryError,
    RequestError,
    TooLargeError,
)
from emotion2vec_server.batching.batcher import Batcher, BatchLimits, BatchRun, Completed
from emotion2vec_server.errors import (
    DeadlineExceededError,
    OutOfMemoryForOneError,
    OverloadedError,
    UnavailableError,
)


class Cheap:
    """Batches always pay."""

    def seconds(self, batch: int, frames: int) -> float:
        return 1e-3 + 1e-7 * batch * frames


class Model:
    """Doubles what it gets. While the gate is shut, a batch waits inside."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        self.entered.release()
        assert self.gate.wait(30)
        self.run(items)
        return [2 * item for item in items]

    def run(self, items: Sequence[int]) -> None:
        """What subclasses fail in."""

    async def busy(self) -> None:
        """Waits until another batch is inside."""
        assert await asyncio.to_thread(self.entered.acquire, timeout=30)


class Picky(Model):
    """Fails as `fault` says for a batch."""

    def __init__(self, fault: Callable[[Sequence[int]], Exception | None]) -> None:
        super().__init__()
        self.fault = fault

    def run(self, items: Sequence[int]) -> None:
        error = self.fault(items)
        if error is not None:
            raise error


class Notes:
    def __init__(self) -> None:
        self.runs: list[BatchRun] = []
        self.rejections: list[str] = []
        self.health: list[str | None] = []
        self.told = asyncio.Event()

    def ran(self, run: BatchRun) -> None:
        self.runs.append(run)

    def rejected(self, reason: str) -> None:
        self.rejections.append(reason)

    def failing(self, reason: str | None) -> None:
        self.health.append(reason)
        self.told.set()


@asynccontextmanager
async def batching(
    model: Model, notes: Notes | None = None, instances: int = 1, **limits: int
) -> AsyncIterator[Batcher[int, int]]:
    batcher: Batcher[int, int] = Batcher(
        model, Cheap(), BatchLimits(**limits), instances=instances, observer=notes
    )
    try:
        yield batcher
    finally:
        model.gate.set()
        await batcher.close()


async def together(
    batcher: Batcher[int, int], model: Model, items: Sequence[int], frames: int = 100
) -> list[Completed[int] | BaseException]:
    """Queues items behind a running one (item 0, not in the result), so that they form a batch."""
    model.gate.clear()
    while model.entered.acquire(blocking=False):
        pass
    first = asyncio.create_task(batcher.submit(0, frames=frames))
    await model.busy()
    rest = [asyncio.create_task(batcher.submit(item, frames=frames)) for item in items]
    await asyncio.sleep(0)
    assert batcher.waiting == len(items)
    model.gate.set()
    await first
    return await asyncio.gather(*rest, return_exceptions=True)


async def test_a_lone_request_runs_at_once() -> None:
    model, notes = Model(), Notes()
    async with batching(model, notes) as batcher:
        done = await batcher.submit(21, frames=100)
    assert (done.result, done.batch_size) == (42, 1)
    assert done.queue_seconds >= 0
    assert done.run_seconds >= 0
    [run] = notes.runs
    assert (run.rows, run.frames, run.padded_frames) == (1, 100, 100)
    assert run.queue_seconds == (done.queue_seconds,)


async def test_a_batch_forms_while_the_model_is_busy() -> None:
    model = Model()
    async with batching(model) as batcher:
        results = await together(batcher, model, [1, 2, 3, 4, 5])
    assert [done.result for done in results] == [2, 4, 6, 8, 10]  # type: ignore[union-attr]
    assert model.batches == [[0], [1, 2, 3, 4, 5]]


async def test_batches_keep_to_rows_and_padded_frames() -> None:
    model = Model()
    async with batching(model, max_rows=4, max_frames=300) as batcher:
        await together(batcher, model, list(range(1, 8)), frames=100)
    assert [len(batch) for batch in model.batches] == [1, 3, 3, 1]


async def test_as_many_batches_run_at_once_as_there_are_instances() -> None:
    model = Model()
    model.gate.clear()
    async with batching(model, instances=2) as batcher:
        tasks = [asyncio.create_task(batcher.submit(1, frames=100))]
        await model.busy()
        tasks.append(asyncio.create_task(batcher.submit(2, frames=100)))
        await model.busy()
        model.gate.set()
        await asyncio.gather(*tasks)


async def test_a_cancelled_request_never_reaches_the_model() -> None:
    model, notes = Model(), Notes()
    model.gate.clear()
    async with batching(model, notes) as batcher:
        first = asyncio.create_task(batcher.submit(1, frames=100))
        await model.busy()
        second = asyncio.create_task(batcher.submit(2, frames=100))
        await asyncio.sleep(0)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        assert batcher.waiting == 0
        model.gate.set()
        await first
    assert model.batches == [[1]]
    assert notes.rejections == ["cancelled"]


async def test_a_request_whose_deadline_is_past_is_refused() -> None:
    model, notes = Model(), Notes()
    async with batching(model, notes) as batcher:
        with pytest.raises(DeadlineExceededError):
            await batcher.submit(1, frames=100, deadline=time.monotonic())
    assert model.batches == []
    assert notes.rejections == ["deadline"]


async def test_a_deadline_that_passes_in_the_queue_is_told_while_the_model_is_busy() -> None:
    model, notes = Model(), Notes()
    model.gate.clear()
    async with batching(model, notes) as batcher:
        first = asyncio.create_task(batcher.submit(1, frames=100))
        await model.busy()
        with pytest.raises(DeadlineExceededError):
            await batcher.submit(2, frames=100, deadline=time.monotonic() + 0.05)
        assert batcher.waiting == 0
        model.gate.set()
        await first
    assert model.batches == [[1]]
    assert notes.rejections == ["late"]


async def test_a_full_queue_refuses_and_says_when_to_come_back() -> None:
    model, notes = Model(), Notes()
    model.gate.clear()
    async with batching(model, notes, max_queued_requests=2) as batcher:
        tasks = [asyncio.create_task(batcher.submit(1, frames=100, caller="a"))]
        await model.busy()
        tasks += [asyncio.create_task(batcher.submit(1, frames=9, caller=c)) for c in "bc"]
        await asyncio.sleep(0)
        with pytest.raises(OverloadedError) as refusal:
            await batcher.submit(4, frames=100, caller="d")
        assert refusal.value.retry_after is not None
        assert refusal.value.retry_after > 0
        model.gate.set()
        await asyncio.gather(*tasks)
    assert notes.rejections == ["queue_full"]


async def test_what_no_batch_could_hold_is_refused() -> None:
    async with batching(Model(), max_frames=100) as batcher:
        with pytest.raises(TooLargeError):
            await batcher.submit(1, frames=101)


@pytest.mark.parametrize("poison", [1, 4, 7])
async def test_a_poisoned_request_fails_alone(poison: int) -> None:
    model = Picky(lambda items: RuntimeError("poison") if poison in items else None)
    notes = Notes()
    async with batching(model, notes) as batcher:
        results = await together(batcher, model, [1, 2, 3, 4, 5, 6, 7])
    for item, done in zip([1, 2, 3, 4, 5, 6, 7], results, strict=True):
        if item == poison:
            assert isinstance(done, InferenceError)
            assert "poison" not in str(done)
        else:
            assert isinstance(done, Completed)
            assert done.result == 2 * item
    assert notes.rejections == ["failed"]
    assert notes.health == []


async def test_who_leaves_while_a_batch_fails_is_not_run_again() -> None:
    loop = asyncio.get_running_loop()
    tasks: list[asyncio.Task[Completed[int]]] = []

    def fail_as_somebody_leaves(items: Sequence[int]) -> Exception | None:
        if len(items) < 4:
            return None
        left = threading.Event()
        loop.call_soon_threadsafe(lambda: (tasks[1].cancel(), left.set()))
        assert left.wait(30)
        return RuntimeError("too many")

    model = Picky(fail_as_somebody_leaves)
    model.gate.clear()
    async with batching(model) as batcher:
        tasks += [asyncio.create_task(batcher.submit(0, frames=100))]
        await model.busy()
        tasks += [asyncio.create_task(batcher.submit(item, frames=100)) for item in (1, 2, 3, 4)]
        await asyncio.sleep(0)
        model.gate.set()
        await asyncio.wait(tasks)
    assert model.batches == [[0], [1, 2, 3, 4], [2], [3, 4]]


async def test_a_model_that_fails_once_fails_nobody_in_a_batch() -> None:
    failures = iter([None, RuntimeError("once")])
    model = Picky(lambda items: next(failures, None))
    async with batching(model) as batcher:
        results = await together(batcher, model, [1, 2, 3])
    assert [done.result for done in results] == [2, 4, 6]  # type: ignore[union-attr]


async def test_a_model_that_always_fails_is_reported_and_so_is_its_recovery() -> None:
    broken = True
    model, notes = Picky(lambda items: RuntimeError("broken") if broken else None), Notes()
    async with batching(model, notes) as batcher:
        for _ in range(3):
            with pytest.raises(InferenceError):
                await batcher.submit(1, frames=100)
        await notes.told.wait()
        assert notes.health == ["RuntimeError: broken"]
        notes.told.clear()
        broken = False
        assert (await batcher.submit(1, frames=100)).result == 2
        await notes.told.wait()
    assert notes.health == ["RuntimeError: broken", None]


async def test_while_the_model_fails_requests_run_one_by_one() -> None:
    model = Picky(lambda items: RuntimeError("broken") if len(model.batches) < 5 else None)
    notes = Notes()
    async with batching(model, notes) as batcher:
        for _ in range(3):
            with pytest.raises(InferenceError):
                await batcher.submit(1, frames=100)
        await notes.told.wait()
        model.gate.clear()
        tasks = [asyncio.create_task(batcher.submit(item, frames=100)) for item in (1, 2, 3)]
        model.gate.set()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert [len(batch) for batch in model.batches[:5]] == [1] * 5


async def test_a_batch_that_does_not_fit_in_memory_is_split_and_the_size_remembered() -> None:
    model = Picky(lambda items: OutOfMemoryError() if len(items) > 4 else None)
    async with batching(model) as batcher:
        results = await together(batcher, model, list(range(1, 9)))
        assert all(isinstance(done, Completed) for done in results)
        before = len(model.batches)
        await together(batcher, model, list(range(1, 9)))
    assert max(len(batch) for batch in model.batches[before:]) <= 4


async def test_a_request_too_large_for_memory_alone_is_refused() -> None:
    model, notes = Picky(lambda items: OutOfMemoryError() if 3 in items else None), Notes()
    async with batching(model, notes) as batcher:
        results = await together(batcher, model, [1, 2, 3, 4])
    assert [type(done) for done in results] == [
        Completed,
        Completed,
        OutOfMemoryForOneError,
        Completed,
    ]
    assert notes.rejections == ["out_of_memory"]


async def test_too_few_results_are_an_error_not_a_hang() -> None:
    batcher: Batcher[int, int] = Batcher(lambda items: [], Cheap(), BatchLimits())
    with pytest.raises(InferenceError):
        await batcher.submit(1, frames=100)
    await batcher.close()


async def test_draining_finishes_what_was_accepted_and_refuses_the_rest() -> None:
    model, notes = Model(), Notes()
    model.gate.clear()
    async with batching(model, notes, max_rows=2) as batcher:
        tasks = [asyncio.create_task(batcher.submit(item, frames=100)) for item in range(7)]
        await model.busy()
        drain = asyncio.create_task(batcher.drain())
        await asyncio.sleep(0)
        with pytest.raises(UnavailableError):
            await batcher.submit(9, frames=100)
        assert not drain.done()
        model.gate.set()
        await drain
        assert sorted([(await task).result for task in tasks]) == [0, 2, 4, 6, 8, 10, 12]
    assert notes.rejections == ["draining"]


class Slow(Model):
    """Takes 80 ms, and says so."""

    def run(self, items: Sequence[int]) -> None:
        time.sleep(0.08)

    def seconds(self, batch: int, frames: int) -> float:
        return 0.08


async def test_closing_ends_the_threads() -> None:
    batcher: Batcher[int, int] = Batcher(Model(), Cheap(), BatchLimits(), instances=3)
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("batch-")]
    assert len(threads) >= 3
    await batcher.close()
    await batcher.close()
    assert not any(thread.is_alive() for thread in threads[-3:])


class Soak:
    """100,000 requests with poison, deadlines and callers who leave."""

    requests, callers = 100_000, 256

    def __init__(self) -> None:
        self.draw = random.Random(3)
        self.answered = bytearray(self.requests)
        self.outcomes: Counter[str] = Counter()
        limits = BatchLimits(max_rows=32, max_queued_requests=200)
        self.batcher: Batcher[int, int] = Batcher(self.execute, Cheap(), limits, instances=2)

    def execute(self, items: Sequence[int]) -> list[int]:
        if any(item % 997 == 0 for item in items):
            raise RuntimeError("poison")
        for item in items:
            assert not self.answered[item], "ran again after success"
            self.answered[item] = 1
        return [2 * item for item in items]

    async def ask(self, item: int) -> None:
        chance = self.draw.random()
        deadline = time.monotonic() + self.draw.uniform(-0.001, 0.02) if chance < 0.1 else None
        try:
            done = await self.batcher.submit(
                item,
                frames=self.draw.randint(1, 300),
                deadline=deadline,
                urgent=chance < 0.5,
                caller=str(item % 17),
            )
        except InferenceError:
            assert item % 997 == 0
            self.outcomes["poisoned"] += 1
        except RequestError:
            self.outcomes["refused"] += 1
        except asyncio.CancelledError:
            self.outcomes["left"] += 1
        else:
            assert done.result == 2 * item
            self.outcomes["answered"] += 1

    async def caller(self, number: int) -> None:
        loop = asyncio.get_running_loop()
        for item in range(number, self.requests, self.callers):
            # A task of its own, so that leaving ends the request and not the caller.
            task = asyncio.create_task(self.ask(item))
            if self.draw.random() > 0.95:
                loop.call_later(self.draw.uniform(0, 0.002), task.cancel)
            await asyncio.wait([task])


async def test_soak() -> None:
    """One outcome for each request, nothing run again after success, and nothing left behind."""
    soak = Soak()
    await asyncio.gather(*(soak.caller(number) for number in range(soak.callers)))
    await soak.batcher.close()
    assert soak.outcomes.total() == soak.requests
    assert soak.outcomes["answered"] > soak.requests / 3
    assert set(soak.outcomes) == {"answered", "poisoned", "refused", "left"}
    assert (soak.batcher.waiting, soak.batcher.waiting_frames) == (0, 0)
