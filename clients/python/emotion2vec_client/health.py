"""grpc.health.v1: one method, small enough to call without its own stubs."""

from __future__ import annotations

from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from emotion2vec_client.results import Health

HEALTH_METHOD = "/grpc.health.v1.Health/Check"

_STATUSES = (Health.UNKNOWN, Health.SERVING, Health.NOT_SERVING, Health.SERVICE_UNKNOWN)


def write_health_request(service: str) -> bytes:
    """Request serializer: the name of the service asked about, empty for the whole server."""
    data: bytes = HealthCheckRequest(service=service).SerializeToString()
    return data


def read_health(data: bytes) -> Health:
    """Response deserializer."""
    status: int = HealthCheckResponse.FromString(data).status
    return _STATUSES[status] if 0 <= status < len(_STATUSES) else Health.UNKNOWN
