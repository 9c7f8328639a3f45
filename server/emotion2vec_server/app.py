"""Composition root: puts the parts together, starts them, and stops them without losing work."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from emotion2vec_server.auth import TokenInterceptor, read_tokens
from emotion2vec_server.calls import Calls
from emotion2vec_server.catalog import Catalog
from emotion2vec_server.config import Settings
from emotion2vec_server.errors import ConfigError, StartupError
from emotion2vec_server.loading import load_recognizers
from emotion2vec_server.metrics import Metrics
from emotion2vec_server.service import SERVICE_NAME, EmotionRecognitionService, Limits
from emotion2vec_server.stream_service import LiveStreams
from emotion2vec_server.streaming.reader import StreamLimits

# The rest of the drain time is for their final results.
_STREAM_SHARE = 0.8
_LAST_REPLIES_SECONDS = 1.0
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
        self._health = health.aio.HealthServicer()
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
        self._failing: set[str] = set()
        self._loop = asyncio.get_running_loop()
        self._health_changes: set[asyncio.Task[None]] = set()
        self.port = 0

    async def start(self) -> None:
        """Listens at once, with health NOT_SERVING; loads the models; then serves.

        Raises:
            StartupError: a port can't be had, or a model can't be loaded.
        """
        settings = self._settings
        await self._set_serving(False)
        self._add_services()
        self.port = _bind(self._grpc, settings)
        await self._grpc.start()
        if settings.metrics:
            port, self._stop_metrics = self._metrics.serve(settings.host, settings.metrics_port)
            _log.info(f"metrics on http://{settings.host}:{port}/metrics")
        models = await asyncio.to_thread(
            load_recognizers, settings, self._metrics, self._model_failing
        )
        self._catalog.open(models)
        await self._set_serving(True)
        _log.info(f"serving on {settings.host}:{self.port}")

    async def stop(self) -> None:
        """Refuses new work, lets accepted work finish within the drain time, then ends."""
        grace = self._settings.drain_seconds
        _log.info("draining")
        await self._health.enter_graceful_shutdown()
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
            self._executor,
            Limits(self._settings.max_audio_seconds, self._settings.low_confidence),
            self._metrics,
        )
        self._grpc.add_generic_rpc_handlers((service.handler(),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._grpc)
        reflection.enable_server_reflection(
            (SERVICE_NAME, health.SERVICE_NAME, reflection.SERVICE_NAME), self._grpc
        )

    def _model_failing(self, model: str, reason: str | None) -> None:
        """Health follows the models: one that fails on everything should get no more calls."""
        if reason is None:
            _log.info("model works again", extra={"model": model})
            self._failing.discard(model)
        else:
            _log.error("model fails on everything", extra={"model": model, "reason": reason})
            self._failing.add(model)
        change = self._loop.create_task(self._set_serving(not self._failing))
        self._health_changes.add(change)
        change.add_done_callback(self._health_changes.discard)

    async def _set_serving(self, serving: bool) -> None:
        status = health_pb2.HealthCheckResponse
        for name in ("", SERVICE_NAME):
            await self._health.set(name, status.SERVING if serving else status.NOT_SERVING)


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
