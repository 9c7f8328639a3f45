"""Chooses the artefact and the runtime for a bundle on this machine, and says why."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal

from emotion2vec_server.backends.base import Backend
from emotion2vec_server.backends.engine_fit import Machine, misfit
from emotion2vec_server.backends.onnx_runtime import OnnxRuntimeBackend, available_providers
from emotion2vec_server.backends.spread import Spread
from emotion2vec_server.backends.tensorrt_library import installed_libraries
from emotion2vec_server.bundle import Artifact, Bundle, Engine, Precision
from emotion2vec_server.errors import ConfigError

if TYPE_CHECKING:
    from emotion2vec_server.backends.cuda import Device

PrecisionChoice = Literal["auto", "fp32", "int8", "fp16"]
ProviderChoice = Literal["auto", "cpu", "cuda", "tensorrt"]

# What runs fastest where, best first.
_PREFERENCE: dict[str, tuple[Precision, ...]] = {
    "cpu": ("int8", "fp32"),
    "cuda": ("fp16", "fp32"),
    "tensorrt": ("fp16", "fp32"),
}
_log = logging.getLogger(__name__)


def load_backend(
    bundle: Bundle,
    *,
    precision: PrecisionChoice,
    provider: ProviderChoice,
    threads: int,
    lanes: int = 1,
    longest: int = 0,
) -> Backend:
    """Loads the best artefact of `bundle` that fits `precision`, `provider` and this machine.

    An engine that does not fit is passed over for the ONNX graph, with a warning that says why.

    Args:
        bundle: the model.
        precision: what is wished.
        provider: what is wished.
        threads: of one batch on the CPU.
        lanes: batches that may run at once; with several cards, lane i is on card i.
        longest: samples of the longest clip that will be asked for.

    Raises:
        BundleError: a file of the artefact differs from the manifest.
        ConfigError: the wished precision or provider is not to be had.
        StartupError: the artefact can't be loaded.
    """
    if provider in ("auto", "tensorrt"):
        for artifact in bundle.manifest.artifacts:
            if artifact.engine is not None and precision in ("auto", artifact.precision):
                reason = _unfit(bundle, artifact, artifact.engine, provider, longest)
                if reason is None:
                    return _load_engine(bundle, artifact, artifact.engine, lanes)
                _log.warning(f"the TensorRT engine {artifact.file} is not used: {reason}")
    chosen_provider = _choose_provider(provider)
    artifact = _choose_artifact(bundle, precision, chosen_provider)
    _announce(bundle, artifact, chosen_provider)
    names = [] if chosen_provider == "cpu" else [card.name for card in _cards()[:lanes]]
    with bundle.verifying(artifact) as path:
        backends = [
            OnnxRuntimeBackend(
                path,
                precision=artifact.precision,
                provider=chosen_provider,
                threads=threads,
                device=number,
                card=name,
            )
            for number, name in enumerate(names or [""])
        ]
    return backends[0] if len(backends) == 1 else Spread(backends, lanes)


def _announce(bundle: Bundle, artifact: Artifact, provider: str) -> None:
    _log.info(
        "loading model",
        extra={
            "model": bundle.manifest.name,
            "precision": artifact.precision,
            "provider": provider,
        },
    )


def _unfit(
    bundle: Bundle, artifact: Artifact, engine: Engine, provider: ProviderChoice, longest: int
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
            "ask for it with --provider tensorrt"
        )
    if reason is None and artifact.parity is not None and not artifact.faithful:
        return "it failed its parity check"
    return reason


def _load_engine(bundle: Bundle, artifact: Artifact, engine: Engine, lanes: int) -> Backend:
    # Importing it needs CUDA's Python package.
    from emotion2vec_server.backends.tensorrt import TensorRtBackend

    if artifact.parity is None:
        _log.warning(f"the TensorRT engine {artifact.file} was never compared with PyTorch")
    _announce(bundle, artifact, "tensorrt")
    with bundle.verifying(artifact) as path:
        return TensorRtBackend(
            path,
            engine,
            installed_libraries()[engine.library],
            precision=artifact.precision,
            devices=_cards(),
            lanes=lanes,
        )


def _cards() -> list[Device]:
    """The GPUs; none where CUDA's Python package is not installed."""
    try:
        from emotion2vec_server.backends.cuda import devices
    except ImportError:
        return []
    return devices()


def _choose_provider(wished: ProviderChoice) -> str:
    available = available_providers()
    if wished == "auto":
        return "cuda" if "cuda" in available else "cpu"
    if wished not in available:
        raise ConfigError(
            f"--provider {wished}: the installed ONNX Runtime offers only {', '.join(available)}; "
            "install emotion2vec-server[gpu] for cuda and tensorrt"
        )
    return wished


def _choose_artifact(bundle: Bundle, wished: PrecisionChoice, provider: str) -> Artifact:
    graphs = {
        artifact.precision: artifact
        for artifact in bundle.manifest.artifacts
        if artifact.kind == "onnx"
    }
    if wished != "auto":
        if wished not in graphs:
            raise ConfigError(
                f"--precision {wished}: {bundle.directory} holds only {', '.join(graphs)}; "
                f"export it with --precision {wished}"
            )
        return graphs[wished]
    for precision in _PREFERENCE[provider]:
        if precision in graphs and graphs[precision].faithful:
            return graphs[precision]
    raise ConfigError(
        f"{bundle.directory} holds no graph for provider {provider} that passed its parity check; "
        "export it with --precision fp32"
    )
