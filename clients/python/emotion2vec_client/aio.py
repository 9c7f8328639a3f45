"""The client for asyncio: `Client` again, with `await` where it waits.

`timeout` is an argument here too (ruff: ASYNC109), because it is the gRPC deadline that the server
is told, and because both clients shall have the same surface.
"""
# ruff: noqa: ASYNC109

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterator,
    Sequence,
)
from contextlib import aclosing
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import grpc
from emotion2vec.v1.service_pb2 import (
    GetModelRequest,
    ListModelsRequest,
    StreamRecognizeRequest,
)
from emotion2vec.v1.service_pb2_grpc import EmotionRecognitionServiceStub

from emotion2vec_client import responses
from emotion2vec_client.assembly import Assembly
from emotion2vec_client.audio import AudioSource, Encoding, body_of, stream_format
from emotion2vec_client.connection import (
    DEFAULT_SERVER,
    DEFAULT_TIMEOUT,
    Connection,
    PathLike,
    deadline_of,
)
from emotion2vec_client.ending import Ending
from emotion2vec_client.errors import RecognitionError, TooLargeError, no_result
from emotion2vec_client.events import EndOfUtterance, StreamEvent, StreamMode
from emotion2vec_client.health import HEALTH_METHOD, read_health, write_health_request
from emotion2vec_client.requests import (
    Chunk,
    RecordingRequests,
    recognition_config,
    recording_message,
    stream_config,
    stream_messages,
)
from emotion2vec_client.results import Health, Model, Recognition, RecordingPart
from emotion2vec_client.retry import RetryPolicy, Tries
from emotion2vec_client.upload import Upload

if TYPE_CHECKING:
    from emotion2vec.v1.service_pb2_grpc import EmotionRecognitionServiceAsyncStub

Request = TypeVar("Request")
Reply = TypeVar("Reply")
Event = TypeVar("Event")
StreamUpload = Upload[Chunk, StreamRecognizeRequest]


