"""One measured cell: a server under one load, in the figures that the report shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.arrivals import Percentiles, mean_batch
from benchmarks.loadgen import Outcome


@dataclass(frozen=True, slots=True)
class Cell:
    """Rates are per second, CPU is in milliseconds a request, latencies are in seconds."""

    requests: int
    rate: float
    audio_rate: float
    """Seconds of speech recognised a second."""
    latency: Percentiles
    server_cpu: float
    client_cpu: float
    errors: dict[str, int]
    batch: float
    """Mean size of a batch; 0 where the server does not tell."""
    padding: float | None
    """Mean share of a batch that is padding; None where the server does not tell."""
    queue: float
    """Median time in the server's queue, in seconds."""
    inference: float
    """Median time in the model, in seconds."""
    busy: float | None
    """Batches in the model at a time, on average; None where the server does not tell."""

    @classmethod
    def of(cls, outcome: Outcome) -> Cell:
        requests = len(outcome.latencies)
        each = 1000 / requests if requests else 0.0
        return cls(
            requests=requests,
            rate=outcome.rate,
            audio_rate=outcome.audio_seconds / outcome.seconds if outcome.seconds else 0.0,
            latency=Percentiles.of(outcome.latencies),
            server_cpu=outcome.server_cpu_seconds * each,
            client_cpu=outcome.client_cpu_seconds * each,
            errors=outcome.errors,
            batch=mean_batch(outcome.batch_sizes),
            padding=histogram_mean(outcome.metrics, "emotion2vec_padding_ratio"),
            queue=Percentiles.of(outcome.queue_seconds).p50,
            inference=Percentiles.of(outcome.inference_seconds).p50,
            busy=_share_busy(outcome),
        )


def histogram_mean(metrics: Mapping[str, float], histogram: str) -> float | None:
    """Of a Prometheus histogram, over all of its labels; None where it is empty."""
    count = _total(metrics, f"{histogram}_count")
    return _total(metrics, f"{histogram}_sum") / count if count else None


def _share_busy(outcome: Outcome) -> float | None:
    histogram = "emotion2vec_inference_seconds"
    if not _total(outcome.metrics, f"{histogram}_count"):
        return None
    return _total(outcome.metrics, f"{histogram}_sum") / outcome.seconds


def _total(metrics: Mapping[str, float], name: str) -> float:
    return sum(value for key, value in metrics.items() if key.partition("{")[0] == name)
