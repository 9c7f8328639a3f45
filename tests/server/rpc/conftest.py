from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.server.rpc.serving import KINDS, Serve, start


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Which server."""
    name: str = request.param
    return name


@pytest.fixture
async def serve(kind: str) -> AsyncIterator[Serve]:
    """Starts a server of this kind; returns its address."""
    servers: list[Any] = []

    async def serve(*others: Any, **options: Any) -> str:
        server, address = await start(kind, *others, **options)
        servers.append(server)
        return address

    yield serve
    for server in servers:
        await server.stop(0)
