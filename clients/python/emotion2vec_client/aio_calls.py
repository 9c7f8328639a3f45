"""The calls of the client for asyncio: `Calls` again, with `await` where it waits."""
# ruff: noqa: ASYNC109  # `timeout` is the gRPC deadline that the server is told

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterator,
)
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, TypeVar

import grpc
from emotion2vec.v1.service_pb2 import (
    GetModelRequest,
    ListModelsRequest,
    StreamRecognizeRequest,
)
from emotion2vec.v1.service_pb2_grpc import EmotionRecognitionServiceStub

from emotion2vec_client import responses
from emotion2vec_client.assembly import Assembly
from emotion2vec_client.connection import Connection
from emotion2vec_client.ending import Ending
from emotion2vec_client.errors import RecognitionError, TooLargeError, no_result
from emotion2vec_client.events import StreamEvent
from emotion2vec_client.health import HEALTH_METHOD, read_health, write_health_request
from emotion2vec_client.reconnect.aio_pump import AsyncPump
from emotion2vec_client.reconnect.resumption import Resumption
from emotion2vec_client.requests import Chunk, RecordingRequests, StreamUpload, recording_message
from emotion2vec_client.results import Health, Model, Recognition, RecordingPart
from emotion2vec_client.retry import Tries
from emotion2vec_client.upload import Upload

if TYPE_CHECKING:
    from emotion2vec.v1.service_pb2_grpc import EmotionRecognitionServiceAsyncStub

Request = TypeVar("Request")
Reply = TypeVar("Reply")
Event = TypeVar("Event")


