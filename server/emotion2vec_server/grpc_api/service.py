"""EmotionRecognitionService: each call's messages, and the use case that it is.

The handlers take and give serialized messages, so one that is no protobuf gets our own error
instead of gRPC's, and nothing is parsed before there is someone to serve it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from itertools import count
from typing import TypeVar

import grpc
from emotion2vec.v1 import service_pb2
from emotion2vec_runtime.errors import InvalidRequestError
from google.protobuf.message import Message

from emotion2vec_server.grpc_api.edge import Edge, read_message
from emotion2vec_server.grpc_api.status import Context
from emotion2vec_server.serving import long_recordings as long_recordings_use_case
from emotion2vec_server.serving import recordings as recordings_use_case
from emotion2vec_server.serving import streams as streams_use_case
from emotion2vec_server.serving.catalog import Catalog
from emotion2vec_server.serving.gate import Call
from emotion2vec_server.serving.long_recordings import (
    LongRecordings,
    RecordingConfig,
    RecordingMessage,
)
from emotion2vec_server.serving.recordings import RecordingRequest, Recordings
from emotion2vec_server.serving.stream_config import OpenStream, StreamConfig
from emotion2vec_server.serving.streams import (
    StreamEvent,
    StreamRequest,
    Streams,
)
from emotion2vec_server.serving.uploads import Uploads
from emotion2vec_server.wire import replies, requests, stream_replies

M = TypeVar("M", bound=Message)
MOST_PIECE_BYTES = 4 * 2**20
"""Of one message of a stream or a long recording: what gRPC itself takes by default."""
SERVICE_NAME = service_pb2.DESCRIPTOR.services_by_name["EmotionRecognitionService"].full_name


class EmotionRecognitionService:
    """The handlers of the service."""

    def __init__(
        self,
        catalog: Catalog,
        recordings: Recordings,
        long_recordings: LongRecordings,
        streams: Streams,
        uploads: Uploads,
        edge: Edge,
        *,
        max_audio_seconds: float,
        max_recording_seconds: float,
    ) -> None:
        self._catalog = catalog
        self._recordings = recordings
        self._long_recordings = long_recordings
        self._streams = streams
        self._uploads = uploads
        self._edge = edge
        self._max_audio_seconds = max_audio_seconds
        self._max_recording_seconds = max_recording_seconds

    def handler(self) -> grpc.GenericRpcHandler:
        """The service, ready to be added to a gRPC server."""
        # To the caller these are unary. So, a body is read when we ask for it.
        unary = grpc.stream_unary_rpc_method_handler
        stream = grpc.stream_stream_rpc_method_handler
        return grpc.method_handlers_generic_handler(
            SERVICE_NAME,
            {
                "Recognize": unary(self.recognize),
                "RecognizeRecording": stream(self.recognize_recording),
                "StreamRecognize": stream(self.stream_recognize),
                "ListModels": unary(self.list_models),
                "GetModel": unary(self.get_model),
            },
        )

    async def recognize(self, _requests: AsyncIterator[bytes], context: Context) -> bytes:
        async def work(call: Call) -> bytes:
            return await self._recordings.recognize(
                call.caller,
                lambda: read_message(context),
                lambda data: _parse(call, data),
                replies.recognize_response,
            )

        return await self._edge.run(context, recordings_use_case.METHOD, work)

    async def recognize_recording(self, incoming: AsyncIterator[bytes], context: Context) -> None:
        async def work(call: Call) -> None:
            await self._long_recordings.run(
                call.caller,
                _recording_messages(call, incoming),
                replies.recording_response,
                context.write,
            )

        await self._edge.run(context, long_recordings_use_case.METHOD, work)

    async def stream_recognize(self, incoming: AsyncIterator[bytes], context: Context) -> None:
        async def work(call: Call) -> None:
            await self._streams.run(
                call.caller, _stream_requests(call, incoming), _stream_renderer(), context.write
            )

        await self._edge.run(context, streams_use_case.METHOD, work)

    async def list_models(self, _requests: AsyncIterator[bytes], context: Context) -> bytes:
        async def work(call: Call) -> bytes:
            await self._message(service_pb2.ListModelsRequest, call, context)
            models = [self._describe(model.manifest.name) for model in self._catalog.models()]
            return service_pb2.ListModelsResponse(models=models).SerializeToString()

        return await self._edge.run(context, "ListModels", work)

    async def get_model(self, _requests: AsyncIterator[bytes], context: Context) -> bytes:
        async def work(call: Call) -> bytes:
            request = await self._message(service_pb2.GetModelRequest, call, context)
            model = self._describe(request.name)
            return service_pb2.GetModelResponse(model=model).SerializeToString()

        return await self._edge.run(context, "GetModel", work)

    async def _message(self, kind: type[M], call: Call, context: Context) -> M:
        """A call's only message; one of these is small, but who knows what comes."""
        async with self._uploads.receive(
            call.caller.name,
            lambda: read_message(context),
            lambda data: requests.parse(kind, data),
        ) as message:
            return message

    def _describe(self, name: str) -> replies.ModelMessage:
        model = self._catalog.get(name)
        return replies.model_message(
            model,
            is_default=model is self._catalog.get(""),
            max_audio_seconds=self._max_audio_seconds,
            max_recording_seconds=self._max_recording_seconds,
        )


def _parse(call: Call, data: bytes) -> RecordingRequest:
    message = requests.parse(service_pb2.RecognizeRequest, data)
    call.request_id = message.request_id
    return requests.recording_request(message)


async def _recording_messages(
    call: Call, incoming: AsyncIterator[bytes]
) -> AsyncIterator[RecordingMessage]:
    async for data in incoming:
        _check_piece(data)
        parsed = requests.parse(service_pb2.RecognizeRecordingRequest, data)
        message = requests.recording_message(parsed)
        if isinstance(message, RecordingConfig):
            call.request_id = message.request_id
        yield message


async def _stream_requests(
    call: Call, incoming: AsyncIterator[bytes]
) -> AsyncIterator[StreamRequest]:
    async for data in incoming:
        _check_piece(data)
        request = requests.stream_request(requests.parse(service_pb2.StreamRecognizeRequest, data))
        if isinstance(request, StreamConfig):
            call.request_id = request.request_id
        yield request


def _check_piece(data: bytes) -> None:
    if len(data) > MOST_PIECE_BYTES:
        raise InvalidRequestError(
            "audio",
            f"a message of {len(data)} bytes: send the audio in pieces of {MOST_PIECE_BYTES} bytes "
            "at most",
        )


def _stream_renderer() -> Callable[[OpenStream, StreamEvent], bytes]:
    """Renders the events of one stream, which are numbered."""
    numbers = count()

    def render(opened: OpenStream, event: StreamEvent) -> bytes:
        message = stream_replies.stream_response(opened, event)
        message.sequence = next(numbers)
        return message.SerializeToString()

    return render
