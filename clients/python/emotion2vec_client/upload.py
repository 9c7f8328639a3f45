"""The sending half of a stream: the caller's chunks -> messages. No I/O."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from types import TracebackType
from typing import Self

from emotion2vec.v1.service_pb2 import StreamRecognizeRequest

from emotion2vec_client.audio import RawFormat
from emotion2vec_client.requests import Chunk, stream_messages


class Upload:
    """The messages of one stream: its config, then the chunks.

    gRPC pulls them, and swallows what the caller's own iterator raises: the call would just end as
    cancelled. So the failure ends the upload instead and is kept for `check`, by which the
    receiving half raises it where the caller listens.
    """

    def __init__(self, config: StreamRecognizeRequest, raw: RawFormat) -> None:
        self._config = config
        self._raw = raw
        self._failure: Exception | None = None

    def messages(self, chunks: Iterable[Chunk]) -> Iterator[StreamRecognizeRequest]:
        with self:
            yield self._config
            for chunk in chunks:
                yield from stream_messages(chunk, self._raw)

    async def messages_async(
        self, chunks: AsyncIterable[Chunk]
    ) -> AsyncIterator[StreamRecognizeRequest]:
        with self:
            yield self._config
            async for chunk in chunks:
                for message in stream_messages(chunk, self._raw):
                    yield message

    def check(self) -> None:
        """Raises what the caller's iterator raised, if it did."""
        if self._failure is not None:
            raise self._failure

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        # The generator's own end (GeneratorExit) and cancellation are no Exception and pass on.
        if isinstance(error, Exception):
            self._failure = error
            return True
        return False
