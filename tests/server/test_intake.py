"""Bodies on their way in: bounded in number, in bytes and in time."""

from __future__ import annotations

import asyncio
from unittest.mock import Mock

import pytest
from emotion2vec_server.errors import DeadlineExceededError, OverloadedError
from emotion2vec_server.intake import Intake


class Upload:
    """A body that arrives when `arrive` says so."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.reading = asyncio.Event()
        self.arrive = asyncio.Event()

    @property
    def was_read(self) -> bool:
        return self.reading.is_set()

    async def read(self) -> bytes:
        self.reading.set()
        await self.arrive.wait()
        return bytes(self._size)


def arrived(size: int) -> Upload:
    upload = Upload(size)
    upload.arrive.set()
    return upload


def make_intake(bodies: int = 100, size: int = 1000, seconds: float = 60.0) -> Intake:
    return Intake(max_bodies=bodies, max_bytes=size, max_seconds=seconds, refused=Mock())


async def refused(intake: Intake, upload: Upload) -> OverloadedError:
    with pytest.raises(OverloadedError) as raised:
        async with intake.receive("a", upload.read):
            pass
    assert raised.value.retry_after is not None
    assert raised.value.retry_after > 0
    return raised.value


async def test_one_too_many_is_not_even_read() -> None:
    intake = make_intake(bodies=2)
    first, second, third = Upload(1), arrived(1), arrived(1)

    async def take(upload: Upload) -> int:
        async with intake.receive("a", upload.read) as data:
            return len(data)

    waiting = asyncio.create_task(take(first))
    await first.reading.wait()
    async with intake.receive("a", second.read):
        await refused(intake, third)
        assert not third.was_read
    first.arrive.set()
    assert await waiting == 1
    assert await take(third) == 1


async def test_bytes_count_until_they_are_decoded() -> None:
    intake = make_intake(size=1000)
    async with intake.receive("a", arrived(600).read):
        late = arrived(401)
        await refused(intake, late)
        assert late.was_read
        async with intake.receive("a", arrived(400).read):
            last = arrived(1)
            await refused(intake, last)
            assert not last.was_read
    async with intake.receive("a", arrived(1000).read):
        pass


async def test_a_lone_body_of_any_size_is_taken() -> None:
    async with make_intake(size=10).receive("a", arrived(5000).read) as data:
        assert len(data) == 5000


async def test_a_body_that_does_not_come_gives_its_place_back() -> None:
    intake = make_intake(bodies=1, seconds=0.01)
    with pytest.raises(DeadlineExceededError):
        async with intake.receive("a", Upload(1).read):
            pass
    async with intake.receive("a", arrived(1).read):
        pass


async def test_a_caller_who_leaves_gives_its_place_back() -> None:
    intake = make_intake(bodies=1)
    upload = Upload(1)

    async def take() -> None:
        async with intake.receive("a", upload.read):
            pass

    waiting = asyncio.create_task(take())
    await upload.reading.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    async with intake.receive("a", arrived(1).read):
        pass


async def many(
    intake: Intake, count: int, caller: str = ""
) -> tuple[int, list[asyncio.Task[None]]]:
    """Starts so many bodies that don't come, of a caller or each of its own; how many of them are
    waited for."""
    uploads = [Upload(1) for _ in range(count)]

    async def take(name: str, upload: Upload) -> None:
        async with intake.receive(name, upload.read):
            pass

    tasks = [
        asyncio.create_task(take(caller or str(number), upload))
        for number, upload in enumerate(uploads)
    ]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return sum(upload.was_read for upload in uploads), tasks


async def give_up(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_caller_leaves_places_to_others() -> None:
    intake = make_intake(bodies=1000, size=10**6)
    taken, tasks = await many(intake, 1000, caller="a")
    assert 790 < taken < 810
    async with intake.receive("b", arrived(1).read):
        pass
    await give_up(tasks)
    taken, tasks = await many(intake, 1, caller="a")
    assert taken == 1
    await give_up(tasks)


async def test_bodies_that_never_come_leave_few_places() -> None:
    intake = make_intake(bodies=1000, size=10**6)
    taken, tasks = await many(intake, 1000)
    assert taken == 1000
    await give_up(tasks)
    taken, tasks = await many(intake, 1000)
    assert taken == 64
    await give_up(tasks)


async def test_bodies_that_come_open_the_places_again() -> None:
    intake = make_intake(bodies=1000, size=10**6)
    await give_up((await many(intake, 1000))[1])
    for _ in range(500):
        async with intake.receive("a", arrived(1).read):
            pass
    taken, tasks = await many(intake, 1000)
    assert taken == 564
    await give_up(tasks)


async def test_one_body_in_a_hundred_that_does_not_come_closes_nothing() -> None:
    intake = make_intake(bodies=500, size=10**6)
    for _ in range(10):
        await give_up((await many(intake, 1))[1])
        for _ in range(99):
            async with intake.receive("a", arrived(1).read):
                pass
    taken, tasks = await many(intake, 500)
    assert taken > 400
    await give_up(tasks)
