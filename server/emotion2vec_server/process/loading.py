"""From bundle directories to served models that are warm and know what a batch costs."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from emotion2vec_runtime.backends.providers import Provider, provider_named
from emotion2vec_runtime.backends.select import load_backend
from emotion2vec_runtime.bundle import Bundle, Manifest, load_bundle
from emotion2vec_runtime.errors import ConfigError, InferenceError, LoadError, OutOfMemoryError
from emotion2vec_runtime.recognition.live import load_steps
from emotion2vec_runtime.recognition.recognizer import DEMO_BUNDLE
from emotion2vec_runtime.recognition.runner import Clip, ClipOutput, Runner

from emotion2vec_server.batching.batcher import Batcher, BatchLimits, BatchRun
from emotion2vec_server.batching.cost import CostModel, measure
from emotion2vec_server.process import memory
from emotion2vec_server.process.cores import available_cores, share_cores
from emotion2vec_server.process.hub_models import bundle_directory
from emotion2vec_server.process.memory import ModelMemory, memory_of
from emotion2vec_server.process.metrics import Metrics
from emotion2vec_server.process.priority import give_way
from emotion2vec_server.process.settings import Settings
from emotion2vec_server.serving.served_model import ServedModel
from emotion2vec_server.serving.work import WorkRunner

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


def load_models(
    settings: Settings, metrics: Metrics, on_failing: Callable[[str, str | None], None]
) -> list[ServedModel]:
    """Loads and warms up every model of the settings; the demo model where none is named.

    Blocks for seconds, or minutes where one has to be exported first: call it off the event loop,
    in a thread that may give way to it.

    Args:
        settings: which models, and how to run them.
        metrics: learns what the models do.
        on_failing: called with a model's name and the reason when it fails on everything, and with
            None when it works again.

    Raises:
        LoadError: a bundle is broken, does not fit this machine, or can't be exported.
        ConfigError: two have one name, or one is an id and the exporter is not installed.
    """
    # Before it gives way: an export would inherit that, with nobody to give way to.
    directories = [
        bundle_directory(model, precision=settings.precision, provider=settings.provider)
        for model in settings.model
    ]
    # The runtime's threads and the batcher's are started here, and so give way, too.
    give_way()
    if not settings.model:
        _log.warning(
            "serving the demo model, which knows synthetic speech only; "
            "give --model DIR for a real one"
        )
    bundles = [load_bundle(directory) for directory in directories or [DEMO_BUNDLE]]
    _refuse_equal_names(bundles)
    loaded = [_load(bundle, settings, metrics, on_failing) for bundle in bundles]
    memory.say([need for _, need in loaded], settings, memory.available_memory())
    return [model for model, _ in loaded]


def _load(
    bundle: Bundle,
    settings: Settings,
    metrics: Metrics,
    on_failing: Callable[[str, str | None], None],
) -> tuple[ServedModel, ModelMemory]:
    manifest = bundle.manifest
    share = share_cores(available_cores(), instances=settings.instances, threads=settings.threads)
    backend = load_backend(
        bundle,
        precision=settings.precision,
        provider=settings.provider,
        threads=share.pool,
        instances=settings.instances,
        longest=round(settings.max_window_seconds * manifest.sample_rate),
    )
    provider = provider_named(backend.provider)
    runner = Runner(backend)
    steps = load_steps(bundle, backend, threads=share.pool)
    limits = _limits(settings, manifest)
    of_cards = (provider.instances or 0) * backend.cards
    instances = settings.instances or of_cards or share.instances
    need = memory_of(
        bundle,
        backend.precision,
        provider,
        has_steps=steps is not None,
        instances=math.ceil(instances / backend.cards),
        settings=settings,
    )
    batcher = Batcher(
        WorkRunner(runner, steps),
        _warm_up(runner, provider, limits, manifest, backend.cards),
        limits,
        instances=instances,
        observer=ModelObserver(manifest.name, metrics, on_failing),
    )
    frame_seconds = manifest.frame_hop / manifest.sample_rate
    metrics.model(
        manifest.name,
        requests=lambda: batcher.waiting,
        seconds=lambda: batcher.waiting_frames * frame_seconds,
    )
    model = ServedModel(
        manifest,
        batcher,
        precision=backend.precision,
        provider=backend.provider,
        max_window=round(settings.max_window_seconds * manifest.sample_rate),
        overlap=round(settings.window_overlap_seconds * manifest.sample_rate),
        steps=steps,
    )
    _log.info(
        f"{manifest.name}: live streams go in {'steps' if model.streams_in_steps else 'windows'}, "
        f"unless they ask for another mode ({_why_so(model)})"
    )
    return model, need


def _why_so(model: ServedModel) -> str:
    if not model.is_incremental:
        return "it has no steps"
    if not model.manifest.streams:
        return "its export did not compare them"
    found = (f"{row.mode} {row.difference:.3f}" for row in model.manifest.streams)
    return f"their difference to whole recordings: {', '.join(found)}"


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
    runner: Runner, provider: Provider, limits: BatchLimits, manifest: Manifest, cards: int
) -> CostModel:
    """Runs the model so that the first caller finds it warm on each card, and learns what a batch
    costs."""

    def run(rows: int, frames: int) -> ClipOutput:
        samples = np.zeros((frames - 1) * manifest.frame_hop + manifest.frame_field, np.float32)
        return runner([Clip(samples, frame_embeddings=False)] * rows)[0]

    first, *others = provider.warm_up
    try:
        # Batches that come one by one go to the cards in turn.
        for _ in range(cards):
            _refuse_other_sizes(run(*first), manifest)
    except (InferenceError, OutOfMemoryError) as error:
        raise LoadError(
            f"model {manifest.name} fails on a second of silence ({error}); "
            "give it more memory, or export it again"
        ) from error
    for rows, frames in others:
        for _ in range(cards):
            run(rows, frames)
    return measure(
        run,
        max_batch=limits.max_rows,
        max_frames=limits.max_frames,
        budget_seconds=provider.measuring_seconds,
    )


def _refuse_other_sizes(output: ClipOutput, manifest: Manifest) -> None:
    """The graph is what its hash says, but nothing vouches for what the manifest says of it."""
    for name, values, size in (
        ("labels", output.logits, len(manifest.labels)),
        ("embedding values", output.embedding, manifest.embedding_size),
    ):
        found = 0 if values is None else len(values)
        if found != size:
            raise LoadError(
                f"model {manifest.name}: its manifest names {size} {name}, its graph gives {found};"
                " export it again"
            )


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
