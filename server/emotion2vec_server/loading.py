"""From bundle directories to recognizers that are warm and know what a batch costs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from emotion2vec_server.backends.base import Backend
from emotion2vec_server.backends.select import load_backend
from emotion2vec_server.batcher import Batcher, BatchLimits, BatchRun
from emotion2vec_server.bundle import Bundle, Manifest, load_bundle
from emotion2vec_server.config import Settings
from emotion2vec_server.cores import available_cores, share_cores
from emotion2vec_server.cost import CostModel, measure
from emotion2vec_server.cost_cache import CostCache, cache_directory, processor
from emotion2vec_server.errors import ConfigError, InferenceError, OutOfMemoryError, StartupError
from emotion2vec_server.metrics import Metrics
from emotion2vec_server.priority import give_way
from emotion2vec_server.recognizer import Clip, ClipOutput, ModelRunner, Recognizer

DEMO_BUNDLE = Path(__file__).parent / "demo"


class _Warmth(NamedTuple):
    """What makes a model warm."""

    shapes: tuple[tuple[int, int], ...]
    """(rows, frames) that run before it serves."""
    measuring_seconds: float
    """How long costs are measured, the first time."""


# A CPU's first run does what all others do. A GPU's libraries choose kernels by shape.
_CPU_WARMTH = _Warmth(((1, 49),), 1.5)
_INSTANCES = {"cuda": 2, "tensorrt": 1}
"""Batches that run at once unless told otherwise. While one starts its kernels and copies, another
computes: with two, an H100 under ONNX Runtime answers 8% more. An engine's lane has memory of its
own."""
_GPU_WARMTH = _Warmth(((1, 49), (1, 249), (2, 249)), 5.0)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ModelObserver:
    """Passes on what one model's batcher reports: to the metrics, and whether it fails."""

    model: str
    metrics: Metrics
    on_failing: Callable[[str, str | None], None]

    def ran(self, run: BatchRun) -> None:
        self.metrics.ran(self.model, run)

    def rejected(self, reason: str) -> None:
        self.metrics.rejected(self.model, reason)

    def failing(self, reason: str | None) -> None:
        self.metrics.failing(self.model, failing=reason is not None)
        self.on_failing(self.model, reason)


def load_recognizers(
    settings: Settings, metrics: Metrics, on_failing: Callable[[str, str | None], None]
) -> list[Recognizer]:
    """Loads and warms up every model of the settings; the demo model where none is named.

    Blocks for seconds: call it off the event loop, in a thread that may give way to it.

    Args:
        settings: which models, and how to run them.
        metrics: learns what the models do.
        on_failing: called with a model's name and the reason when it fails on everything, and with
            None when it works again.

    Raises:
        StartupError: a bundle is broken, does not fit this machine, or has another's name.
    """
    # The runtime's threads and the batcher's are started here, and so give way, too.
    give_way()
    if not settings.model:
        _log.warning(
            "serving the demo model, which knows synthetic speech only; "
            "give --model DIR for a real one"
        )
    bundles = [load_bundle(path) for path in settings.model or (DEMO_BUNDLE,)]
    _refuse_equal_names(bundles)
    return [_load(bundle, settings, metrics, on_failing) for bundle in bundles]


