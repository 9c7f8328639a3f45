"""ONNX Runtime, through any of its execution providers: the one door to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from emotion2vec_runtime.arrays import Float32, Int64
from emotion2vec_runtime.backends.base import Outputs, StepInputs, StepOutputs
from emotion2vec_runtime.backends.providers import PROVIDERS, Provider, provider_named
from emotion2vec_runtime.bundle import Precision
from emotion2vec_runtime.errors import (
    InferenceError,
    LoadError,
    MissingLibraryError,
    OutOfMemoryError,
)

try:
    import onnxruntime as ort
    from onnxruntime.capi import onnxruntime_pybind11_state as errors
except ImportError as error:
    raise MissingLibraryError(
        f"no ONNX Runtime can be imported ({error}); install it with the extra [cpu], or with "
        "[gpu] for CUDA: pip install 'emotion2vec-runtime[cpu]', or 'emotion2vec-server[cpu]'"
    ) from error

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
# How ONNX Runtime's allocators, CUDA, cuBLAS and cuDNN word it; it has no error class of its own.
_OUT_OF_MEMORY = (
    "failed to allocate memory",
    "available memory of",
    "out of memory",
    "alloc_failed",
    "bad_alloc",
    "bad allocation",
)


def available_providers() -> tuple[Provider, ...]:
    """Those that the installed ONNX Runtime was built with, best first."""
    built = ort.get_available_providers()
    return tuple(provider for provider in PROVIDERS if provider.execution_provider in built)


class _Graph:
    """One ONNX graph in one session. `run` may be called from several threads."""

    def __init__(self, path: Path, provider: Provider, threads: int, device: int) -> None:
        if provider.memory == "device":
            # CUDA and cuDNN may be Python packages, whose folders the system's loader doesn't know.
            ort.preload_dlls()
        self._run_options = ort.RunOptions()
        options = _session_options(provider, threads, self._run_options)
        try:
            self._session = ort.InferenceSession(path, options, providers=_chain(provider, device))
        except ERRORS as error:
            raise LoadError(f"ONNX Runtime can't load {path}: {_first_line(error)}") from error
        if provider.execution_provider not in self._session.get_providers():
            raise LoadError(
                f"ONNX Runtime could not start its {provider.name} provider; check the driver and "
                "its libraries, or choose the provider cpu"
            )
        self.outputs = [output.name for output in self._session.get_outputs()]

    def input_size(self, name: str, axis: int) -> int:
        """How long an axis of an input is that does not vary."""
        shapes = {each.name: each.shape for each in self._session.get_inputs()}
        return int(shapes[name][axis])

    def run(self, names: Sequence[str], feeds: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        """The outputs of these names.

        Raises:
            OutOfMemoryError: the batch did not fit; a smaller one may.
            InferenceError: the library failed on it.
        """
        try:
            values = self._session.run(names, feeds, self._run_options)
        except ERRORS as error:
            if any(words in str(error).lower() for words in _OUT_OF_MEMORY):
                raise OutOfMemoryError(_first_line(error)) from error
            raise InferenceError(f"ONNX Runtime failed: {_first_line(error)}") from error
        return dict(zip(names, values, strict=True))


class OnnxRuntimeBackend:
    """The graph of whole clips. `run` may be called from several threads."""

    def __init__(
        self,
        path: Path,
        provider: Provider,
        *,
        precision: Precision,
        threads: int = 0,
        device: int = 0,
    ) -> None:
        """Loads the graph at `path`.

        Args:
            path: the graph.
            provider: where to run it.
            precision: what its manifest says.
            threads: of one run on the CPU; 0 takes one a core.
            device: number of the card, for a provider with memory of its own.

        Raises:
            LoadError: the graph can't be loaded, or the provider is not to be had here.
        """
        self._graph = _Graph(path, provider, threads, device)
        self._provider = provider
        self._precision = precision
        self._pooled = [name for name in self._graph.outputs if name != "frame_embeddings"]

    @property
    def provider(self) -> str:
        return self._provider.name

    @property
    def precision(self) -> str:
        return self._precision

    @property
    def cards(self) -> int:
        return 1

    def run(self, waveforms: Float32, lengths: Int64, *, frame_embeddings: bool = False) -> Outputs:
        """See `Backend.run`."""
        names = self._graph.outputs if frame_embeddings else self._pooled
        by_name = self._graph.run(names, {"waveform": waveforms, "lengths": lengths})
        return Outputs(
            logits=by_name.get("logits"),
            embedding=by_name["embedding"],
            frame_logits=by_name.get("frame_logits"),
            frame_embeddings=by_name.get("frame_embeddings"),
            frame_lengths=by_name["frame_lengths"],
        )


class OnnxStepBackend:
    """The graph of a step of live streams. `run` may be called from several threads."""

    def __init__(self, path: Path, provider: Provider, *, context: int, threads: int = 0) -> None:
        """As `OnnxRuntimeBackend`; `context` is what the manifest says."""
        self._graph = _Graph(path, provider, threads, device=0)
        self._context = context

    @property
    def context(self) -> int:
        return self._context

    @property
    def blocks(self) -> int:
        return self._graph.input_size("past", 0) // 2

    def run(self, inputs: StepInputs) -> StepOutputs:
        """See `StepBackend.run`."""
        return StepOutputs(**self._graph.run(StepOutputs._fields, inputs._asdict()))


def _session_options(provider: Provider, threads: int, run: ort.RunOptions) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    # Its errors come as exceptions, and are logged as those.
    options.log_severity_level = 4
    # Threads that spin while they wait take the cores from serving, and from each other; but one
    # that sleeps through the gap between two products costs the large graph 6%.
    options.add_session_config_entry("session.intra_op.spin_duration_us", _SPIN_MICROSECONDS)
    options.add_session_config_entry("session.force_spinning_stop", "1")
    # It would plan the memory of each new shape, and every batch of speech has a new one.
    options.enable_mem_pattern = False
    if provider.memory == "host":
        _spare_memory(options, run)
        # Beyond the basic level it joins biases to GELUs, for which it has a slower kernel.
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    return options


def _spare_memory(options: ort.SessionOptions, run: ort.RunOptions) -> None:
    """Memory follows what runs: by default it doubles as it grows, and is kept for good."""
    _register_allocator()
    options.add_session_config_entry("session.use_env_allocators", "1")
    run.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")


@cache
def _register_allocator() -> None:
    """Once a process: an allocator that takes as much memory as is asked for, and no more."""
    arena = ort.OrtArenaCfg({"arena_extend_strategy": _AS_REQUESTED})
    memory = ort.OrtMemoryInfo(
        "Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT
    )
    ort.create_and_register_allocator(memory, arena)


def _chain(provider: Provider, device: int) -> list[tuple[str, dict[str, Any]]]:
    """The provider, and those that take the nodes it can't run."""
    order = (provider, *map(provider_named, provider.fallbacks))
    return [(each.execution_provider, _options(each, device)) for each in order]


def _options(provider: Provider, device: int) -> dict[str, Any]:
    place = {"device_id": device} if provider.memory == "device" else {}
    return {**place, **provider.options}


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
