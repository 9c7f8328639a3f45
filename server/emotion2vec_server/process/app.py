"""Composition root: puts the parts together, starts them, and stops them without losing work."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from emotion2vec_server.grpc_api.edge import Edge
from emotion2vec_server.grpc_api.server import GrpcServer, ServerLimits, Tls
from emotion2vec_server.process.loading import load_models
from emotion2vec_server.process.metrics import Metrics
from emotion2vec_server.process.settings import Settings
from emotion2vec_server.serving.calls import Calls
from emotion2vec_server.serving.catalog import Catalog
from emotion2vec_server.serving.health import Health
from emotion2vec_server.serving.recordings import RecordingLimits, Recordings
from emotion2vec_server.serving.streams import Streams
from emotion2vec_server.serving.tokens import read_tokens
from emotion2vec_server.serving.uploads import Uploads
from emotion2vec_server.streaming.reader import StreamLimits

_STREAM_SHARE = 0.8
"""Of the drain time; the rest is for their final results."""
_QUIET_SECONDS = 0.25
"""Without a new call: callers who wait for an answer have none to send."""
_MOST_QUIET_SECONDS = 1.0
"""Callers who don't wait for answers are never quiet."""
_FAREWELL_SECONDS = 0.1
"""For GOAWAY to reach the callers before the answers that they wait for."""
_log = logging.getLogger(__name__)


class Server:
    """One server process. `start`, then `stop`; each once."""

    def __init__(self, settings: Settings) -> None:
        """To be made within the event loop that runs it.

        Raises:
            ConfigError: the token file can't be read.
        """
        self._settings = settings
        self._metrics = Metrics()
        self._calls = Calls()
        self._catalog = Catalog()
        self._executor = ThreadPoolExecutor(settings.decode_threads or None, "decode")
        self._streams = self._make_streams()
        tokens = read_tokens(settings.token_file) if settings.token_file else None
        limits = ServerLimits(
            max_message_bytes=settings.max_message_bytes,
            max_connection_seconds=settings.max_connection_seconds,
            max_stream_seconds=settings.max_stream_seconds,
        )
        self._grpc = GrpcServer(limits, tokens)
        self._grpc.add(
            self._catalog,
            self._make_recordings(),
            self._streams,
            Edge(self._calls, self._metrics, tokens),
            max_audio_seconds=settings.max_audio_seconds,
        )
        self._health = Health(self._catalog, self._grpc.health.show)
        self._stop_metrics: Callable[[], None] | None = None
        self.port = 0

    async def start(self) -> None:
        """Listens at once, with health NOT_SERVING; loads the models; then serves.

        Raises:
            StartupError: a port can't be had.
            LoadError: a model can't be loaded.
        """
        settings = self._settings
        await self._health.wait()
        self.port = self._grpc.listen(settings.host, settings.port, _tls(settings))
        await self._grpc.start()
        if settings.metrics:
            port, self._stop_metrics = self._metrics.serve(settings.host, settings.metrics_port)
            _log.info(f"metrics on http://{settings.host}:{port}/metrics")
        models = await asyncio.to_thread(load_models, settings, self._metrics, self._health.model)
        self._catalog.open(models)
        await self._health.serve()
        _log.info(f"serving on {settings.host}:{self.port}")

    async def stop(self) -> None:
        """Sends callers elsewhere, lets accepted work finish within the drain time, then ends."""
        grace = self._settings.drain_seconds
        end = time.monotonic() + grace
        _log.info("draining")
        await self._health.drain()
        await self._calls.quiet(_QUIET_SECONDS, _MOST_QUIET_SECONDS)
        stopping = asyncio.create_task(self._grpc.stop(max(0.0, end - time.monotonic())))
        await asyncio.sleep(_FAREWELL_SECONDS)
        models = self._catalog.close()
        self._streams.drain(_STREAM_SHARE * max(0.0, end - time.monotonic()))
        self._calls.release()
        await self._calls.ended(max(0.0, end - time.monotonic()))
        await stopping
        for model in models:
            await model.batcher.close()
        self._executor.shutdown(wait=False, cancel_futures=True)
        if self._stop_metrics is not None:
            await asyncio.to_thread(self._stop_metrics)
        _log.info("stopped")

    def _make_recordings(self) -> Recordings:
        settings = self._settings
        uploads = Uploads(
            max_uploads=settings.max_uploads,
            max_bytes=settings.max_upload_bytes,
            max_body_bytes=settings.max_message_bytes,
            max_seconds=settings.max_upload_seconds,
            # Which model they are for can't be known.
            refused=lambda: self._metrics.rejected("", "uploads"),
        )
        limits = RecordingLimits(settings.max_audio_seconds, settings.low_confidence)
        return Recordings(self._catalog, uploads, self._executor, limits, self._metrics)

    def _make_streams(self) -> Streams:
        settings = self._settings
        streams = Streams(
            self._catalog,
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
        self._metrics.streams(lambda: streams.open_count)
        return streams


async def run(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT.

    Raises:
        StartupError: the server could not start.
        LoadError: a model can't be loaded.
    """
    stop = asyncio.Event()
    _handle_signals(stop.set)
    server = Server(settings)
    try:
        await server.start()
        await stop.wait()
    finally:
        await server.stop()


def _handle_signals(stop: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(number, stop)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop))
    if hasattr(signal, "SIGHUP"):
        loop.add_signal_handler(
            signal.SIGHUP, lambda: _log.info("SIGHUP: nothing is reloaded; restart for that")
        )


def _tls(settings: Settings) -> Tls | None:
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    return Tls(settings.tls_certificate, settings.tls_key, settings.tls_client_ca)
