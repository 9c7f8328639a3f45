"""The gRPC server: grpc.aio's, with this product's bounds."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import grpc
from emotion2vec_runtime.errors import ConfigError
from grpc_health.v1.health import SERVICE_NAME as HEALTH_NAME
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from emotion2vec_server.errors import StartupError
from emotion2vec_server.grpc_api.auth import TokenInterceptor
from emotion2vec_server.grpc_api.health import HealthBoard
from emotion2vec_server.grpc_api.service import SERVICE_NAME, EmotionRecognitionService
from emotion2vec_server.serving.tokens import Tokens

_MAX_CALLS = 65_536
"""Far more than the use cases take, whose refusals say when to come back. All calls end soon where
their caller says nothing."""
_REFLECTION_SECONDS = 10.0
_STREAMS_OF_A_CONNECTION = 2048
_PING_AFTER_MS = 60_000
_PING_ANSWER_MS = 20_000
_PINGS_APART_MS = 10_000
_IDLE_MS = 120_000


class Tls(NamedTuple):
    """PEM files. With a `client_ca`, clients must show a certificate of its."""

    certificate: Path
    key: Path
    client_ca: Path | None


class ServerLimits(NamedTuple):
    """Bounds of connections and messages."""

    max_message_bytes: int
    max_connections: int
    max_connection_seconds: float
    """After it a client is asked to open another one, so that new replicas get their share."""
    max_call_seconds: float
    """What is under way on a connection that is too old may last so long."""


class _Reflection(reflection.aio.ReflectionServicer):  # type: ignore[misc]
    """Reflection that waits for nobody who says nothing."""

    async def ServerReflectionInfo(  # noqa: N802 (gRPC's name)
        self, request_iterator: AsyncIterator[Any], context: Any
    ) -> AsyncIterator[Any]:
        async for reply in super().ServerReflectionInfo(_prompt(request_iterator), context):
            yield reply


async def _prompt(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """The requests, until none comes for a while."""
    try:
        while True:
            async with asyncio.timeout(_REFLECTION_SECONDS):
                request = await anext(requests, None)
            if request is None:
                return
            yield request
    except TimeoutError:
        return


class GrpcServer:
    """Add services, `listen`, `start` and `stop`, each once; all within one event loop."""

    def __init__(self, limits: ServerLimits, tokens: Tokens | None) -> None:
        interceptors = [TokenInterceptor(tokens)] if tokens else []
        self._server = grpc.aio.server(
            interceptors=interceptors,
            options=_options(limits),
            maximum_concurrent_rpcs=_MAX_CALLS,
        )
        self.health = HealthBoard([SERVICE_NAME], limits.max_message_bytes)

    def add(self, service: EmotionRecognitionService) -> None:
        """Registers the service, health and reflection."""
        self._server.add_generic_rpc_handlers((service.handler(),))
        self._server.add_generic_rpc_handlers((self.health.handler(),))
        names = (SERVICE_NAME, HEALTH_NAME, reflection.SERVICE_NAME)
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(_Reflection(names), self._server)

    def listen(self, host: str, port: int, tls: Tls | None) -> int:
        """Takes a port; 0 picks a free one. Returns its number.

        Raises:
            StartupError: the port is taken, or the address is not this machine's.
            ConfigError: a file of `tls` can't be read or is no PEM of its kind.
        """
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        credentials = None if tls is None else _credentials(tls)
        try:
            socket.getaddrinfo(host, port)
        except OSError as error:
            raise StartupError(
                f"--host {host}: no such address ({error.strerror}); name one of this machine's"
            ) from error
        try:
            if credentials is None:
                return self._server.add_insecure_port(address)
            return self._server.add_secure_port(address, credentials)
        except RuntimeError as error:
            raise StartupError(
                f"can't listen on {host}:{port}: it is in use or not this machine's; "
                "choose another --port"
            ) from error

    async def start(self) -> None:
        """Takes calls from now on."""
        await self._server.start()

    async def stop(self, grace: float) -> None:
        """Takes no more connections, sends GOAWAY, and returns when the calls under way have ended,
        after `grace` seconds at the latest."""
        await self._server.stop(grace)


def _options(limits: ServerLimits) -> Sequence[tuple[str, int]]:
    return (
        ("grpc.max_receive_message_length", limits.max_message_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_concurrent_streams", _STREAMS_OF_A_CONNECTION),
        ("grpc.max_allowed_incoming_connections", limits.max_connections),
        # It would let each call send megabytes before anybody asks for them.
        ("grpc.http2.bdp_probe", 0),
        ("grpc.keepalive_time_ms", _PING_AFTER_MS),
        ("grpc.keepalive_timeout_ms", _PING_ANSWER_MS),
        ("grpc.http2.ping_timeout_ms", _PING_ANSWER_MS),
        # By default one in five minutes is allowed: our client would be cut off in the second.
        ("grpc.http2.min_ping_interval_without_data_ms", _PINGS_APART_MS),
        ("grpc.max_connection_idle_ms", _IDLE_MS),
        ("grpc.max_connection_age_ms", round(1000 * limits.max_connection_seconds)),
        ("grpc.max_connection_age_grace_ms", round(1000 * limits.max_call_seconds) + _IDLE_MS),
        # It would let a second server take a port that is in use.
        ("grpc.so_reuseport", 0),
    )


def _credentials(tls: Tls) -> grpc.ServerCredentials:
    _check(tls)
    return grpc.ssl_server_credentials(
        [(tls.key.read_bytes(), tls.certificate.read_bytes())],
        tls.client_ca.read_bytes() if tls.client_ca else None,
        require_client_auth=tls.client_ca is not None,
    )


def _check(tls: Tls) -> None:
    """gRPC would not say which file is wrong."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(tls.certificate, tls.key, password="")
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"--tls-certificate: can't read {tls.certificate} with --tls-key {tls.key} ({error}): "
            "they must be PEM, belong together, and the key have no passphrase"
        ) from error
    if tls.client_ca is not None:
        try:
            context.load_verify_locations(tls.client_ca)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"--tls-client-ca: can't read {tls.client_ca}: {error}") from error
