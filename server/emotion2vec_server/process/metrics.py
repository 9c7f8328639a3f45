"""Prometheus metrics: what the server did, and how long it took."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib.metadata import version
from typing import Generic, TypeVar

from emotion2vec_runtime.audio import decoder_counts
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
    start_http_server,
)
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from emotion2vec_server.batching.observer import BatchRun
from emotion2vec_server.errors import StartupError

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_LONG_SECONDS = (*_SECONDS, 60.0, 300.0, 1800.0, 3600.0)
"""Of calls: the longest are streams."""
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128)
_RATIOS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75)

M = TypeVar("M", bound=MetricWrapperBase)


class _Labelled(dict[tuple[str, ...], M], Generic[M]):
    """A metric by the values of its labels. `labels` itself takes a lock and some microseconds."""

    def __init__(self, metric: M) -> None:
        super().__init__()
        self._metric = metric

    def __missing__(self, values: tuple[str, ...]) -> M:
        child: M = self._metric.labels(*values)
        self[values] = child
        return child


class _Decoders(Collector):
    """The decoders, asked when scraped."""

    def collect(self) -> Iterable[Metric]:
        counts = decoder_counts()
        now = GaugeMetricFamily(
            "emotion2vec_decoders", "Decoder processes, by what they do now.", labels=["state"]
        )
        now.add_metric(["busy"], counts.busy)
        now.add_metric(["idle"], counts.idle)
        yield now
        yield CounterMetricFamily(
            "emotion2vec_failed_decoders",
            "Decoders that died, hung or asked for more than they may, and were replaced.",
            counts.failed,
        )


class Metrics:
    """One server's metrics, in a registry of their own."""

    def __init__(self) -> None:
        # Each counter and histogram would come twice, the second time with the time it was made.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        build = Info("emotion2vec_build", "The server's version.", registry=registry)
        build.info({"version": version("emotion2vec-server")})
        self._requests = _Labelled(
            Counter(
                "emotion2vec_requests",
                "Calls ended, by door (grpc or http), method and status.",
                ["door", "method", "code"],
                registry=registry,
            )
        )
        self._request_seconds = _Labelled(
            Histogram(
                "emotion2vec_request_seconds",
                "Time from a call's arrival to its end.",
                ["door", "method"],
                buckets=_LONG_SECONDS,
                registry=registry,
            )
        )
        self._audio_seconds = _Labelled(
            Counter(
                "emotion2vec_audio_seconds",
                "Audio received, in seconds of it.",
                ["method"],
                registry=registry,
            )
        )
        self._active_streams = Gauge(
            "emotion2vec_active_streams", "Live streams open now.", registry=registry
        )
        self._stream_state = Gauge(
            "emotion2vec_stream_state_bytes",
            "What open live streams keep of what they have heard, at the most.",
            registry=registry,
        )
        self._decoding = Gauge(
            "emotion2vec_queued_decoding",
            "Pieces of work that wait for a decoding thread.",
            registry=registry,
        )
        registry.register(_Decoders())
        self._queued = Gauge(
            "emotion2vec_queued_requests", "Clips that wait now.", ["model"], registry=registry
        )
        self._queued_audio = Gauge(
            "emotion2vec_queued_audio_seconds",
            "Audio of the clips that wait now.",
            ["model"],
            registry=registry,
        )
        self._queue_seconds = _Labelled(
            Histogram(
                "emotion2vec_queue_seconds",
                "Time that a clip waited for the model.",
                ["model"],
                buckets=_SECONDS,
                registry=registry,
            )
        )
        self._inference_seconds = _Labelled(
            Histogram(
                "emotion2vec_inference_seconds",
                "Time of a batch in the model.",
                ["model"],
                buckets=_SECONDS,
                registry=registry,
            )
        )
        self._batch_size = _Labelled(
            Histogram(
                "emotion2vec_batch_size",
                "Clips in a batch.",
                ["model"],
                buckets=_ROWS,
                registry=registry,
            )
        )
        self._padding = _Labelled(
            Histogram(
                "emotion2vec_padding_ratio",
                "Share of a batch's frames that is padding.",
                ["model"],
                buckets=_RATIOS,
                registry=registry,
            )
        )
        self._rejected = _Labelled(
            Counter(
                "emotion2vec_rejected",
                "Clips that got no result, by reason.",
                ["model", "reason"],
                registry=registry,
            )
        )
        self._failing = Gauge(
            "emotion2vec_model_failing",
            "1 while the model fails on everything.",
            ["model"],
            registry=registry,
        )

    def ended(self, door: str, method: str, status: str, seconds: float) -> None:
        """A call ended with this status, after so many seconds."""
        self._requests[door, method, status].inc()
        self._request_seconds[door, method].observe(seconds)

    def streams(self, active: Callable[[], int], state_bytes: Callable[[], int]) -> None:
        """Registers how to ask for the number of open streams, and for their state; asked when
        scraped."""
        self._active_streams.set_function(active)
        self._stream_state.set_function(state_bytes)

    def decoding(self, waiting: Callable[[], int]) -> None:
        """Registers how to ask how much waits for a thread that decodes; asked when scraped."""
        self._decoding.set_function(waiting)

    def audio(self, method: str, seconds: float) -> None:
        self._audio_seconds[(method,)].inc(seconds)

    def model(
        self, name: str, *, requests: Callable[[], int], seconds: Callable[[], float]
    ) -> None:
        """A model is served. Registers how to ask how many requests and seconds of audio wait for
        it; asked when scraped."""
        self._queued.labels(name).set_function(requests)
        self._queued_audio.labels(name).set_function(seconds)
        self.failing(name, failing=False)

    def ran(self, model: str, run: BatchRun) -> None:
        """A batch ran through the model."""
        self._inference_seconds[(model,)].observe(run.run_seconds)
        self._batch_size[(model,)].observe(run.rows)
        self._padding[(model,)].observe(1 - run.frames / run.padded_frames)
        queued = self._queue_seconds[(model,)]
        for seconds in run.queue_seconds:
            queued.observe(seconds)

    def rejected(self, model: str, reason: str) -> None:
        self._rejected[model, reason].inc()

    def failing(self, model: str, *, failing: bool) -> None:
        self._failing.labels(model).set(failing)

    def text(self) -> tuple[bytes, str]:
        """All of them in Prometheus's text format, and its media type."""
        return generate_latest(self._registry), CONTENT_TYPE_LATEST

    def collect(self) -> Iterable[Metric]:
        """All of them, as they stand."""
        return self._registry.collect()

    def serve(self, host: str, port: int) -> tuple[int, Callable[[], None]]:
        """Serves them over HTTP from a thread.

        Returns:
            The port in use, and a function that stops.

        Raises:
            StartupError: the port can't be had.
        """
        try:
            server, thread = start_http_server(port, host, self._registry)
        except OSError as error:
            raise StartupError(
                f"can't serve metrics on {host}:{port}: {error.strerror}; "
                "choose another --metrics-port or give --no-metrics"
            ) from error

        def stop() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        return server.server_port, stop
