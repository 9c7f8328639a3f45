"""How to reach a server: the settings of both clients, and the channel arguments they make."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc

from emotion2vec_client.audio import Body
from emotion2vec_client.errors import RecognitionError
from emotion2vec_client.retry import NO_RETRY, RetryPolicy, Tries
from emotion2vec_client.status import translate

DEFAULT_PORT = 50051
DEFAULT_SERVER = f"127.0.0.1:{DEFAULT_PORT}"
DEFAULT_TIMEOUT = 60.0

# Frame embeddings of the longest audio of a large model (300 s x 50/s x 1024 floats) are 61 MB.
_MAX_REPLY_BYTES = 256 * 2**20
# gRPC's own (2 minutes) leaves a client deaf long after its server is back.
_MAX_RECONNECT_MS = 5_000
# The server takes a ping each 10 s from whoever waits for an answer.
_PING_AFTER_MS = 20_000
_PING_ANSWER_MS = 10_000
_LOOPBACK = ("127.", "localhost", "[::1]", "unix:", "ipv4:127.", "ipv6:[::1]")
# gRPC's own way is to send everything to the first of several addresses.
_ALL_ADDRESSES = json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})

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
    def options(self) -> Sequence[tuple[str, int | str]]:
        """Channel arguments."""
        # A proxy that the environment names can't reach this machine's loopback.
        proxied = not self.target.startswith(_LOOPBACK)
        options: list[tuple[str, int | str]] = [
            ("grpc.max_send_message_length", -1),  # the server knows its own limit
            ("grpc.max_receive_message_length", _MAX_REPLY_BYTES),
            ("grpc.max_reconnect_backoff_ms", _MAX_RECONNECT_MS),
            ("grpc.enable_http_proxy", int(proxied)),
            # Else a network that goes dark is noticed when the system gives up, after minutes.
            ("grpc.keepalive_time_ms", _PING_AFTER_MS),
            ("grpc.keepalive_timeout_ms", _PING_ANSWER_MS),
            ("grpc.http2.ping_timeout_ms", _PING_ANSWER_MS),
            ("grpc.http2.max_pings_without_data", 0),
        ]
        # The two addresses of localhost, of IPv4 and of IPv6, are one server, which often listens
        # on one of them only: a failure shall be told of that one, not that the other refuses.
        if not self.target.startswith("localhost"):
            options.append(("grpc.service_config", _ALL_ADDRESSES))
        return options

    @property
    def uses_tls(self) -> bool:
        return bool(self.secure or self.root_certificates or self.client_certificate)

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Sent with every call. Not gRPC call credentials: those refuse to go without TLS, where
        a token still makes sense behind a proxy that adds TLS, or on the loopback."""
        return () if self.token is None else (("authorization", f"Bearer {self.token}"),)

    def credentials(self) -> grpc.ChannelCredentials | None:
        """TLS credentials; None for a plain connection.

        Raises:
            OSError: a certificate or key file can't be read.
            ValueError: it holds something else.
        """
        if not self.uses_tls:
            return None
        return grpc.ssl_channel_credentials(
            root_certificates=_pem(self.root_certificates, b"CERTIFICATE"),
            private_key=_pem(self.client_key, b"PRIVATE KEY"),
            certificate_chain=_pem(self.client_certificate, b"CERTIFICATE"),
        )

    def translate(self, error: grpc.RpcError) -> RecognitionError:
        """The error to raise for a call that failed."""
        return translate(error, self.server, secure=self.uses_tls)

    def tries(self, timeout: float | None) -> Tries:
        """The tries of a call with its own timeout, or with the client's."""
        return Tries(self.retry, deadline_of(self.timeout if timeout is None else timeout))

    def tries_of_stream(self, timeout: float | None) -> Tries:
        """The tries of a stream, which has no timeout unless it is given one."""
        return Tries(self.retry, deadline_of(timeout))

    def tries_of(self, body: Body, timeout: float | None) -> Tries:
        """The tries of a call that sends so much, which the client's timeout is lengthened for."""
        seconds = self.timeout + body.seconds_allowed if timeout is None else timeout
        return Tries(self.retry if body.is_repeatable else NO_RETRY, deadline_of(seconds))


def deadline_of(timeout: float | None) -> float | None:
    """A timeout as gRPC takes it: None for none."""
    if timeout is None or math.isinf(_positive(timeout)):
        return None
    return timeout


def _positive(timeout: float) -> float:
    if not timeout > 0:
        raise ValueError(f"timeout must be more than 0 seconds, not {timeout}")
    return timeout


def _pem(path: PathLike | None, kind: bytes) -> bytes | None:
    """The contents of a PEM file; with others, older gRPC would just wait for ever."""
    if path is None:
        return None
    contents = Path(path).read_bytes()
    if kind + b"-----" not in contents:
        raise ValueError(f"{os.fspath(path)} holds no PEM {kind.decode().lower()}")
    return contents
