"""The sending half of a call: the caller's chunks -> messages. No I/O."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from typing import Generic, Self, TypeVar

Chunk = TypeVar("Chunk")
Message = TypeVar("Message")


class Upload(Generic[Chunk, Message]):
    """The messages of one call: its config, then those of each chunk.

    gRPC pulls them, and swallows what the caller's own iterator raises: the call would just end as
    cancelled. So the failure ends the upload instead and is kept for `check`, by which the
    receiving half raises it where the caller listens.
    """

    def __init__(self, config: Message, write: Callable[[Chunk], Iterable[Message]]) -> None:
        self._config = config
        self._write = write
        self._failure: BaseException | None = None

    def messages(self, chunks: Iterable[Chunk]) -> Iterator[Message]:
        with self:
            yield self._config
            for chunk in chunks:
                yield from self._write(chunk)

    async def messages_async(self, chunks: AsyncIterable[Chunk]) -> AsyncIterator[Message]:
        with self:
            yield self._config
            async for chunk in chunks:
                for message in self._write(chunk):
                    yield message

    def check(self) -> None:
        """Raises what the caller's iterator raised, if it did."""
        if self._failure is not None:
            raise self._failure

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        # The generator's own end and a task's are no failures, and pass on.
        if error is None or isinstance(error, (GeneratorExit, asyncio.CancelledError)):
            return False
        self._failure = error
        return True
