"""Bodies on their way: bounded in number, in bytes and in time, and shared out over callers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from emotion2vec_server.errors import DeadlineExceededError, OverloadedError, UnavailableError
from emotion2vec_server.serving import uploads as uploads_module
from emotion2vec_server.serving.uploads import Uploads

BODY = 100
"""Bytes of the largest body."""


class Upload:
    """A call whose body comes, and is decoded, when the test says so."""

    def __init__(
        self, uploads: Uploads, caller: str = "", size: int = BODY, stated: int | None = None
    ) -> None:
        self.is_read = False
        self._size = size
        self._stated = stated
        self._arrived, self._decoded = asyncio.Event(), asyncio.Event()
        self.task = asyncio.create_task(self._run(uploads, caller))

    async def _run(self, uploads: Uploads, caller: str) -> int:
        async with uploads.receive(caller, self._read, bytes, self._stated) as body:
            await self._decoded.wait()
            return len(body)

    async def _read(self) -> bytes:
        self.is_read = True
        await self._arrived.wait()
        return bytes(self._size)

    def arrive(self) -> None:
        self._arrived.set()

    def finish(self) -> None:
        self._arrived.set()
        self._decoded.set()


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def make(**changes: int | float | Callable[[], object]) -> Uploads:
    arguments = {
        "max_uploads": 1000,
        "max_bytes": 3 * BODY,
        "max_body_bytes": BODY,
        "max_seconds": 60.0,
        "refused": lambda: None,
    }
    return Uploads(**{**arguments, **changes})  # type: ignore[arg-type]


async def ended(*uploads: Upload) -> list[int | BaseException]:
    for upload in uploads:
        upload.finish()
    return await asyncio.gather(*(upload.task for upload in uploads), return_exceptions=True)


async def test_a_body_is_not_read_before_there_is_room_for_the_largest() -> None:
    uploads = make()
    first = [Upload(uploads) for _ in range(5)]
    await settle()
    assert [upload.is_read for upload in first] == [True, True, True, False, False]
    assert await ended(*first) == [BODY] * 5


async def test_one_that_has_come_counts_by_its_bytes_until_it_is_decoded() -> None:
    uploads = make()
    small = [Upload(uploads, size=10) for _ in range(3)]
    await settle()
    for upload in small:
        upload.arrive()
    await settle()
    more = [Upload(uploads) for _ in range(3)]
    await settle()
    assert [upload.is_read for upload in more] == [True, True, False]
    assert await ended(*small) == [10] * 3
    await settle()
    assert more[2].is_read
    assert await ended(*more) == [BODY] * 3


async def test_one_that_says_its_size_takes_room_for_that() -> None:
    uploads = make()
    small = [Upload(uploads, size=10, stated=BODY // 10) for _ in range(20)]
    await settle()
    assert all(upload.is_read for upload in small)
    large = Upload(uploads, stated=2 * BODY)
    last = Upload(uploads, "another", size=10, stated=BODY // 10)
    await settle()
    # What would fit must not pass a large one for ever.
    assert (large.is_read, last.is_read) == (False, False)
    assert await ended(*small, large, last) == [10] * 20 + [BODY, 10]


async def test_the_newest_of_a_caller_comes_first() -> None:
    uploads = make(max_bytes=BODY)
    first, second, third = (Upload(uploads) for _ in range(3))
    await settle()
    assert await ended(first) == [BODY]
    await settle()
    assert (second.is_read, third.is_read) == (False, True)
    assert await ended(second, third) == [BODY, BODY]


async def test_a_piece_of_a_stream_counts_until_the_next_is_asked_for() -> None:
    uploads = make(max_bytes=2 * BODY)

    async def pieces() -> AsyncIterator[bytes | str]:
        yield "config"
        yield bytes(2 * BODY)
        yield b""

    with uploads.count("stream", pieces()) as counted:
        assert await anext(counted) == "config"
        assert len(await anext(counted)) == 2 * BODY
        body = Upload(uploads)
        await settle()
        assert not body.is_read
        await anext(counted)
        await settle()
        assert body.is_read
    assert await ended(body) == [BODY]


async def test_one_body_is_taken_whatever_its_size() -> None:
    uploads = make(max_bytes=1)
    first, second = Upload(uploads), Upload(uploads)
    await settle()
    assert (first.is_read, second.is_read) == (True, False)
    assert await ended(first, second) == [BODY, BODY]


async def test_a_caller_takes_no_more_than_its_share_of_the_room() -> None:
    uploads = make(max_bytes=10 * BODY)
    greedy = [Upload(uploads, "greedy") for _ in range(20)]
    await settle()
    assert sum(upload.is_read for upload in greedy) == 9
    modest = Upload(uploads, "modest")
    await settle()
    assert modest.is_read
    assert await ended(modest, *greedy) == [BODY] * 21


async def test_room_is_given_in_turns_over_callers() -> None:
    uploads = make(max_bytes=BODY)
    first = Upload(uploads, "many")
    many = [Upload(uploads, "many") for _ in range(5)]
    one = Upload(uploads, "one")
    await settle()
    await ended(first)
    await ended(many[-1])
    assert one.is_read
    assert not many[-2].is_read
    assert await ended(one, *many[:-1]) == [BODY] * 5


async def test_a_caller_takes_no_more_than_its_share_of_the_places() -> None:
    uploads = make(max_uploads=100)
    greedy = [Upload(uploads, "greedy") for _ in range(100)]
    await settle()
    refused = [upload for upload in greedy if upload.task.done()]
    assert len(refused) == 19
    assert all(isinstance(upload.task.exception(), OverloadedError) for upload in refused)
    modest = Upload(uploads, "modest")
    await settle()
    assert not modest.task.done()
    rest = [upload for upload in greedy if not upload.task.done()]
    assert await ended(*rest, modest) == [BODY] * 82


@pytest.fixture
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads_module, "_GRACE_SECONDS", 0.05)


async def within(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@pytest.mark.usefixtures("short_grace")
async def test_who_stalls_gives_way_to_who_waits() -> None:
    refusals: list[int] = []
    uploads = make(refused=lambda: refusals.append(1))
    stalled = [Upload(uploads, "stalled") for _ in range(3)]
    await settle()
    waiting = [Upload(uploads, "polite") for _ in range(2)]
    await within(lambda: all(upload.is_read for upload in waiting))
    # As many as were waited for, the oldest first, and no more.
    await asyncio.sleep(0.2)
    assert [upload.task.done() for upload in stalled] == [True, True, False]
    for upload in stalled[:2]:
        error = upload.task.exception()
        assert isinstance(error, OverloadedError)
        assert error.retry_after
    assert len(refusals) == 2
    assert await ended(stalled[2], *waiting) == [BODY] * 3


@pytest.mark.usefixtures("short_grace")
async def test_the_caller_with_most_of_the_room_gives_way() -> None:
    uploads = make()
    first, *many = [Upload(uploads, name) for name in ("first", "many", "many")]
    await settle()
    other = Upload(uploads, "other")
    await within(lambda: other.is_read)
    assert [upload.task.done() for upload in (first, *many)] == [False, True, False]
    assert isinstance(many[0].task.exception(), OverloadedError)
    assert await ended(first, many[1], other) == [BODY] * 3


@pytest.mark.usefixtures("short_grace")
async def test_nobody_gives_way_where_nobody_waits() -> None:
    uploads = make()
    slow = [Upload(uploads) for _ in range(3)]
    await asyncio.sleep(0.2)
    assert await ended(*slow) == [BODY] * 3


@pytest.mark.usefixtures("short_grace")
async def test_uploads_under_way_when_the_server_stops_have_their_grace() -> None:
    uploads = make()
    stalled, prompt = Upload(uploads), Upload(uploads)
    await settle()
    uploads.drain()
    assert await ended(prompt) == [BODY]
    with pytest.raises(UnavailableError, match="shutting down"):
        await stalled.task


async def test_an_upload_has_its_time() -> None:
    uploads = make(max_seconds=0.05)
    late = Upload(uploads)
    with pytest.raises(DeadlineExceededError, match=r"within 0\.05 s"):
        await late.task
    assert await ended(Upload(uploads)) == [BODY]


@pytest.mark.parametrize("moment", ["waiting", "arriving", "decoding"])
async def test_who_leaves_leaves_nothing_behind(moment: str) -> None:
    uploads = make(max_bytes=BODY)
    holder = Upload(uploads)
    await settle()
    leaver = Upload(uploads, "leaver")
    await settle()
    if moment != "waiting":
        await ended(holder)
    if moment == "decoding":
        leaver.arrive()
    await settle()
    leaver.task.cancel()
    await settle()
    if moment == "waiting":
        await ended(holder)
    assert await ended(Upload(uploads), Upload(uploads)) == [BODY, BODY]


async def test_who_leaves_at_its_turn_passes_it_on() -> None:
    uploads = make(max_bytes=BODY)
    holder = Upload(uploads)
    await settle()
    leaver, next_one = Upload(uploads), Upload(uploads)
    await settle()
    holder.finish()
    await holder.task
    leaver.task.cancel()
    await within(lambda: next_one.is_read)
    assert await ended(next_one) == [BODY]


async def test_what_reading_raises_is_raised() -> None:
    uploads = make(max_bytes=BODY)

    async def fail() -> bytes:
        raise ValueError("broken")

    read: Callable[[], Awaitable[bytes]] = fail
    for _ in range(3):
        with pytest.raises(ValueError, match="broken"):
            async with uploads.receive("", read, bytes):
                pass
    assert await ended(Upload(uploads)) == [BODY]
