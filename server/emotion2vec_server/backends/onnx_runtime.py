"""ONNX Runtime, on the CPU, through CUDA or through its TensorRT provider."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as errors

from emotion2vec_server.backends.base import Float32, Int64, Outputs
from emotion2vec_server.bundle import Precision
from emotion2vec_server.errors import InferenceError, OutOfMemoryError, StartupError

_PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
_SPIN_MICROSECONDS = "30"
ERRORS = (
    errors.EPFail,
    errors.EngineError,
    errors.Fail,
    errors.InvalidArgument,
    errors.InvalidGraph,
    errors.InvalidProtobuf,
    errors.NoSuchFile,
    errors.NotFound,
    errors.NotImplemented,
    errors.RuntimeException,
)
"""What ONNX Runtime raises; its errors have no common base."""
_AS_REQUESTED = 1
"""Of ONNX Runtime's `ArenaExtendStrategy`; 0 is the next power of two."""
# How ONNX Runtime's allocators word it; it has no error class of its own.
_OUT_OF_MEMORY = ("failed to allocate memory", "out of memory", "bad_alloc", "bad allocation")


def available_providers() -> tuple[str, ...]:
    """Of "tensorrt", "cuda" and "cpu", those that the installed ONNX Runtime was built with."""
    built = ort.get_available_providers()
    return tuple(name for name in ("tensorrt", "cuda", "cpu") if _PROVIDERS[name] in built)


class OnnxRuntimeBackend:
    """One ONNX graph in one session. `run` may be called from several threads."""

    def __init__(
        self,
        path: Path,
        *,
        precision: Precision,
        provider: str,
        threads: int,
        device: int = 0,
        card: str = "",
    ) -> None:
        """Loads the graph at `path`.

        Args:
            path: the graph.
            precision: what its manifest says.
            provider: "cpu", "cuda" or "tensorrt".
            threads: intra-op threads on the CPU.
            device: number of the card.
            card: what it is called; "" on the CPU, or where nobody knows.

        Raises:
            StartupError: the graph can't be loaded, or the provider is not to be had here.
        """
        if provider != "cpu":
            # CUDA and cuDNN may be Python packages, whose folders the system's loader doesn't know.
            ort.preload_dlls()
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        # Its errors come as exceptions, and are logged as those.
        options.log_severity_level = 4
        # Threads that spin while they wait take the cores from serving, and from each other; but
        # one that sleeps through the gap between two products costs the large graph 6%.
        options.add_session_config_entry("session.intra_op.spin_duration_us", _SPIN_MICROSECONDS)
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self._run_options = ort.RunOptions()
        if provider == "cpu":
            _spare_memory(options, self._run_options)
            # Beyond the basic level it joins biases to GELUs, for which it has a slower kernel.
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        else:
            # It would plan the memory of each new shape, and every batch of speech has a new one.
            options.enable_mem_pattern = False
        try:
            self._session = ort.InferenceSession(path, options, providers=_chain(provider, device))
        except ERRORS as error:
            raise StartupError(f"ONNX Runtime can't load {path}: {_first_line(error)}") from error
        if _PROVIDERS[provider] not in self._session.get_providers():
            raise StartupError(
                f"ONNX Runtime could not start its {provider} provider; check the driver and the "
                "CUDA libraries, or start with --provider cpu"
            )
        self._provider = provider
        self._card = card
        self._precision = precision
        names = [output.name for output in self._session.get_outputs()]
        self._all_outputs = names
        self._pooled_outputs = [name for name in names if name != "frame_embeddings"]

    @property
    def provider(self) -> str:
        return self._provider

    @property
    def precision(self) -> str:
        return self._precision

    @property
    def runtime(self) -> str:
        place = f" on {self._card}" if self._card else ""
        return f"onnxruntime {ort.__version__} {self._provider}{place}"

    def run(self, waveforms: Float32, lengths: Int64, *, frame_embeddings: bool = False) -> Outputs:
        """See `Backend.run`."""
        names = self._all_outputs if frame_embeddings else self._pooled_outputs
        feeds = {"waveform": waveforms, "lengths": lengths}
        try:
            values: list[Any] = self._session.run(names, feeds, self._run_options)
        except ERRORS as error:
            if any(words in str(error).lower() for words in _OUT_OF_MEMORY):
                raise OutOfMemoryError(_first_line(error)) from error
            raise InferenceError(f"ONNX Runtime failed: {_first_line(error)}") from error
        by_name: dict[str, np.ndarray[Any, Any]] = dict(zip(names, values, strict=True))
        return Outputs(
            logits=by_name.get("logits"),
            embedding=by_name["embedding"],
            frame_logits=by_name.get("frame_logits"),
            frame_embeddings=by_name.get("frame_embeddings"),
            frame_lengths=by_name["frame_lengths"],
        )


def _spare_memory(options: ort.SessionOptions, run: ort.RunOptions) -> None:
    """Memory follows what runs: by default it doubles as it grows, and is kept for good."""
    _register_allocator()
    options.add_session_config_entry("session.use_env_allocators", "1")
    # Planning all tensors of a shape as one piece of memory would keep a piece for every length.
    options.enable_mem_pattern = False
    run.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")


@cache
def _register_allocator() -> None:
    """Once a process: an allocator that takes as much memory as is asked for, and no more."""
    arena = ort.OrtArenaCfg({"arena_extend_strategy": _AS_REQUESTED})
    memory = ort.OrtMemoryInfo(
        "Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT
    )
    ort.create_and_register_allocator(memory, arena)


def _chain(provider: str, device: int) -> list[tuple[str, dict[str, Any]]]:
    """The provider, and those that take the nodes it can't run."""
    order = {"cpu": ["cpu"], "cuda": ["cuda", "cpu"], "tensorrt": ["tensorrt", "cuda", "cpu"]}
    return [(_PROVIDERS[name], _options(name, device)) for name in order[provider]]


def _options(provider: str, device: int) -> dict[str, Any]:
    if provider == "cpu":
        return {}
    if provider == "tensorrt":
        return {"device_id": device}
    return {
        "device_id": device,
        # Graphs with convolutions: by default it tries all algorithms for each new shape.
        "cudnn_conv_algo_search": "HEURISTIC",
        # By default a norm joined to a sum takes its mean and variance in fp16.
        "enable_skip_layer_norm_strict_mode": "1",
    }


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
