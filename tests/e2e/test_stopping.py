"""Stopping, and asking clients to move on, lose no call. The clients here never try again."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import grpc
import numpy as np
import pytest
from emotion2vec.v1 import audio_pb2, service_pb2, service_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.e2e.conftest import RunningServer
from tests.e2e.raw_call import RawCall

NOISE = np.random.default_rng(0).integers(-9000, 9000, 16000).astype("<i2").tobytes()
REQUEST = service_pb2.RecognizeRequest(
    audio_config=audio_pb2.AudioConfig(
        encoding=audio_pb2.AUDIO_ENCODING_LINEAR16, sample_rate_hertz=16000
    ),
    audio=NOISE,
)
ROUND_ROBIN = '{"loadBalancingConfig": [{"round_robin": {}}]}'


class Load:
    """Callers who ask again as soon as they have an answer."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self._done = False

    async def call(self, channel: grpc.aio.Channel) -> None:
        recognize = service_pb2_grpc.EmotionRecognitionServiceStub(channel).Recognize
        while not self._done:
            try:
                await recognize(REQUEST, timeout=60)
                self.outcomes["OK"] += 1
            except grpc.aio.AioRpcError as error:
                self.outcomes[f"{error.code().name}: {error.details()}"] += 1

    async def more(self, count: int) -> None:
        """Returns when so many more calls have been answered."""
        goal = self.outcomes["OK"] + count
        async with asyncio.timeout(120):
            while self.outcomes["OK"] < goal:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    @asynccontextmanager
    async def on(
        self, *servers: RunningServer, callers: int, transparent_retries: bool = False
    ) -> AsyncIterator[grpc.aio.Channel]:
        """`transparent_retries`: gRPC's own, of calls that the server has not seen (gRFC A6)."""
        addresses = ",".join(server.address for server in servers)
        retries = ("grpc.enable_retries", int(transparent_retries))
        options = [retries, ("grpc.service_config", ROUND_ROBIN)]
        async with grpc.aio.insecure_channel(f"ipv4:{addresses}", options) as channel:
            tasks = [asyncio.create_task(self.call(channel)) for _ in range(callers)]
            await self.more(2 * callers)
            yield channel
            self._done = True
            await asyncio.gather(*tasks)


@pytest.mark.parametrize("callers", [8, 64])
async def test_a_server_that_stops_under_load_loses_no_call(
    start: Callable[..., RunningServer], callers: int
) -> None:
    leaving, staying = start(), start()
    load = Load()
    async with load.on(leaving, staying, callers=callers):
        status = await asyncio.to_thread(leaving.stop)
        await load.more(2 * callers)
    assert status == 0
    assert set(load.outcomes) == {"OK"}


async def test_what_runs_when_the_last_server_stops_is_answered(
    start: Callable[..., RunningServer],
) -> None:
    """Nobody is left to go to: what was accepted has its answer, what comes later is refused."""
    server = start()
    async with grpc.aio.insecure_channel(server.address) as channel:
        recognize = service_pb2_grpc.EmotionRecognitionServiceStub(channel).Recognize
        calls = [recognize(REQUEST, timeout=60) for _ in range(200)]
        await calls[0]
        status = await asyncio.to_thread(server.stop)
        replies = await asyncio.gather(*calls)
    assert status == 0
    assert all(reply.result.label for reply in replies)


async def test_who_watches_or_stalls_does_not_hold_the_stop_up(
    start: Callable[..., RunningServer],
) -> None:
    server = start("--drain-seconds", "60")
    with RawCall(server.address, "Recognize") as stalled:
        stalled.announce(100_000)
        async with grpc.aio.insecure_channel(server.address) as channel:
            watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
            began = time.monotonic()
            assert await asyncio.to_thread(server.stop) == 0
    assert time.monotonic() - began < 30


async def test_a_connection_that_is_old_is_replaced_and_no_call_is_lost(
    start: Callable[..., RunningServer],
) -> None:
    server = start("--max-connection-seconds", "1")
    load = Load()
    # A call may cross the server's word that the connection ends.
    async with load.on(server, callers=8, transparent_retries=True) as channel:
        for _ in range(3):
            async with asyncio.timeout(60):
                await channel.wait_for_state_change(grpc.ChannelConnectivity.READY)
            await load.more(16)
    assert set(load.outcomes) == {"OK"}
