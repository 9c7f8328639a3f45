"""Composition root: puts the parts together, starts them, and stops them without losing work."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from emotion2vec_server.auth import TokenInterceptor, read_tokens
from emotion2vec_server.calls import Calls
from emotion2vec_server.catalog import Catalog
from emotion2vec_server.config import Settings
from emotion2vec_server.errors import ConfigError, StartupError
from emotion2vec_server.health import SERVICE_NAME as HEALTH_NAME
from emotion2vec_server.health import Health
from emotion2vec_server.intake import Intake
from emotion2vec_server.loading import load_recognizers
from emotion2vec_server.metrics import Metrics
from emotion2vec_server.service import SERVICE_NAME, EmotionRecognitionService, Limits
from emotion2vec_server.stream_service import LiveStreams
from emotion2vec_server.streaming.reader import StreamLimits

# The rest of the drain time is for their final results.
_STREAM_SHARE = 0.8
_LAST_REPLIES_SECONDS = 1.0
_UNDECODED = 32
"""Of the largest requests, so many may wait to be decoded."""
_CONNECTION_OPTIONS = (
    # A peer that vanished without a word (a cable, a NAT) gives back its streams and buffers.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # Clients that do the same are no nuisance; by default, those that ask more often than every
    # five minutes are thrown out.
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # A connection costs a file descriptor: one that is not used is closed, and its client opens
    # another when it has something to ask; one that never says a word isn't waited for.
    ("grpc.max_connection_idle_ms", 600_000),
    ("grpc.server_handshake_timeout_ms", 10_000),
)
_log = logging.getLogger(__name__)


class Server:
    """One server process. `start`, then `stop`; each once."""

    def __init__(self, settings: Settings) -> None:
        """To be made within the event loop that runs it.

        Raises:
            ConfigError: the token file can't be read.
        """
        self._settings = settings
        self._catalog = Catalog()
        self._metrics = Metrics()
        self._calls = Calls(self._metrics)
        self._executor = ThreadPoolExecutor(settings.decode_threads or None, "decode")
        self._health = Health(self._catalog, [SERVICE_NAME])
        self._streams = LiveStreams(
            self._catalog,
            self._calls,
            self._executor,
            StreamLimits(
                idle=settings.stream_idle_seconds,
                life=settings.max_stream_seconds,
                utterance=settings.max_audio_seconds,
            ),
            self._metrics,
            max_streams=settings.max_streams,
            low_confidence=settings.low_confidence,
        )
        self._grpc = _grpc_server(settings)
        self._stop_metrics: Callable[[], None] | None = None
        self.port = 0

    async def start(self) -> None:
        """Listens at once, with health NOT_SERVING; loads the models; then serves.

        Raises:
            StartupError: a port can't be had, or a model can't be loaded.
        """
        settings = self._settings
        await self._health.wait()
        self._add_services()
        self.port = _bind(self._grpc, settings)
        await self._grpc.start()
        if settings.metrics:
            port, self._stop_metrics = self._metrics.serve(settings.host, settings.metrics_port)
            _log.info(f"metrics on http://{settings.host}:{port}/metrics")
        models = await asyncio.to_thread(
            load_recognizers, settings, self._metrics, self._health.model
        )
        self._catalog.open(models)
        await self._health.serve()
        _log.info(f"serving on {settings.host}:{self.port}")

    async def stop(self) -> None:
        """Refuses new work, lets accepted work finish within the drain time, then ends."""
        grace = self._settings.drain_seconds
        _log.info("draining")
        await self._health.drain()
        models = self._catalog.close()
        self._streams.drain(_STREAM_SHARE * grace)
        # While calls are under way, new ones still come in to be told UNAVAILABLE: gRPC itself
        # would end as CANCELLED what has reached it but no handler yet.
        await self._calls.ended(grace)
        await self._grpc.stop(_LAST_REPLIES_SECONDS)
        for model in models:
            await model.batcher.close()
        self._executor.shutdown(wait=False, cancel_futures=True)
        if self._stop_metrics is not None:
            await asyncio.to_thread(self._stop_metrics)
        _log.info("stopped")

    def _add_services(self) -> None:
        service = EmotionRecognitionService(
            self._catalog,
            self._streams,
            self._calls,
            Intake(
                max_bodies=self._settings.max_uploads,
                max_bytes=_UNDECODED * self._settings.max_message_bytes,
                max_seconds=self._settings.max_upload_seconds,
                # Which model they are for can't be known.
                refused=lambda: self._metrics.rejected("", "uploads"),
            ),
            self._executor,
            Limits(self._settings.max_audio_seconds, self._settings.low_confidence),
            self._metrics,
        )
        self._grpc.add_generic_rpc_handlers((service.handler(),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health.servicer, self._grpc)
        reflection.enable_server_reflection(
            (SERVICE_NAME, HEALTH_NAME, reflection.SERVICE_NAME), self._grpc
        )


async def run(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT.

    Raises:
        StartupError: the server could not start.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = Server(settings)
    try:
        await server.start()
        await stop.wait()
    finally:
        await server.stop()


def _grpc_server(settings: Settings) -> grpc.aio.Server:
    interceptors = (
        [TokenInterceptor(read_tokens(settings.token_file))] if settings.token_file else []
    )
    return grpc.aio.server(
        interceptors=interceptors,
        options=[
            ("grpc.max_receive_message_length", settings.max_message_bytes),
            ("grpc.max_send_message_length", -1),
            # Two servers on one port would share its calls without a word.
            ("grpc.so_reuseport", 0),
            *_CONNECTION_OPTIONS,
        ],
    )


def _bind(server: grpc.aio.Server, settings: Settings) -> int:
    address = f"{settings.host}:{settings.port}"
    try:
        if settings.tls_certificate is None:
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, _credentials(settings))
    except RuntimeError as error:
        raise StartupError(
            f"can't listen on {address}: it is in use or not this machine's; choose another --port"
        ) from error
    return port


def _credentials(settings: Settings) -> grpc.ServerCredentials:
    def read(flag: str, path: Path | None) -> bytes:
        try:
            return path.read_bytes() if path else b""
        except OSError as error:
            raise ConfigError(f"--{flag}: can't read {path}: {error.strerror}") from error

    ca = read("tls-client-ca", settings.tls_client_ca) or None
    return grpc.ssl_server_credentials(
        [(read("tls-key", settings.tls_key), read("tls-certificate", settings.tls_certificate))],
        root_certificates=ca,
        require_client_auth=ca is not None,
    )
