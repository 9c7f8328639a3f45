"""How to reach a server: the settings of both clients, and the channel arguments they make."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc

from emotion2vec_client.retry import RetryPolicy, Tries

DEFAULT_PORT = 50051
DEFAULT_SERVER = f"127.0.0.1:{DEFAULT_PORT}"
DEFAULT_TIMEOUT = 60.0

# Frame embeddings of the longest audio of a large model (300 s x 50/s x 1024 floats) are 61 MB.
_MAX_REPLY_BYTES = 256 * 2**20
# gRPC's own (2 minutes) leaves a client deaf long after its server is back.
_MAX_RECONNECT_MS = 5_000
_LOOPBACK = ("127.", "localhost", "[::1]", "unix:")

PathLike = str | os.PathLike[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Where the server is and how to call it; see `Client` for the meaning of each."""

    server: str
    secure: bool
    root_certificates: PathLike | None
    client_certificate: PathLike | None
    client_key: PathLike | None
    token: str | None
    timeout: float
    retry: RetryPolicy

    def __post_init__(self) -> None:
        if not self.server:
            raise ValueError("server is empty; name it as HOST:PORT")
        if (self.client_certificate is None) != (self.client_key is None):
            raise ValueError("client_certificate and client_key belong together; give both")
        if self.token is not None and not (self.token.isascii() and self.token.isprintable()):
            raise ValueError("token may hold printable ASCII characters only; is a newline in it?")
        _positive(self.timeout)

    @property
    def target(self) -> str:
        """The server as gRPC takes it; gRPC's default port would be 443."""
        return self.server if ":" in self.server else f"{self.server}:{DEFAULT_PORT}"

    @property
    def options(self) -> Sequence[tuple[str, int]]:
        """Channel arguments."""
        # A proxy that the environment names can't reach this machine's loopback.
        proxied = not self.target.startswith(_LOOPBACK)
        return (
            ("grpc.max_send_message_length", -1),  # the server knows its own limit
            ("grpc.max_receive_message_length", _MAX_REPLY_BYTES),
            ("grpc.max_reconnect_backoff_ms", _MAX_RECONNECT_MS),
            ("grpc.enable_http_proxy", int(proxied)),
        )

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Sent with every call. Not gRPC call credentials: those refuse to go without TLS, where
        a token still makes sense behind a proxy that adds TLS, or on the loopback."""
        return () if self.token is None else (("authorization", f"Bearer {self.token}"),)

    def credentials(self) -> grpc.ChannelCredentials | None:
        """TLS credentials; None for a plain connection.

        Raises:
            OSError: a certificate or key file can't be read.
        """
        if not (self.secure or self.root_certificates or self.client_certificate):
            return None
        return grpc.ssl_channel_credentials(
            root_certificates=_contents(self.root_certificates),
            private_key=_contents(self.client_key),
            certificate_chain=_contents(self.client_certificate),
        )

    def tries(self, timeout: float | None) -> Tries:
        """The tries of a call with its own timeout, or with the client's."""
        return Tries(self.retry, deadline_of(self.timeout if timeout is None else timeout))


def deadline_of(timeout: float | None) -> float | None:
    """A timeout as gRPC takes it: None for none."""
    if timeout is None or math.isinf(_positive(timeout)):
        return None
    return timeout


def _positive(timeout: float) -> float:
    if not timeout > 0:
        raise ValueError(f"timeout must be more than 0 seconds, not {timeout}")
    return timeout


def _contents(path: PathLike | None) -> bytes | None:
    return None if path is None else Path(path).read_bytes()
