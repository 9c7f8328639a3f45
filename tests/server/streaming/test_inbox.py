from __future__ import annotations

import asyncio

import numpy as np
import pytest
from emotion2vec_server.streaming.inbox import Inbox, Mark


def audio(count: int) -> np.ndarray:
    return np.zeros(count, dtype=np.float32)


async def settle() -> None:
    """Lets every task run until it waits."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_gives_items_in_order_then_ends() -> None:
    inbox = Inbox(10_000)
    await inbox.put(audio(500))
    await inbox.put(Mark.END_UTTERANCE)
    await inbox.put(audio(400))
    inbox.close()
    items = [item if isinstance(item, Mark) else len(item) async for item in inbox]
    assert items == [500, Mark.END_UTTERANCE, 400]


@pytest.mark.parametrize("item", [audio(1000), Mark.END_UTTERANCE])
async def test_the_writer_waits_while_it_is_full(item: np.ndarray | Mark) -> None:
    inbox = Inbox(1000)
    await inbox.put(audio(1000))
    writer = asyncio.create_task(inbox.put(item))
    await settle()
    assert not writer.done()
    await anext(inbox)
    await settle()
    assert writer.done()


async def test_a_flood_of_marks_is_held_back_too() -> None:
    inbox = Inbox(16_000)

    async def flood() -> None:
        while True:
            await inbox.put(Mark.END_UTTERANCE)

    writer = asyncio.create_task(flood())
    await settle()
    assert not writer.done()
    assert len(inbox._items) == 50
    writer.cancel()


async def test_tiny_pieces_are_joined() -> None:
    inbox = Inbox(100_000)
    for value in range(3200):
        await inbox.put(np.array([value], dtype=np.float32))
    assert len(inbox._items) == 10
    inbox.close()
    pieces = [item async for item in inbox]
    np.testing.assert_array_equal(np.concatenate(pieces), np.arange(3200))


async def test_empty_audio_is_nothing() -> None:
    inbox = Inbox(1000)
    await inbox.put(audio(0))
    assert inbox.is_empty


async def test_the_reader_wakes_when_it_is_closed() -> None:
    inbox = Inbox(1000)
    reader = asyncio.create_task(anext(inbox, None))
    await settle()
    assert not reader.done()
    inbox.close()
    assert await reader is None
