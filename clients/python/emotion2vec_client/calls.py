"""The calls of the client for threads: gRPC, with its tries."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, TypeVar

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
from emotion2vec_client.errors import RecognitionError, TooLargeError, no_result
from emotion2vec_client.events import StreamEvent
from emotion2vec_client.health import HEALTH_METHOD, read_health, write_health_request
from emotion2vec_client.reconnect.pump import Pump
from emotion2vec_client.reconnect.resumption import Resumption
from emotion2vec_client.requests import Chunk, RecordingRequests, StreamUpload, recording_message
from emotion2vec_client.results import Health, Model, Recognition, RecordingPart
from emotion2vec_client.retry import Tries
from emotion2vec_client.upload import Upload

Request = TypeVar("Request")
Reply = TypeVar("Reply")
Event = TypeVar("Event")


class Calls:
    """The calls to one server; what fails raises a `RecognitionError`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._channel = _open(connection)
        self._stub = EmotionRecognitionServiceStub(self._channel)

    def recognize(
        self,
        requests: RecordingRequests,
        timeout: float | None,
        progress: Callable[[RecordingPart], object] | None,
    ) -> Recognition:
        if requests.whole is None:
            return self._assembled(requests, timeout, progress)
        try:
            reply = self._call(self._stub.Recognize, requests.whole, timeout)
        except TooLargeError:
            # A small file may hold long audio.
            return self._assembled(requests, timeout, progress)
        return responses.recognition(reply)

    def recording(
        self, requests: RecordingRequests, timeout: float | None
    ) -> Generator[RecordingPart | Recognition, None, None]:
        tries = self._connection.tries_of(requests.body, timeout)
        has_begun = False
        while True:
            try:
                for event in self._parts(requests, tries.remaining()):
                    has_begun = True
                    yield event
                return
            except RecognitionError as error:
                pause = None if has_begun else tries.pause(error)
                if pause is None:
                    raise
            time.sleep(pause)

    def stream(
        self,
        upload: StreamUpload,
        chunks: Iterable[Chunk],
        timeout: float | None,
    ) -> Generator[StreamEvent, None, None]:
        return self._streamed(upload.messages(chunks), upload, timeout)

    def resumed_stream(
        self,
        upload: StreamUpload,
        chunks: Iterable[Chunk],
        timeout: float | None,
        resumption: Resumption,
    ) -> Generator[StreamEvent, None, None]:
        """A stream of as many calls as it takes."""
        messages = upload.messages(chunks)
        config = next(messages)
        tries = self._connection.tries_of_stream(timeout)
        pump = Pump(messages, resumption)
        try:
            while True:
                call = itertools.chain([config], pump.call())
                try:
                    for event in self._streamed(call, upload, tries.remaining()):
                        if taken := pump.take(event):
                            tries.got_through()
                        yield from taken
                    return
                except RecognitionError as error:
                    pause = tries.pause(error)
                    if pause is None:
                        raise
                time.sleep(pause)
        finally:
            pump.close()

    def list_models(self, timeout: float | None) -> tuple[Model, ...]:
        reply = self._call(self._stub.ListModels, ListModelsRequest(), timeout)
        return tuple(map(responses.model, reply.models))

    def get_model(self, name: str, timeout: float | None) -> Model:
        reply = self._call(self._stub.GetModel, GetModelRequest(name=name), timeout)
        return responses.model(reply.model)

    def health(self, service: str, timeout: float | None) -> Health:
        check = self._channel.unary_unary(HEALTH_METHOD, write_health_request, read_health)
        return self._try(check, service, self._connection.tries(timeout).remaining())

    def close(self) -> None:
        self._channel.close()

    def _call(
        self,
        method: grpc.UnaryUnaryMultiCallable[Request, Reply],
        request: Request,
        timeout: float | None,
    ) -> Reply:
        """One call with all its tries."""
        tries = self._connection.tries(timeout)
        return self._retrying(lambda seconds: self._try(method, request, seconds), tries)

    def _retrying(self, attempt: Callable[[float | None], Reply], tries: Tries) -> Reply:
        """Calls `attempt` with the seconds that are left, until it works or must be given up."""
        while True:
            try:
                return attempt(tries.remaining())
            except RecognitionError as error:
                pause = tries.pause(error)
                if pause is None:
                    raise
            time.sleep(pause)

    def _try(
        self,
        method: grpc.UnaryUnaryMultiCallable[Request, Reply],
        request: Request,
        timeout: float | None,
    ) -> Reply:
        try:
            return method(request, timeout=timeout, metadata=self._connection.metadata)
        except grpc.RpcError as error:
            raise self._connection.translate(error) from error

    def _assembled(
        self,
        requests: RecordingRequests,
        timeout: float | None,
        progress: Callable[[RecordingPart], object] | None,
    ) -> Recognition:
        def attempt(seconds: float | None) -> Recognition:
            assembly = Assembly()
            for event in self._parts(requests, seconds):
                if isinstance(event, Recognition):
                    return assembly.complete(event)
                assembly.add(event)
                if progress is not None:
                    progress(event)
            raise no_result()

        return self._retrying(attempt, self._connection.tries_of(requests.body, timeout))

    def _parts(
        self, requests: RecordingRequests, seconds: float | None
    ) -> Iterator[RecordingPart | Recognition]:
        upload = Upload(requests.first, recording_message)

        def start() -> Any:
            return self._stub.RecognizeRecording(
                upload.messages(requests.body.pieces()),
                timeout=seconds,
                metadata=self._connection.metadata,
            )

        return self._received(start, upload, responses.recording_event)

    def _streamed(
        self,
        messages: Iterator[StreamRecognizeRequest],
        upload: StreamUpload,
        timeout: float | None,
    ) -> Generator[StreamEvent, None, None]:
        def start() -> Any:
            return self._stub.StreamRecognize(
                messages, timeout=timeout, metadata=self._connection.metadata
            )

        return self._received(start, upload, responses.stream_event)

    def _received(
        self,
        start: Callable[[], Any],
        upload: Upload[Any, Any],
        read: Callable[[Any], Event | None],
    ) -> Generator[Event, None, None]:
        """What comes of a call whose requests are an upload; it starts when it is asked for."""
        call = start()
        try:
            for reply in call:
                upload.check()
                event = read(reply)
                if event is not None:
                    yield event
            upload.check()
        except grpc.RpcError as error:
            upload.check()
            raise self._connection.translate(error) from error
        finally:
            call.cancel()


def _open(connection: Connection) -> grpc.Channel:
    credentials = connection.credentials()
    if credentials is None:
        return grpc.insecure_channel(connection.target, connection.options)
    return grpc.secure_channel(connection.target, credentials, connection.options)
