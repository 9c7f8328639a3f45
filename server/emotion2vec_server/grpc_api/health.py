"""What grpc.health.v1 says of the server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import grpc
from emotion2vec_runtime.errors import RequestError
from grpc_health.v1 import health, health_pb2

from emotion2vec_server.grpc_api.edge import address_of, read_message
from emotion2vec_server.grpc_api.status import Context, abort
from emotion2vec_server.serving.uploads import Uploads
from emotion2vec_server.wire.requests import parse

LIVENESS = "liveness"
"""A service that serves as long as the event loop answers, whatever the models do: for what would
restart a server that hangs, and must not restart one that loads."""
_STATUS = health_pb2.HealthCheckResponse
_REQUEST_SECONDS = 2.0
"""Nobody shows a token here, so nobody is waited for long: a request is some twenty bytes."""
_MAX_WAITING = 1024
_MAX_READS = 8


class HealthBoard:
    """Shows the health of the server."""

    def __init__(self, services: Sequence[str], max_message_bytes: int) -> None:
        """`services` are the names whose health is the server's."""
        self.servicer = health.aio.HealthServicer()
        self._services = ("", *services)
        # Of their own, so that no recordings on their way keep a probe waiting.
        self._uploads = Uploads(
            max_uploads=_MAX_WAITING,
            max_bytes=_MAX_READS * max_message_bytes,
            max_body_bytes=max_message_bytes,
            max_seconds=_REQUEST_SECONDS,
            refused=lambda: None,
        )

    def handler(self) -> grpc.GenericRpcHandler:
        """The service. Its requests are read here, with a bound in time and number: gRPC would wait
        for them for ever."""
        serialize = _STATUS.SerializeToString
        return grpc.method_handlers_generic_handler(
            health.SERVICE_NAME,
            {
                "Check": grpc.stream_unary_rpc_method_handler(
                    self._check, response_serializer=serialize
                ),
                "Watch": grpc.stream_stream_rpc_method_handler(
                    self._watch, response_serializer=serialize
                ),
            },
        )

    async def show(self, serving: bool) -> None:
        """Whether the server should get calls."""
        await self.servicer.set(LIVENESS, _STATUS.SERVING)
        for name in self._services:
            await self.servicer.set(name, _STATUS.SERVING if serving else _STATUS.NOT_SERVING)

    async def _check(self, _requests: AsyncIterator[bytes], context: Context) -> object:
        return await self.servicer.Check(await self._request(context), context)

    async def _watch(self, _requests: AsyncIterator[bytes], context: Context) -> None:
        await self.servicer.Watch(await self._request(context), context)

    async def _request(self, context: Context) -> health_pb2.HealthCheckRequest:
        try:
            async with self._uploads.receive(
                address_of(context.peer()),
                lambda: read_message(context),
                lambda data: parse(health_pb2.HealthCheckRequest, data),
            ) as request:
                return request
        except RequestError as error:
            await abort(context, error)
