"""Servicers that others wrote run on our server as on grpc.aio's: health and reflection."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from tests.server.rpc.serving import Serve, calling, failure

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture
def servicer() -> Any:
    return health.aio.HealthServicer()


async def test_health(serve: Serve, servicer: Any) -> None:
    await servicer.set("a", SERVING)
    address = await serve(partial(health_pb2_grpc.add_HealthServicer_to_server, servicer))
    async with calling(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        reply = await stub.Check(health_pb2.HealthCheckRequest(service="a"))
        assert reply.status == SERVING
        code, _ = await failure(stub.Check(health_pb2.HealthCheckRequest(service="b")))
        assert code is grpc.StatusCode.NOT_FOUND
        code, _ = await failure(stub.List(health_pb2.HealthListRequest()))
        assert code is grpc.StatusCode.UNIMPLEMENTED


async def test_health_is_watched(serve: Serve, servicer: Any) -> None:
    address = await serve(partial(health_pb2_grpc.add_HealthServicer_to_server, servicer))
    async with calling(address) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=""))
        seen = []
        for status in (NOT_SERVING, SERVING):
            seen.append((await asyncio.wait_for(watch.read(), 5)).status)
            await servicer.set("", status)
        seen.append((await asyncio.wait_for(watch.read(), 5)).status)
        assert seen == [SERVING, NOT_SERVING, SERVING]


async def test_reflection(serve: Serve) -> None:
    # What `enable_server_reflection` does, where it knows the server's class.
    servicer = reflection.aio.ReflectionServicer((health.SERVICE_NAME,))
    address = await serve(
        partial(reflection_pb2_grpc.add_ServerReflectionServicer_to_server, servicer)
    )

    def look() -> tuple[list[str], list[str]]:
        with grpc.insecure_channel(address) as channel:
            database = ProtoReflectionDescriptorDatabase(channel)
            service = DescriptorPool(database).FindServiceByName(health.SERVICE_NAME)
            return list(database.get_services()), [method.name for method in service.methods]

    services, methods = await asyncio.to_thread(look)
    assert services == [health.SERVICE_NAME]
    assert methods == ["Check", "List", "Watch"]
