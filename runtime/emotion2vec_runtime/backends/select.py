"""Chooses the artefact and the library for a bundle on this machine, and says why."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from emotion2vec_runtime.backends.base import Backend, StepBackend
from emotion2vec_runtime.backends.instructions import byte_instructions
from emotion2vec_runtime.backends.providers import Provider, provider_named
from emotion2vec_runtime.backends.spread import Spread
from emotion2vec_runtime.backends.tensorrt.engine_fit import Machine, misfit
from emotion2vec_runtime.backends.tensorrt.library import installed_libraries
from emotion2vec_runtime.bundle import Artifact, Bundle, Engine, Precision
from emotion2vec_runtime.errors import ConfigError, LoadError

if TYPE_CHECKING:
    from emotion2vec_runtime.backends.tensorrt.cuda import Device

PrecisionChoice = Literal["auto", "fp32", "int8", "fp16"]
_log = logging.getLogger(__name__)


def load_backend(
    bundle: Bundle,
    *,
    precision: PrecisionChoice = "auto",
    provider: str = "auto",
    threads: int = 0,
    instances: int = 1,
    longest: int = 0,
) -> Backend:
    """Loads the best artefact of `bundle` that fits `precision`, `provider` and this machine.

    An engine that does not fit is passed over for the ONNX graph, with a warning that says why.

    Args:
        bundle: the model.
        precision: what is wished; "auto" takes the provider's best that was found faithful.
        provider: a name in `backends.providers`, or "auto".
        threads: of all batches on the CPU; 0 takes one a core.
        instances: batches that may run at once, shared out over the cards; 0 takes the provider's
            number on each.
        longest: samples of the longest clip that will be asked for.

    Raises:
        BundleError: a file of the artefact differs from the manifest.
        ConfigError: the wished precision or provider is not to be had.
        MissingLibraryError: ONNX Runtime is not installed.
        LoadError: the artefact can't be loaded; where there are several cards, on which.
    """
    if provider in ("auto", "tensorrt"):
        for artifact in bundle.manifest.artifacts:
            if artifact.engine is not None and precision in ("auto", artifact.precision):
                reason = _unfit(bundle, artifact, artifact.engine, provider, longest)
                if reason is None:
                    return _load_engine(bundle, artifact, artifact.engine, instances)
                _log.warning(f"the TensorRT engine {artifact.file} is not used: {reason}")
    # An extra brings it; without, this is where to say so.
    from emotion2vec_runtime.backends.onnx_runtime import OnnxRuntimeBackend, available_providers

    place = _choose_provider(provider, available_providers())
    artifact = _choose_artifact(bundle, precision, place)
    _announce(bundle, artifact, place.name)
    cards = _cards() if place.memory == "device" else []
    with bundle.verifying(artifact) as path:

        def load(card: Device | None, _: int) -> Backend:
            return OnnxRuntimeBackend(
                path,
                place,
                precision=artifact.precision,
                threads=threads,
                device=card.number if card else 0,
            )

        # Without CUDA's Python package nobody knows what cards there are: it takes the first.
        return _on_cards(load, cards, place, instances) if cards else load(None, 0)


def _on_cards(
    load: Callable[[Device, int], Backend],
    cards: Sequence[Device],
    provider: Provider,
    instances: int,
) -> Backend:
    """The backend on as many cards as there are instances for.

    Args:
        load: makes it for a card, where so many batches may run at once.
        cards: those that there are.
        provider: what runs it there.
        instances: batches that may run at once, on all of them together; 0 takes the provider's
            number on each.

    Raises:
        LoadError: one of them can't load it.
    """
    instances = instances or (provider.instances or 1) * len(cards)
    used = cards[:instances]
    if len(used) < len(cards):
        _log.warning(
            f"{len(cards) - len(used)} of {len(cards)} cards are idle: with {len(cards)} instances "
            "or more all of them work"
        )
    _log.info("cards", extra={"cards": ", ".join(card.name for card in used)})
    backends = []
    for card in used:
        try:
            backends.append(load(card, math.ceil(instances / len(used))))
        except LoadError as error:
            where = f"card {card.number} ({card.name}): " if len(cards) > 1 else ""
            raise LoadError(f"{where}{error}") from error
    return backends[0] if len(backends) == 1 else Spread(backends, instances)


def load_step_backend(bundle: Bundle, backend: Backend, *, threads: int = 0) -> StepBackend | None:
    """What runs the steps of live streams beside `backend`, in its precision.

    None where the bundle has no such graph, or `backend` does not run in the host's memory.

    Raises:
        BundleError: a file of the artefact differs from the manifest.
        LoadError: the artefact can't be loaded.
    """
    provider = provider_named(backend.provider)
    for artifact in bundle.manifest.artifacts:
        is_wanted = (artifact.kind, artifact.precision) == ("step", backend.precision)
        if is_wanted and artifact.faithful and provider.memory == "host":
            from emotion2vec_runtime.backends.onnx_runtime import OnnxStepBackend

            with bundle.verifying(artifact) as path:
                return OnnxStepBackend(
                    path, provider, context=artifact.context or 0, threads=threads
                )
    return None


def _announce(bundle: Bundle, artifact: Artifact, provider: str) -> None:
    details = {
        "model": bundle.manifest.name,
        "precision": artifact.precision,
        "provider": provider,
    }
    if provider == "cpu":
        # What `auto` goes by.
        details["int8_instructions"] = byte_instructions() or "none"
    _log.info("loading model", extra=details)


def _unfit(
    bundle: Bundle, artifact: Artifact, engine: Engine, provider: str, longest: int
) -> str | None:
    """Why an engine is not to be used; None where it is."""
    libraries = {name: library.version for name, library in installed_libraries().items()}
    capabilities = [card.compute_capability for card in _cards()]
    graphs = [item.sha256 for item in bundle.manifest.artifacts if item.kind == "onnx"]
    machine = Machine(libraries, capabilities)
    reason = misfit(engine, machine, graphs=graphs, longest=longest)
    if reason is None and artifact.parity is None and provider == "auto":
        return (
            "it was never compared with PyTorch; export it again on a machine with its card, or "
            "ask for the provider tensorrt"
        )
    if reason is None and artifact.parity is not None and not artifact.faithful:
        return "it failed its parity check"
    return reason


def _load_engine(bundle: Bundle, artifact: Artifact, engine: Engine, instances: int) -> Backend:
    # Importing it needs CUDA's Python package.
    from emotion2vec_runtime.backends.tensorrt.engine import TensorRtBackend

    if artifact.parity is None:
        _log.warning(f"the TensorRT engine {artifact.file} was never compared with PyTorch")
    _announce(bundle, artifact, "tensorrt")
    with bundle.verifying(artifact) as path:

        def load(card: Device, at_once: int) -> Backend:
            return TensorRtBackend(
                path,
                engine,
                installed_libraries()[engine.library],
                precision=artifact.precision,
                device=card,
                instances=at_once,
            )

        return _on_cards(load, _cards(), provider_named("tensorrt"), instances)


def _cards() -> list[Device]:
    """The GPUs; none where CUDA's Python package is not installed."""
    try:
        from emotion2vec_runtime.backends.tensorrt.cuda import devices
    except ImportError:
        return []
    return devices()


