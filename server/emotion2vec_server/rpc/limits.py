"""What clients may do, all in one place."""

from __future__ import annotations

from dataclasses import dataclass, field

from emotion2vec_server import http2
from emotion2vec_server.rpc.liveness import Patience


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds for all connections, each connection and each message."""

    max_connections: int = 4096
    max_message_bytes: int = 4 * 2**20
    """Of a request; gRPC's own default."""
    patience: Patience = field(default_factory=Patience)
    http2: http2.Limits = field(default_factory=http2.Limits)