class AsyncCalls:
    """The calls to one server; what fails raises a `RecognitionError`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        # Read here, so that what is wrong with them is said when the client is made.
        self._credentials = connection.credentials()
        self._opened: grpc.aio.Channel | None = None

    async def recognize(
        self,
        requests: RecordingRequests,
        timeout: float | None,
        progress: Callable[[RecordingPart], object] | None,
    ) -> Recognition:
        if requests.whole is None:
            return await self._assembled(requests, timeout, progress)
        try:
            reply = await self._call(self._stub.Recognize, requests.whole, timeout)
        except TooLargeError:
            # A small file may hold long audio.
            return await self._assembled(requests, timeout, progress)
        return responses.recognition(reply)

    async def recording(
        self, requests: RecordingRequests, timeout: float | None
    ) -> AsyncGenerator[RecordingPart | Recognition, None]:
        tries = self._connection.tries_of(requests.body, timeout)
        has_begun = False
        while True:
            try:
                async with aclosing(self._parts(requests, tries.remaining())) as events:
                    async for event in events:
                        has_begun = True
                        yield event
                return
            except RecognitionError as error:
                pause = None if has_begun else tries.pause(error)
                if pause is None:
                    raise
            await asyncio.sleep(pause)

    def stream(
        self,
        upload: StreamUpload,
        chunks: AsyncIterable[Chunk],
        timeout: float | None,
    ) -> AsyncGenerator[StreamEvent, None]:
        return self._streamed(upload.messages_async(chunks), upload, timeout)

    async def resumed_stream(
        self,
        upload: StreamUpload,
        chunks: AsyncIterable[Chunk],
        timeout: float | None,
        resumption: Resumption,
    ) -> AsyncGenerator[StreamEvent, None]:
        """A stream of as many calls as it takes."""
        messages = upload.messages_async(chunks)
        config = await anext(messages)
        tries = self._connection.tries_of_stream(timeout)
        pump = AsyncPump(messages, resumption)
        try:
            while True:
                call = _after(config, pump.call())
                try:
                    async with aclosing(self._streamed(call, upload, tries.remaining())) as events:
                        async for event in events:
                            for taken in resumption.take(event):
                                tries.got_through()
                                yield taken
                    return
                except RecognitionError as error:
                    pause = tries.pause(error)
                    if pause is None:
                        raise
                await asyncio.sleep(pause)
        finally:
            await pump.close()

    async def list_models(self, timeout: float | None) -> tuple[Model, ...]:
        reply = await self._call(self._stub.ListModels, ListModelsRequest(), timeout)
        return tuple(map(responses.model, reply.models))

    async def get_model(self, name: str, timeout: float | None) -> Model:
        reply = await self._call(self._stub.GetModel, GetModelRequest(name=name), timeout)
        return responses.model(reply.model)

    async def health(self, service: str, timeout: float | None) -> Health:
        check = self._channel.unary_unary(HEALTH_METHOD, write_health_request, read_health)
        return await self._try(check, service, self._connection.tries(timeout).remaining())

    async def close(self) -> None:
        if self._opened is not None:
            await self._opened.close()

    @property
    def _channel(self) -> grpc.aio.Channel:
        """Opened by the first call: a channel is bound to the loop that runs when it is made."""
        if self._opened is None:
            self._opened = _open(self._connection, self._credentials)
        return self._opened

    @property
    def _stub(self) -> EmotionRecognitionServiceAsyncStub:
        return EmotionRecognitionServiceStub(self._channel)

    async def _call(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[Request, Reply],
        request: Request,
        timeout: float | None,
    ) -> Reply:
        """One call with all its tries."""
        tries = self._connection.tries(timeout)
        return await self._retrying(lambda seconds: self._try(method, request, seconds), tries)

    async def _retrying(
        self, attempt: Callable[[float | None], Awaitable[Reply]], tries: Tries
    ) -> Reply:
        """Calls `attempt` with the seconds that are left, until it works or must be given up."""
        while True:
            try:
                return await attempt(tries.remaining())
            except RecognitionError as error:
                pause = tries.pause(error)
                if pause is None:
                    raise
            await asyncio.sleep(pause)

    async def _try(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[Request, Reply],
        request: Request,
        timeout: float | None,
    ) -> Reply:
        try:
            return await method(request, timeout=timeout, metadata=self._connection.metadata)
        except grpc.RpcError as error:
            raise self._connection.translate(error) from error

    async def _assembled(
        self,
        requests: RecordingRequests,
        timeout: float | None,
        progress: Callable[[RecordingPart], object] | None,
    ) -> Recognition:
        async def attempt(seconds: float | None) -> Recognition:
            assembly = Assembly()
            async with aclosing(self._parts(requests, seconds)) as events:
                async for event in events:
                    if isinstance(event, Recognition):
                        return assembly.complete(event)
                    assembly.add(event)
                    if progress is not None:
                        progress(event)
            raise no_result()

        return await self._retrying(attempt, self._connection.tries_of(requests.body, timeout))

    def _parts(
        self, requests: RecordingRequests, seconds: float | None
    ) -> AsyncGenerator[RecordingPart | Recognition, None]:
        upload = Upload(requests.first, recording_message)

        def start() -> Any:
            return self._stub.RecognizeRecording(
                upload.messages_async(_in_thread(requests.body.pieces())),
                timeout=seconds,
                metadata=self._connection.metadata,
            )

        return self._received(start, upload, responses.recording_event)

    def _streamed(
        self,
        messages: AsyncIterator[StreamRecognizeRequest],
        upload: StreamUpload,
        timeout: float | None,
    ) -> AsyncGenerator[StreamEvent, None]:
        def start() -> Any:
            return self._stub.StreamRecognize(
                messages, timeout=timeout, metadata=self._connection.metadata
            )

        return self._received(start, upload, responses.stream_event)

    async def _received(
        self,
        start: Callable[[], Any],
        upload: Upload[Any, Any],
        read: Callable[[Any], Event | None],
    ) -> AsyncGenerator[Event, None]:
        """What comes of a call whose requests are an upload; it starts when it is asked for."""
        call = start()
        ending = Ending(call)
        try:
            async for reply in call:
                upload.check()
                event = read(reply)
                if event is not None:
                    yield event
            upload.check()
        except grpc.aio.AioRpcError as error:
            upload.check()
            real = await ending.of(error)
            if real is not None:
                raise self._connection.translate(real) from error
        finally:
            call.cancel()


async def _after(
    first: StreamRecognizeRequest, others: AsyncIterator[StreamRecognizeRequest]
) -> AsyncIterator[StreamRecognizeRequest]:
    yield first
    async for message in others:
        yield message


async def _in_thread(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """The same pieces, each read in a thread."""
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        yield piece


def _open(connection: Connection, credentials: grpc.ChannelCredentials | None) -> grpc.aio.Channel:
    if credentials is None:
        return grpc.aio.insecure_channel(connection.target, connection.options)
    return grpc.aio.secure_channel(connection.target, credentials, connection.options)