def _choose_provider(wished: str, available: Sequence[Provider]) -> Provider:
    if wished == "auto":
        return next(provider for provider in available if provider.automatic)
    provider = provider_named(wished)
    if provider not in available:
        names = ", ".join(each.name for each in available)
        raise ConfigError(
            f"provider {wished}: the installed ONNX Runtime offers only {names}; "
            "install emotion2vec-runtime[gpu] for cuda and tensorrt"
        )
    return provider


def _way_to(bundle: Bundle, precision: PrecisionChoice) -> str:
    """What to do about a graph that is not there."""
    for refusal in bundle.manifest.refused:
        if (refusal.kind, refusal.precision) == ("onnx", precision):
            return f"the export refused it ({refusal.reason}); choose another"
    return f"export it with --precision {precision}"


def _by_speed(provider: Provider) -> Sequence[Precision]:
    """Best first; int8 comes last on a CPU that has no instructions for it."""
    if provider.memory == "host" and byte_instructions() is None:
        return sorted(provider.precisions, key=lambda precision: precision == "int8")
    return provider.precisions


def _choose_artifact(bundle: Bundle, wished: PrecisionChoice, provider: Provider) -> Artifact:
    graphs = {
        artifact.precision: artifact
        for artifact in bundle.manifest.artifacts
        if artifact.kind == "onnx"
    }
    if wished != "auto":
        if wished not in graphs:
            raise ConfigError(
                f"precision {wished}: {bundle.directory} holds only {', '.join(graphs)}; "
                + _way_to(bundle, wished)
            )
        return graphs[wished]
    for precision in _by_speed(provider):
        if precision in graphs and graphs[precision].faithful:
            return graphs[precision]
    raise ConfigError(
        f"{bundle.directory} holds no graph for the provider {provider.name} that passed its "
        "parity check; export it with --precision fp32"
    )
