"""The Grafana dashboard shows every metric that the server has, and none that it has not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from emotion2vec_server.process.metrics import Metrics
from prometheus_client.metrics_core import Metric

# What Prometheus makes of one metric, by its type.
SERIES = {
    "counter": ("_total",),
    "gauge": ("",),
    "histogram": ("_bucket", "_sum", "_count"),
    "info": ("_info",),
}


@pytest.fixture(scope="module")
def dashboard(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((root / "deploy" / "grafana-dashboard.json").read_text())
    return found


@pytest.fixture(scope="module")
def metrics() -> list[Metric]:
    """Our own: those of the process are prometheus_client's."""
    found = Metrics().collect()
    return [metric for metric in found if metric.name.startswith("emotion2vec_")]


def queries(dashboard: dict[str, Any]) -> Iterator[str]:
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["definition"]


def test_every_metric_is_shown_and_every_one_shown_exists(
    dashboard: dict[str, Any], metrics: list[Metric]
) -> None:
    named = set(re.findall(r"\bemotion2vec_\w+", " ".join(queries(dashboard))))
    series = {
        metric.name: {metric.name + suffix for suffix in SERIES[metric.type]} for metric in metrics
    }
    assert named <= set().union(*series.values())
    assert [name for name, of_it in series.items() if not named & of_it] == []


def test_labels_exist(dashboard: dict[str, Any]) -> None:
    """Beside those that Prometheus adds when it scrapes."""
    ours = {"door", "method", "code", "model", "reason", "le", "state", "version"}
    used: set[str] = set()
    for query in queries(dashboard):
        for labels in re.findall(r"by \(([^)]*)\)", query):
            used |= {label.strip() for label in labels.split(",")}
        used |= set(re.findall(r"(\w+)=~", query))
    assert used == ours | {"job", "instance"}


def test_the_metrics_cover_what_operators_ask(metrics: list[Metric]) -> None:
    assert {metric.name.removeprefix("emotion2vec_") for metric in metrics} >= {
        "requests",
        "request_seconds",
        "queue_seconds",
        "queued_requests",
        "queued_audio_seconds",
        "batch_size",
        "padding_ratio",
        "inference_seconds",
        "audio_seconds",
        "rejected",
        "active_streams",
        "stream_state_bytes",
        "decoders",
        "failed_decoders",
        "queued_decoding",
    }


def test_panels_have_a_place_of_their_own(dashboard: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not taken & cells
        assert at["x"] + at["w"] <= 24
        taken |= cells
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(numbers)) == len(numbers)
