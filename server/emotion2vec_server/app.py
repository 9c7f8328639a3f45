"""Composition root: puts the parts together, starts them, and stops them without losing work."""

from __future__ import annotations

import asyncio
import logging
import signal
import ssl
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from emotion2vec_server import rpc
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
        end = time.monotonic() + grace
        await self._calls.ended(grace)
        left = max(0.0, end - time.monotonic())
        await self._grpc.stop(_LAST_REPLIES_SECONDS, delivery=left)
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
        names = (SERVICE_NAME, HEALTH_NAME, reflection.SERVICE_NAME)
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(
            reflection.aio.ReflectionServicer(names), self._grpc
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


def _grpc_server(settings: Settings) -> rpc.Server:
    interceptors = (
        [TokenInterceptor(read_tokens(settings.token_file))] if settings.token_file else []
    )
    return rpc.Server(interceptors, rpc.Limits(max_message_bytes=settings.max_message_bytes))


def _bind(server: rpc.Server, settings: Settings) -> int:
    tls = None if settings.tls_certificate is None else _tls(settings)
    try:
        return server.listen(settings.host, settings.port, tls)
    except OSError as error:
        raise StartupError(
            f"can't listen on {settings.host}:{settings.port}: it is in use or not this machine's; "
            "choose another --port"
        ) from error


def _tls(settings: Settings) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(str(settings.tls_certificate), settings.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"--tls-certificate: can't read {settings.tls_certificate} with --tls-key "
            f"{settings.tls_key}: {error}"
        ) from error
    if settings.tls_client_ca is not None:
        try:
            context.load_verify_locations(settings.tls_client_ca)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"--tls-client-ca: can't read {settings.tls_client_ca}: {error}"
            ) from error
        context.verify_mode = ssl.CERT_REQUIRED
    return context
