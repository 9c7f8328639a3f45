"""What the models will need of memory, and what there is: said at start, while it can be changed.

The figures are upper ones: batches of 1 to 24 clips of 10 and 30 s of emotion2vec+ large (fp32,
int8) and of the demo model took 75 to 98% of what is said of them on a CPU (docs/cpu.md).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from emotion2vec_runtime.backends.providers import Provider
from emotion2vec_runtime.bundle import Bundle

from emotion2vec_server.process.settings import Settings

_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
"""Of a container: cgroup v2, v1."""
_VALUES = 28
"""Times the embedding's size: values of one frame that are there at once."""
_HEAD_SIZE = 64
_QUERIES = 128
"""Of which a CPU's graph holds the attention at once (export's `blockwise_attention`)."""
_PROCESS = 150 * 2**20
"""Python, gRPC, HTTP, and a decoder."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ModelMemory:
    """Bytes that a model takes, in the host's memory or on each card.

    Attributes:
        weights: of its graphs for recordings and for steps of streams.
        batches: as many of the largest batches as run at once there.
        place: "host" or "device".
    """

    name: str
    weights: int
    batches: int
    place: str


def memory_of(
    bundle: Bundle,
    precision: str,
    provider: Provider,
    *,
    has_steps: bool,
    instances: int,
    settings: Settings,
) -> ModelMemory:
    """Of a loaded model, whose batches are those that the settings allow; so many `instances` of
    them run at once, on the host or on each card."""
    manifest = bundle.manifest
    kinds = {"onnx", "step"} if has_steps else {"onnx"}
    weights = sum(
        artifact.size + sum(entry.size for entry in artifact.external_data)
        for artifact in manifest.artifacts
        if artifact.precision == precision and artifact.kind in kinds
    )
    rate = manifest.sample_rate
    longest = manifest.frame_count(round(settings.max_window_seconds * rate))
    frames = manifest.frame_count(round(settings.max_batch_seconds * rate))
    batch = batch_bytes(manifest.embedding_size, frames, longest, provider.memory)
    return ModelMemory(manifest.name, weights, batch * instances, provider.memory)


def batch_bytes(size: int, frames: int, longest: int, place: str) -> int:
    """What a batch needs beside the weights.

    Args:
        size: of an embedding, which has a head of attention for each 64 values.
        frames: of all clips together, padding included.
        longest: frames of a clip.
        place: "host", where values have 4 bytes and attention goes in blocks, or "device", where
            they have 2 and it does not.
    """
    heads = max(8, size // _HEAD_SIZE)
    if place == "host":
        return 4 * (frames * (_VALUES * size + 4 * heads * _QUERIES) + 2 * longest**2)
    return 2 * (frames * _VALUES * size + 3 * heads * frames * longest)


def available_memory(limits: Iterable[Path] = _LIMITS) -> int | None:
    """Bytes of this machine, or of its container; None where neither says."""
    found = []
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for limit in limits:
        try:
            found.append(int(limit.read_text(encoding="ascii")))
        except (OSError, ValueError):
            continue
    return min(found) if found else None


def say(models: Sequence[ModelMemory], settings: Settings, available: int | None) -> None:
    """Logs what the models and their callers may take, and warns where that can't fit."""
    here = [model for model in models if model.place == "host"]
    needed = _PROCESS + sum(model.weights + model.batches for model in here)
    callers = settings.max_upload_bytes + settings.max_stream_bytes
    details = {
        "models_mb": round(sum(model.weights for model in here) / 1e6),
        "largest_batches_mb": round(sum(model.batches for model in here) / 1e6),
        "callers_mb": round(callers / 1e6),
        "machine_mb": None if available is None else round(available / 1e6),
    }
    for model in models:
        if model.place == "device":
            details[f"{model.name}_on_a_card_mb"] = round((model.weights + model.batches) / 1e6)
    _log.info("memory, at the most", extra=details)
    if available is None or needed + callers <= available:
        return
    if needed > available:
        _log.warning(
            f"the models may need {needed / 1e9:.1f} GB of the {available / 1e9:.1f} GB that there "
            "are: lower --max-batch-seconds or --instances, or serve int8"
        )
    else:
        _log.warning(
            f"beside the models {(available - needed) / 1e9:.1f} GB are left, of which callers may "
            f"take {callers / 1e9:.1f}: lower --max-upload-bytes or --max-stream-bytes"
        )
