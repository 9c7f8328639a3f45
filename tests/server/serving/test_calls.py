"""A server becomes quiet before it stops."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack

import pytest
from emotion2vec_server.errors import OverloadedError
from emotion2vec_server.serving.calls import Calls


async def call(calls: Calls, answered: list[int], number: int) -> None:
    with calls.under_way(""):
        await asyncio.sleep(0)
        await calls.may_answer()
        answered.append(number)


async def test_answers_are_held_back_until_they_are_released() -> None:
    calls, answered = Calls(), list[int]()
    tasks = [asyncio.create_task(call(calls, answered, number)) for number in range(5)]
    quiet = asyncio.create_task(calls.quiet(0.01, 10))
    await quiet
    assert not answered
    calls.release()
    await asyncio.gather(*tasks)
    assert sorted(answered) == list(range(5))
    await calls.ended(0)


async def test_it_is_not_quiet_while_calls_begin() -> None:
    """The first has its answer, and its caller is about to ask again."""
    calls, answered = Calls(), list[int]()
    await call(calls, answered, 0)
    tasks = []
    quiet = asyncio.create_task(calls.quiet(0.5, 30))
    for number in range(1, 20):
        await asyncio.sleep(0.01)
        assert not quiet.done()
        tasks.append(asyncio.create_task(call(calls, answered, number)))
    await quiet
    calls.release()
    await asyncio.gather(*tasks)


async def test_who_never_stops_asking_is_not_waited_for_for_ever() -> None:
    calls, answered = Calls(), list[int]()
    tasks = []

    async def ask() -> None:
        while True:
            tasks.append(asyncio.create_task(call(calls, answered, 0)))
            await asyncio.sleep(0.002)

    asking = asyncio.create_task(ask())
    await asyncio.sleep(0.01)
    await asyncio.wait_for(calls.quiet(0.02, 0.2), 30)
    asking.cancel()
    calls.release()
    await asyncio.gather(*tasks)


async def test_no_answer_is_held_back_until_it_is_late() -> None:
    calls, answered = Calls(), list[int]()
    await calls.quiet(0, 0)
    deadline = time.monotonic() + 4
    with calls.under_way(""):
        await calls.may_answer(deadline)
    assert time.monotonic() < deadline
    held = asyncio.create_task(call(calls, answered, 0))
    await asyncio.sleep(0.05)
    assert not answered
    calls.release()
    await held


async def test_too_many_are_refused_with_a_time_to_come_back() -> None:
    """And nobody has them all."""
    calls = Calls(most=10)
    with ExitStack() as held:
        for _ in range(9):
            held.enter_context(calls.under_way("greedy"))
        with pytest.raises(OverloadedError) as refused, calls.under_way("greedy"):
            pass
        assert refused.value.retry_after
        with calls.under_way("modest"), pytest.raises(OverloadedError):
            held.enter_context(calls.under_way("late"))
    with calls.under_way("greedy"):
        pass
    await calls.ended(0)


async def test_where_nobody_asks_it_is_quiet_at_once() -> None:
    await asyncio.wait_for(Calls().quiet(60, 60), 30)
