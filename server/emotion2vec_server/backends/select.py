"""Chooses the artefact and the runtime for a bundle on this machine, and says why."""

from __future__ import annotations

import logging
from typing import Literal

from emotion2vec_server.backends.base import Backend
from emotion2vec_server.backends.onnx_runtime import OnnxRuntimeBackend, available_providers
from emotion2vec_server.bundle import Artifact, Bundle, Precision
from emotion2vec_server.errors import ConfigError

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
    bundle: Bundle, *, precision: PrecisionChoice, provider: ProviderChoice, threads: int
) -> Backend:
    """Loads the best artefact of `bundle` that fits `precision`, `provider` and this machine.

    Raises:
        BundleError: a file of the artefact differs from the manifest.
        ConfigError: the wished precision or provider is not to be had.
        StartupError: the artefact can't be loaded.
    """
    chosen_provider = _choose_provider(provider)
    artifact = _choose_artifact(bundle, precision, chosen_provider)
    _log.info(
        "loading model",
        extra={
            "model": bundle.manifest.name,
            "precision": artifact.precision,
            "provider": chosen_provider,
        },
    )
    with bundle.verifying(artifact) as path:
        return OnnxRuntimeBackend(
            path, precision=artifact.precision, provider=chosen_provider, threads=threads
        )


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
        if precision in graphs and graphs[precision].parity.passed:
            return graphs[precision]
    raise ConfigError(
        f"{bundle.directory} holds no graph for provider {provider} that passed its parity check; "
        "export it with --precision fp32"
    )
