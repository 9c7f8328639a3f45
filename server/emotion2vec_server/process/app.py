"""Composition root: puts the parts together, starts them, and stops them without losing work."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from emotion2vec_runtime.audio import start_decoders

from emotion2vec_server.grpc_api.edge import Edge
from emotion2vec_server.grpc_api.server import GrpcServer, ServerLimits, Tls
from emotion2vec_server.grpc_api.service import EmotionRecognitionService
from emotion2vec_server.process.cores import available_cores
from emotion2vec_server.process.decode_threads import DecodeThreads
from emotion2vec_server.process.files import raise_file_limit
from emotion2vec_server.process.loading import load_models
from emotion2vec_server.process.metrics import Metrics
from emotion2vec_server.process.settings import Settings
from emotion2vec_server.serving.calls import Calls
from emotion2vec_server.serving.catalog import Catalog
from emotion2vec_server.serving.gate import Gate
from emotion2vec_server.serving.health import Health
from emotion2vec_server.serving.long_recordings import LongRecordingLimits, LongRecordings
from emotion2vec_server.serving.recordings import RecordingLimits, Recordings
from emotion2vec_server.serving.streams import Streams
from emotion2vec_server.serving.tokens import read_tokens
from emotion2vec_server.serving.uploads import Uploads
from emotion2vec_server.streaming.reader import StreamLimits

if TYPE_CHECKING:
    from emotion2vec_runtime.audio.voice import Detector

    from emotion2vec_server.http_api.server import HttpServer, HttpTls

_DECODE_THREADS_A_CORE = 2
_STREAM_SHARE = 0.8
"""Of the drain time; the rest is for their final results."""
_SLOWEST = 2
"""Times its length that the longest recording may take."""
_QUIET_SECONDS = 0.25
"""Without a new call: callers who wait for an answer have none to send."""
_MOST_QUIET_SECONDS = 3.0
"""Callers who don't wait for answers are never quiet. Those who do became so within 2.3 s at
most: 64 between two servers, on a machine with five busy processes a core."""
_FAREWELL_SECONDS = 0.1
"""For GOAWAY to reach the callers before the answers that they wait for."""
_LAST_REPLIES_SECONDS = 0.5
_MOST_CONNECTIONS = 4096
_log = logging.getLogger(__name__)

T = TypeVar("T")


class Server:
    """One server process. `start`, then `stop`; each once."""

    def __init__(self, settings: Settings) -> None:
        """To be made within the event loop that runs it.

        Raises:
            ConfigError: the token file can't be read.
            MissingLibraryError: the voice detector is not installed.
        """
        self._settings = settings
        self._metrics = Metrics()
        self._calls = Calls()
        self._catalog = Catalog()
        tokens = read_tokens(settings.token_file) if settings.token_file else None
        self._gate = Gate(self._calls, self._metrics, tokens)
        self._executor = DecodeThreads(_decode_threads(settings), "decode")
        self._metrics.decoding(lambda: self._executor.waiting)
        self._uploads = self._make_uploads()
        self._streams = self._make_streams()
        self._long_recordings = self._make_long_recordings()
        limits = ServerLimits(
            max_message_bytes=settings.max_message_bytes,
            max_connections=_max_connections(),
            max_connection_seconds=settings.max_connection_seconds,
            max_call_seconds=max(
                settings.max_stream_seconds, _SLOWEST * settings.max_recording_seconds
            ),
        )
        self._grpc = GrpcServer(limits, tokens)
        self._recordings = self._make_recordings()
        self._grpc.add(
            EmotionRecognitionService(
                self._catalog,
                self._recordings,
                self._long_recordings,
                self._streams,
                self._uploads,
                Edge(self._gate),
                max_audio_seconds=settings.max_audio_seconds,
                max_recording_seconds=settings.max_recording_seconds,
            )
        )
        self._health = Health(self._catalog, self._grpc.health.show)
        self._http = self._make_http() if settings.http else None
        self._stop_metrics: Callable[[], None] | None = None
        self._listens = False
        self.port = 0
        self.http_port = 0

    async def start(self) -> None:
        """Listens at once, with health NOT_SERVING; loads the models; then serves.

        Raises:
            StartupError: a port can't be had.
            LoadError: a model can't be loaded, or no decoder started.
        """
        settings = self._settings
        await self._health.wait()
        self.port = self._grpc.listen(settings.host, settings.port, _tls(settings))
        if self._http is not None:
            tls = _http_tls(settings)
            self.http_port = self._http.listen(settings.host, settings.http_port, tls)
        await self._grpc.start()
        self._listens = True
        if self._http is not None:
            await self._http.start()
        if settings.metrics:
            port, self._stop_metrics = self._metrics.serve(settings.host, settings.metrics_port)
            _log.info(f"metrics on http://{_at(settings.host, port)}/metrics")
        models, _ = await asyncio.gather(
            _in_thread(lambda: load_models(settings, self._metrics, self._health.model)),
            asyncio.to_thread(start_decoders),
        )
        self._catalog.open(models)
        await self._health.serve()
        _log.info(f"serving on {_at(settings.host, self.port)}")
        if self._http is not None:
            scheme = "https" if settings.tls_certificate else "http"
            _log.info(f"the page is at {scheme}://{_at(settings.host, self.http_port)}/")

    async def stop(self) -> None:
        """Sends callers elsewhere, lets accepted work finish within the drain time, then ends."""
        end = time.monotonic() + self._settings.drain_seconds
        if self._listens:
            _log.info("draining")
            await self._drain(end)
        for model in self._catalog.close():
            await model.batcher.close()
        self._executor.shutdown(wait=False, cancel_futures=True)
        if self._stop_metrics is not None:
            await asyncio.to_thread(self._stop_metrics)
        if self._listens:
            _log.info("stopped")

    async def _drain(self, end: float) -> None:
        """Returns when no call is under way, or at `end` of the monotonic clock."""
        await self._health.drain()
        # Most of the time is for the work that is under way.
        most = min(_MOST_QUIET_SECONDS, _left(end) / 4)
        await self._calls.quiet(_QUIET_SECONDS, most)
        try:
            stopping = asyncio.create_task(self._grpc.stop(_left(end)))
            if self._http is not None:
                self._http.close()
            await asyncio.sleep(_FAREWELL_SECONDS)
            self._catalog.close()
            self._uploads.drain()
            self._streams.drain(_STREAM_SHARE * _left(end))
            self._long_recordings.drain(_STREAM_SHARE * _left(end))
        finally:
            self._calls.release()
        await self._calls.ended(_left(end))
        # What is left are not our calls, such as watchers of the health.
        await self._grpc.stop(min(_LAST_REPLIES_SECONDS, _left(end)))
        if self._http is not None:
            await self._http.stop(_LAST_REPLIES_SECONDS)
        await stopping

    def _make_uploads(self) -> Uploads:
        settings = self._settings
        return Uploads(
            max_uploads=settings.max_uploads,
            max_bytes=settings.max_upload_bytes,
            max_body_bytes=settings.max_message_bytes,
            max_seconds=settings.max_upload_seconds,
            # Which model they are for can't be known.
            refused=lambda: self._metrics.rejected("", "uploads"),
        )

    def _make_recordings(self) -> Recordings:
        settings = self._settings
        limits = RecordingLimits(settings.max_audio_seconds, settings.low_confidence)
        return Recordings(self._catalog, self._uploads, self._executor, limits, self._metrics)

    def _make_http(self) -> HttpServer:
        # Whoever turns HTTP off need not wait until it is imported.
        from emotion2vec_server.http_api.app import Services, make_app
        from emotion2vec_server.http_api.server import HttpServer

        settings = self._settings
        services = Services(
            gate=self._gate,
            catalog=self._catalog,
            recordings=self._recordings,
            long_recordings=self._long_recordings,
            streams=self._streams,
            is_serving=lambda: self._health.is_serving,
            metrics=self._metrics.text if settings.metrics else None,
            max_audio_seconds=settings.max_audio_seconds,
            max_recording_seconds=settings.max_recording_seconds,
            max_body_bytes=settings.max_message_bytes,
        )
        app = make_app(services, settings.cors_origin)
        return HttpServer(app, max_connections=_max_connections())

    def _make_long_recordings(self) -> LongRecordings:
        settings = self._settings
        return LongRecordings(
            self._catalog,
            self._uploads,
            self._executor,
            LongRecordingLimits(
                audio=settings.max_recording_seconds,
                idle=settings.stream_idle_seconds,
                arrival=settings.max_upload_seconds,
            ),
            self._metrics,
            max_recordings=settings.max_recordings,
            low_confidence=settings.low_confidence,
        )

    def _make_streams(self) -> Streams:
        settings = self._settings
        streams = Streams(
            self._catalog,
            self._uploads,
            self._executor,
            StreamLimits(
                idle=settings.stream_idle_seconds,
                life=settings.max_stream_seconds,
                utterance=settings.max_audio_seconds,
            ),
            self._metrics,
            max_streams=settings.max_streams,
            max_state_bytes=settings.max_stream_bytes,
            low_confidence=settings.low_confidence,
            detector=_detector(settings),
        )
        self._metrics.streams(lambda: streams.open_count, lambda: streams.state_bytes)
        return streams


async def run(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT; a second SIGINT ends it at once.

    Raises:
        StartupError: the server could not start.
        LoadError: a model can't be loaded, or no decoder started.
    """
    stop = asyncio.Event()
    _handle_signals(stop.set)
    server = Server(settings)
    starting = asyncio.create_task(server.start())
    told = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((starting, told), return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            await starting
            await told
    finally:
        for task in (starting, told):
            task.cancel()
        await asyncio.gather(starting, told, return_exceptions=True)
        await server.stop()


async def _in_thread(work: Callable[[], T]) -> T:
    """Does the work in a thread that nobody waits for where the process ends before it."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def settle(deliver: Callable[[], None]) -> None:
        if not result.done():
            deliver()

    def do() -> None:
        try:
            value = work()
        except BaseException as error:  # noqa: BLE001 (it is raised where it is waited for)
            deliver = partial(result.set_exception, error)
        else:
            deliver = partial(result.set_result, value)
        with suppress(RuntimeError):  # The loop is closed.
            loop.call_soon_threadsafe(settle, deliver)

    threading.Thread(target=do, name="load", daemon=True).start()
    return await result


def _handle_signals(stop: Callable[[], None]) -> None:
    """Calls `stop` at SIGTERM, however often it comes, and at Ctrl-C; the next one ends it."""
    loop = asyncio.get_running_loop()

    def told(number: int, _frame: object) -> None:
        if number == signal.SIGINT:
            signal.signal(number, signal.SIG_DFL)
        loop.call_soon_threadsafe(stop)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, told)
    if hasattr(signal, "SIGHUP"):
        loop.add_signal_handler(
            signal.SIGHUP, lambda: _log.info("SIGHUP: nothing is reloaded; restart for that")
        )


def _at(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _decode_threads(settings: Settings) -> int:
    """Mostly they wait for decoder processes; with fewer, those would be idle while a thread waits
    for its turn to take what has been decoded."""
    return settings.decode_threads or _DECODE_THREADS_A_CORE * available_cores()


def _detector(settings: Settings) -> Callable[[], Detector] | None:
    if settings.voice_detector == "energy":
        return None
    from emotion2vec_runtime.audio.silero import Silero

    Silero()  # Here it is said where it is not installed.
    return Silero


def _left(end: float) -> float:
    return max(0.0, end - time.monotonic())


def _max_connections() -> int:
    """Half of the files that may be open, of which everything else needs some."""
    files = raise_file_limit()
    return _MOST_CONNECTIONS if files is None else min(_MOST_CONNECTIONS, files // 2)


def _http_tls(settings: Settings) -> HttpTls | None:
    from emotion2vec_server.http_api.server import HttpTls

    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    return HttpTls(settings.tls_certificate, settings.tls_key, settings.tls_client_ca)


def _tls(settings: Settings) -> Tls | None:
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    return Tls(settings.tls_certificate, settings.tls_key, settings.tls_client_ca)
