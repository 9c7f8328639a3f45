"""What grpc.health.v1 says of the server."""

from __future__ import annotations

from collections.abc import Sequence

from grpc_health.v1 import health, health_pb2

LIVENESS = "liveness"
"""A service that serves as long as the event loop answers, whatever the models do: for what would
restart a server that hangs, and must not restart one that loads."""
_STATUS = health_pb2.HealthCheckResponse


class HealthBoard:
    """Shows the health of the server."""

    def __init__(self, services: Sequence[str]) -> None:
        """`services` are the names whose health is the server's."""
        self.servicer = health.aio.HealthServicer()
        self._services = ("", *services)

    async def show(self, serving: bool) -> None:
        """Whether the server should get calls."""
        await self.servicer.set(LIVENESS, _STATUS.SERVING)
        for name in self._services:
            await self.servicer.set(name, _STATUS.SERVING if serving else _STATUS.NOT_SERVING)