def _load(
    bundle: Bundle,
    settings: Settings,
    metrics: Metrics,
    on_failing: Callable[[str, str | None], None],
) -> Recognizer:
    manifest = bundle.manifest
    share = share_cores(available_cores(), instances=settings.instances, threads=settings.threads)
    backend = load_backend(
        bundle,
        precision=settings.precision,
        provider=settings.provider,
        threads=share.pool,
        lanes=settings.instances or 1,
        longest=round(settings.max_window_seconds * manifest.sample_rate),
    )
    instances = settings.instances or _INSTANCES.get(backend.provider, share.instances)
    runner = ModelRunner(backend)
    limits = _limits(settings, manifest)
    key = _cost_key(backend, manifest, share.threads, instances, limits)
    batcher = Batcher(
        runner,
        _warm_up(
            runner, _CPU_WARMTH if backend.provider == "cpu" else _GPU_WARMTH, key, limits, manifest
        ),
        limits,
        workers=instances,
        observer=ModelObserver(manifest.name, metrics, on_failing),
    )
    metrics.queue(manifest.name, lambda: batcher.waiting, lambda: batcher.waiting_frames)
    return Recognizer(
        manifest,
        batcher,
        precision=backend.precision,
        provider=backend.provider,
        max_window=round(settings.max_window_seconds * manifest.sample_rate),
        overlap=round(settings.window_overlap_seconds * manifest.sample_rate),
    )


def _limits(settings: Settings, manifest: Manifest) -> BatchLimits:
    def frames(seconds: float) -> int:
        return manifest.frame_count(round(seconds * manifest.sample_rate))

    return BatchLimits(
        max_rows=settings.max_batch_size,
        max_frames=frames(settings.max_batch_seconds),
        max_queued_requests=settings.max_queue_size,
        max_queued_frames=frames(settings.max_queue_seconds),
    )


def _warm_up(
    runner: ModelRunner,
    warmth: _Warmth,
    key: Mapping[str, str],
    limits: BatchLimits,
    manifest: Manifest,
) -> CostModel:
    """Runs the model so that the first caller finds it warm, and learns what a batch costs.

    Measured once for all that `key` names, and kept on disk.
    """

    def run(rows: int, frames: int) -> ClipOutput:
        samples = np.zeros((frames - 1) * manifest.frame_hop + manifest.frame_field, np.float32)
        return runner([Clip(samples, frame_embeddings=False)] * rows)[0]

    try:
        _refuse_other_sizes(run(*warmth.shapes[0]), manifest)
    except (InferenceError, OutOfMemoryError) as error:
        raise StartupError(
            f"model {manifest.name} fails on a second of silence ({error}); "
            "give it more memory, or export it again"
        ) from error
    cache = CostCache(cache_directory())
    cost = cache.load(key)
    if cost is None:
        _log.info("measuring what a batch costs", extra={"model": manifest.name})
        cost = measure(
            run,
            max_batch=limits.max_rows,
            max_frames=limits.max_frames,
            budget_seconds=warmth.measuring_seconds,
        )
        cache.store(key, cost)
    else:
        for rows, frames in warmth.shapes[1:]:
            run(rows, frames)
    return cost


def _refuse_other_sizes(output: ClipOutput, manifest: Manifest) -> None:
    """The graph is what its hash says, but nothing vouches for what the manifest says of it."""
    for name, values, size in (
        ("labels", output.logits, len(manifest.labels)),
        ("embedding values", output.embedding, manifest.embedding_size),
    ):
        found = 0 if values is None else len(values)
        if found != size:
            raise StartupError(
                f"model {manifest.name}: its manifest names {size} {name}, its graph gives {found};"
                " export it again"
            )


def _cost_key(
    backend: Backend, manifest: Manifest, threads: int, instances: int, limits: BatchLimits
) -> dict[str, str]:
    """All that the time of a batch depends on, and which batches were run to measure it."""
    return {
        "model": manifest.version,
        "precision": backend.precision,
        "runtime": backend.runtime,
        "processor": processor(),
        "cores": str(available_cores()),
        "threads": str(threads),
        "instances": str(instances),
        "rows": str(limits.max_rows),
        "frames": str(limits.max_frames),
    }


def _refuse_equal_names(bundles: Sequence[Bundle]) -> None:
    seen: dict[str, Path] = {}
    for bundle in bundles:
        name = bundle.manifest.name
        if name in seen:
            raise ConfigError(
                f"--model: {seen[name]} and {bundle.directory} are both called {name}; "
                "export one of them with another --name"
            )
        seen[name] = bundle.directory
