"""gRPC over our own HTTP/2, on asyncio. Why: docs/transport.md."""

from emotion2vec_server.rpc.limits import Limits
from emotion2vec_server.rpc.liveness import Patience
from emotion2vec_server.rpc.server import Server

__all__ = ["Limits", "Patience", "Server"]
