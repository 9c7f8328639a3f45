"""What a stream has read and not yet handled: bounded, so reading stops where handling lags."""

from __future__ import annotations

import asyncio
from collections import deque
from enum import Enum

import numpy as np
from emotion2vec_runtime.arrays import Float32

_SMALL = 320


class Mark(Enum):
    """A place between two samples."""

    END_UTTERANCE = "end of utterance"


class Inbox:
    """Audio and marks in order, from one writer to one reader."""

    def __init__(self, capacity: int) -> None:
        """The writer waits while `capacity` samples or more are inside."""
        self._capacity = capacity
        self._items: deque[Float32 | Mark] = deque()
        self._samples = 0
        self._closed = False
        self._filled = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()

    @property
    def is_empty(self) -> bool:
        return not self._items

    async def put(self, item: Float32 | Mark) -> None:
        """Adds float32 samples [n] or a mark, when there is room."""
        await self._has_room.wait()
        if isinstance(item, Mark):
            self._items.append(item)
            # A mark weighs as much as the smallest audio: a flood of them must wait too.
            self._weigh(_SMALL)
        elif len(item):
            self._append(item)
            self._weigh(len(item))
        self._filled.set()

    def close(self) -> None:
        """No more will come."""
        self._closed = True
        self._filled.set()

    def __aiter__(self) -> Inbox:
        return self

    async def __anext__(self) -> Float32 | Mark:
        while not self._items:
            if self._closed:
                raise StopAsyncIteration
            self._filled.clear()
            await self._filled.wait()
        item = self._items.popleft()
        self._weigh(-(_SMALL if isinstance(item, Mark) else len(item)))
        return item

    def _append(self, samples: Float32) -> None:
        # Tiny pieces are joined: a caller who sends sample by sample costs no object for each.
        last = self._items[-1] if self._items else None
        if isinstance(last, np.ndarray) and len(last) + len(samples) <= _SMALL:
            self._items[-1] = np.concatenate((last, samples))
        else:
            self._items.append(samples)

    def _weigh(self, change: int) -> None:
        self._samples += change
        if self._samples < self._capacity:
            self._has_room.set()
        else:
            self._has_room.clear()
