"""Health follows the models, not what callers send them."""

from __future__ import annotations

import asyncio
from typing import cast

import numpy as np
import pytest
from emotion2vec_runtime.bundle import Manifest
from emotion2vec_runtime.errors import InferenceError
from emotion2vec_server.errors import OverloadedError
from emotion2vec_server.grpc_api.health import LIVENESS, HealthBoard
from emotion2vec_server.serving import health
from emotion2vec_server.serving.catalog import Catalog
from emotion2vec_server.serving.health import Health
from emotion2vec_server.serving.served_model import ServedModel
from grpc_health.v1 import health_pb2

STATUS = health_pb2.HealthCheckResponse


class Model:
    """Fails while it is `broken`."""

    manifest = Manifest.model_construct(name="model", sample_rate=16000)

    def __init__(self) -> None:
        self.broken = True
        self.error: Exception = InferenceError("no")
        self.tried = asyncio.Event()

    async def infer(self, samples: np.ndarray, *, urgent: bool) -> None:
        self.tried.set()
        await asyncio.sleep(0)
        if self.broken:
            raise self.error


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Model:
    monkeypatch.setattr(health, "_PROBE_SECONDS", 0.01)
    return Model()


async def serving(model: Model) -> tuple[Health, HealthBoard]:
    catalog = Catalog()
    catalog.open([cast(ServedModel, model)])
    board = HealthBoard(["service"], 1000)
    watched = Health(catalog, board.show)
    await watched.wait()
    await watched.serve()
    return watched, board


async def status(board: HealthBoard, *names: str) -> set[int]:
    request = health_pb2.HealthCheckRequest
    return {
        (await board.servicer.Check(request(service=name), None)).status
        for name in names or ("", "service")
    }


async def becomes(board: HealthBoard, expected: int) -> None:
    async with asyncio.timeout(30):
        while await status(board) != {expected}:  # noqa: ASYNC110 (gRPC has no event for it)
            await asyncio.sleep(0.001)


async def test_a_model_that_fails_takes_the_server_out_until_it_works(model: Model) -> None:
    watched, board = await serving(model)
    watched.model("model", "it is broken")
    await becomes(board, STATUS.NOT_SERVING)
    model.tried.clear()
    await model.tried.wait()
    assert await status(board) == {STATUS.NOT_SERVING}
    # What would restart it leaves it alone: it may work again.
    assert await status(board, LIVENESS) == {STATUS.SERVING}
    model.broken = False
    await becomes(board, STATUS.SERVING)


async def test_a_model_that_works_on_silence_stays_in(model: Model) -> None:
    model.broken = False
    watched, board = await serving(model)
    watched.model("model", "what callers sent was to blame")
    await model.tried.wait()
    for _ in range(10):
        await asyncio.sleep(0)
        assert await status(board) == {STATUS.SERVING}


async def test_a_full_queue_is_no_failing_model(model: Model) -> None:
    watched, board = await serving(model)
    model.error = OverloadedError("the queue is full", 1.0)
    watched.model("model", "what callers sent was to blame")
    for _ in range(10):
        await asyncio.sleep(0.005)
        assert await status(board) == {STATUS.SERVING}
    model.error = InferenceError("no")
    await becomes(board, STATUS.NOT_SERVING)
    model.broken = False
    await becomes(board, STATUS.SERVING)


async def test_a_draining_server_stays_out(model: Model) -> None:
    watched, board = await serving(model)
    watched.model("model", "it is broken")
    await becomes(board, STATUS.NOT_SERVING)
    await watched.drain()
    model.broken = False
    for _ in range(10):
        await asyncio.sleep(0.01)
        assert await status(board) == {STATUS.NOT_SERVING}