class AsyncClient:
    """`Client` for asyncio: same arguments, results and errors.

    It may be made outside of a running loop; it belongs to the loop of its first call.
    """

    def __init__(
        self,
        server: str = DEFAULT_SERVER,
        *,
        secure: bool = False,
        root_certificates: PathLike | None = None,
        client_certificate: PathLike | None = None,
        client_key: PathLike | None = None,
        token: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        retry: RetryPolicy | None = None,
    ) -> None:
        self._connection = Connection(
            server=server,
            secure=secure,
            root_certificates=root_certificates,
            client_certificate=client_certificate,
            client_key=client_key,
            token=token,
            timeout=timeout,
            retry=RetryPolicy() if retry is None else retry,
        )
        self._credentials = self._connection.credentials()
        self._opened: grpc.aio.Channel | None = None

    async def recognize(
        self,
        audio: AudioSource,
        *,
        frames: bool = False,
        embedding: bool = False,
        frame_embeddings: bool = False,
        processed_audio: bool = False,
        per_channel: bool = False,
        speech_only: bool = False,
        model: str = "",
        allowed_labels: Sequence[str] = (),
        encoding: Encoding | None = None,
        sample_rate: int | None = None,
        channels: int | None = None,
        request_id: str = "",
        timeout: float | None = None,
        progress: Callable[[RecordingPart], object] | None = None,
    ) -> Recognition:
        """As `Client.recognize`. Files are read in a thread."""
        requests = RecordingRequests(
            await asyncio.to_thread(body_of, audio, encoding, sample_rate, channels),
            recognition_config(
                frames=frames,
                embedding=embedding,
                frame_embeddings=frame_embeddings,
                processed_audio=processed_audio,
                per_channel=per_channel,
                speech_only=speech_only,
                model=model,
                allowed_labels=allowed_labels,
            ),
            request_id,
        )
        if requests.whole is None:
            return await self._assembled(requests, timeout, progress)
        try:
            reply = await self._call(self._stub.Recognize, requests.whole, timeout)
        except TooLargeError:
            # A small file may hold long audio.
            return await self._assembled(requests, timeout, progress)
        return responses.recognition(reply)

    def recognize_recording(
        self,
        audio: AudioSource,
        *,
        frames: bool = False,
        embedding: bool = False,
        frame_embeddings: bool = False,
        processed_audio: bool = False,
        per_channel: bool = False,
        speech_only: bool = False,
        model: str = "",
        allowed_labels: Sequence[str] = (),
        encoding: Encoding | None = None,
        sample_rate: int | None = None,
        channels: int | None = None,
        request_id: str = "",
        timeout: float | None = None,
    ) -> AsyncGenerator[RecordingPart | Recognition, None]:
        """As `Client.recognize_recording`.

        To stop before the end, wrap the result in `contextlib.aclosing`.
        """
        requests = RecordingRequests(
            body_of(audio, encoding, sample_rate, channels),
            recognition_config(
                frames=frames,
                embedding=embedding,
                frame_embeddings=frame_embeddings,
                processed_audio=processed_audio,
                per_channel=per_channel,
                speech_only=speech_only,
                model=model,
                allowed_labels=allowed_labels,
            ),
            request_id,
        )
        return self._recording(requests, timeout)

    def stream(
        self,
        chunks: AsyncIterable[Chunk],
        *,
        sample_rate: int | None = None,
        encoding: Encoding | None = None,
        channels: int | None = None,
        window: float | None = None,
        hop: float | None = None,
        lookahead: float | None = None,
        interim: bool = False,
        voice_activity_detection: bool | None = None,
        mode: StreamMode | None = None,
        end_of_utterance: EndOfUtterance | None = None,
        embedding: bool = False,
        frame_embeddings: bool = False,
        processed_audio: bool = False,
        speech_only: bool = False,
        model: str = "",
        allowed_labels: Sequence[str] = (),
        request_id: str = "",
        timeout: float | None = None,
    ) -> AsyncGenerator[StreamEvent, None]:
        """As `Client.stream`, with an asynchronous iterator of chunks.

        To stop before the end, wrap the result in `contextlib.aclosing`.
        """
        audio = stream_format(encoding, sample_rate, channels)
        first = stream_config(
            audio,
            recognition_config(
                embedding=embedding,
                frame_embeddings=frame_embeddings,
                processed_audio=processed_audio,
                speech_only=speech_only,
                model=model,
                allowed_labels=allowed_labels,
            ),
            window=window,
            hop=hop,
            lookahead=lookahead,
            interim=interim,
            voice_activity_detection=voice_activity_detection,
            mode=mode,
            end_of_utterance=end_of_utterance,
            request_id=request_id,
        )
        upload: StreamUpload = Upload(first, lambda chunk: stream_messages(chunk, audio))
        return self._events(upload, chunks, deadline_of(timeout))

    async def list_models(self, *, timeout: float | None = None) -> tuple[Model, ...]:
        """As `Client.list_models`."""
        reply = await self._call(self._stub.ListModels, ListModelsRequest(), timeout)
        return tuple(map(responses.model, reply.models))

    async def get_model(self, name: str = "", *, timeout: float | None = None) -> Model:
        """As `Client.get_model`."""
        request = GetModelRequest(name=name)
        reply = await self._call(self._stub.GetModel, request, timeout)
        return responses.model(reply.model)

    async def health(self, service: str = "", *, timeout: float | None = None) -> Health:
        """As `Client.health`."""
        check = self._channel.unary_unary(HEALTH_METHOD, write_health_request, read_health)
        return await self._try(check, service, self._connection.tries(timeout).remaining())

    async def close(self) -> None:
        """Ends the connection; calls under way are cancelled."""
        if self._opened is not None:
            await self._opened.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

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

    async def _recording(
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

    def _events(
        self,
        upload: StreamUpload,
        chunks: AsyncIterable[Chunk],
        timeout: float | None,
    ) -> AsyncGenerator[StreamEvent, None]:
        def start() -> Any:
            return self._stub.StreamRecognize(
                upload.messages_async(chunks), timeout=timeout, metadata=self._connection.metadata
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


async def _in_thread(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """The same pieces, each read in a thread."""
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        yield piece


def _open(connection: Connection, credentials: grpc.ChannelCredentials | None) -> grpc.aio.Channel:
    if credentials is None:
        return grpc.aio.insecure_channel(connection.target, connection.options)
    return grpc.aio.secure_channel(connection.target, credentials, connection.options)
